# SPDX-License-Identifier: Apache-2.0
"""A short film of an event for people who have read nothing: modes side by side, and what is what.

An animated WebP: browsers and GitHub's Markdown show it in place, and Pillow writes it.
"""

from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Picture
from PIL import ImageDraw
from PIL import ImageFont

from esam2_ros.evaluation import event_clips
from esam2_ros.evaluation.event_clips import EventClass
from esam2_ros.evaluation.event_clips import EventClip
from esam2_ros.evaluation.modes import EXACT
from esam2_ros.evaluation.modes import MONITORED
from esam2_ros.evaluation.scores import iou
from esam2_ros.evaluation.segmenter import Segmentation
from esam2_ros.overlay import Colour
from esam2_ros.overlay import Image
from esam2_ros.overlay import draw_windows
from esam2_ros.training.scenes.film import TARGET

PANEL = (212, 119)  # width, height in pixels
GAP = 4
TITLE = 22  # heights of the rows, in pixels
LINE = 16
TIME = 6
FRAME_MS = 140
HOLD_MS = 1200  # of the first and the last picture
QUALITY = 10
PICTURES = 18  # of a film

BACK: Colour = (24, 24, 24)
PAPER: Colour = (235, 235, 235)
FAINT: Colour = (150, 150, 150)
EVENT: Colour = (213, 94, 0)
GOOD: Colour = (90, 200, 120)
BAD: Colour = (255, 110, 90)
MASK: Colour = (0, 230, 255)  # no scene is made in it
FILL = 0.6  # of the mask's colour over the picture
_LEGEND = 'cyan: the mask     white line: the truth     dark: windows not computed'

_ABOUT = {
    EventClass.CALM: 'nothing happens',
    EventClass.CUT: 'cut to another scene',
    EventClass.CUT_BACK: 'cut to another scene and back',
    EventClass.FLASH: 'a flash',
    EventClass.PAN: f'the camera pans, {event_clips.PAN_STEP:g} px a frame',
    EventClass.SHAKE: 'the camera shakes',
    EventClass.FAST_20: 'the target runs, 20 px a frame',
    EventClass.FAST_40: 'the target runs, 40 px a frame',
    EventClass.FAST_60: 'the target runs, 60 px a frame',
    EventClass.OCCLUSION: 'a board hides the target',
    EventClass.REENTRY: 'the target leaves and comes back',
    EventClass.LOOKALIKE: 'a twin of the target passes it',
    EventClass.EXPOSURE: 'the exposure steps',
}
_TITLES = {
    EXACT: 'exact: computes every window',
    'paper': 'paper: trusts the last mask',
    MONITORED: 'paper, with the scene monitor',
}
# Events that last to the end of the clip, and those of which one frame shows everything.
_LASTING = (
    EventClass.CUT,
    EventClass.PAN,
    EventClass.SHAKE,
    EventClass.FAST_20,
    EventClass.FAST_40,
    EventClass.FAST_60,
    EventClass.EXPOSURE,
)


def event_span(clip: EventClip) -> range:
    """The frames on which the event is going on; none for the control."""
    if clip.kind is EventClass.CALM:
        return range(0)
    if clip.kind in _LASTING:
        return range(clip.onset, len(clip))
    if clip.kind is EventClass.FLASH:
        return range(clip.onset, clip.onset + 1)
    if clip.kind is EventClass.LOOKALIKE:
        # As long going as coming.
        return range(clip.onset, 2 * clip.after - clip.onset)
    return range(clip.onset, clip.after)


def film_frames(clip: EventClip) -> tuple[int, ...]:
    """The frames of a film: all around the event's beginning and end, fewer elsewhere."""
    begins, ends, last = clip.onset, clip.after, len(clip) - 1
    near = {0, *range(begins - 2, begins + 4), *range(ends, ends + 4), last}
    rest = [index for index in range(begins, last) if index not in near]
    spread = np.linspace(0, len(rest) - 1, PICTURES - len(near)).round().astype(int)
    return tuple(sorted({*near, *(rest[place] for place in spread)}))


