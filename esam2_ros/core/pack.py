# SPDX-License-Identifier: Apache-2.0
"""Which of the exact speed-ups run; each can be switched off alone to see what it gives."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ExactPack:
    """Rewritings of SAM2's arithmetic that leave its result as it is, up to rounding.

    window_order           image tokens stay in window order through a stage, without padding
    fused_neck             FPN lateral and high-resolution 1 x 1 convolutions become one
    cached_tables          position and rotary tables are computed once
    small_values           memory attention sums values in the memory's own channels
    cached_keys            a memory's rotated keys are computed once, when it is first recalled
    shared_self_attention  the first self-attention is computed once for all targets
    onednn                 float32 matrix products on a CPU go through oneDNN
    """

    window_order: bool = True
    fused_neck: bool = True
    cached_tables: bool = True
    small_values: bool = True
    cached_keys: bool = True
    shared_self_attention: bool = True
    onednn: bool = True


NOTHING = ExactPack(False, False, False, False, False, False, False)
