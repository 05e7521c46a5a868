# SPDX-License-Identifier: Apache-2.0
"""The words of `--prompt`: what to track, and on which frame it was drawn."""

import math
import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from esam2_ros.bags.frames import read_labels
from esam2_ros.errors import BagError
from esam2_ros.errors import PromptError

Box = tuple[float, float, float, float]
KEYS = ('box', 'points', 'mask', 'label', 'at', 'id')


@dataclass(frozen=True)
class ReplayPrompt:
    """One prompt of a replay, in pixels of the original image.

    Attributes:
        at: number of the frame it is drawn on, from 0.
        target_id: 0 adds a target, another id corrects that one.
        label: free text.
        box: x_min, y_min, x_max, y_max, or None.
        points: (x, y) of each click.
        point_labels: 1 on the target, 0 off it, one for each point.
        mask: [height, width] bool, or None.
    """

    at: int = 0
    target_id: int = 0
    label: str = ''
    box: Box | None = None
    points: tuple[tuple[float, float], ...] = ()
    point_labels: tuple[int, ...] = ()
    mask: NDArray[np.bool_] | None = None


def parse_prompt(text: str) -> ReplayPrompt:
    """Read `box=x0,y0,x1,y1`, `points=x,y,1;x,y,0` or `mask=FILE.png` with `label= at= id=`.

    Fields stand apart by blanks; a value with blanks goes in quotes. A box and points may go
    together, a mask stands alone.

    Raises:
        PromptError: names the prompt, the bad part and what is allowed.
    """
    fields = _fields(text)
    if not fields.keys() & {'box', 'points', 'mask'}:
        raise PromptError(f'prompt {text!r} has no box=, points= or mask=')
    if 'mask' in fields and fields.keys() & {'box', 'points'}:
        raise PromptError(f'prompt {text!r}: a mask stands alone, without box or points')
    points, point_labels = _points(text, fields.get('points'))
    return ReplayPrompt(
        at=_whole(text, 'at', fields.get('at', '0'), 2**31),
        target_id=_whole(text, 'id', fields.get('id', '0'), 254),
        label=fields.get('label', ''),
        box=_box(text, fields['box']) if 'box' in fields else None,
        points=points,
        point_labels=point_labels,
        mask=_mask(text, Path(fields['mask'])) if 'mask' in fields else None,
    )


def _fields(text: str) -> dict[str, str]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise PromptError(f'prompt {text!r} cannot be read: {error}') from error
    fields: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition('=')
        if not equals or key not in KEYS:
            raise PromptError(
                f'prompt {text!r}: {word!r} is not known; allowed: {"= ".join(KEYS)}='
            )
        if key in fields:
            raise PromptError(f'prompt {text!r} has {key}= twice')
        fields[key] = value
    return fields


def _numbers(text: str, part: str, count: int, shape: str) -> list[float]:
    try:
        numbers = [float(word) for word in part.split(',')]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(math.isfinite(number) for number in numbers):
        raise PromptError(f'prompt {text!r}: {part!r} is not {shape}')
    return numbers


def _box(text: str, part: str) -> Box:
    left, top, right, bottom = _numbers(text, part, 4, 'four finite numbers x0,y0,x1,y1')
    return left, top, right, bottom


def _points(text: str, part: str | None) -> tuple[tuple[tuple[float, float], ...], tuple[int, ...]]:
    if part is None:
        return (), ()
    rows = [_numbers(text, item, 3, 'x,y,1 or x,y,0') for item in part.split(';')]
    for row in rows:
        if row[2] not in (0.0, 1.0):
            raise PromptError(f'prompt {text!r}: point label {row[2]:g} is not 0 or 1')
    return tuple((row[0], row[1]) for row in rows), tuple(int(row[2]) for row in rows)


def _whole(text: str, key: str, part: str, most: int) -> int:
    if not part.isdecimal() or int(part) > most:
        raise PromptError(f'prompt {text!r}: {key}={part} is not a whole number of 0 to {most}')
    return int(part)


def _mask(text: str, path: Path) -> NDArray[np.bool_]:
    try:
        return read_labels(path) > 0
    except BagError as error:
        raise PromptError(f'prompt {text!r}: {error}') from error
