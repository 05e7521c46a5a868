# SPDX-License-Identifier: Apache-2.0
"""Read and write the weights of a routing shortcut, and find the one that comes with a model."""

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor

from esam2_ros.core.shortcut import Shortcut
from esam2_ros.core.trunk import routed_range
from esam2_ros.errors import CheckpointError
from esam2_ros.weights.fit import compare
from esam2_ros.weights.fit import shapes_of
from esam2_ros.weights.loading import read_state
from esam2_ros.weights.registry import package_dir

_log = logging.getLogger(__name__)

IDENTITY = 'identity'
PACKAGED = 'compact_shortcut.safetensors'
# Channels of stage 3, by which a shortcut belongs to a model.
_WIDTHS = {128: 'compact', 384: 'tiny and small', 448: 'base_plus', 576: 'large'}


def load_shortcut(model: SAM2Base, path: str | Path | None = None) -> Shortcut | None:
    """Read what windows get that are not computed; None is the identity.

    `path`: a .pt, .pth (the published files) or .safetensors file. None or '' = the packaged file
    for the packaged compact weights, else the identity; 'identity' = the identity for any model.
    Returns it frozen, in fp32, on the model's device. Raises CheckpointError for a file that is
    absent, damaged or of another model.
    """
    if str(path) == IDENTITY:
        return None
    file = Path(path).expanduser() if path else _packaged(model)
    if file is None:
        return None
    state = read_state(file)
    shortcut = Shortcut(stage_width(model))
    _check(state, shortcut, file)
    taught_on = _metadata(file).get('taught_on')
    if path and taught_on is not None and taught_on != fingerprint(model):
        _log.warning('%s was taught on other weights than this model has', file)
    shortcut.load_state_dict(state, strict=True)
    return shortcut.eval().requires_grad_(False).to(model.device)


def save_shortcut(
    state: Mapping[str, Tensor], path: Path, model: SAM2Base, facts: Mapping[str, str]
) -> None:
    """Write weights as float16 safetensors, with `facts` and the model they were taught on."""
    half = {name: value.detach().to('cpu', torch.float16) for name, value in state.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix('.part')
    metadata = {'licence': 'Apache-2.0', **facts, 'taught_on': fingerprint(model)}
    save_file({name: value.contiguous() for name, value in half.items()}, part, metadata)
    part.chmod(0o644)  # safetensors makes files that only their owner may read
    part.replace(path)


def stage_width(model: SAM2Base) -> int:
    """Channels of the tokens that the shortcut takes, those of stage 3."""
    trunk = model.image_encoder.trunk
    return int(trunk.blocks[routed_range(trunk).first].dim)


def fingerprint(model: SAM2Base) -> str:
    """SHA-256 of the trunk's weights in float16: the same for any device and input size."""
    digest = hashlib.sha256()
    for name, value in sorted(model.image_encoder.trunk.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().to('cpu', torch.float16).contiguous().numpy().tobytes())
    return digest.hexdigest()


def _packaged(model: SAM2Base) -> Path | None:
    """The packaged file if it was taught on this model's very weights."""
    path = package_dir() / PACKAGED
    if _WIDTHS.get(stage_width(model)) != 'compact' or not path.is_file():
        return None
    if _metadata(path).get('taught_on') == fingerprint(model):
        return path
    _log.warning('%s was taught on other weights: windows not computed keep theirs', path)
    return None


def _metadata(path: Path) -> dict[str, str]:
    if path.suffix != '.safetensors':
        return {}
    try:
        with safe_open(path, 'pt') as file:
            return file.metadata() or {}
    except Exception as error:  # safetensors raises its own class, the system others
        raise CheckpointError(f'{path}: damaged or not a checkpoint ({error})') from error


def _check(state: dict[str, Tensor], shortcut: Shortcut, path: Path) -> None:
    needed = shapes_of(shortcut.state_dict())
    found = shapes_of(state)
    misfit = compare(found, needed)
    if misfit:
        width = needed['norm.weight'][0]
        raise CheckpointError(
            f'{path} is no shortcut of {width} channels ({_WIDTHS.get(width, "unknown model")}):'
            f' {misfit}; {_owner(found)}; allowed: {", ".join(needed)}'
        )
    broken = [key for key, tensor in state.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise CheckpointError(
            f'{path}: NaN or infinity in {len(broken)} tensors, first {broken[0]}'
        )


def _owner(found: Mapping[str, tuple[int, ...]]) -> str:
    shape = found.get('norm.weight', ())
    owner = _WIDTHS.get(shape[0]) if len(shape) == 1 else None
    return (
        f'it is one of {owner}' if owner else f'it is one of none of {", ".join(_WIDTHS.values())}'
    )
