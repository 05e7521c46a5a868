# SPDX-License-Identifier: Apache-2.0
"""Overlay video and contact sheet of a replay."""

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from esam2_ros.errors import BagError
from esam2_ros.overlay import Image
from esam2_ros.overlay import write_text
from esam2_ros.replay.prompts import ReplayPrompt

TILE_WIDTH = 480
TILES = 12
COLUMNS = 4
GAP = 4
WHITE = (255, 255, 255)
ON_TARGET = (0, 200, 0)
OFF_TARGET = (230, 0, 0)


class VideoFile:
    """An mp4 that takes RGB pictures; opened by the first of them, closed at the end."""

    def __init__(self, path: Path, fps: float) -> None:
        self._path = path
        self._fps = fps
        self._writer: cv2.VideoWriter | None = None

    def __enter__(self) -> 'VideoFile':
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.release()

    def add(self, image: Image) -> None:
        """Append [height, width, 3] uint8 RGB.

        Raises:
            BagError: no codec for mp4 is there.
        """
        if self._writer is None:
            size = (image.shape[1], image.shape[0])
            codec = cv2.VideoWriter.fourcc(*'mp4v')
            self._writer = cv2.VideoWriter(str(self._path), codec, self._fps, size)
            if not self._writer.isOpened():
                raise BagError(f'OpenCV cannot write {self._path}: it has no mp4v codec')
        self._writer.write(np.ascontiguousarray(image[..., ::-1]))


class ContactSheet:
    """At most `TILES` of the pictures, evenly spaced, in one PNG."""

    def __init__(self, path: Path, first: int, last: int) -> None:
        count = min(TILES, last - first + 1)
        self._path = path
        self._wanted = {round(value) for value in np.linspace(first, last, count)}
        self._tiles: list[Image] = []

    def add(self, index: int, image: Image) -> None:
        """Take a picture if it is one of those wanted: [height, width, 3] uint8 RGB."""
        if index not in self._wanted:
            return
        height = round(image.shape[0] * TILE_WIDTH / image.shape[1])
        tile = cv2.resize(image, (TILE_WIDTH, height), interpolation=cv2.INTER_AREA)
        write_text(tile, f'frame {index}', WHITE, 0, height, above=True)
        self._tiles.append(tile)

    def save(self) -> None:
        """Write the PNG, if there is a picture in it."""
        if self._tiles:
            cv2.imwrite(str(self._path), sheet(self._tiles)[..., ::-1])


def sheet(tiles: list[Image], columns: int = COLUMNS) -> Image:
    """Tiles in rows of `columns`, on black."""
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    height, width = (max(tile.shape[axis] for tile in tiles) + GAP for axis in (0, 1))
    canvas = np.zeros((rows * height - GAP, columns * width - GAP, 3), np.uint8)
    for place, tile in enumerate(tiles):
        top, left = (place // columns) * height, (place % columns) * width
        canvas[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return canvas


def draw_prompts(image: Image, prompts: Iterable[ReplayPrompt]) -> None:
    """Draw boxes and clicks onto the image they were drawn on, in white, green and red."""
    line = max(1, round(min(image.shape[:2]) / 240))
    for prompt in prompts:
        if prompt.box is not None:
            left, top, right, bottom = (round(value) for value in prompt.box)
            cv2.rectangle(image, (left, top), (right - 1, bottom - 1), WHITE, line)
        for (x, y), on in zip(prompt.points, prompt.point_labels, strict=True):
            centre = (round(x), round(y))
            cv2.circle(image, centre, 4 * line, ON_TARGET if on else OFF_TARGET, -1)
            cv2.circle(image, centre, 4 * line, WHITE, line)
