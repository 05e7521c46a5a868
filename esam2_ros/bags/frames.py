# SPDX-License-Identifier: Apache-2.0
"""Frames to make a bag of: a folder of pictures, or a video file."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from esam2_ros.errors import BagError

JPEG_SUFFIXES = ('.jpg', '.jpeg')
PICTURE_SUFFIXES = (*JPEG_SUFFIXES, '.png')
VIDEO_FPS = 30.0


@dataclass(frozen=True)
class Frame:
    """One picture on its way into a bag.

    Attributes:
        image: [height, width, 3] uint8 RGB.
        name: what error messages call it.
        encoded: the file it came from, as it is, or None.
        encoding: 'jpeg' or 'png' where `encoded` is set.
        labels: [height, width] uint8 ground truth, pixel = target id, or None.
    """

    image: NDArray[np.uint8]
    name: str
    encoded: bytes | None = None
    encoding: str = ''
    labels: NDArray[np.uint8] | None = None


def natural_key(path: Path) -> list[tuple[int, str]]:
    """Sort key that puts `frame10` after `frame9`."""
    parts = re.split(r'(\d+)', path.name.lower())
    return [(int(part), '') if part.isdigit() else (-1, part) for part in parts]


class FolderSource:
    """The pictures of a folder, in the order of their names.

    Raises:
        BagError: no pictures, or masks that do not belong to them.
    """

    fps: float | None = None

    def __init__(self, folder: Path, masks: Path | None = None) -> None:
        self.paths = pictures(folder)
        self.masks = match_masks(self.paths, masks) if masks else None
        self.count: int | None = len(self.paths)

    def __iter__(self) -> Iterator[Frame]:
        for index, path in enumerate(self.paths):
            encoded = path.read_bytes()
            image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB)
            if image is None:
                raise BagError(f'{path} is not a picture that can be read')
            encoding = 'jpeg' if path.suffix.lower() in JPEG_SUFFIXES else 'png'
            labels = read_labels(self.masks[index]) if self.masks else None
            yield Frame(image, str(path), encoded, encoding, labels)


class VideoSource:
    """The frames of a video file.

    Raises:
        BagError: the file cannot be opened as a video.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        capture = self._open()
        self.fps: float | None = capture.get(cv2.CAP_PROP_FPS) or None
        # Containers only estimate this; the loop below goes to the true end.
        self.count: int | None = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) or None
        capture.release()

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(str(self.path))
        if not capture.isOpened():
            raise BagError(f'{self.path} is not a video that OpenCV can open')
        return capture

    def __iter__(self) -> Iterator[Frame]:
        capture = self._open()
        try:
            index = 0
            while True:
                good, image = capture.read()
                if not good:
                    break
                rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
                yield Frame(rgb, f'frame {index} of {self.path}')
                index += 1
        finally:
            capture.release()
        if index == 0:
            raise BagError(f'{self.path} holds no frame that OpenCV can read')


def open_frames(path: Path, masks: Path | None = None) -> FolderSource | VideoSource:
    """Frames of a folder of pictures or of a video file; `masks` goes with a folder only.

    Raises:
        BagError: the path is missing, or of neither kind.
    """
    if path.is_dir():
        return FolderSource(path, masks)
    if not path.exists():
        raise BagError(f'{path} does not exist; allowed: a folder of pictures or a video file')
    if masks is not None:
        raise BagError(f'masks need a folder of pictures; {path} is a file')
    return VideoSource(path)


def pictures(folder: Path) -> list[Path]:
    """Pictures of a folder in natural order.

    Raises:
        BagError: there is none.
    """
    if not folder.is_dir():
        raise BagError(f'{folder} is not a folder')
    found = [path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES]
    if not found:
        raise BagError(f'{folder} holds no picture; allowed: {" ".join(PICTURE_SUFFIXES)}')
    return sorted(found, key=natural_key)


def match_masks(frames: list[Path], masks: Path) -> list[Path]:
    """The mask of each frame: by the same stem.

    Raises:
        BagError: a frame has no mask.
    """
    by_stem = {path.stem: path for path in pictures(masks) if path.suffix.lower() == '.png'}
    for frame in frames:
        if frame.stem not in by_stem:
            raise BagError(f'{masks} holds no mask {frame.stem}.png for {frame}')
    return [by_stem[frame.stem] for frame in frames]


def read_labels(path: Path) -> NDArray[np.uint8]:
    """[height, width] uint8 target ids of a palette or grey PNG.

    Raises:
        BagError: the file cannot be read, or holds colours and not ids.
    """
    # Pillow, because OpenCV turns a palette into colours and the ids are lost.
    from PIL import Image
    from PIL import UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            if picture.mode not in ('P', 'L', '1'):
                raise BagError(f'{path} has mode {picture.mode}; allowed: palette or grey PNG')
            return np.array(picture, np.uint8)
    except (OSError, UnidentifiedImageError) as error:
        raise BagError(f'{path} cannot be read as a mask: {error}') from error
