# SPDX-License-Identifier: Apache-2.0
"""The layers of SAM2's memory attention over keys that are made elsewhere."""

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from sam2.modeling.memory_attention import MemoryAttentionLayer
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor
from torch import nn
from torch.nn import functional

from esam2_ros.core.attention import attend
from esam2_ros.core.attention import attend_heads
from esam2_ros.core.attention_cache import Queries
from esam2_ros.core.keys import rotary_table
from esam2_ros.core.keys import rotate
from esam2_ros.core.linear import Linear
from esam2_ros.core.linear import plain_on_cpu
from esam2_ros.core.pack import ExactPack


@dataclass(frozen=True, eq=False)
class KeySet:
    """What one target's queries attend to in one layer, in parts that belong together.

    keys    each [M_i, d], rotated
    values  each [M_i, channels]: the memory tokens themselves
    """

    keys: list[Tensor]
    values: list[Tensor]


@dataclass(frozen=True, eq=False)
class Opening:
    """The self-attention of the first layer: it is of the frame alone, the same for all targets.

    state  [1 or targets, tokens, C] after it
    query  [1 or targets, tokens, d] of the recall that follows, rotated and scaled
    """

    state: Tensor
    query: Tensor


Compiler = Callable[[Callable[..., Any]], Callable[..., Any]]
# (target, layer, queries [n, d] rotated and scaled) -> the keys for it. On a CPU they are good
# until the next call.
Supply = Callable[[int, int, Tensor], KeySet]


class MemoryAttention:
    """Runs a model's memory attention for several targets on one frame."""

    def __init__(self, model: SAM2Base, side: int, pack: ExactPack, linear: Linear) -> None:
        """Take the weights of `model` for a side x side grid of tokens."""
        self._norm: nn.LayerNorm = model.memory_attention.norm
        self._linear = linear
        # One call fills a GPU better than one a target; a CPU is as fast and needs less memory.
        self._together = model.device.type != 'cpu'
        layers = model.memory_attention.layers
        self._table = rotary_table(layers[0].self_attn, side, model.device)
        self._layers = [_Layer(layer, pack, linear) for layer in layers]

    def open(self, tokens: Tensor, rows: Tensor | None = None) -> Opening:
        """The first self-attention of tokens [B, n, C], positions added.

        `rows`: numbers of the tokens whose result will be read; None for all.
        """
        first = self._layers[0]
        query, key, value = first.project(tokens, self._table)
        if rows is None:
            state = first.absorb(tokens, attend_heads(query, key, value, self._linear))
            return Opening(state, first.query(state, self._table))
        mixed = attend_heads(query.index_select(1, rows), key, value, self._linear)
        state = first.absorb(tokens.index_select(1, rows), mixed)
        asked = first.query(state, self._table.index_select(0, rows))
        return Opening(
            torch.zeros_like(tokens).index_copy(1, rows, state),
            torch.zeros_like(query).index_copy(1, rows, asked),
        )

    def __call__(
        self, opening: Opening, targets: int, supply: Supply, queries: Queries | None = None
    ) -> Tensor:
        """The frame conditioned for each target: [targets, tokens, C].

        `queries`: the tokens that are conditioned now, None for all and to keep nothing.
        """
        state = opening.state.expand(targets, -1, -1)
        query = opening.query.expand(targets, -1, -1)
        table = self._table
        if queries is not None and queries.index is not None:
            state, query = queries.pick(state), queries.pick(query)
            table = table[queries.index]
        for number, layer in enumerate(self._layers):
            if number:
                own, key, value = layer.project(state, table)
                if queries is not None:
                    key, value = queries.renew(number, key, value)
                state = layer.absorb(state, attend_heads(own, key, value, self._linear))
                query = layer.query(state, table)
            state = layer.digest(state, self._recall(number, query, supply))
        out: Tensor = self._norm(state)
        return out if queries is None else queries.finish(out)

    def _recall(self, number: int, query: Tensor, supply: Supply) -> Tensor:
        layer = self._layers[number]
        if self._together:
            keysets = [supply(target, number, each) for target, each in enumerate(query)]
            return layer.recall(query, keysets)
        # A target's keys may be lost once the next one's are made.
        return torch.cat(
            [
                layer.recall(each[None], [supply(target, number, each)])
                for target, each in enumerate(query)
            ]
        )

    def compile(self, compiler: Compiler) -> None:
        """Run what does not depend on the number of keys as `compiler` makes it."""
        for layer in self._layers:
            layer.project = compiler(layer.project)  # type: ignore[method-assign]
            layer.absorb = compiler(layer.absorb)  # type: ignore[method-assign]
            layer.query = compiler(layer.query)  # type: ignore[method-assign]
            layer.digest = compiler(layer.digest)  # type: ignore[method-assign]


