# SPDX-License-Identifier: Apache-2.0
"""Masks and scores on disk, so that an interrupted evaluation goes on where it stopped.

FOLDER/PRESET/MODE/CLIP/00000.png   predicted masks, in the layout of DAVIS results
FOLDER/PRESET/MODE/CLIP.json        their scores, written last
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from esam2_ros.core.prompts import Prompt
from esam2_ros.evaluation.davis import Clip
from esam2_ros.evaluation.davis import read_mask
from esam2_ros.evaluation.preset import digest
from esam2_ros.evaluation.results import ClipScore
from esam2_ros.evaluation.segmenter import LabelMap
from esam2_ros.evaluation.segmenter import Segmentation


def _palette() -> list[int]:
    """Spread the bits of a label over red, green and blue, as the VOC and DAVIS palettes do."""
    labels = np.arange(256)
    colours = np.zeros((256, 3), np.int64)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= (labels >> 3 * bit + channel & 1) << 7 - bit
    return colours.ravel().tolist()


_PALETTE = _palette()


def write_mask(path: Path, labels: LabelMap) -> None:
    """Write a label map [height, width] as a palette PNG, pixel = target id."""
    image = Image.fromarray(labels).convert('P')
    image.putpalette(_PALETTE)
    image.save(path)


class ResultStore:
    """Results of one preset and one set of inputs; what other inputs gave is not taken up."""

    def __init__(self, folder: Path, preset: str, inputs: Mapping[str, str]) -> None:
        """Keep results below `folder`; `inputs` names all else that a result depends on."""
        self._folder = folder / preset
        self._inputs = dict(inputs)

    def load(self, mode: str, clip: Clip) -> ClipScore | None:
        """The finished result of a mode on a clip, or None."""
        path = self._record(mode, clip)
        try:
            content = json.loads(path.read_text(encoding='utf-8'))
            if content['key'] != self._key(clip):
                return None
            score = ClipScore.from_json(content['score'])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        whole = all(self._mask(mode, clip, index).is_file() for index in range(len(clip)))
        return score if whole else None

    def begin(self, mode: str, clip: Clip) -> None:
        """Make room for a mode's masks and drop an older result."""
        self._record(mode, clip).unlink(missing_ok=True)
        self._mask(mode, clip, 0).parent.mkdir(parents=True, exist_ok=True)

    def put_mask(self, mode: str, clip: Clip, index: int, labels: LabelMap) -> None:
        """Keep the mask of frame `index`."""
        write_mask(self._mask(mode, clip, index), labels)

    def finish(self, mode: str, clip: Clip, score: ClipScore) -> None:
        """Keep the scores, whole or not at all."""
        path = self._record(mode, clip)
        content = {'key': self._key(clip), 'inputs': self._inputs, 'score': score.to_json()}
        partial = path.with_suffix('.part')
        partial.write_text(json.dumps(content, indent=2), encoding='utf-8')
        partial.replace(path)

    def replay(self, mode: str, clip: Clip) -> 'StoredSegmenter':
        """A finished mode's masks, to compare others with."""
        return StoredSegmenter(self._mask(mode, clip, 0).parent, clip)

    def _record(self, mode: str, clip: Clip) -> Path:
        return self._folder / mode / f'{clip.name}.json'

    def _mask(self, mode: str, clip: Clip, index: int) -> Path:
        return self._folder / mode / clip.name / f'{clip.frames[index].stem}.png'

    def _key(self, clip: Clip) -> str:
        return digest({**self._inputs, 'clip': clip.fingerprint})


class StoredSegmenter:
    """Masks of an earlier run behind the Segmenter protocol."""

    def __init__(self, folder: Path, clip: Clip) -> None:
        """Read the clip's masks from `folder`."""
        self._paths = iter([folder / f'{path.stem}.png' for path in clip.frames])

    def step(self, image: LabelMap, prompts: Mapping[int, Prompt]) -> Segmentation:
        """Give the next frame's mask; see Segmenter."""
        return Segmentation(read_mask(next(self._paths)))
