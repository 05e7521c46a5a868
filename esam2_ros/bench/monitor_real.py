# SPDX-License-Identifier: Apache-2.0
"""Real clips with known cuts: ROOT/<clip>/frames and ROOT/<clip>/meta.json with a list `cuts`."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from esam2_ros.bench.monitor_clips import TruthClip
from esam2_ros.evaluation.davis import DatasetError
from esam2_ros.evaluation.davis import read_frame
from esam2_ros.evaluation.davis import read_mask

_log = logging.getLogger(__name__)
_SUFFIXES = ('.jpg', '.jpeg', '.png')


def real_clips(root: Path) -> Iterator[TruthClip]:
    """The clips under `root`, or `root` itself; those without a list of cuts are left out.

    Masks, where there are any, tell the monitor where the target is. Raises DatasetError when
    there is no such clip, or when one is damaged.
    """
    if not root.is_dir():
        raise DatasetError(f'{root}: no such folder')
    folders = [root] if (root / 'frames').is_dir() else sorted(root.iterdir())
    labelled = [(folder, _cuts(folder)) for folder in folders if (folder / 'frames').is_dir()]
    known = [(folder, cuts) for folder, cuts in labelled if cuts is not None]
    if not known:
        raise DatasetError(f"{root}: no clips; needed: <clip>/frames and meta.json with 'cuts'")
    for folder, cuts in known:
        yield _read(folder, cuts)


def _cuts(folder: Path) -> tuple[int, ...] | None:
    file = folder / 'meta.json'
    if not file.is_file():
        _log.warning('%s: no meta.json, left out', folder)
        return None
    try:
        cuts: Any = json.loads(file.read_text())['cuts']
    except (json.JSONDecodeError, UnicodeDecodeError, TypeError) as error:
        raise DatasetError(f'{file}: not a JSON object ({error})') from error
    except KeyError:
        _log.warning('%s: no cuts, left out', file)
        return None
    if not isinstance(cuts, list) or not all(type(cut) is int and cut > 0 for cut in cuts):
        raise DatasetError(f'{file}: cuts is {cuts!r}; allowed: a list of frame numbers above 0')
    return tuple(cuts)


def _read(folder: Path, cuts: tuple[int, ...]) -> TruthClip:
    paths = sorted(each for each in (folder / 'frames').iterdir() if each.suffix in _SUFFIXES)
    if not paths:
        raise DatasetError(f'{folder / "frames"}: no images')
    frames = [read_frame(path) for path in paths]
    if len({frame.shape for frame in frames}) > 1:
        raise DatasetError(f'{folder / "frames"}: images of several sizes')
    if cuts and max(cuts) >= len(frames):
        raise DatasetError(f'{folder}: a cut at {max(cuts)}, but only {len(frames)} frames')
    masks = [folder / 'masks' / f'{path.stem}.png' for path in paths]
    target = None
    if all(mask.is_file() for mask in masks):
        target = np.stack([read_mask(mask) > 0 for mask in masks])
    return TruthClip(folder.name, np.stack(frames), target, None, cuts)
