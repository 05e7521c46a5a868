# SPDX-License-Identifier: Apache-2.0
"""Memory attention by the model's own module, untouched: what `stock` mode runs."""

from collections.abc import Sequence

import torch
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor

from esam2_ros.core.codes import pointer_positions
from esam2_ros.core.codes import sine_code
from esam2_ros.core.conditioning import Memories
from esam2_ros.core.memory import MemoryBank
from esam2_ros.core.memory import MemoryShape
from esam2_ros.core.memory import Recall


class StockConditioner:
    """Runs a model's memory attention over memory banks, in one workspace of fixed size."""

    def __init__(self, model: SAM2Base, shape: MemoryShape, device: torch.device) -> None:
        """Make the constant tables and the workspace for banks of `shape`."""
        self._model = model
        self._shape = shape
        side = round(shape.tokens**0.5)
        hidden = model.hidden_dim
        self._tokens_a_pointer = hidden // shape.channels
        # Positions of the current frame's tokens: [tokens, 1, hidden].
        self._current = sine_code(model.image_encoder.neck.position_encoding, side, hidden, device)
        # Positions of a memory's tokens at each temporal slot: [slots, tokens, channels].
        spatial = sine_code(model.memory_encoder.position_encoding, side, shape.channels, device)
        self._slots = spatial[:, 0][None] + model.maskmem_tpos_enc[:, 0].detach()

        frames = shape.prompt_slots + shape.recent_frames
        pointers = shape.prompt_slots + shape.pointer_frames
        keys = frames * shape.tokens + pointers * self._tokens_a_pointer
        self._memory = torch.zeros(keys, 1, shape.channels, device=device)
        self._position = torch.zeros(keys, 1, shape.channels, device=device)

    def __call__(self, embedding: Tensor, targets: Sequence[Memories]) -> Tensor:
        """Condition the embedding [1, hidden, h, w] for each target: [targets, hidden, h, w]."""
        return torch.cat([self._one(embedding, each.bank, each.recall) for each in targets])

    def _one(self, embedding: Tensor, bank: MemoryBank, recall: Recall) -> Tensor:
        spatial, pointer = self._gather(bank, recall)
        end = spatial + pointer
        tokens = embedding.flatten(2).permute(2, 0, 1)  # [tokens, 1, hidden]
        out: Tensor = self._model.memory_attention(
            curr=[tokens],
            curr_pos=[self._current],
            memory=self._memory[:end],
            memory_pos=self._position[:end],
            num_obj_ptr_tokens=pointer,
        )
        return out.permute(1, 2, 0).reshape(embedding.shape)

    def _gather(self, bank: MemoryBank, recall: Recall) -> tuple[int, int]:
        tokens = self._shape.tokens
        for i, (row, distance) in enumerate(recall.frames):
            span = slice(i * tokens, (i + 1) * tokens)
            self._memory[span, 0] = bank.features[row]
            # Index 0 is the newest frame, the last one is the prompt's (distance 0).
            self._position[span, 0] = self._slots[distance - 1]
        spatial = len(recall.frames) * tokens
        pointer = len(recall.pointers) * self._tokens_a_pointer
        if recall.pointers:
            span = slice(spatial, spatial + pointer)
            rows = torch.stack([bank.pointers[row] for row, _ in recall.pointers])
            self._memory[span, 0] = rows.view(-1, self._shape.channels)
            self._position[span, 0] = pointer_positions(self._model, recall, self._tokens_a_pointer)
        return spatial, pointer
