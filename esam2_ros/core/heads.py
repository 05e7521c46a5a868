# SPDX-License-Identifier: Apache-2.0
"""The mask decoder and the memory encoder on tracked targets; recorded where a GPU runs them."""

from sam2.modeling.sam.transformer import Attention
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor

from esam2_ros.core.encoder import Features
from esam2_ros.core.evidence import Looks
from esam2_ros.core.evidence import watch
from esam2_ros.core.graphs import Capture
from esam2_ros.core.graphs import GraphCache
from esam2_ros.core.segmentation import Segmentation
from esam2_ros.core.segmentation import named_outputs

_OUTPUTS = 6  # of SAM2's heads, the candidates at full size left out; what was compared follows


class Heads:
    """What follows memory attention, for a batch of targets without prompts."""

    def __init__(self, model: SAM2Base) -> None:
        """Use the model's own modules."""
        self._model = model
        self._side: int = model.image_size // 16
        self._modules: list[Attention] = []
        self._decoder = GraphCache(self._decode_watched)
        self._memory_encoder = GraphCache(self._encode)

    def segment(self, features: Features, conditioned: Tensor, watched: bool) -> Segmentation:
        """Masks from conditioned embeddings [B, hidden, S/16, S/16].

        With `watched` the result tells where the decoder looked.
        """
        count = len(conditioned)
        if not watched and count not in self._decoder.keys:
            return named_outputs(self._decode(conditioned, *features.skips))
        outputs = self._decoder(count, conditioned, *features.skips)
        looks = None
        if watched:
            compared = outputs[_OUTPUTS:]
            looks = Looks(list(zip(self._modules, compared[::2], compared[1::2], strict=True)))
        return named_outputs(outputs[:_OUTPUTS], looks)

    def memory(self, features: Features, full_logits: Tensor, object_logit: Tensor) -> Tensor:
        """Memories [B, tokens, channels] of masks [B, 1, S, S] with object scores [B]."""
        (memory,) = self._memory_encoder(
            len(full_logits), features.embedding, full_logits, object_logit
        )
        return memory

    def prompted_memory(
        self, features: Features, full_logits: Tensor, object_logit: Tensor
    ) -> Tensor:
        """The same of masks that a prompt gave, which SAM2 makes hard."""
        return self._memory(features.embedding, full_logits, object_logit, True)

    def record(self, capture: Capture, features: Features, conditioned: Tensor) -> None:
        """Record both for as many targets as `conditioned` has."""
        count = len(conditioned)
        self._decoder.record(count, capture, conditioned, *features.skips)
        tracked = self.segment(features, conditioned, watched=False)
        self._memory_encoder.record(
            count, capture, features.embedding, tracked.full_logits, tracked.object_logit
        )

    def _decode(self, conditioned: Tensor, fine: Tensor, middle: Tensor) -> tuple[Tensor, ...]:
        candidates, _, *rest = self._model._forward_sam_heads(
            backbone_features=conditioned,
            high_res_features=[fine, middle],
            multimask_output=self._model._use_multimask(False, None),
        )
        return candidates, *rest

    def _decode_watched(
        self, conditioned: Tensor, fine: Tensor, middle: Tensor
    ) -> tuple[Tensor, ...]:
        with watch(self._model) as looks:
            outputs = self._decode(conditioned, fine, middle)
        self._modules = [module for module, _, _ in looks.seen]
        return *outputs, *(each for _, query, key in looks.seen for each in (query, key))

    def _encode(
        self, embedding: Tensor, full_logits: Tensor, object_logit: Tensor
    ) -> tuple[Tensor, ...]:
        return (self._memory(embedding, full_logits, object_logit, False),)

    def _memory(
        self, embedding: Tensor, full_logits: Tensor, object_logit: Tensor, prompted: bool
    ) -> Tensor:
        tokens = embedding.flatten(2).permute(2, 0, 1)  # [tokens, 1, hidden]
        memory: Tensor = self._model._encode_new_memory(
            [tokens.expand(-1, len(full_logits), -1)],
            [(self._side, self._side)],
            full_logits,
            object_logit[:, None],
            prompted,
        )[0]
        return memory.flatten(2).transpose(1, 2)
