# SPDX-License-Identifier: Apache-2.0
"""Softmax attention of one head over many keys, in blocks that stay in a CPU's cache."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from esam2_ros.core.linear import Linear

_QUERIES = 512
_KEYS = 1024


def attend(
    query: Tensor, keys: Sequence[Tensor], values: Sequence[Tensor], linear: Linear
) -> Tensor:
    """Attention of query [T, d] (already scaled) to key parts [M_i, d] and value parts [M_i, c].

    Returns [T, c]; c need not be d, and the parts are never joined. Each block of keys is
    softmaxed alone and weighted by its share of the whole (the online softmax of FlashAttention,
    arXiv 2205.14135).
    """
    out = query.new_empty(len(query), values[0].shape[1])
    # oneDNN is very slow on a strided weight.
    blocks = [
        (key.contiguous(), value.T.contiguous())
        for keys_part, values_part in zip(keys, values, strict=True)
        for key, value in zip(keys_part.split(_KEYS), values_part.split(_KEYS), strict=True)
    ]
    for rows, part in zip(query.split(_QUERIES), out.split(_QUERIES), strict=True):
        part.copy_(_attend_rows(rows, blocks, linear))
    return out


def _attend_rows(rows: Tensor, blocks: list[tuple[Tensor, Tensor]], linear: Linear) -> Tensor:
    total, weight = None, None
    for key, value in blocks:
        scores = linear(rows, key)
        peak = scores.amax(dim=1, keepdim=True)
        share = scores.softmax(dim=1)
        # The largest share is exp(peak) over the block's sum: that gives the sum for nothing.
        log_sum = peak - share.amax(dim=1, keepdim=True).log()
        mixed = linear(share, value)
        if total is None or weight is None:
            total, weight = mixed, log_sum
            continue
        both = torch.logaddexp(weight, log_sum)
        total = total.mul_((weight - both).exp_()).add_(mixed.mul_((log_sum - both).exp_()))
        weight = both
    if total is None:
        raise ValueError('attention over no keys; needed: at least one')
    return total


def attend_heads(query: Tensor, key: Tensor, value: Tensor, linear: Linear) -> Tensor:
    """Attention of [heads, T, d] to [heads, M, d] and [heads, M, c]; returns [heads, T, c].

    Head by head in blocks where `linear` is the faster one, else as one fused call.
    """
    if not linear.applies(query):
        return functional.scaled_dot_product_attention(query[None], key[None], value[None])[0]
    scaled = query * query.shape[-1] ** -0.5
    parts = [attend(q, [k], [v], linear) for q, k, v in zip(scaled, key, value, strict=True)]
    return torch.stack(parts)
