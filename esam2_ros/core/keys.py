# SPDX-License-Identifier: Apache-2.0
"""Keys of memory attention: projected, rotated by place, and told the memory's age.

`K = R(Wk (m + pos) + b) + R(Wk slot)`: rotation depends on the place only and the age's code is
added linearly, so a memory is projected once and each age adds a table.
"""

import torch
from sam2.modeling.sam.transformer import RoPEAttention
from torch import Tensor

from esam2_ros.core.linear import Linear


def rotary_table(attention: RoPEAttention, side: int, device: torch.device) -> Tensor:
    """The complex rotation of each place of a side x side grid: [side * side, d / 2]."""
    table: Tensor = attention.freqs_cis
    if len(table) != side * side:
        table = attention.compute_cis(end_x=side, end_y=side)
    return table.to(device)


def rotate(tokens: Tensor, table: Tensor) -> Tensor:
    """Rotate pairs of channels: [..., n, d] by [n, d / 2] complex."""
    pairs = torch.view_as_complex(tokens.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * table).flatten(-2).to(tokens.dtype)


class KeyMaker:
    """Makes one layer's keys.

    `position` [tokens, channels] is the code of each place, `slots` [ages, channels] of each
    age; age 0 is the prompt's, the last row of the model's table.
    """

    def __init__(
        self,
        attention: RoPEAttention,
        position: Tensor,
        slots: Tensor,
        table: Tensor,
        linear: Linear,
        with_tables: bool,
    ) -> None:
        """With `with_tables` each age's share of the keys is computed now, for all places."""
        self._weight = attention.k_proj.weight.detach()
        self._bias = attention.k_proj.bias.detach()
        self._position = position
        self._slots = slots
        self._table = table
        self._linear = linear
        self._shares = None
        if with_tables:
            shares = linear(slots, self._weight)[:, None].expand(-1, len(position), -1)
            self._shares = rotate(shares, table).contiguous()

    def base(self, memory: Tensor) -> Tensor:
        """A memory's rotated keys without its age: [tokens, channels] -> [tokens, d]."""
        return rotate(self._project(memory + self._position), self._table)

    def aged(self, base: Tensor, age: int, out: Tensor | None) -> Tensor:
        """`base` with its age's share; written to `out` where there is one."""
        if self._shares is None:
            raise RuntimeError('this key maker has no tables of ages')
        return torch.add(base, self._shares[age - 1], out=out)

    def full(self, memory: Tensor, age: int) -> Tensor:
        """All keys of a memory, from its tokens."""
        coded = memory + (self._position + self._slots[age - 1])
        return rotate(self._project(coded), self._table)

    def some(self, memory: Tensor, age: int, index: Tensor) -> Tensor:
        """The keys of some tokens, gathered before they are projected."""
        coded = memory.index_select(0, index) + self._position.index_select(0, index)
        return rotate(
            self._project(coded + self._slots[age - 1]), self._table.index_select(0, index)
        )

    def pointers(self, tokens: Tensor) -> Tensor:
        """Keys of pointer tokens, position included; never rotated."""
        return self._project(tokens)

    def _project(self, tokens: Tensor) -> Tensor:
        return self._linear(tokens.to(self._weight.dtype), self._weight, self._bias)
