# SPDX-License-Identifier: Apache-2.0
"""The layers of SAM2's memory attention over keys that are made elsewhere."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from sam2.modeling.memory_attention import MemoryAttentionLayer
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor
from torch import nn
from torch.nn import functional

from esam2_ros.core.attention import attend
from esam2_ros.core.attention import attend_heads
from esam2_ros.core.keys import rotary_table
from esam2_ros.core.keys import rotate
from esam2_ros.core.linear import Linear
from esam2_ros.core.pack import ExactPack


@dataclass(frozen=True, eq=False)
class KeySet:
    """What one target's queries attend to in one layer, in parts that belong together.

    keys    each [M_i, d], rotated
    values  each [M_i, channels]: the memory tokens themselves
    """

    keys: list[Tensor]
    values: list[Tensor]


# (target, layer, queries [tokens, d] rotated and scaled) -> the keys for it
Supply = Callable[[int, int, Tensor], KeySet]


class MemoryAttention:
    """Runs a model's memory attention for several targets on one frame."""

    def __init__(self, model: SAM2Base, side: int, pack: ExactPack, linear: Linear) -> None:
        """Take the weights of `model` for a side x side grid of tokens."""
        self._norm: nn.LayerNorm = model.memory_attention.norm
        self._linear = linear
        self._share_first = pack.shared_self_attention
        layers = model.memory_attention.layers
        table = rotary_table(layers[0].self_attn, side, model.device)
        self._layers = [_Layer(layer, table, pack, linear) for layer in layers]

    def __call__(self, tokens: Tensor, targets: int, supply: Supply) -> Tensor:
        """Condition tokens [n, C], positions added, for each target: [targets, n, C]."""
        if self._share_first:
            start = self._layers[0].look_around(tokens[None])
            state = start.expand(targets, -1, -1)
            query = self._layers[0].query(start).expand(targets, -1, -1)
        else:
            state = self._layers[0].look_around(tokens.expand(targets, -1, -1))
            query = self._layers[0].query(state)
        for number, layer in enumerate(self._layers):
            if number:
                state = layer.look_around(state)
                query = layer.query(state)
            recalled = [
                layer.recall(each, supply(target, number, each))
                for target, each in enumerate(query)
            ]
            state = layer.digest(state, torch.stack(recalled))
        out: Tensor = self._norm(state)
        return out


class _Layer:
    """Self-attention, recall and MLP of one layer."""

    def __init__(
        self, layer: MemoryAttentionLayer, table: Tensor, pack: ExactPack, linear: Linear
    ) -> None:
        self._layer = layer
        self._table = table
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

    def look_around(self, state: Tensor) -> Tensor:
        """Self-attention with its residual: [B, n, C]."""
        own = self._layer.self_attn
        qkv = self._linear(self._layer.norm1(state), self._qkv, self._qkv_bias)
        query, key, value = qkv.chunk(3, dim=-1)
        query, key = rotate(query, self._table), rotate(key, self._table)
        mixed = attend_heads(query, key, value, self._linear)
        return state + self._linear(mixed, own.out_proj.weight, own.out_proj.bias)

    def query(self, state: Tensor) -> Tensor:
        """Queries of the recall, rotated and scaled: [B, n, C] -> [B, n, d]."""
        project = self._layer.cross_attn_image.q_proj
        query = self._linear(self._layer.norm2(state), project.weight, project.bias)
        scale: float = query.shape[-1] ** -0.5
        return rotate(query, self._table) * scale

    def recall(self, query: Tensor, keyset: KeySet) -> Tensor:
        """Attention of one target's queries [n, d] to its memory; returns [n, C], projected."""
        cross = self._layer.cross_attn_image
        if self._small and self._linear.applies(query):
            mixed = attend(query, keyset.keys, keyset.values, self._linear)
            return self._linear(mixed, self._out, self._out_bias)
        key, value = torch.cat(keyset.keys), torch.cat(keyset.values)
        if not self._small:
            value = self._linear(value, cross.v_proj.weight, cross.v_proj.bias)
        mixed = functional.scaled_dot_product_attention(
            query[None, None], key[None, None].to(query), value[None, None].to(query), scale=1.0
        )[0, 0]
        if self._small:
            return self._linear(mixed, self._out, self._out_bias)
        return self._linear(mixed, cross.out_proj.weight, cross.out_proj.bias)

    def digest(self, state: Tensor, recalled: Tensor) -> Tensor:
        """Add what was recalled, then the MLP: [B, n, C]."""
        layer = self._layer
        state = state + recalled
        hidden = self._linear(layer.norm3(state), layer.linear1.weight, layer.linear1.bias, 'relu')
        return state + self._linear(hidden, layer.linear2.weight, layer.linear2.bias)
