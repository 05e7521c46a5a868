# SPDX-License-Identifier: Apache-2.0
"""An evaluation as a user asks for it: what to run, with which weights, where to keep it."""

import json
import platform
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Any

from esam2_ros import __version__
from esam2_ros.errors import ConfigError
from esam2_ros.evaluation.davis import Clip
from esam2_ros.evaluation.modes import Floor
from esam2_ros.evaluation.modes import Mode
from esam2_ros.evaluation.modes import Setup
from esam2_ros.evaluation.preset import preset_of
from esam2_ros.evaluation.report import to_json
from esam2_ros.evaluation.run import Evaluation
from esam2_ros.evaluation.run import Progress
from esam2_ros.evaluation.run import Scores
from esam2_ros.evaluation.segmenter import PromptKind
from esam2_ros.evaluation.store import ResultStore
from esam2_ros.policy.config import TrackerConfig
from esam2_ros.weights.digest import sha256_of
from esam2_ros.weights.loading import RANDOM
from esam2_ros.weights.loading import load_model
from esam2_ros.weights.loading import pick_device
from esam2_ros.weights.registry import find
from esam2_ros.weights.registry import package_dir
from esam2_ros.weights.shortcuts import IDENTITY
from esam2_ros.weights.shortcuts import PACKAGED
from esam2_ros.weights.shortcuts import load_shortcut
from esam2_ros.weights.store import require


def check_folder(out: Path | None) -> None:
    """Raises ConfigError for an `out` that is no folder."""
    if out is not None and out.exists() and not out.is_dir():
        raise ConfigError(f'{out} is not a folder: results cannot be kept there')


def inputs_of(facts: Mapping[str, str | int]) -> dict[str, str]:
    """Those facts that, beside the preset, decide a result."""
    return {
        key: str(facts[key]) for key in ('version', 'checkpoint', 'shortcut', 'device', 'prompt')
    }


@dataclass(frozen=True)
class Job:
    """Modes to score, the model behind them and the prompt.

    `checkpoint`: a file, 'random', or '' for the one of the registry. `shortcut`: a file,
    'identity', or '' for the packaged one. `image_size`: side of the model input in pixels.
    """

    modes: tuple[Mode | Floor, ...]
    model: str
    image_size: int
    checkpoint: str = ''
    shortcut: str = ''
    device: str = 'auto'
    prompt: PromptKind = PromptKind.MASK
    config: TrackerConfig = field(default_factory=TrackerConfig)

    @property
    def preset(self) -> str:
        """Name of the settings that trade accuracy for speed."""
        return preset_of(self.model, self.image_size, self.config)

    def run(
        self,
        clips: Sequence[Clip],
        progress: Progress,
        out: Path | None = None,
        resume: bool = False,
    ) -> tuple[Scores, dict[str, Any]]:
        """Score the clips; gives the scores and the report `esam2 eval davis --json` prints.

        `out`: folder where masks, scores and the report are kept; `resume` takes up what is
        there. Raises what Evaluation.run raises, ConfigError for an `out` that is no folder.
        """
        check_folder(out)
        facts = self.facts()
        store = None if out is None else ResultStore(out, self.preset, inputs_of(facts))
        evaluation = Evaluation(self.modes, self.prompt, self.setup, store, resume)
        scores = evaluation.run(clips, progress)
        report = to_json(scores, facts)
        if out is not None:
            path = out / self.preset / 'report.json'
            path.write_text(json.dumps(report, indent=2), encoding='utf-8')
        return scores, report

    def setup(self) -> Setup:
        """Load the model. Raises what load_model raises."""
        model = load_model(self.model, self.checkpoint, self.device, self.image_size)
        return Setup(model, self.config, load_shortcut(model, self.shortcut))

    def facts(self) -> dict[str, str | int]:
        """What a report says of the run before its scores."""
        return {
            'preset': self.preset,
            'model': self.model,
            'image_size': self.image_size,
            'checkpoint': self._checkpoint_digest(),
            'shortcut': self._shortcut_digest(),
            'device': str(pick_device(self.device)),
            'prompt': self.prompt.value,
            'machine': platform.processor() or platform.machine(),
            'version': __version__,
        }

    def _shortcut_digest(self) -> str:
        path = Path(self.shortcut).expanduser()
        if not self.shortcut and find(self.model).packaged:
            path = package_dir() / PACKAGED
        return sha256_of(path) if path.is_file() else IDENTITY

    def _checkpoint_digest(self) -> str:
        if all(isinstance(mode, Floor) for mode in self.modes):
            return 'none'
        if self.checkpoint == RANDOM:
            return RANDOM
        path = Path(self.checkpoint).expanduser() if self.checkpoint else None
        if path is None:
            path = require(find(self.model))
        # A file that is not there is refused, with all that is wrong, by `load_model`.
        return sha256_of(path) if path.is_file() else 'none'
