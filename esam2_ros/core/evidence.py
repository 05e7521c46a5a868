# SPDX-License-Identifier: Apache-2.0
"""Which windows a frame's masks touch and where its decoder looked: what routing decides by."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import field
from typing import Any

import torch
from sam2.modeling.sam.transformer import Attention
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor
from torch.nn import functional

_DILATION = 5  # pixels of the small mask (Efficient-SAM2's released code)
_TOKENS = 7  # of the decoder, whose attention to the image is averaged


def touched_windows(candidates: Tensor, window: int, across: int) -> Tensor:
    """Windows that any candidate mask touches once it is dilated by 5 x 5.

    candidates [B, M, h, w] logits; `window` pixels of them a side; returns [B, across ** 2] bool.
    """
    drawn = (candidates > 0).any(dim=1, keepdim=True).float()
    grown = functional.max_pool2d(drawn, _DILATION, 1, _DILATION // 2)
    room = window * across - grown.shape[-1]
    return functional.max_pool2d(functional.pad(grown, (0, room, 0, room)), window).flatten(1) > 0


def rivalry(candidates: Tensor, scores: Tensor, close: float = 0.1) -> Tensor:
    """How much the candidates [B, M, h, w] with scores [B, M] near the best differ from it: [B].

    1 - IoU with the best candidate, the largest over those within `close` of its score.
    """
    drawn = (candidates > 0).flatten(2)
    best = scores.argmax(dim=1, keepdim=True)
    chosen = drawn.gather(1, best[..., None].expand(-1, -1, drawn.shape[2]))
    both, either = (drawn & chosen).sum(dim=2), (drawn | chosen).sum(dim=2)
    apart = 1 - both / either.clamp(min=1)
    near = scores >= scores.amax(dim=1, keepdim=True) - close
    return torch.where(near & (either > 0), apart, 0.0).amax(dim=1)


@dataclass
class Looks:
    """What each token-to-image attention of one decoder run compared: (module, q, k)."""

    seen: list[tuple[Attention, Tensor, Tensor]] = field(default_factory=list)

    @torch.inference_mode()
    def by_window(self, window: int, across: int) -> Tensor:
        """Share of the attention to each window: [B, across ** 2], rows sum to 1.

        Softmaxed over the image, averaged over heads, the first 7 tokens and the 3 attentions.
        """
        maps = []
        for module, query, key in self.seen:
            heads = module.num_heads
            q = module._separate_heads(module.q_proj(query[:, :_TOKENS]), heads)
            k = module._separate_heads(module.k_proj(key), heads)
            weights = (q * q.shape[-1] ** -0.5 @ k.transpose(-2, -1)).softmax(dim=-1)
            maps.append(weights.float().mean(dim=(1, 2)))
        mean = torch.stack(maps).mean(dim=0)  # [B, tokens]
        side = round(mean.shape[1] ** 0.5)
        room = window * across - side
        grid = functional.pad(mean.view(-1, 1, side, side), (0, room, 0, room))
        return functional.avg_pool2d(grid, window).flatten(1) * window**2


@contextmanager
def watch(model: SAM2Base) -> Iterator[Looks]:
    """Keep what the mask decoder's token-to-image attentions compare; adds no arithmetic."""
    looks = Looks()
    transformer = model.sam_mask_decoder.transformer
    modules = [layer.cross_attn_token_to_image for layer in transformer.layers]
    modules.append(transformer.final_attn_token_to_image)

    def keep(module: Attention, _: Any, inputs: dict[str, Tensor]) -> None:
        looks.seen.append((module, inputs['q'], inputs['k']))

    handles = [m.register_forward_pre_hook(keep, with_kwargs=True) for m in modules]
    try:
        yield looks
    finally:
        for handle in handles:
            handle.remove()