class Film:
    """The film of one clip, drawn frame by frame and written at the end."""

    def __init__(self, clip: EventClip, modes: Sequence[str], path: Path) -> None:
        """`modes`: the panels, from left to right."""
        self._clip = clip
        self._modes = list(modes)
        self._path = path
        self._span = event_span(clip)
        self._wanted = film_frames(clip)
        self._frames: list[Picture.Image] = []

    def add(self, index: int, segmentations: Mapping[str, Segmentation]) -> None:
        """Draw the next frame as every mode saw it, if it is one of the film's."""
        width, height = PANEL
        if index not in self._wanted:
            return
        columns = len(self._modes)
        whole = columns * (width + GAP) - GAP
        sheet = Picture.new('RGB', (whole, TITLE + 2 * LINE + height + TIME + LINE), BACK)
        pen = ImageDraw.Draw(sheet)
        self._title(pen, index, whole)
        for column, name in enumerate(self._modes):
            left, segmentation = column * (width + GAP), segmentations[name]
            _write(pen, (left, TITLE), _TITLES.get(name, name), PAPER, width)
            sheet.paste(Picture.fromarray(self._panel(index, segmentation)), (left, TITLE + LINE))
            text, colour = self._verdict(index, segmentation)
            below = TITLE + LINE + height
            _write(pen, (left, below), text, colour, width)
            if index:
                _write(pen, (left, below), _share(segmentation), FAINT, width, right=True)
        self._time(pen, index, whole, TITLE + 2 * LINE + height)
        _write(pen, (0, TITLE + 2 * LINE + height + TIME), _LEGEND, FAINT, whole)
        self._frames.append(sheet)

    def close(self) -> None:
        """Write the file."""
        first, *others = self._frames
        gaps = np.diff(self._wanted[1:]).tolist()
        first.save(
            self._path,
            save_all=True,
            append_images=others,
            duration=[HOLD_MS, *(gap * FRAME_MS for gap in gaps), HOLD_MS],
            loop=0,
            quality=QUALITY,
            method=4,
            # Every picture whole: what is drawn over the one before keeps traces of it.
            kmin=0,
            kmax=1,
        )

    def _title(self, pen: ImageDraw.ImageDraw, index: int, width: int) -> None:
        kind, now = self._clip.kind, index in self._span
        pen.rectangle((0, 0, width, TITLE - 2), EVENT if now else (60, 60, 60))
        moment = 'before'
        if now:
            moment = 'NOW'
        elif self._span and index >= self._span.stop:
            moment = 'over'
        elif not self._span:
            moment = ''
        if index == 0:
            moment = 'the target is given'
        _write(pen, (0, 2), f'{kind}: {_ABOUT[kind]}', (255, 255, 255), width, size=13)
        text = f'{moment}   frame {index:2d} of {len(self._clip) - 1}'
        _write(pen, (0, 2), text, (255, 255, 255), width, right=True, size=13)

    def _panel(self, index: int, segmentation: Segmentation) -> Image:
        image, truth = self._clip.frames[index], self._clip.masks[index] == TARGET
        if segmentation.result is not None:
            image = draw_windows(image, segmentation.result.plan)
        panel = np.asarray(cv2.resize(image, PANEL, interpolation=cv2.INTER_AREA), np.uint8)
        drawn = _shrink(segmentation.labels == TARGET)
        colour = np.array(MASK, np.float32)
        share = (drawn * FILL)[..., None]
        panel = np.round(panel * (1 - share) + colour * share).astype(np.uint8)
        outline, _ = cv2.findContours(
            (_shrink(truth) >= 0.5).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(panel, outline, -1, (255, 255, 255), 1)
        return panel

    def _verdict(self, index: int, segmentation: Segmentation) -> tuple[str, Colour]:
        mask, truth = segmentation.labels == TARGET, self._clip.masks[index] == TARGET
        if not truth.any():
            return ('false mask', BAD) if mask.any() else ('out of sight, no mask', GOOD)
        overlap = iou(mask, truth)
        if not mask.any():
            return 'lost: no mask', BAD
        return f'overlap {overlap:.2f}', GOOD if overlap > 0.5 else BAD

    def _time(self, pen: ImageDraw.ImageDraw, index: int, width: int, top: int) -> None:
        step = width / len(self._clip)
        pen.rectangle((0, top, width, top + TIME - 2), (60, 60, 60))
        if self._span:
            ends = round(self._span.start * step), round(self._span.stop * step) - 1
            pen.rectangle((ends[0], top, ends[1], top + TIME - 2), EVENT)
        here = round(index * step)
        pen.rectangle((here, top, here + round(step) - 1, top + TIME - 2), (255, 255, 255))


def _shrink(mask: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.resize(mask.astype(np.float32), PANEL, interpolation=cv2.INTER_AREA))


def _share(segmentation: Segmentation) -> str:
    if segmentation.result is None:
        return ''
    plan = segmentation.result.plan
    return f'{len(plan.active)} of {plan.grid.count} windows'


def _write(
    pen: ImageDraw.ImageDraw,
    place: tuple[int, int],
    text: str,
    colour: Colour,
    width: int,
    right: bool = False,
    size: int = 12,
) -> None:
    left, top = place
    font = ImageFont.load_default(size)
    if right:
        pen.text((left + width - 4, top), text, colour, font, anchor='ra')
    else:
        pen.text((left + 4, top), text, colour, font, anchor='la')
