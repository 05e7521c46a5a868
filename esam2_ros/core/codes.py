# SPDX-License-Identifier: Apache-2.0
"""Position codes: of the tokens of an image, and of object pointers by their age."""

import torch
from sam2.modeling.sam2_base import SAM2Base
from sam2.modeling.sam2_utils import get_1d_sine_pe
from torch import Tensor

from esam2_ros.core.memory import Recall
from esam2_ros.core.transfer import to_device


def pointer_positions(model: SAM2Base, recall: Recall, repeat: int) -> Tensor:
    """Sine code of each pointer's distance in frames, `repeat` rows a pointer: [n, channels]."""
    distances = torch.tensor([float(distance) for _, distance in recall.pointers])
    steps = to_device(distances, model.device) / (model.max_obj_ptrs_in_encoder - 1)
    code = get_1d_sine_pe(steps, dim=model.hidden_dim)
    positions: Tensor = model.obj_ptr_tpos_proj(code)
    return positions.repeat_interleave(repeat, dim=0)


def sine_code(encoding: torch.nn.Module, side: int, channels: int, device: torch.device) -> Tensor:
    """Position code of a side x side grid: [side * side, 1, channels]."""
    code: Tensor = encoding(torch.zeros(1, channels, side, side, device=device))
    return code.flatten(2).permute(2, 0, 1).contiguous()
