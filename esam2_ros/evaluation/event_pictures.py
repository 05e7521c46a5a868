# SPDX-License-Identifier: Apache-2.0
"""Event clips to look at: modes beside each other, with masks, windows and the event marked."""

from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from esam2_ros.errors import ConfigError
from esam2_ros.evaluation.event_clips import EventClip
from esam2_ros.evaluation.event_film import EVENT
from esam2_ros.evaluation.event_film import Film
from esam2_ros.evaluation.modes import FALSE_CUT
from esam2_ros.evaluation.segmenter import Segmentation
from esam2_ros.overlay import Colour
from esam2_ros.overlay import Image
from esam2_ros.overlay import Mark
from esam2_ros.overlay import draw_marks
from esam2_ros.overlay import draw_overlay
from esam2_ros.overlay import write_text
from esam2_ros.replay.pictures import sheet
from esam2_ros.training.scenes.film import TARGET

TILE_WIDTH = 400
CALM: Colour = (110, 110, 110)
TRUTH: Colour = (255, 255, 255)
_SHEET_FRAMES = (0, 1, 5, 30)  # after the event; two more stand before them


class Gallery:
    """Folders for one contact sheet and one film a class; None to leave either out."""

    def __init__(self, sheets: Path | None, videos: Path | None) -> None:
        """Make the folders. Raises ConfigError when a file is in the way."""
        for folder in (sheets, videos):
            if folder is not None and folder.exists() and not folder.is_dir():
                raise ConfigError(f'{folder} is not a folder: pictures cannot be kept there')
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
        self._sheets = sheets
        self._videos = videos

    def film(self, clip: EventClip, modes: Sequence[str]) -> 'Reel':
        """Start the pictures of a clip; a false cut beside other modes is for the tables only."""
        shown = [mode for mode in modes if mode != FALSE_CUT] or modes
        sheets, videos = (
            None if folder is None else folder / f'{clip.kind}{suffix}'
            for folder, suffix in ((self._sheets, '.png'), (self._videos, '.webp'))
        )
        return Reel(clip, shown, sheets, videos)


class Reel:
    """The pictures of one clip, made frame by frame."""

    def __init__(
        self, clip: EventClip, modes: Sequence[str], png: Path | None, webp: Path | None
    ) -> None:
        """Start the files that are wanted."""
        self._clip = clip
        self._modes = list(modes)
        self._png = png
        self._film = None if webp is None else Film(clip, modes, webp)
        self._wanted = sheet_frames(clip)
        self._tiles: dict[tuple[str, int], Image] = {}

    def show(self, index: int, segmentations: Mapping[str, Segmentation]) -> None:
        """Draw the next frame as every mode saw it."""
        if self._film is not None:
            self._film.add(index, segmentations)
        if self._png is not None and index in self._wanted:
            for name in self._modes:
                panel = self._panel(index, segmentations[name])
                self._tiles[name, index] = self._tile(name, index, panel)

    def close(self) -> None:
        """Finish the files."""
        if self._film is not None:
            self._film.close()
        if self._png is not None:
            order = [self._tiles[name, index] for name in self._modes for index in self._wanted]
            cv2.imwrite(str(self._png), sheet(order, len(self._wanted))[..., ::-1])

    def _panel(self, index: int, segmentation: Segmentation) -> Image:
        image, truth = self._clip.frames[index], self._clip.masks[index] == TARGET
        if segmentation.result is not None:
            result = segmentation.result
            panel = draw_overlay(image, result.targets, result.plan)
        else:
            panel = draw_marks(image, [_mark(segmentation)])
        contours, _ = cv2.findContours(
            truth.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(panel, contours, -1, TRUTH, 1)
        return panel

    def _moment(self, index: int) -> str:
        clip = self._clip
        if index < clip.onset:
            return f'{clip.kind} in {clip.onset - index}'
        if index < clip.after:
            return f'{clip.kind}'
        return f'{clip.kind} +{index - clip.after}'

    def _colour(self, index: int) -> Colour:
        return EVENT if self._clip.onset <= index <= self._clip.after else CALM

    def _tile(self, name: str, index: int, panel: Image) -> Image:
        height = round(panel.shape[0] * TILE_WIDTH / panel.shape[1])
        tile = cv2.resize(panel, (TILE_WIDTH, height), interpolation=cv2.INTER_AREA)
        tile = np.asarray(tile, np.uint8)
        write_text(
            tile, f'{name}  {self._moment(index)}', self._colour(index), 0, height, above=True
        )
        return tile


def sheet_frames(clip: EventClip) -> tuple[int, ...]:
    """The frames of a contact sheet: the last calm one, the event's middle, and some after it."""
    middle = (clip.onset + clip.after) // 2
    after = [clip.after + n for n in _SHEET_FRAMES]
    return tuple(dict.fromkeys([clip.onset - 1, middle, *after]))


def _mark(segmentation: Segmentation) -> Mark:
    mask = segmentation.labels == TARGET
    if not mask.any():
        return Mark(TARGET, '', 'OCCLUDED', 0.0, None, mask)
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return Mark(TARGET, '', 'TRACKED', 1.0, (x, y, x + width, y + height), mask)
