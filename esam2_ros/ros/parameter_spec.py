# SPDX-License-Identifier: Apache-2.0
"""What is said of a parameter beside its value."""

from dataclasses import dataclass
from dataclasses import field
from typing import Any

from esam2_ros.errors import ConfigError

IMAGE_SIZES = (0, *range(256, 1025, 64))


@dataclass(frozen=True)
class ParameterSpec:
    """What may be set: `choices`, or `low` to `high`; `dynamic` ones may change at any time."""

    description: str
    choices: tuple[str | int, ...] = ()
    low: float | None = None
    high: float | None = None
    dynamic: bool = False

    @property
    def allowed(self) -> str:
        """The allowed values in words; empty when anything is."""
        if self.choices == IMAGE_SIZES:
            return '0, or a multiple of 64 from 256 to 1024'
        if self.choices:
            return ', '.join(str(choice) for choice in self.choices)
        return '' if self.low is None else f'{self.low:g} to {self.high:g}'

    def check(self, name: str, value: Any) -> None:
        """Raise ConfigError when parameter `name` may not have this value."""
        fits = not self.choices or value in self.choices
        if self.low is not None and self.high is not None:
            fits = self.low <= value <= self.high
        if not fits:
            raise ConfigError(f'{name} is {value!r}; allowed: {self.allowed}')


def parameter(default: Any, name: str, description: str, **limits: Any) -> Any:
    """A field of Settings: `name` is the ROS parameter, the rest is its ParameterSpec."""
    return field(
        default=default, metadata={'name': name, 'spec': ParameterSpec(description, **limits)}
    )
