# SPDX-License-Identifier: Apache-2.0
"""SAM2 as steps on one frame: encode the image, condition it, segment targets, remember them."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import AbstractContextManager
from contextlib import contextmanager
from contextlib import nullcontext

import torch
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor

from esam2_ros.core.attention_cache import AttentionCache
from esam2_ros.core.compiled import as_compiled
from esam2_ros.core.compiled import compiled
from esam2_ros.core.compiled import compiling
from esam2_ros.core.compiled import require_compiler
from esam2_ros.core.conditioning import Conditioner
from esam2_ros.core.conditioning import Memories
from esam2_ros.core.conditioning import Retrieval
from esam2_ros.core.encoder import Encoder
from esam2_ros.core.encoder import Features
from esam2_ros.core.evidence import Looks
from esam2_ros.core.evidence import rivalry
from esam2_ros.core.evidence import touched_windows
from esam2_ros.core.graphs import Capture
from esam2_ros.core.graphs import CudaCapture
from esam2_ros.core.heads import Heads
from esam2_ros.core.images import Normaliser
from esam2_ros.core.incremental import FrameCache
from esam2_ros.core.incremental import IncrementalEncoder
from esam2_ros.core.memory import MemoryBank
from esam2_ros.core.memory import MemoryShape
from esam2_ros.core.memory_attention import Opening
from esam2_ros.core.pack import NOTHING
from esam2_ros.core.pack import ExactPack
from esam2_ros.core.plan import WindowGrid
from esam2_ros.core.prompting import Prompting
from esam2_ros.core.segmentation import Segmentation
from esam2_ros.core.shortcut import Shortcut
from esam2_ros.core.stock_conditioning import StockConditioner
from esam2_ros.errors import ConfigError


class Engine:
    """The frame path of one model; holds constant tables and no state of any target."""

    def __init__(
        self,
        model: SAM2Base,
        prompt_slots: int = 4,
        memory_frames: int = 7,
        dtype: torch.dtype | None = None,
        pack: ExactPack | None = None,
        shortcut: Shortcut | None = None,
        first_routed: int | None = None,
        key_bytes: int = 0,
        compile: bool = False,
    ) -> None:
        """Prepare `model` for frames.

        `prompt_slots`: prompt memories a target may keep. `memory_frames`: prompt and recent
        frames together, at most the model's own 7. `dtype` of the arithmetic: None is float32
        on the CPU and bfloat16 elsewhere. `pack`: the exact speed-ups. `shortcut`: what inactive
        windows get, None for the identity; `first_routed`: the block routing starts at.
        `key_bytes`: what all banks together may spend on cached keys. `compile`: let `warm_up`
        compile blocks and layers (CUDA). Raises ConfigError for values out of range.
        """
        if not 1 <= memory_frames <= model.num_maskmem:
            raise ConfigError(
                f'memory frames is {memory_frames}; allowed: 1 to {model.num_maskmem}'
            )
        self.model = model.eval()
        self.device = model.device
        self.image_size: int = model.image_size
        self.dtype = dtype or (torch.float32 if self.device.type == 'cpu' else torch.bfloat16)
        side = self.image_size // 16
        self._shape = MemoryShape(
            prompt_slots=prompt_slots,
            recent_frames=memory_frames - 1,
            pointer_frames=model.max_obj_ptrs_in_encoder - 1,
            tokens=side * side,
            channels=model.mem_dim,
            pointer_channels=model.hidden_dim,
            layers=len(model.memory_attention.layers),
            key_channels=model.memory_attention.layers[0].cross_attn_image.internal_dim,
        )
        if compile:
            require_compiler(self.device)
        self._compile = compile
        self._pack = pack or ExactPack()
        self._key_bytes = key_bytes if self._pack.cached_keys else 0
        self.normalise = Normaliser(self.device)
        with torch.inference_mode():
            self.encoder = Encoder(model, self._pack, shortcut, first_routed)
            self._incremental = IncrementalEncoder(self.encoder)
            self.conditioner = Conditioner(model, self._shape, self._pack, self.dtype)
            self._stock = None
            if self._pack == NOTHING:
                self._stock = StockConditioner(model, self._shape, self.device)
        self.heads = Heads(model)
        self.prompting = Prompting(model, self.heads, self._stock or self.conditioner)
        layout = self.encoder.windows
        self.grid = WindowGrid(layout.across, layout.across, 16 * layout.window, self.image_size)

    def new_bank(self, others: Iterable[MemoryBank] = ()) -> MemoryBank:
        """An empty memory bank for one target, with cached keys if `others` left room for them."""
        shape = self._shape
        rows = shape.prompt_slots + shape.recent_slots
        size = shape.layers * rows * shape.tokens * shape.key_channels * self.dtype.itemsize
        spent = sum(0 if bank.keys is None else bank.keys.nbytes for bank in others)
        # Plain tensors: they outlive the call and may be written from anywhere.
        with torch.inference_mode(False):
            return MemoryBank(shape, self.device, self.dtype, spent + size <= self._key_bytes)

    def new_cache(self) -> AttentionCache:
        """An empty attention cache for one target; ConfigError for an input without blocks."""
        with torch.inference_mode(False):
            return self.conditioner.new_cache()

    def new_frame_cache(self, lossless: bool) -> FrameCache:
        """An empty cache of the encoder's work for one stream; `lossless` as of FrameCache.

        Raises ConfigError for a model that cannot be encoded in parts.
        """
        with torch.inference_mode(False):
            return FrameCache(self.encoder, lossless, self.dtype)

    @contextmanager
    def precision(self) -> Iterator[None]:
        """The context of a frame: the arithmetic's precision, and nothing is compiled."""
        with self._autocast(), as_compiled() if self._compile else nullcontext():
            yield

    @torch.inference_mode()
    def warm_up(self, targets: int = 1) -> None:
        """Record and compile what frames run, on a CUDA device; nothing to do on others.

        Call it once, before the first frame. `targets`: how many there will be at a time; with
        more, layers that were to be compiled run as they are written.
        """
        if self.device.type == 'cuda':
            self._prepare(CudaCapture(self.device), targets)
            torch.cuda.synchronize(self.device)

    def _prepare(self, capture: Capture, targets: int) -> None:
        if self._compile:
            self.encoder.trunk.compile(compiled)
            self.conditioner.compile(compiled)
        with self._autocast(), compiling():
            self.encoder.record(capture)
            for count in range(1, targets + 1):
                self._rehearse(capture, count)

    def _rehearse(self, capture: Capture, targets: int) -> None:
        """A frame of nothing for this many targets; what follows memory attention is recorded."""
        side = self.image_size
        features = self.encode(torch.zeros(1, 3, side, side, device=self.device))
        bank = self.new_bank()
        nothing = features.embedding.new_zeros(self._shape.tokens, self._shape.channels)
        bank.write_prompt(0, nothing, nothing.new_zeros(self._shape.pointer_channels))
        batch = [Memories(bank, bank.recall(1), 1)] * targets
        conditioned = self.condition(features, batch, opening=self.open(features, batch))
        self.heads.record(capture, features, conditioned)
        self.memorise(features, self.segment(features, conditioned, watched=True), batch)

    def _autocast(self) -> AbstractContextManager[None]:
        if self.dtype == torch.float32:
            return nullcontext()
        # Without its cache: a recorded graph must not read weights that die with this context.
        return torch.autocast(self.device.type, self.dtype, cache_enabled=False)

    def encode(self, image: Tensor, active: Sequence[int] | None = None) -> Features:
        """Encode a normalised image [1, 3, S, S]; `active` windows only, None for all."""
        return self.encoder(image, active)

    def encode_again(
        self,
        image: Tensor,
        cache: FrameCache,
        windows: Sequence[int],
        tiles: Sequence[int] | None,
    ) -> Features:
        """Encode what is named of a normalised image, and take the rest from `cache`.

        `windows` of stage 3, and `tiles` of the stages before, None for all.
        """
        return self._incremental(image, cache, windows, tiles)

    def open(self, features: Features, targets: Sequence[Memories]) -> Opening | None:
        """What `condition` shares among all targets of a frame; None where it shares nothing."""
        if self._stock is not None or not self._pack.shared_self_attention:
            return None
        return self.conditioner.open(features.embedding, targets)

    def condition(
        self,
        features: Features,
        targets: Sequence[Memories],
        retrieval: Retrieval | None = None,
        opening: Opening | None = None,
    ) -> Tensor:
        """The embedding conditioned for each target: [targets, hidden, S/16, S/16]."""
        if self._stock is None or retrieval is not None:
            return self.conditioner(features.embedding, targets, retrieval, opening)
        return self._stock(features.embedding, targets)

    def segment(self, features: Features, conditioned: Tensor, watched: bool) -> Segmentation:
        """Segment tracked targets, no prompt, only their conditioned embeddings, as one batch.

        With `watched` the result tells where the decoder looked.
        """
        return self.heads.segment(features, conditioned, watched)

    def memorise(
        self,
        features: Features,
        segmentation: Segmentation,
        targets: Sequence[Memories],
    ) -> None:
        """Write a tracked frame of a batch of targets to their banks, at their own indices."""
        memories = self.heads.memory(features, segmentation.full_logits, segmentation.object_logit)
        for target, memory, pointer in zip(targets, memories, segmentation.pointer, strict=True):
            target.bank.write_recent(target.frame, memory, pointer)

    def touched(self, segmentation: Segmentation) -> Tensor:
        """Windows that the candidate masks touch: [B, windows] bool."""
        return touched_windows(segmentation.candidates, self.grid.side // 4, self.grid.columns)

    def rivalry(self, segmentation: Segmentation) -> Tensor:
        """How much another candidate mask differs from the chosen one: [B], 0 same .. 1 apart.

        Only candidates that the decoder thinks nearly as good count: predicted IoU within 0.1 of
        the best; 0 where there is none.
        """
        return rivalry(segmentation.candidates, segmentation.candidate_scores)

    def saliency(self, looks: Looks) -> Tensor:
        """Share of the decoder's attention to each window: [B, windows]."""
        return looks.by_window(self.grid.side // 16, self.grid.columns)
