# SPDX-License-Identifier: Apache-2.0
"""The tracker's settings."""

from dataclasses import dataclass
from dataclasses import field

from esam2_ros.core.pack import ExactPack
from esam2_ros.errors import ConfigError
from esam2_ros.errors import check_ranges
from esam2_ros.policy.modes import Mode
from esam2_ros.policy.monitor.values import MonitorConfig

MAX_TARGETS = 254  # ids 1 .. 254 fit a mono8 label image; 0 is background
CUT_POLICIES = ('hold', 'forget', 'reset')
DTYPES = ('auto', 'float32', 'bfloat16', 'float16')

# Settings that buffers or tables depend on.
_FIXED = (
    'prompt_frames',
    'memory_frames',
    'prompt_history_s',
    'prompt_history_bytes',
    'dtype',
    'first_routed',
    'key_cache_bytes',
    'pack',
    'compile',
)


@dataclass(frozen=True)
class TrackerConfig:
    """Settings of a `StreamingTracker`; raises ConfigError for a value out of range.

    prompt_frames         prompt memories a target keeps; the first and the newest always stay
    memory_frames         memories a target is conditioned on besides further prompts (SAM 2.1: 7)
    refine_is_prompt      a correction becomes a prompt memory (False: SAM2's own default)
    max_targets           targets at a time
    lost_after_frames     frames out of view until OCCLUDED becomes LOST
    prompt_history_s      seconds of past frames a late prompt may name
    prompt_history_bytes  and the bytes they may take
    catch_up_frames       past frames a late prompt is tracked through, the newest included
    dtype                 'auto', 'float32', 'bfloat16' or 'float16'
    mode                  'stock', 'exact', 'swr', 'smr', 'paper', 'lossless' or 'incremental': what
                          is left out
    first_routed          block of the encoder that routing starts at; None is the paper's
    saliency_mass         attention that saliency windows hold together, 0..1
    score_threshold       object score (logit) below which saliency windows are computed too
    keep_ratio            share of each older memory that sparse retrieval keeps
    saliency_queries      queries that score a memory's tokens
    query_sparse          condition only what is near a target on its memory, in the modes that
                          read old memories in part, with the monitor on
    batch_targets         all targets go through the model in one pass; None: on a GPU, a CPU is
                          faster one by one
    key_cache_bytes       what cached keys of all targets may take
    pack                  the exact speed-ups
    compile               let `warm_up` compile blocks and layers (CUDA)
    monitor               watch every frame for cuts and motion, and act on them
    motion                the scene monitor's settings
    cut_policy            'hold' memories until the target is seen again, 'forget' the recent ones,
                          or 'reset': forget all targets
    change_levels         what the mean of 8 x 8 px may change (0..255) before a tile of the image
                          counts as changed in mode 'incremental'
    margin_px             computed around a mask when the monitor is on, model pixels
    doubt_logit           object score (logit) below which the monitor has all windows computed
    refresh_windows       windows a frame that are computed because they were not for longest
    latency_ms            time a frame may take; 0 is no limit
    min_iou               predicted IoU below which the monitor's memory remembers nothing
    min_score             object score (logit) at or below which it remembers nothing either
    anchors               memories of a target kept beside its prompts: when a rival was near
    """

    prompt_frames: int = 4
    memory_frames: int = 7
    refine_is_prompt: bool = True
    max_targets: int = 16
    lost_after_frames: int = 30
    prompt_history_s: float = 2.0
    prompt_history_bytes: int = 64 * 1024 * 1024
    catch_up_frames: int = 4
    dtype: str = 'auto'
    mode: str = 'exact'
    first_routed: int | None = None
    saliency_mass: float = 0.7
    score_threshold: float = 5.0
    keep_ratio: float = 0.05
    saliency_queries: int = 256
    query_sparse: bool = False
    batch_targets: bool | None = None
    key_cache_bytes: int = 256 * 1024 * 1024
    pack: ExactPack = field(default_factory=ExactPack)
    compile: bool = False
    monitor: bool = False
    motion: MonitorConfig = field(default_factory=MonitorConfig)
    cut_policy: str = 'hold'
    change_levels: float = 3.0
    margin_px: int = 32
    doubt_logit: float = 2.5
    refresh_windows: int = 1
    latency_ms: float = 0.0
    min_iou: float = 0.3
    min_score: float = -10.0
    anchors: int = 1

    def __post_init__(self) -> None:
        check_ranges(
            self,
            (
                ('prompt_frames', 1, 8),
                ('memory_frames', 1, 7),
                ('max_targets', 1, MAX_TARGETS),
                ('lost_after_frames', 1, 1_000_000),
                ('prompt_history_s', 0.0, 3600.0),
                ('prompt_history_bytes', 0, 1 << 40),
                ('catch_up_frames', 1, 1000),
                ('saliency_mass', 0.0, 1.0),
                ('score_threshold', -10.0, 10.0),
                ('keep_ratio', 0.01, 1.0),
                ('saliency_queries', 1, 4096),
                ('key_cache_bytes', 0, 1 << 40),
                ('change_levels', 0.1, 64.0),
                ('margin_px', 0, 256),
                ('doubt_logit', -10.0, 10.0),
                ('refresh_windows', 0, 25),
                ('latency_ms', 0.0, 1e6),
                ('min_iou', 0.0, 1.0),
                ('min_score', -10.0, 10.0),
                ('anchors', 0, 7),
            ),
        )
        if self.dtype not in DTYPES:
            raise ConfigError(f'dtype is {self.dtype!r}; allowed: {", ".join(DTYPES)}')
        if self.mode not in list(Mode):
            raise ConfigError(f'mode is {self.mode!r}; allowed: {", ".join(Mode)}')
        if self.cut_policy not in CUT_POLICIES:
            raise ConfigError(
                f'cut_policy is {self.cut_policy!r}; allowed: {", ".join(CUT_POLICIES)}'
            )

    @property
    def in_parts(self) -> bool:
        """Whether frames may be conditioned in part."""
        mode = Mode(self.mode)
        return mode is Mode.INCREMENTAL or (self.query_sparse and mode.sparse_memory)

    def rebuilds(self, other: 'TrackerConfig') -> list[str]:
        """The settings that keep a tracker from going on with `other` as it is built."""
        changed = [name for name in _FIXED if getattr(self, name) != getattr(other, name)]
        if self.mode != other.mode and Mode.STOCK in (self.mode, other.mode):
            changed.append('mode')
        return changed
