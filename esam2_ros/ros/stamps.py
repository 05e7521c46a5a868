# SPDX-License-Identifier: Apache-2.0
"""Header stamps as nanoseconds."""

from builtin_interfaces.msg import Time


def nanoseconds(stamp: Time) -> int:
    """A stamp as nanoseconds; 0 stands for no stamp."""
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def seconds_text(stamp_ns: int) -> str:
    """A stamp as people read it: seconds with milliseconds."""
    return f'{stamp_ns / 1e9:.3f} s'
