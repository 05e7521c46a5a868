# SPDX-License-Identifier: Apache-2.0
"""Between host and GPU without waiting: copies up are queued, copies down are packed into one.

A copy from pageable memory, or of one small result after another, makes the host wait for all
work that is queued. On the CPU these functions cost nothing.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

_ALIGNED = 8  # bytes; the widest element


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on `device`, a host tensor through pinned memory and without a wait."""
    if device.type != 'cuda' or tensor.device.type != 'cpu':
        return tensor.to(device, non_blocking=True)
    # The pinned copy is not given to anyone else before the GPU has read it.
    return tensor.pin_memory().to(device, non_blocking=True)


def to_host(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Tensors of one device on the host, after one copy and one wait for all of them."""
    if not tensors or tensors[0].device.type == 'cpu':
        return list(tensors)
    return unpack(pack(tensors).cpu(), tensors)


def pack(tensors: Sequence[Tensor]) -> Tensor:
    """The bytes of all tensors one after another, each from a multiple of 8: [bytes] uint8."""
    return torch.cat([_bytes(each) for each in tensors])


def unpack(packed: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """The tensors that `pack` made `packed` of; `like` gives their types and shapes."""
    parts = packed.split([_room(each) for each in like])
    return [
        part[: each.nbytes].view(each.dtype).view(each.shape)
        for part, each in zip(parts, like, strict=True)
    ]


def _bytes(tensor: Tensor) -> Tensor:
    flat = tensor.contiguous().flatten().view(torch.uint8)
    missing = _room(tensor) - tensor.nbytes
    return torch.nn.functional.pad(flat, (0, missing)) if missing else flat


def _room(tensor: Tensor) -> int:
    return -(-tensor.nbytes // _ALIGNED) * _ALIGNED
