# SPDX-License-Identifier: Apache-2.0
"""CUDA graphs: kernels of a fixed shape, recorded once and launched together ever after."""

from collections.abc import Callable
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

Outputs = tuple[Tensor, ...]

_REHEARSALS = 3  # libraries choose kernels and compilers compile before anything is recorded


class Capture(Protocol):
    """Records what a function without arguments launches.

    Returns what launches it again, and the outputs: the same memory every time.
    """

    def __call__(self, function: Callable[[], Outputs]) -> tuple[Callable[[], None], Outputs]:
        """Record `function`."""
        ...


@dataclass(frozen=True, eq=False)
class _Recording:
    inputs: tuple[Tensor, ...]
    replay: Callable[[], None]
    outputs: Outputs


class GraphCache:
    """A function of tensors, recorded for some keys and run as it is for all others.

    A key stands for one set of input shapes and types. Nothing is ever recorded by a call, so
    that a frame never pays for it.
    """

    def __init__(self, function: Callable[..., Outputs]) -> None:
        """Record nothing yet."""
        self._function = function
        self._recordings: dict[Hashable, _Recording] = {}
        self._inputs: dict[Hashable, Tensor] = {}

    @property
    def keys(self) -> tuple[Hashable, ...]:
        """What is recorded."""
        return tuple(self._recordings)

    def record(self, key: Hashable, capture: Capture, *inputs: Tensor) -> None:
        """Record the function for inputs of these shapes and types under `key`."""
        static = tuple(self._input(place, each) for place, each in enumerate(inputs))
        for own, given in zip(static, inputs, strict=True):
            own.copy_(given)
        replay, outputs = capture(lambda: self._function(*static))
        self._recordings[key] = _Recording(static, replay, outputs)

    def _input(self, place: int, like: Tensor) -> Tensor:
        """Where recordings read their input number `place` from; one for all of a shape."""
        kind = place, like.shape, like.dtype
        if kind not in self._inputs:
            # A plain tensor: calls may come from inside and outside of inference mode.
            with torch.inference_mode(False):
                self._inputs[kind] = torch.empty_like(like, requires_grad=False)
        return self._inputs[kind]

    def __call__(self, key: Hashable, *inputs: Tensor) -> Outputs:
        """The function's outputs, the caller's own: the next call leaves them alone.

        Raises ValueError for inputs that are not of the recorded shapes.
        """
        recording = self._recordings.get(key)
        if recording is None:
            return self._function(*inputs)
        for own, given in zip(recording.inputs, inputs, strict=True):
            if own.shape != given.shape:  # copy_ would broadcast
                raise ValueError(
                    f'an input for {key!r} is of shape {tuple(given.shape)};'
                    f' recorded: {tuple(own.shape)}'
                )
            own.copy_(given, non_blocking=True)
        recording.replay()
        return tuple(each.clone() for each in recording.outputs)


class CudaCapture:
    """Records CUDA graphs that share one pool of memory.

    Sharing is safe: all run on one stream, and outputs are copied before the next one runs.
    """

    def __init__(self, device: torch.device) -> None:
        """Make the pool and the stream that is recorded."""
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream(device)

    def __call__(self, function: Callable[[], Outputs]) -> tuple[Callable[[], None], Outputs]:
        """Run `function` a few times, then record it."""
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            for _ in range(_REHEARSALS):
                function()
        current.wait_stream(self._stream)
        graph = torch.cuda.CUDAGraph()
        # Another thread may use the GPU meanwhile.
        with torch.cuda.graph(
            graph, pool=self._pool, stream=self._stream, capture_error_mode='thread_local'
        ):
            outputs = function()
        return graph.replay, outputs
