# SPDX-License-Identifier: Apache-2.0
"""Pictures for people: masks, boxes, ids, states and windows drawn over an image."""

from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from esam2_ros.core.plan import FramePlan

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]

# Okabe and Ito's palette without black: told apart with every kind of colour blindness.
PALETTE: tuple[Colour, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (204, 121, 167),
    (213, 94, 0),
    (0, 114, 178),
)
FILL_ALPHA = 0.45
IDLE_LIGHT = 0.35  # of windows that were not computed
WINDOW_EDGE: Colour = (255, 255, 255)
FONT = cv2.FONT_HERSHEY_SIMPLEX
STATE_NAMES = ('TRACKED', 'OCCLUDED', 'LOST', 'SUSPECT')
UNSEEN_STATES = ('OCCLUDED', 'LOST')
# Image sizes at which a line is one pixel wide and a letter is of the font's own size.
LINE_PIXELS = 320
FONT_PIXELS = 900


class _Named(Protocol):
    @property
    def name(self) -> str: ...


class Target(Protocol):
    """What of a `TargetState` is drawn."""

    @property
    def id(self) -> int: ...
    @property
    def label(self) -> str: ...
    @property
    def state(self) -> _Named: ...
    @property
    def score(self) -> float: ...
    @property
    def box(self) -> Box | None: ...
    @property
    def mask(self) -> Mask: ...


class Track(Protocol):
    """What of a `TrackedTarget` message is drawn."""

    id: int
    label: str
    state: int
    score: float
    box: Sequence[float]


@dataclass(frozen=True)
class Mark:
    """One target to draw: mask [height, width] bool, box in pixels or None when nothing shows."""

    id: int
    label: str
    state: str
    score: float
    box: Box | None
    mask: Mask


def colour_of(target_id: int) -> Colour:
    """RGB colour of a target: stable, lighter in each further round of the palette."""
    turn, place = divmod(max(target_id, 1) - 1, len(PALETTE))
    share = (turn % 3) * 0.3
    red, green, blue = (round(value + (255 - value) * share) for value in PALETTE[place])
    return red, green, blue


def draw_overlay(image: Image, targets: Iterable[Target], plan: FramePlan | None = None) -> Image:
    """Draw the targets of a `FrameResult`, and which windows its plan computed.

    Args:
        image: [height, width, 3] uint8 RGB; left as it is.
        targets: `TargetState`s whose masks have the size of the image.
        plan: None to leave the windows out.

    Returns:
        [height, width, 3] uint8 RGB.
    """
    return draw_marks(
        image if plan is None else draw_windows(image, plan),
        [Mark(t.id, t.label, t.state.name, float(t.score), t.box, t.mask) for t in targets],
    )


def draw_labels(image: Image, labels: NDArray[np.integer], tracks: Iterable[Track]) -> Image:
    """Draw what the node published for an image.

    Args:
        image: [height, width, 3] uint8 RGB; left as it is.
        labels: [height, width] target ids, 0 is background.
        tracks: the targets of the `TrackArray` of that image.

    Returns:
        [height, width, 3] uint8 RGB.
    """
    marks = []
    for track in tracks:
        left, top, right, bottom = (float(value) for value in track.box)
        box = (left, top, right, bottom) if right > left and bottom > top else None
        state = STATE_NAMES[track.state]
        mask = labels == track.id
        marks.append(Mark(track.id, track.label, state, float(track.score), box, mask))
    return draw_marks(image, marks)


def draw_marks(image: Image, marks: Sequence[Mark]) -> Image:
    """Draw marks over [height, width, 3] uint8 RGB: fills first, then contours, boxes and text."""
    picture = image.copy()
    line = max(1, round(min(image.shape[:2]) / LINE_PIXELS))
    for mark in marks:
        _fill(picture, mark.mask, colour_of(mark.id))
    for mark in marks:
        _outline(picture, mark, line)
    for mark in marks:
        if mark.box is not None and mark.state not in UNSEEN_STATES:
            _tag(picture, _caption(mark), colour_of(mark.id), mark.box)
    _list_unseen(picture, [mark for mark in marks if mark.state in UNSEEN_STATES])
    return picture


