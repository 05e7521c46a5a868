# SPDX-License-Identifier: Apache-2.0
"""torch.compile before the first frame and never on one."""

from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import torch
from torch import Tensor

from esam2_ros.errors import ConfigError

# Shapes one function may be compiled for; PyTorch's own bound is 8. There are two kinds of block
# a bucket, some ten more in a dense frame, and a layer for each number of targets.
_SHAPES = 256


def require_compiler(device: torch.device) -> None:
    """Raise ConfigError where torch.compile is of no use: on a CPU, or without Triton."""
    if device.type != 'cuda':
        raise ConfigError(f'compile is True on {device}; allowed: on a CUDA device')
    if 'inductor' not in torch.compiler.list_backends():
        raise ConfigError(f'compile is True and PyTorch {torch.__version__} has no inductor')
    if find_spec('triton') is None:
        raise ConfigError('compile is True and triton is not installed, which it needs')


def compiled(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The function, to be compiled for each shape it meets.

    PyTorch's default mode: the others record CUDA graphs of their own, inside ours.
    """
    made: Callable[..., Tensor] = torch.compile(function, dynamic=False)
    return made


@contextmanager
def compiling() -> Iterator[None]:
    """Where functions may be compiled: at the start."""
    with torch._dynamo.config.patch(recompile_limit=_SHAPES):
        yield


@contextmanager
def as_compiled() -> Iterator[None]:
    """Where functions run as they were compiled, and for any other shape as they were written."""
    with torch.compiler.set_stance('eager_on_recompile'):
        yield
