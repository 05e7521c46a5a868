# SPDX-License-Identifier: Apache-2.0
"""Whether tensors fit a model, said so that a person can act on it."""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from esam2_ros.core.models import MODELS
from esam2_ros.core.models import build_model

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]

_NAMED = 3  # tensors named in a message; the rest is counted


class _RealLinspace(TorchFunctionMode):
    """Keep `torch.linspace` off the meta device: Hiera reads its values while it is built."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.linspace:
            kwargs['device'] = 'cpu'
        return func(*args, **kwargs)


@cache
def model_shapes(name: str) -> Shapes:
    """Tensor names and shapes of a model, the same for every image size; allocates nothing."""
    with torch.device('meta'), _RealLinspace():
        return MappingProxyType(shapes_of(build_model(name).state_dict()))


def shapes_of(state: Mapping[str, Tensor]) -> dict[str, Shape]:
    """Tensor names and shapes of a state dict."""
    return {key: tuple(tensor.shape) for key, tensor in state.items()}


@dataclass(frozen=True)
class Misfit:
    """How a file's tensors differ from a model's."""

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    reshaped: tuple[tuple[str, Shape, Shape], ...]  # name, shape there, shape needed

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.reshaped)

    def __str__(self) -> str:
        shapes = [f'{key}: {list(got)}, needs {list(want)}' for key, got, want in self.reshaped]
        kinds = (
            ('missing', self.missing),
            ('unexpected', self.unexpected),
            ('of another shape', shapes),
        )
        return '; '.join(_count(kind, names) for kind, names in kinds if names)


def _count(kind: str, names: Sequence[str]) -> str:
    more = ', ...' if len(names) > _NAMED else ''
    return f'{len(names)} {kind} ({", ".join(names[:_NAMED])}{more})'


def compare(found: Shapes, needed: Shapes) -> Misfit:
    """Differences between the tensors found in a file and those a model needs."""
    return Misfit(
        missing=tuple(key for key in needed if key not in found),
        unexpected=tuple(key for key in found if key not in needed),
        reshaped=tuple(
            (key, found[key], shape)
            for key, shape in needed.items()
            if key in found and found[key] != shape
        ),
    )


@dataclass(frozen=True)
class Match:
    """The model of the registry nearest to a file: `equal` of `total` tensors agree in shape."""

    model: str
    equal: int
    total: int  # of either side, so that tensors the model does not know count against it

    def __str__(self) -> str:
        if self.equal == self.total:
            return f'it is a checkpoint of {self.model}'
        if 2 * self.equal > self.total:
            return f'nearest is {self.model}: {self.equal} of {self.total} tensors are like its own'
        return f'it is a checkpoint of none of {", ".join(MODELS)}'


def nearest_model(found: Shapes) -> Match:
    """Find the model whose tensors are most like those found in a file."""
    matches = []
    for name in MODELS:
        needed = model_shapes(name)
        equal = sum(found.get(key) == shape for key, shape in needed.items())
        matches.append(Match(name, equal, len(needed.keys() | found.keys())))
    return max(matches, key=lambda match: match.equal / match.total)
