# SPDX-License-Identifier: Apache-2.0
"""Hiera in window order, with the paper's sparse window routing in its third stage.

Outside its global blocks Hiera mixes no information between windows, so tokens are kept window
after window: whole stages run without cutting and joining, padding is never computed, and a
subset of windows is a subset of rows.
"""

import math
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from sam2.modeling.backbones.hieradet import Hiera
from sam2.modeling.backbones.hieradet import MultiScaleBlock
from torch import Tensor
from torch import nn
from torch.nn import functional

from esam2_ros.core.attention import attend_heads
from esam2_ros.core.linear import Linear
from esam2_ros.core.shortcut import Shortcut
from esam2_ros.core.windows import Group
from esam2_ros.core.windows import Selection
from esam2_ros.core.windows import WindowLayout

STRIDES = (4, 8, 16, 32)
# Tokens of stage 1 that go through stages 1 and 2 together on a CPU: their hidden layers then
# stay in its cache.
_CHUNK = 4096


@dataclass(frozen=True)
class RoutedRange:
    """Blocks of stage 3 that inactive windows skip: `first` .. `last` - 1."""

    first: int
    last: int


def routed_range(trunk: Hiera, first: int | None = None) -> RoutedRange:
    """The paper's range: after stage 3's entry block, up to its last global block, exclusive.

    `first` moves the start; it is cut to the range.
    """
    start = trunk.stage_ends[1] + 2
    last = max(trunk.global_att_blocks)
    return RoutedRange(start if first is None else min(max(first, start), last), last)


