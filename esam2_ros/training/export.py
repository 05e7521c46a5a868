# SPDX-License-Identifier: Apache-2.0
"""Turn a training state into the packaged checkpoint: float16 safetensors and a sidecar."""

import hashlib
import json
import os
from dataclasses import asdict
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from esam2_ros.core.compact import build_compact
from esam2_ros.training.validate import Marks
from esam2_ros.training.validate import fixed_clips
from esam2_ros.training.validate import validate


@dataclass(frozen=True)
class Exported:
    """What was written; `replaced` is False when the file at hand scored better."""

    path: Path
    sha256: str
    size: int
    track_iou: float
    replaced: bool


def merit(marks: dict[str, Marks]) -> float:
    """One number to compare checkpoints by: mean tracking IoU over the prompts."""
    return sum(mark.track_iou for mark in marks.values()) / len(marks)


def read_average(path: Path) -> tuple[dict[str, Tensor], int, float]:
    """Running average, step and minutes of a state file, exact or carried."""
    content = torch.load(path, map_location='cpu', weights_only=True)
    return content['average'], int(content['step']), content['seconds'] / 60


def export(
    state: Path, target: Path, clips: int = 16, frames: int = 10, image_size: int = 512
) -> Exported:
    """Write `target` and its sidecar `.json` if the state validates better than what is there.

    The float16 weights themselves are validated, on `clips` held-out scenes at `image_size`.
    """
    average, step, minutes = read_average(state)
    weights = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in average.items()
    }
    model = build_compact(image_size).eval()
    model.load_state_dict({n: v.float() if v.is_floating_point() else v for n, v in weights.items()})
    scenes = fixed_clips(clips, frames, image_size)
    marks = validate(model, scenes, torch.device('cpu'))
    sidecar = target.with_suffix('.json')
    known = json.loads(sidecar.read_text()) if sidecar.is_file() and target.is_file() else {}
    protocol = {'clips': clips, 'frames': frames, 'image_size': image_size}
    same = known.get('validation', {}).get('protocol') == protocol
    if same and known['validation']['track_iou'] >= merit(marks):
        return Exported(target, known['sha256'], known['size'], merit(marks), False)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix('.part')
    save_file(weights, part, metadata={'model': 'compact', 'licence': 'Apache-2.0'})
    digest = hashlib.sha256(part.read_bytes()).hexdigest()
    size = part.stat().st_size
    facts = {
        'name': 'compact',
        'sha256': digest,
        'size': size,
        'image_size': image_size,
        'licence': 'Apache-2.0',
        'steps': step,
        'minutes': round(minutes, 1),
        'validation': {
            'protocol': protocol,
            'track_iou': merit(marks),
            **{prompt: asdict(mark) for prompt, mark in marks.items()},
        },
    }
    os.replace(part, target)
    sidecar.write_text(json.dumps(facts, indent=2) + '\n')
    return Exported(target, digest, size, merit(marks), True)
