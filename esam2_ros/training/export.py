# SPDX-License-Identifier: Apache-2.0
"""Turn a training state into the packaged checkpoint: float16 safetensors and a sidecar."""

import hashlib
import json
from dataclasses import asdict
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from esam2_ros.core.models import build_model
from esam2_ros.training.state import read
from esam2_ros.training.validate import Marks
from esam2_ros.training.validate import fixed_clips
from esam2_ros.training.validate import validate


@dataclass(frozen=True)
class Exported:
    """What was measured, and whether it was written; not if the file at hand scored better."""

    path: Path
    sha256: str
    size: int
    steps: int
    minutes: float
    metrics: dict[str, Marks]
    replaced: bool


def merit(metrics: dict[str, Marks]) -> float:
    """One number to compare checkpoints by: mean tracking IoU over the prompts."""
    return sum(marks.track_iou for marks in metrics.values()) / len(metrics)


def read_average(path: Path) -> tuple[dict[str, Tensor], int, float]:
    """Running average, step and minutes of a state file, exact or carried.

    Raises StateError for a file that is neither.
    """
    content = read(path, torch.device('cpu'))
    return content['average'], int(content['step']), content['seconds'] / 60


def export(
    state: Path,
    target: Path,
    clips: int = 16,
    frames: int = 10,
    image_size: int = 512,
    always: bool = False,
) -> Exported:
    """Write `target` and its sidecar `.json` if the state validates better than what is there.

    The float16 weights themselves are validated, on `clips` held-out scenes of `frames` frames
    at `image_size` px. `always` writes them even if they are worse. Raises StateError for a bad
    state file, ConfigError for a bad size.
    """
    average, steps, minutes = read_average(state)
    weights = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in average.items()
    }
    model = build_model('compact', image_size)
    model.load_state_dict(weights)
    metrics = validate(model, fixed_clips(clips, frames, image_size), torch.device('cpu'))
    protocol = {'clips': clips, 'frames': frames, 'image_size': image_size}
    sidecar = target.with_suffix('.json')
    known = json.loads(sidecar.read_text()) if sidecar.is_file() and target.is_file() else {}
    same = known.get('metrics', {}).get('protocol') == protocol
    if not always and same and known['metrics']['track_iou'] >= merit(metrics):
        return Exported(
            target, known['sha256'], known['size'], steps, minutes, metrics, replaced=False
        )
    digest, size = _write(weights, target)
    facts = {
        'name': 'compact',
        'sha256': digest,
        'size': size,
        'image_size': image_size,
        'licence': 'Apache-2.0',
        'steps': steps,
        'minutes': round(minutes, 1),
        'metrics': {
            'protocol': protocol,
            'track_iou': merit(metrics),
            **{prompt: asdict(marks) for prompt, marks in metrics.items()},
        },
    }
    sidecar.write_text(json.dumps(facts, indent=2) + '\n')
    return Exported(target, digest, size, steps, minutes, metrics, replaced=True)


def _write(weights: dict[str, Tensor], target: Path) -> tuple[str, int]:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix('.part')
    save_file(weights, part, metadata={'model': 'compact', 'licence': 'Apache-2.0'})
    part.chmod(0o644)  # safetensors makes files that only their owner may read
    digest, size = hashlib.sha256(part.read_bytes()).hexdigest(), part.stat().st_size
    part.replace(target)
    return digest, size
