# SPDX-License-Identifier: Apache-2.0
"""Scores of event clips on disk: FOLDER/PRESET/MODE/CLIP.json."""

import json
from collections.abc import Mapping
from pathlib import Path

from esam2_ros.evaluation.event_clips import EventClass
from esam2_ros.evaluation.event_clips import clip_name
from esam2_ros.evaluation.event_scores import EventScore
from esam2_ros.evaluation.preset import digest


class EventStore:
    """Results of one preset and one set of inputs; what other inputs gave is not taken up."""

    def __init__(self, folder: Path, preset: str, inputs: Mapping[str, str]) -> None:
        """Keep results below `folder`; `inputs` names all else that a result depends on."""
        self._folder = folder / preset
        self._key = digest(inputs)

    def load(self, mode: str, kind: EventClass, number: int) -> EventScore | None:
        """The finished result of a mode on a clip, or None."""
        try:
            content = json.loads(self._path(mode, kind, number).read_text(encoding='utf-8'))
            if content['key'] != self._key:
                return None
            return EventScore.from_json(content['score'])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def put(self, mode: str, kind: EventClass, number: int, score: EventScore) -> None:
        """Keep a result, whole or not at all."""
        path = self._path(mode, kind, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix('.part')
        content = {'key': self._key, 'score': score.to_json()}
        partial.write_text(json.dumps(content, indent=2), encoding='utf-8')
        partial.replace(path)

    def _path(self, mode: str, kind: EventClass, number: int) -> Path:
        return self._folder / mode / f'{clip_name(kind, number)}.json'
