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
    LOSSLESS = 'lossless'
    INCREMENTAL = 'incremental'

    @property
    def routed(self) -> bool:
        """Whether the encoder computes the windows that matter only."""
        return self in (Mode.SWR, Mode.PAPER, Mode.INCREMENTAL)

    @property
    def sparse_memory(self) -> bool:
        """Whether old memories are read in part only."""
        return self in (Mode.SMR, Mode.PAPER, Mode.INCREMENTAL)

    @property
    def reuses(self) -> bool:
        """Whether the encoder takes what did not change as it was."""
        return self in (Mode.LOSSLESS, Mode.INCREMENTAL)

    @property
    def in_part(self) -> bool:
        """Whether the encoder may compute a part of the windows."""
        return self.routed or self.reuses

    @property
    def treatment(self) -> str:
        """What a plan of this mode gives to windows that are not computed."""
        if self is Mode.LOSSLESS:
            return 'reused'
        return 'stale' if self is Mode.INCREMENTAL else 'shortcut'