class WindowTrunk:
    """Runs a stock Hiera's own weights on one square image of a fixed size."""

    def __init__(
        self,
        trunk: Hiera,
        image_size: int,
        linear: Linear,
        shortcut: Shortcut | None = None,
        first_routed: int | None = None,
    ) -> None:
        """Make the layouts. `shortcut` None is the identity."""
        self._trunk = trunk
        self._linear = linear
        self._shortcut = shortcut
        self.range = routed_range(trunk, first_routed)
        self._run_block: Callable[..., Tensor] = self._plain_block
        device = trunk.pos_embed.device
        self._chunk = _CHUNK if device.type == 'cpu' else 1 << 30
        # Up to stage 3's entry block all windows are the same 32 px; stage 4's are stage 3's.
        unit = trunk.window_spec[0]
        spans = (unit, unit // 2, trunk.window_spec[2], trunk.window_spec[2] // 2)
        self.layouts = tuple(
            WindowLayout(image_size // stride, span, device)
            for stride, span in zip(STRIDES, spans, strict=True)
        )
        entry = WindowLayout(image_size // STRIDES[2], unit // 4, device)
        # From the 32 px order in which stage 3 is entered to its own.
        self.regroup = entry.back[self.layouts[2].order]
        self._groups = {
            **dict.fromkeys(range(trunk.stage_ends[0] + 2), self.layouts[0].groups),
            **dict.fromkeys(
                range(trunk.stage_ends[0] + 2, trunk.stage_ends[1] + 2), self.layouts[1].groups
            ),
            **dict.fromkeys(
                range(trunk.stage_ends[1] + 2, trunk.stage_ends[2] + 2), self.layouts[2].groups
            ),
            **dict.fromkeys(
                range(trunk.stage_ends[2] + 2, trunk.stage_ends[3] + 1), self.layouts[3].groups
            ),
        }
        self._position = self._positions(image_size)

    def __call__(
        self, image: Tensor, route: Selection | None = None, cached: bool = True
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Stage outputs in window order, [tokens, C] each, of a normalised image [1, 3, S, S].

        `route` are the active windows of stage 3, None for all. `cached` False computes the
        position table anew, as stock does.
        """
        first, second, third = self.early(self.patches(image, cached))
        last = self.range.last
        third = third.index_select(0, self.regroup)
        third = self._dense(third, range(self.third.start, self.range.first))
        if route is None:
            third = self._dense(third, range(self.range.first, last))
        else:
            third = self._routed(third, route)
        return first, second, *self.rest(third, last)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the four stages."""
        return tuple(self.block(number).dim_out for number in self._trunk.stage_ends)

    @property
    def global_blocks(self) -> tuple[int, ...]:
        """Numbers of the blocks whose windows attend to each other."""
        return tuple(self._trunk.global_att_blocks)

    @property
    def third(self) -> range:
        """Blocks of stage 3 after its entry."""
        return range(self._trunk.stage_ends[1] + 2, self._trunk.stage_ends[2] + 1)

    @property
    def fourth(self) -> range:
        """Blocks of stage 4; the first of them halves windows of stage 3."""
        return range(self._trunk.stage_ends[2] + 1, self._trunk.stage_ends[3] + 1)

    def block(self, number: int) -> MultiScaleBlock:
        """The model's own block."""
        return self._trunk.blocks[number]

    def rest(self, tokens: Tensor, first: int) -> tuple[Tensor, Tensor]:
        """Stage 3 of all windows from block `first` on, and stage 4: [tokens, C] each."""
        third = self._dense(tokens, range(first, self.third.stop))
        return third, self._dense(third, self.fourth)

    def patches(self, image: Tensor, cached: bool = True) -> Tensor:
        """Tokens of an image [1, 3, S, S] with their positions, in stage 1's order: [n, C]."""
        tokens: Tensor = self._trunk.patch_embed(image)[0].flatten(0, 1)
        position = self._position if cached else self._positions(image.shape[-1])
        return tokens.index_select(0, self.layouts[0].order) + position

    def early(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Stages 1 and 2 and the entry of stage 3, of any number of 32 px windows [n, C].

        Some of them at a time.
        """
        ends = self._trunk.stage_ends
        area = self.layouts[0].window ** 2
        outputs: list[list[Tensor]] = [[], [], []]
        for part in tokens.split(max(self._chunk // area, 1) * area):
            windows = len(part) // area
            for i in range(ends[1] + 2):
                whole = self._groups[i][0]
                part = self.run(i, part, (Group(windows, whole.rows, whole.columns, 0),))
                if i in ends or i == ends[1] + 1:
                    outputs[min(ends.index(i) if i in ends else 2, 2)].append(part)
        first, second, third = (torch.cat(parts) if parts[1:] else parts[0] for parts in outputs)
        return first, second, third

    def _dense(self, tokens: Tensor, blocks: Sequence[int]) -> Tensor:
        for i in blocks:
            tokens = self.run(i, tokens, self._groups[i])
        return tokens

    def _routed(self, entry: Tensor, route: Selection) -> Tensor:
        """Active windows through the routed blocks, the others through the shortcut."""
        others = entry if self._shortcut is None else self._shortcut(entry)
        if not route.groups:
            return others
        tokens = entry.index_select(0, route.read)
        for i in range(self.range.first, self.range.last):
            tokens = self.run(i, tokens, route.groups, route.keep, route.bias)
        if route.bias is None:
            return others.index_copy(0, route.write, tokens)
        # Padding and repeats land in a row past the end.
        room = torch.cat([others, others.new_empty(1, others.shape[1])])
        return room.index_copy(0, route.write, tokens)[:-1]

    def run(
        self,
        number: int,
        tokens: Tensor,
        groups: tuple[Group, ...],
        keep: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> Tensor:
        """A block on windows of these shapes; `keep` and `bias` as of a Selection."""
        return self._run_block(self.block(number), tokens, groups, keep, bias)

    def compile(self, compiler: Callable[[Callable[..., Tensor]], Callable[..., Tensor]]) -> None:
        """Run blocks as `compiler` makes them: each kind of block in each shape once."""
        self._run_block = compiler(self._run_block)

    def _plain_block(
        self,
        block: MultiScaleBlock,
        tokens: Tensor,
        groups: tuple[Group, ...],
        keep: Tensor | None,
        bias: Tensor | None,
    ) -> Tensor:
        skip, qkv = self.open_block(block, tokens, groups, keep)
        if block.window_size == 0:
            mixed = self._attend(qkv, block.attn.num_heads, bias)
        else:
            sizes = [group.count * group.tokens for group in groups]
            parts = [
                _attend_windows(part, group, block)
                for part, group in zip(qkv.split(sizes), groups, strict=True)
            ]
            mixed = torch.cat(parts) if parts[1:] else parts[0]
        return self.close_block(block, skip, mixed)

    def open_block(
        self,
        block: MultiScaleBlock,
        tokens: Tensor,
        groups: tuple[Group, ...],
        keep: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """What a block does before attention: its skip [n, C] and [n, 3 C] to attend with."""
        normed = block.norm1(tokens)
        skip = tokens
        if block.dim != block.dim_out:
            skip = self._apply(block.proj, normed)
            if block.pool is not None:
                skip = _pool_windows(skip, groups)
        if keep is not None:
            normed = normed * keep.to(normed.dtype)  # stock pads with zeros after the norm
        return skip, self._apply(block.attn.qkv, normed)

    def close_block(self, block: MultiScaleBlock, skip: Tensor, mixed: Tensor) -> Tensor:
        """What a block does after attention: [n, C] of it and of its skip -> [n, C]."""
        tokens = skip + self._apply(block.attn.proj, mixed)
        hidden = self._apply(block.mlp.layers[0], block.norm2(tokens), 'gelu')
        return tokens + self._apply(block.mlp.layers[1], hidden)

    def _apply(self, layer: nn.Linear, tokens: Tensor, activation: str = '') -> Tensor:
        return self._linear(tokens, layer.weight, layer.bias, activation)

    def _attend(self, qkv: Tensor, heads: int, bias: Tensor | None) -> Tensor:
        """Attention among all tokens: [L, 3 C] -> [L, C]; `bias` [L] is added to keys' logits."""
        query, key, value = qkv.view(len(qkv), 3, heads, -1).permute(1, 2, 0, 3)
        if bias is None:
            out = attend_heads(query, key, value, self._linear)
        else:
            mask = bias.to(qkv.dtype)[None, None, None]
            out = functional.scaled_dot_product_attention(
                query[None], key[None], value[None], mask
            )[0]
        return out.transpose(0, 1).flatten(1)

    def _positions(self, image_size: int) -> Tensor:
        side = image_size // STRIDES[0]
        table: Tensor = self._trunk._get_pos_embed((side, side))[0].flatten(0, 1)
        return table.index_select(0, self.layouts[0].order).detach()


def _pool_windows(tokens: Tensor, groups: tuple[Group, ...]) -> Tensor:
    sizes = [group.count * group.tokens for group in groups]
    parts = [_pool(part, group) for part, group in zip(tokens.split(sizes), groups, strict=True)]
    return torch.cat(parts) if parts[1:] else parts[0]


def _pool(tokens: Tensor, group: Group) -> Tensor:
    """The largest of each 2 x 2 tokens of a window: [n * rows * columns, C] -> a quarter of it."""
    grid = tokens.view(group.count, group.rows // 2, 2, group.columns // 2, 2, -1)
    rows = torch.maximum(grid[:, :, 0], grid[:, :, 1])
    return torch.maximum(rows[..., 0, :], rows[..., 1, :]).flatten(0, 2)


def _attend_windows(qkv: Tensor, group: Group, block: MultiScaleBlock) -> Tensor:
    """Attention inside each window of a group: [n * L, 3 C] -> [n * L, C]."""
    heads = block.attn.num_heads
    parts = qkv.view(group.count, group.tokens, 3, -1)
    query, key, value = parts.unbind(2)
    if block.q_stride is not None and block.pool is not None:
        query = _pool(query.reshape(group.count * group.tokens, -1), group)
        query = query.view(group.count, group.tokens // 4, -1)
    mask = None
    if group.pads:
        # Stock attends to padding, whose keys and values are all the bias of the projection:
        # one such key stands for them, its logit raised by the log of their number.
        pad = block.attn.qkv.bias.view(3, -1)
        key = torch.cat([key, pad[1].expand(group.count, 1, -1).to(key)], dim=1)
        value = torch.cat([value, pad[2].expand(group.count, 1, -1).to(value)], dim=1)
        mask = query.new_zeros(1, 1, 1, group.tokens + 1)
        mask[..., -1] = math.log(group.pads)
    query, key, value = (
        each.unflatten(-1, (heads, -1)).transpose(1, 2) for each in (query, key, value)
    )
    out = functional.scaled_dot_product_attention(query, key, value, mask)
    return out.transpose(1, 2).flatten(2).flatten(0, 1)
