# SPDX-License-Identifier: Apache-2.0
"""One target's memory: SAM 2.1's bank in buffers that never grow.

SAM 2.1 recalls, at frame t, the prompt frames, the frames t-6 .. t-1, and the object pointers
of the prompt frames and of t-15 .. t-1. A frame's slot in a ring is its index modulo the ring,
and the slot remembers the index: a stale slot is simply not recalled. A ring has one slot more
than it recalls, so that a correction on frame t still finds t-6 after t itself was written.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from esam2_ros.core.retrieval import KeptTokens

_EMPTY = -1


@dataclass(frozen=True)
class MemoryShape:
    """Sizes of a bank.

    prompt_slots      prompt memories kept
    recent_frames     newest frames recalled with their features
    pointer_frames    newest frames recalled with their object pointers
    tokens            of a frame's memory
    channels          of a memory token
    pointer_channels  of an object pointer
    layers            of the memory attention that reads the bank
    key_channels      of a layer's keys
    """

    prompt_slots: int
    recent_frames: int
    pointer_frames: int
    tokens: int
    channels: int
    pointer_channels: int
    layers: int
    key_channels: int

    @property
    def recent_slots(self) -> int:
        """Slots of the feature ring."""
        return self.recent_frames + 1

    @property
    def pointer_slots(self) -> int:
        """Slots of the pointer ring."""
        return self.pointer_frames + 1


@dataclass(frozen=True)
class Recall:
    """What to attend to on one frame.

    frames    (row of `MemoryBank.features`, distance in frames; 0 for a prompt frame)
    pointers  (row of `MemoryBank.pointers`, distance in frames)
    """

    frames: tuple[tuple[int, int], ...]
    pointers: tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class BankState:
    """All that a bank holds; cached keys are left out, they follow from the features.

    features  [prompt_slots + recent_slots, tokens, channels]
    pointers  [prompt_slots + pointer_slots, pointer_channels]
    best      [layers, recent_slots, tokens] int32, the kept tokens
    prompts, recent, newest  the frame in each row of the features' prompt slots, the features'
              recent slots and the pointers' recent slots; -1 is none
    scored    (frame, tokens known) for each recent slot of `best`
    anchors   prompt rows that no user asked for
    """

    features: Tensor
    pointers: Tensor
    best: Tensor
    prompts: tuple[int, ...]
    recent: tuple[int, ...]
    newest: tuple[int, ...]
    scored: tuple[tuple[int, int], ...]
    anchors: tuple[int, ...]


class MemoryBank:
    """Prompt memories, recent memories and object pointers of one target.

    `features` [prompt_slots + recent_slots, tokens, channels] and `pointers`
    [prompt_slots + pointer_slots, pointer_channels]; prompt rows come first in both. `keys`
    [layers, prompt_slots + recent_slots, tokens, key_channels] are rotated keys without their
    age, of the rows that `keyed` names; None where the bank has none.
    """

    def __init__(
        self,
        shape: MemoryShape,
        device: torch.device,
        dtype: torch.dtype,
        with_keys: bool = False,
    ) -> None:
        """Allocate the bank once."""
        self.shape = shape
        rows = shape.prompt_slots + shape.recent_slots
        self.features = torch.zeros(rows, shape.tokens, shape.channels, device=device, dtype=dtype)
        self.pointers = torch.zeros(
            shape.prompt_slots + shape.pointer_slots,
            shape.pointer_channels,
            device=device,
            dtype=dtype,
        )
        self.keys = None
        if with_keys:
            self.keys = torch.zeros(
                shape.layers, rows, shape.tokens, shape.key_channels, device=device, dtype=dtype
            )
        self.keyed: set[int] = set()
        self.kept = KeptTokens(shape.layers, shape.recent_slots, shape.tokens, device)
        self._prompt_frames = [_EMPTY] * shape.prompt_slots
        self._recent_frames = [_EMPTY] * shape.recent_slots
        self._pointer_frames = [_EMPTY] * shape.pointer_slots
        self._anchors: set[int] = set()  # prompt rows that no user asked for

    @property
    def nbytes(self) -> int:
        """Bytes of all buffers."""
        keys = 0 if self.keys is None else self.keys.nbytes
        return self.features.nbytes + self.pointers.nbytes + self.kept.nbytes + keys

    def recent_slot(self, row: int, frame: int) -> int | None:
        """The recent ring's slot of a row, None for prompt rows or when it holds another frame."""
        slot = row - self.shape.prompt_slots
        return slot if slot >= 0 and self._recent_frames[slot] == frame else None

    def recall(self, frame: int) -> Recall:
        """Choose what frame `frame` attends to (SAM2Base._prepare_memory_conditioned_features).

        Only the past counts: a memory of `frame` itself is left out, so that a correction on
        it is conditioned as the first pass was.
        """
        shape = self.shape
        prompts = [
            (row, held)
            for row, held in enumerate(self._prompt_frames)
            if held != _EMPTY and held < frame
        ]
        frames = [(row, 0) for row, _ in prompts]
        pointers = [(row, frame - held) for row, held in prompts]
        for distance in range(shape.recent_frames, 0, -1):
            slot = (frame - distance) % shape.recent_slots
            if frame >= distance and self._recent_frames[slot] == frame - distance:
                frames.append((shape.prompt_slots + slot, distance))
        for distance in range(1, shape.pointer_frames + 1):
            slot = (frame - distance) % shape.pointer_slots
            if frame >= distance and self._pointer_frames[slot] == frame - distance:
                pointers.append((shape.prompt_slots + slot, distance))
        return Recall(tuple(frames), tuple(pointers))

    def write_recent(self, frame: int, features: Tensor, pointer: Tensor) -> None:
        """Store frame `frame`; features [tokens, channels], pointer [pointer_channels]."""
        shape = self.shape
        slot = frame % shape.pointer_slots
        self.pointers[shape.prompt_slots + slot].copy_(pointer)
        self._pointer_frames[slot] = frame
        slot = frame % shape.recent_slots
        self.features[shape.prompt_slots + slot].copy_(features)
        self.keyed.discard(shape.prompt_slots + slot)
        self.kept.forget(slot)
        self._recent_frames[slot] = frame

    def write_prompt(self, frame: int, features: Tensor, pointer: Tensor) -> None:
        """Store a prompted frame; the first one is never replaced, then the oldest goes."""
        self._forget_recent(frame)
        slot = self._prompt_slot(frame)
        evicted = _EMPTY if slot in self._anchors else self._prompt_frames[slot]
        self._anchors.discard(slot)
        recent = frame - evicted <= self.shape.recent_frames
        if evicted not in (_EMPTY, frame) and recent:
            # Still of use as a recent memory, as SAM2 treats an unselected prompt frame.
            self.write_recent(evicted, self.features[slot], self.pointers[slot])
        self.features[slot].copy_(features)
        self.keyed.discard(slot)
        self.pointers[slot].copy_(pointer)
        self._prompt_frames[slot] = frame

    def promote(self, frame: int, limit: int) -> bool:
        """Keep a copy of the recent memory of `frame` beside the prompts, as an anchor.

        At most `limit` anchors are kept, the oldest makes way for a new one, and all of them for
        prompts, whose rows are never taken; False when there is no room.
        """
        shape = self.shape
        source = frame % shape.recent_slots
        if self._recent_frames[source] != frame:
            return False
        free = [row for row, held in enumerate(self._prompt_frames) if held == _EMPTY]
        if free and len(self._anchors) < limit:
            row = free[0]
        elif self._anchors and limit:
            row = min(self._anchors, key=lambda each: self._prompt_frames[each])
        else:
            return False
        self.features[row].copy_(self.features[shape.prompt_slots + source])
        pointer = shape.prompt_slots + frame % shape.pointer_slots
        self.pointers[row].copy_(self.pointers[pointer])
        self.keyed.discard(row)
        self._prompt_frames[row] = frame
        self._anchors.add(row)
        return True

    def holds_prompt(self, frame: int) -> bool:
        """Whether `frame` is one of the prompt memories."""
        return frame in self._prompt_frames

    def forget_recent(self, keep: int = _EMPTY) -> None:
        """Recall nothing but the prompt memories from now on, and of recent ones frame `keep`."""
        self._recent_frames = [f if f == keep else _EMPTY for f in self._recent_frames]
        self._pointer_frames = [f if f == keep else _EMPTY for f in self._pointer_frames]

    def drop_anchors(self) -> None:
        """Forget all anchors: the mask they were taken from was corrected."""
        for row in self._anchors:
            self._prompt_frames[row] = _EMPTY
        self._anchors.clear()

    def state(self) -> BankState:
        """What the bank holds now: copies, on the host."""
        return BankState(
            features=self.features.detach().to('cpu', copy=True),
            pointers=self.pointers.detach().to('cpu', copy=True),
            best=self.kept.index.to('cpu', copy=True),
            prompts=tuple(self._prompt_frames),
            recent=tuple(self._recent_frames),
            newest=tuple(self._pointer_frames),
            scored=self.kept.scored(),
            anchors=tuple(sorted(self._anchors)),
        )

    def restore(self, state: BankState) -> None:
        """Hold what `state` says, of a bank of the same shape; any device and precision."""
        self.features.copy_(state.features)
        self.pointers.copy_(state.pointers)
        self.kept.restore(state.best, state.scored)
        self._prompt_frames = list(state.prompts)
        self._recent_frames = list(state.recent)
        self._pointer_frames = list(state.newest)
        self._anchors = set(state.anchors)
        self.keyed.clear()

    def _prompt_slot(self, frame: int) -> int:
        held = self._prompt_frames
        if frame in held:
            return held.index(frame)
        if _EMPTY in held:
            return held.index(_EMPTY)
        if self._anchors:
            return min(self._anchors, key=held.__getitem__)
        if len(held) == 1:
            return 0
        first = min(held)
        return held.index(min(index for index in held if index != first))

    def _forget_recent(self, frame: int) -> None:
        for frames in (self._recent_frames, self._pointer_frames):
            for slot, held in enumerate(frames):
                if held == frame:
                    frames[slot] = _EMPTY
