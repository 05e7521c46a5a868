# SPDX-License-Identifier: Apache-2.0
"""Find annotated clips on disk, in the layout of DAVIS or one folder a clip.

DAVIS:  ROOT/JPEGImages/[480p/]CLIP/00000.jpg and ROOT/Annotations/[480p/]CLIP/00000.png
plain:  ROOT/CLIP/frames/00000.jpg and ROOT/CLIP/masks/00000.png, or ROOT is such a CLIP
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL import UnidentifiedImageError

from esam2_ros.errors import Esam2Error

_FRAME_SUFFIXES = ('.jpg', '.jpeg', '.png')
_MASK_MODES = ('P', 'L', '1')
_RESOLUTIONS = ('480p', 'Full-Resolution')
_LAYOUTS = 'ROOT/JPEGImages + ROOT/Annotations (DAVIS), or ROOT/<clip>/frames + masks'


class DatasetError(Esam2Error):
    """A folder of clips is missing, empty, or its frames and masks do not fit together."""


@dataclass(frozen=True)
class Clip:
    """An annotated clip: a frame and a mask file per time step, all of one size in pixels."""

    name: str
    frames: tuple[Path, ...]
    masks: tuple[Path, ...]
    size: tuple[int, int]  # width, height

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def fingerprint(self) -> str:
        """Short digest of file names and sizes, to notice that a clip was exchanged."""
        files = [f'{path.name} {path.stat().st_size}' for path in (*self.frames, *self.masks)]
        return hashlib.sha256('\n'.join(files).encode()).hexdigest()[:12]


def read_frame(path: Path) -> NDArray[np.uint8]:
    """An image file as [height, width, 3] uint8 RGB; DatasetError when it is damaged."""
    return _pixels(path, 'RGB')


def read_mask(path: Path) -> NDArray[np.uint8]:
    """A mask file as [height, width] uint8, pixel = target id; DatasetError when damaged."""
    return _pixels(path, None)


def find_clips(root: Path, names: Sequence[str] | None = None) -> tuple[Clip, ...]:
    """All clips under `root`, or those in `names`, in that order.

    Every frame must have a mask of its name and size, and a clip three frames or more. Only
    headers are read. Raises DatasetError naming the folder or file at fault.
    """
    if not root.is_dir():
        raise DatasetError(f'{root}: no such folder')
    folders = _davis(root) if (root / 'JPEGImages').is_dir() else _plain(root)
    if not folders:
        raise DatasetError(f'{root}: no clips; allowed layouts: {_LAYOUTS}')
    unknown = [name for name in names or () if name not in folders]
    if unknown:
        raise DatasetError(
            f'{root}: no clip named {", ".join(unknown)}; there are: {", ".join(folders)}'
        )
    return tuple(_clip(name, *folders[name]) for name in dict.fromkeys(names or folders))


def _davis(root: Path) -> dict[str, tuple[Path, Path]]:
    images, annotations = root / 'JPEGImages', root / 'Annotations'
    for resolution in _RESOLUTIONS:
        if (images / resolution).is_dir():
            images, annotations = images / resolution, annotations / resolution
            break
    return {each.name: (each, annotations / each.name) for each in _subfolders(images)}


def _plain(root: Path) -> dict[str, tuple[Path, Path]]:
    candidates = (root,) if (root / 'frames').is_dir() else _subfolders(root)
    return {
        each.resolve().name: (each / 'frames', each / 'masks')
        for each in candidates
        if (each / 'frames').is_dir()
    }


def _subfolders(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(each for each in folder.iterdir() if each.is_dir()))


def _clip(name: str, frame_folder: Path, mask_folder: Path) -> Clip:
    if not mask_folder.is_dir():
        raise DatasetError(f'clip {name} has no masks: {mask_folder} is not a folder')
    frames = _images(frame_folder, _FRAME_SUFFIXES)
    masks = _images(mask_folder, ('.png',))
    if len(frames) < 3:
        raise DatasetError(
            f'{frame_folder}: {len(frames)} frames; needed: 3 or more, '
            'for the first and the last are not scored'
        )
    for what, lacking in (
        ('mask', frames.keys() - masks.keys()),
        ('frame', masks.keys() - frames.keys()),
    ):
        if lacking:
            raise DatasetError(
                f'clip {name}: {len(lacking)} of {len(frames)} frames and {len(masks)} masks '
                f'stand alone; no {what} named {min(lacking)}'
            )
    paths = tuple(frames.values())
    truths = tuple(masks[stem] for stem in frames)
    return Clip(name, paths, truths, _common_size(paths, truths))


def _images(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in suffixes}


def _common_size(frames: tuple[Path, ...], masks: tuple[Path, ...]) -> tuple[int, int]:
    size, _ = _header(frames[0])
    for path in frames:
        _check_size(path, _header(path)[0], size)
    for path in masks:
        found, mode = _header(path)
        _check_size(path, found, size)
        if mode not in _MASK_MODES:
            raise DatasetError(
                f'{path}: a mask of mode {mode}; allowed: 8-bit palette or grey, pixel = target id'
            )
    return size


def _check_size(path: Path, found: tuple[int, int], needed: tuple[int, int]) -> None:
    if found != needed:
        raise DatasetError(
            f'{path}: {found[0]} x {found[1]} px; needed: {needed[0]} x {needed[1]} px, '
            'as the first frame of the clip'
        )


def _header(path: Path) -> tuple[tuple[int, int], str]:
    try:
        with Image.open(path) as image:
            return image.size, image.mode
    except (OSError, UnidentifiedImageError) as error:
        raise DatasetError(f'{path}: not an image ({error})') from error


def _pixels(path: Path, mode: str | None) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as image:
            return np.array(image.convert(mode) if mode else image, np.uint8)
    except (OSError, UnidentifiedImageError) as error:
        raise DatasetError(f'{path}: damaged or not an image ({error})') from error
