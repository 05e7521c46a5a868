# SPDX-License-Identifier: Apache-2.0
"""The modes: what is made sparse."""

from enum import StrEnum


class Mode(StrEnum):
    """What is made sparse: see docs/performance.md."""

    STOCK = 'stock'
    EXACT = 'exact'
    SWR = 'swr'
    SMR = 'smr'
    PAPER = 'paper'

    @property
    def routed(self) -> bool:
        """Whether the encoder computes some windows only."""
        return self in (Mode.SWR, Mode.PAPER)

    @property
    def sparse_memory(self) -> bool:
        """Whether old memories are read in part only."""
        return self in (Mode.SMR, Mode.PAPER)
