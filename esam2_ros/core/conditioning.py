# SPDX-License-Identifier: Apache-2.0
"""Memory attention: the current frame's embedding, conditioned on what targets' banks recall."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor

from esam2_ros.core.attention_cache import AttentionCache
from esam2_ros.core.attention_cache import Queries
from esam2_ros.core.attention_cache import QueryTable
from esam2_ros.core.codes import pointer_positions
from esam2_ros.core.codes import sine_code
from esam2_ros.core.keys import KeyMaker
from esam2_ros.core.keys import rotary_table
from esam2_ros.core.linear import Linear
from esam2_ros.core.memory import MemoryBank
from esam2_ros.core.memory import MemoryShape
from esam2_ros.core.memory import Recall
from esam2_ros.core.memory_attention import Compiler
from esam2_ros.core.memory_attention import KeySet
from esam2_ros.core.memory_attention import MemoryAttention
from esam2_ros.core.memory_attention import Opening
from esam2_ros.core.pack import ExactPack
from esam2_ros.core.retrieval import received
from esam2_ros.core.retrieval import sample_queries


@dataclass(frozen=True, eq=False)
class Memories:
    """One target's part of a conditioning pass.

    bank    what it remembers
    recall  what of it is read
    frame   the one being conditioned
    cache   its tokens as they were conditioned last, brought up to date; None to keep none
    blocks  those whose tokens are conditioned, all without a cache; None or empty for all
    """

    bank: MemoryBank
    recall: Recall
    frame: int
    cache: AttentionCache | None = None
    blocks: tuple[int, ...] | None = None


# The best tokens, layer by layer, of the memory in a slot that is of a frame.
Scored = dict[tuple[int, int], list[Tensor]]


@dataclass(frozen=True)
class Retrieval:
    """Sparse memory retrieval: `keep` tokens of each older memory; scored by `queries`."""

    keep: int
    queries: int


class Conditioner:
    """Runs a model's memory attention over memory banks."""

    def __init__(
        self,
        model: SAM2Base,
        shape: MemoryShape,
        pack: ExactPack,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Make the constant tables for banks of `shape`; `dtype` is that of caches."""
        self._model = model
        self._shape = shape
        self._dtype = dtype
        device = model.device
        linear = Linear(pack.onednn)
        side = round(shape.tokens**0.5)
        self._side = side
        self._query_table: QueryTable | None = None
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

    def new_cache(self) -> AttentionCache:
        """An empty cache for one target. Raises ConfigError for an input that has no blocks."""
        device, shape = self._model.device, self._shape
        if self._query_table is None:
            self._query_table = QueryTable(self._side, device.type != 'cpu', device)
        return AttentionCache(
            shape.layers, shape.tokens, shape.pointer_channels, device, self._dtype
        )

    def open(self, embedding: Tensor, targets: Sequence[Memories]) -> Opening:
        """What conditioning the embedding [1, hidden, h, w] shares among these targets."""
        tokens = embedding[0].flatten(1).T + self._current
        # A GPU wants the shape to stay.
        index = self._index(targets) if embedding.device.type == 'cpu' else None
        return self._attention.open(tokens[None], None if index is None else index.unique())

    def __call__(
        self,
        embedding: Tensor,
        targets: Sequence[Memories],
        retrieval: Retrieval | None = None,
        opening: Opening | None = None,
    ) -> Tensor:
        """Condition the embedding [1, hidden, h, w] for each target: [targets, hidden, h, w].

        `opening` is what `open` gave for these targets, or more; None to compute it for each.
        """
        if opening is None:
            tokens = embedding[0].flatten(1).T + self._current
            opening = self._attention.open(tokens.expand(len(targets), -1, -1))
        pointers = [self._pointers(target) for target in targets]
        best: list[Scored] = [{} for _ in targets]

        queries = self._queries(targets)

        def supply(target: int, layer: int, query: Tensor) -> KeySet:
            if queries is not None and queries.index is not None:
                query = query[: queries.counts[target]]
            keys = pointers[target]
            return self._keys(targets[target], keys, layer, query, retrieval, best[target])

        out = self._attention(opening, len(targets), supply, queries)
        if retrieval is not None:
            for target, scored in zip(targets, best, strict=True):
                for (slot, frame), numbers in scored.items():
                    target.bank.kept.write(slot, frame, numbers)
        return out.transpose(1, 2).reshape(-1, *embedding.shape[1:])

    def _queries(self, targets: Sequence[Memories]) -> Queries | None:
        caches = [target.cache for target in targets if target.cache is not None]
        if len(caches) < len(targets):
            return None
        index = self._index(targets)
        counts = [] if index is None else [self._tokens(target) for target in targets]
        return Queries(index, counts, caches)

    def _index(self, targets: Sequence[Memories]) -> Tensor | None:
        """Numbers of the tokens to condition; None where some target wants all of them."""
        blocks = [_blocks(target) for target in targets]
        if self._query_table is None or not all(blocks):
            return None
        return self._query_table(blocks)

    def _tokens(self, target: Memories) -> int:
        """Tokens of its own blocks."""
        size = self._query_table.size if self._query_table else 0
        return size * len(_blocks(target) or ())

    def compile(self, compiler: Compiler) -> None:
        """Run layers as `compiler` makes them, but for what depends on the number of keys."""
        self._attention.compile(compiler)

    def count_queries(self, targets: Sequence[Memories]) -> int:
        """Tokens of the image that a pass conditions for these targets, repeats left out."""
        if not all(_blocks(target) for target in targets):
            return len(targets) * self._shape.tokens
        return sum(map(self._tokens, targets))

    def count_keys(self, target: Memories, retrieval: Retrieval | None = None) -> tuple[int, int]:
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
                whole = len(query) == self._shape.tokens
                sample = sample_queries(len(query), retrieval.queries, query.device, whole)
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


def _blocks(target: Memories) -> tuple[int, ...] | None:
    """The blocks a target can do with now; None where it needs all."""
    return target.blocks if target.cache is not None and target.cache.filled else None