def draw_windows(image: Image, plan: FramePlan) -> Image:
    """Darken the windows that were not computed and draw an edge round those that were.

    A plan of all windows, or of a frame without targets, leaves the picture as it is.

    Args:
        image: [height, width, 3] uint8 RGB; left as it is.
        plan: of a frame that was resized from this image to the model's input.

    Returns:
        [height, width, 3] uint8 RGB.
    """
    picture = image.copy()
    if plan.is_dense or plan.is_idle:
        return picture
    grid = plan.grid
    active = np.zeros((grid.rows, grid.columns), bool)
    active.flat[list(plan.active)] = True
    height, width = image.shape[:2]
    # The window of a pixel's centre; the last windows may reach over the edge.
    row, column = (
        ((np.arange(side) + 0.5) * grid.extent / side / grid.side).astype(int)
        for side in (height, width)
    )
    computed = active[np.ix_(row, column)]
    picture[~computed] = np.round(picture[~computed] * IDLE_LIGHT).astype(np.uint8)
    line = max(1, round(min(height, width) / LINE_PIXELS))
    inner = cv2.erode(
        computed.astype(np.uint8),
        np.ones((2 * line + 1, 2 * line + 1), np.uint8),
        borderType=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    picture[computed & (inner == 0)] = WINDOW_EDGE
    return picture


def _fill(picture: Image, mask: Mask, colour: Colour) -> None:
    under = picture[mask].astype(np.float32)
    mixed = under * (1.0 - FILL_ALPHA) + np.array(colour, np.float32) * FILL_ALPHA
    picture[mask] = np.round(mixed).astype(np.uint8)


def _outline(picture: Image, mark: Mark, line: int) -> None:
    contours, _ = cv2.findContours(
        np.ascontiguousarray(mark.mask, np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
    )
    cv2.drawContours(picture, contours, -1, colour_of(mark.id), line)
    if mark.box is None or mark.state in UNSEEN_STATES:
        return
    left, top, right, bottom = (round(value) for value in mark.box)
    # A box's far edge is exclusive; the line is drawn on the last pixel inside.
    cv2.rectangle(picture, (left, top), (right - 1, bottom - 1), colour_of(mark.id), line)


def _caption(mark: Mark) -> str:
    name = f'{mark.id} {mark.label}'.strip()
    state = '' if mark.state == 'TRACKED' else f' {mark.state}'
    return f'{name} {mark.score:.2f}{state}'


def _list_unseen(picture: Image, marks: Sequence[Mark]) -> None:
    top = 0
    for mark in marks:
        name = f'{mark.id} {mark.label}'.strip()
        top = write_text(picture, f'{name} {mark.state}', colour_of(mark.id), 0, top)


def _tag(picture: Image, text: str, colour: Colour, box: Box) -> None:
    left, top = round(box[0]), round(box[1])
    width, height = _text_size(picture, text)
    left = max(0, min(left, picture.shape[1] - width))
    # Above the box where there is room, and inside it otherwise.
    write_text(picture, text, colour, left, top, above=top >= height)


def _font(picture: Image) -> tuple[float, int, int]:
    scale = max(0.4, min(picture.shape[:2]) / FONT_PIXELS)
    return scale, max(1, round(scale * 1.4)), max(3, round(6 * scale))


def _text_size(picture: Image, text: str) -> tuple[int, int]:
    scale, weight, margin = _font(picture)
    (width, height), _ = cv2.getTextSize(text, FONT, scale, weight)
    return width + 2 * margin, height + 2 * margin


def write_text(
    picture: Image, text: str, colour: Colour, left: int, top: int, *, above: bool = False
) -> int:
    """Write text on a tab of the colour, below or above `top`, and return the tab's lower edge."""
    scale, weight, margin = _font(picture)
    width, height = _text_size(picture, text)
    top = top - height if above else top
    cv2.rectangle(picture, (left, top), (left + width - 1, top + height - 1), colour, -1)
    luminance = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
    ink = (0, 0, 0) if luminance > 110 else (255, 255, 255)
    place = (left + margin, top + height - margin)
    cv2.putText(picture, text, place, FONT, scale, ink, weight, cv2.LINE_AA)
    return top + height
