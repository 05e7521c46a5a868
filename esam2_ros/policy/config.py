# SPDX-License-Identifier: Apache-2.0
"""The tracker's settings."""

from dataclasses import dataclass

from esam2_ros.errors import ConfigError

MAX_TARGETS = 254  # ids 1 .. 254 fit a mono8 label image; 0 is background


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

    def __post_init__(self) -> None:
        for name, low, high in (
            ('prompt_frames', 1, 8),
            ('memory_frames', 1, 7),
            ('max_targets', 1, MAX_TARGETS),
            ('lost_after_frames', 1, 1_000_000),
            ('prompt_history_s', 0.0, 3600.0),
            ('prompt_history_bytes', 0, 1 << 40),
            ('catch_up_frames', 1, 1000),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(f'{name} is {value}; allowed: {low} to {high}')
        if self.dtype not in DTYPES:
            raise ConfigError(f'dtype is {self.dtype!r}; allowed: {", ".join(DTYPES)}')


DTYPES = ('auto', 'float32', 'bfloat16', 'float16')
