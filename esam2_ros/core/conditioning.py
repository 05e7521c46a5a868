# SPDX-License-Identifier: Apache-2.0
"""Memory attention: the current frame's embedding, conditioned on what targets' banks recall."""

from dataclasses import dataclass

import torch
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor

from esam2_ros.core.keys import KeyMaker
from esam2_ros.core.keys import rotary_table
from esam2_ros.core.linear import Linear
from esam2_ros.core.memory import MemoryBank
from esam2_ros.core.memory import MemoryShape
from esam2_ros.core.memory import Recall
from esam2_ros.core.memory_attention import Compiler
from esam2_ros.core.memory_attention import KeySet
from esam2_ros.core.memory_attention import MemoryAttention
from esam2_ros.core.pack import ExactPack
from esam2_ros.core.retrieval import received
from esam2_ros.core.retrieval import sample_queries
from esam2_ros.core.stock_conditioning import pointer_positions
from esam2_ros.core.stock_conditioning import sine_code


@dataclass(frozen=True)
class Memories:
    """One target's part of a conditioning pass; `frame` is the one being conditioned."""

    bank: MemoryBank
    recall: Recall
    frame: int


# The best tokens, layer by layer, of the memory in a slot that is of a frame.
Scored = dict[tuple[int, int], list[Tensor]]


@dataclass(frozen=True)
class Retrieval:
    """Sparse memory retrieval: `keep` tokens of each older memory; scored by `queries`."""

    keep: int
    queries: int


class Conditioner:
    """Runs a model's memory attention over memory banks."""

    def __init__(self, model: SAM2Base, shape: MemoryShape, pack: ExactPack) -> None:
        """Make the constant tables for banks of `shape`."""
        self._model = model
        self._shape = shape
        device = model.device
        linear = Linear(pack.onednn)
        side = round(shape.tokens**0.5)
        self._tokens_a_pointer = model.hidden_dim // shape.channels
        current = sine_code(
            model.image_encoder.neck.position_encoding, side, model.hidden_dim, device
        )
        self._current = 0.1 * current[:, 0]  # MemoryAttention's own factor
        position = sine_code(model.memory_encoder.position_encoding, side, shape.channels, device)
        slots = model.maskmem_tpos_enc[:, 0, 0].detach()
        layers = model.memory_attention.layers
        table = rotary_table(layers[0].cross_attn_image, side, device)
        self._makers = [
            KeyMaker(layer.cross_attn_image, position[:, 0], slots, table, linear, pack.cached_keys)
            for layer in layers
        ]
        self._attention = MemoryAttention(model, side, pack, linear)
        frames = shape.prompt_slots + shape.recent_frames
        # On a CPU one target's keys at a time; a GPU attends for all targets at once.
        self._work = None
        if pack.cached_keys and device.type == 'cpu':
            self._work = torch.zeros(frames, shape.tokens, shape.key_channels, device=device)

    def __call__(
        self, embedding: Tensor, targets: list[Memories], retrieval: Retrieval | None = None
    ) -> Tensor:
        """Condition the embedding [1, hidden, h, w] for each target: [targets, hidden, h, w]."""
        tokens = embedding[0].flatten(1).T + self._current
        pointers = [self._pointers(target) for target in targets]
        best: list[Scored] = [{} for _ in targets]

        def supply(target: int, layer: int, query: Tensor) -> KeySet:
            keys = pointers[target]
            return self._keys(targets[target], keys, layer, query, retrieval, best[target])

        out = self._attention(tokens, len(targets), supply)
        if retrieval is not None:
            for target, scored in zip(targets, best, strict=True):
                for (slot, frame), numbers in scored.items():
                    target.bank.kept.write(slot, frame, numbers)
        return out.transpose(1, 2).reshape(-1, *embedding.shape[1:])

    def compile(self, compiler: Compiler) -> None:
        """Run layers as `compiler` makes them, but for what depends on the number of keys."""
        self._attention.compile(compiler)

    def count(self, target: Memories, retrieval: Retrieval | None = None) -> tuple[int, int]:
        """Memory tokens a pass attends to, and how many the recalled memories hold."""
        total = len(target.recall.frames) * self._shape.tokens
        kept = sum(
            self._kept(target, row, distance, retrieval) or self._shape.tokens
            for row, distance in target.recall.frames
        )
        pointer = len(target.recall.pointers) * self._tokens_a_pointer
        return kept + pointer, total + pointer

    def _keys(
        self,
        target: Memories,
        pointers: tuple[Tensor, Tensor],
        layer: int,
        query: Tensor,
        retrieval: Retrieval | None,
        best: Scored,
    ) -> KeySet:
        bank, maker = target.bank, self._makers[layer]
        keys, values = [], []
        for place, (row, distance) in enumerate(target.recall.frames):
            memory = bank.features[row]
            kept = self._kept(target, row, distance, retrieval)
            if kept is not None:
                index = bank.kept.index[layer, row - self._shape.prompt_slots, :kept]
                keys.append(maker.some(memory, distance, index))
                values.append(memory.index_select(0, index))
                continue
            keys.append(self._full_keys(bank, row, distance, layer, place))
            values.append(memory)
            held = self._recent(target, row, distance)
            if retrieval is not None and held is not None and not bank.kept.holds(*held):
                sample = sample_queries(len(query), retrieval.queries, query.device)
                scores = received(query.index_select(0, sample), keys[-1].to(query))
                best.setdefault(held, []).append(scores.topk(retrieval.keep).indices)
        if target.recall.pointers:
            tokens, coded = pointers
            keys.append(maker.pointers(coded))
            values.append(tokens)
        return KeySet(keys, values)

    def _full_keys(
        self, bank: MemoryBank, row: int, distance: int, layer: int, place: int
    ) -> Tensor:
        maker = self._makers[layer]
        if bank.keys is None:
            return maker.full(bank.features[row], distance)
        if row not in bank.keyed:
            for number, each in enumerate(self._makers):
                bank.keys[number, row].copy_(each.base(bank.features[row]))
            bank.keyed.add(row)
        work = None if self._work is None else self._work[place]
        return maker.aged(bank.keys[layer, row], distance, work)

    def _kept(
        self, target: Memories, row: int, distance: int, retrieval: Retrieval | None
    ) -> int | None:
        """How many tokens of a memory are attended to; None for all of them."""
        if retrieval is None or distance < 2:
            return None
        held = self._recent(target, row, distance)
        if held is None or not target.bank.kept.holds(*held):
            return None
        return min(target.bank.kept.count(held[0]), retrieval.keep)

    @staticmethod
    def _recent(target: Memories, row: int, distance: int) -> tuple[int, int] | None:
        """Slot and frame of a recalled recent memory, None for a prompt's."""
        frame = target.frame - distance
        slot = target.bank.recent_slot(row, frame) if distance else None
        return None if slot is None else (slot, frame)

    def _pointers(self, target: Memories) -> tuple[Tensor, Tensor]:
        """Pointer tokens, and the same with the code of their distance: [n, channels] each."""
        bank, recalled = target.bank, target.recall.pointers
        if not recalled:
            empty = bank.pointers.new_empty(0, self._shape.channels)
            return empty, empty
        # Rows by number, not by a list of them: that would be an index copied to the device.
        tokens = torch.stack([bank.pointers[row] for row, _ in recalled])
        tokens = tokens.view(-1, self._shape.channels)
        code = pointer_positions(self._model, target.recall, self._tokens_a_pointer)
        return tokens, tokens + code.to(tokens.dtype)
