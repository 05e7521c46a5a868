# SPDX-License-Identifier: Apache-2.0
"""Read a checkpoint without running code from it, and load it whole or not at all."""

import logging
import re
from pathlib import Path

import torch
from safetensors.torch import load_file
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor

from esam2_ros.core.models import build_model
from esam2_ros.core.models import model_spec
from esam2_ros.errors import CheckpointError
from esam2_ros.errors import ConfigError
from esam2_ros.weights.digest import verify_file
from esam2_ros.weights.fit import Shapes
from esam2_ros.weights.fit import compare
from esam2_ros.weights.fit import nearest_model
from esam2_ros.weights.fit import shapes_of
from esam2_ros.weights.registry import find
from esam2_ros.weights.store import require

_log = logging.getLogger(__name__)

RANDOM = 'random'
_SUFFIXES = ('.safetensors', '.pt', '.pth')


def load_model(
    name: str,
    checkpoint: str | Path | None = None,
    device: str | torch.device = 'auto',
    image_size: int | None = None,
    seed: int = 0,
) -> SAM2Base:
    """Build a model, load its weights strictly, and return it frozen, in eval mode, in fp32.

    `name`: 'compact' or an official model ('sam2.1_hiera_tiny', or 'tiny' for short).
    `checkpoint`: a .pt, .pth or .safetensors file; None or '' = the packaged file or the
    download in the cache; 'random' = weights drawn from `seed`, whose masks mean nothing.
    `device`: 'auto' (CUDA where there is one), 'cpu', 'cuda' or 'cuda:N'.
    `image_size`: side of the square input in pixels, 256..1024 in steps of 64; None = the
    model's own. Never downloads. Raises CheckpointError for a file that is absent, damaged or
    of another model, ConfigError for an unknown name, size or device.
    """
    spec = model_spec(name)
    target = pick_device(device)
    if checkpoint == RANDOM:
        _log.warning('%s has random weights (seed %d): its masks mean nothing', spec.name, seed)
        return build_model(spec.name, image_size, seed=seed).to(target)
    path = Path(checkpoint).expanduser() if checkpoint else _registered(spec.name)
    state = read_state(path)
    model = build_model(spec.name, image_size)
    load_strict(model, state, spec.name, path)
    return model.to(target)


def _registered(name: str) -> Path:
    entry = find(name)
    path = require(entry)
    if entry.packaged:
        # Small enough to check every time; a download was checked when it came.
        verify_file(path, entry.size, entry.sha256)
    return path


def pick_device(device: str | torch.device) -> torch.device:
    """Turn 'auto', 'cpu', 'cuda' or 'cuda:N' into a device that is there, else ConfigError."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == 'auto':
        return torch.device('cuda' if count else 'cpu')
    allowed = ['auto', 'cpu', *(['cuda'] if count else []), *(f'cuda:{i}' for i in range(count))]
    if str(device) not in allowed:
        raise ConfigError(f'device is {str(device)!r}; allowed here: {", ".join(allowed)}')
    return torch.device(device)


def read_state(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint file onto the CPU.

    A .pt or .pth file holds the state dict, or holds it under 'model' as the official files do;
    it is read with `weights_only=True`, so nothing in it runs. Raises CheckpointError for a file
    that is absent, damaged, holds code, or holds anything but tensors.
    """
    if path.suffix not in _SUFFIXES:
        raise CheckpointError(f'{path}: unknown kind of file; allowed: {", ".join(_SUFFIXES)}')
    if not path.is_file():
        raise CheckpointError(f'{path}: no such file')
    try:
        if path.suffix == '.safetensors':
            return load_file(path, device='cpu')
        content = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # a damaged file raises whatever its bytes lead the reader into
        banned = re.search(r'GLOBAL (\S+)', str(error))
        if banned:
            raise CheckpointError(
                f'{path}: refused, it holds more than tensors ({banned[1]})'
            ) from error
        raise CheckpointError(
            f'{path}: damaged or not a checkpoint ({_first_words(error)})'
        ) from error
    state = content.get('model', content) if isinstance(content, dict) else content
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise CheckpointError(
            f'{path}: holds no state dict; needed: tensors by name, at the top or under "model"'
        )
    return state


def _first_words(error: Exception) -> str:
    if isinstance(error, KeyError | EOFError):
        return type(error).__name__
    # torch puts a page of advice about weights_only before the reason.
    reason = str(error).split('WeightsUnpickler error:')[-1].strip()
    return reason.split('. ')[0].splitlines()[0] if reason else type(error).__name__


def load_strict(model: SAM2Base, state: dict[str, Tensor], name: str, path: Path) -> None:
    """Copy every tensor into the model, casting to its dtype; `name` and `path` are for messages.

    Raises CheckpointError, and leaves the model as it was, where `check_state` does.
    """
    check_state(state, shapes_of(model.state_dict()), name, path)
    model.load_state_dict(state, strict=True)


def check_state(state: dict[str, Tensor], needed: Shapes, name: str, path: Path) -> None:
    """Raise CheckpointError unless the tensors are those needed, and all their values finite."""
    found = shapes_of(state)
    misfit = compare(found, needed)
    if misfit:
        raise CheckpointError(f'{path} does not fit {name}: {misfit}; {nearest_model(found)}')
    broken = [key for key, tensor in state.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise CheckpointError(
            f'{path}: NaN or infinity in {len(broken)} tensors, first {broken[0]}'
        )