class _Layer:
    """Self-attention, recall and MLP of one layer."""

    def __init__(self, layer: MemoryAttentionLayer, pack: ExactPack, linear: Linear) -> None:
        self._layer = layer
        self._linear = linear
        own, cross = layer.self_attn, layer.cross_attn_image
        each = [own.q_proj, own.k_proj, own.v_proj]
        self._qkv = torch.cat([m.weight.detach() for m in each])
        self._qkv_bias = torch.cat([m.bias.detach() for m in each])
        # P (m W + b) = (P m) W + b, since softmax rows sum to 1: values stay as narrow as the
        # memory, and one product does both projections after it.
        self._small = pack.small_values
        value, out = cross.v_proj, cross.out_proj
        weight = out.weight.detach().double()
        self._out = (weight @ value.weight.detach().double()).to(self._qkv.dtype)
        bias = weight @ value.bias.detach().double() + out.bias.detach().double()
        self._out_bias = bias.to(self._qkv.dtype)

    def project(self, state: Tensor, table: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of self-attention: [B, n, C] -> [B, n, C] each.

        Queries and keys are rotated by `table` [n, C / 2] or [B, n, C / 2].
        """
        qkv = self._linear(self._layer.norm1(state), self._qkv, self._qkv_bias)
        query, key, value = qkv.chunk(3, dim=-1)
        return rotate(query, table), rotate(key, table), value

    def absorb(self, state: Tensor, mixed: Tensor) -> Tensor:
        """Add what self-attention mixed, projected: [B, n, C]."""
        out = self._layer.self_attn.out_proj
        return state + self._linear(mixed, out.weight, out.bias)

    def query(self, state: Tensor, table: Tensor) -> Tensor:
        """Queries of the recall, rotated and scaled: [B, n, C] -> [B, n, d]."""
        project = self._layer.cross_attn_image.q_proj
        query = self._linear(self._layer.norm2(state), project.weight, project.bias)
        scale: float = query.shape[-1] ** -0.5
        return rotate(query, table) * scale

    def recall(self, query: Tensor, keysets: Sequence[KeySet]) -> Tensor:
        """Attention of each target's queries [B, n, d] to its own memory: [B, n, C], projected."""
        cross = self._layer.cross_attn_image
        if self._small and plain_on_cpu(query):
            parts = [
                attend(own, keyset.keys, keyset.values, self._linear)
                for own, keyset in zip(query, keysets, strict=True)
            ]
            return self._linear(torch.stack(parts), self._out, self._out_bias)
        # A CPU's fused kernel is slow where keys and values differ in width.
        small = self._small and query.device.type != 'cpu'
        mixed = self._mix(query, keysets, small)
        if small:
            return self._linear(mixed, self._out, self._out_bias)
        return self._linear(mixed, cross.out_proj.weight, cross.out_proj.bias)

    def _mix(self, query: Tensor, keysets: Sequence[KeySet], small: bool) -> Tensor:
        """Weighted values, not projected yet: [B, n, d] -> [B, n, channels or d]."""
        cross = self._layer.cross_attn_image
        keys, mask = _stack([torch.cat(each.keys).to(query.dtype) for each in keysets])
        values, _ = _stack([torch.cat(each.values) for each in keysets])
        if not small:
            values = self._linear(values, cross.v_proj.weight, cross.v_proj.bias)
        mixed: Tensor = functional.scaled_dot_product_attention(
            query[:, None], keys[:, None], values[:, None].to(query.dtype), mask, scale=1.0
        )
        return mixed[:, 0]

    def digest(self, state: Tensor, recalled: Tensor) -> Tensor:
        """Add what was recalled, then the MLP: [B, n, C]."""
        layer = self._layer
        state = state + recalled
        hidden = self._linear(layer.norm3(state), layer.linear1.weight, layer.linear1.bias, 'relu')
        return state + self._linear(hidden, layer.linear2.weight, layer.linear2.bias)


def _stack(parts: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
    """[M_i, c] each -> [B, M, c], padded with zeros to the longest, and a mask of what is real.

    The mask [B, 1, 1, M] is None where all are as long, which lets SDPA use its fastest kernel.
    """
    longest = max(map(len, parts))
    if all(len(part) == longest for part in parts):
        return torch.stack(list(parts)), None
    padded = [functional.pad(part, (0, 0, 0, longest - len(part))) for part in parts]
    places = torch.arange(longest, device=parts[0].device)
    mask = torch.stack([places < len(part) for part in parts])
    return torch.stack(padded), mask[:, None, None]
