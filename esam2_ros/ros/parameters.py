# SPDX-License-Identifier: Apache-2.0
"""The node's parameters: one table that the declarations, the yaml file and the docs come from."""

from dataclasses import dataclass
from dataclasses import field
from dataclasses import fields
from dataclasses import replace
from typing import Any

from rcl_interfaces.msg import FloatingPointRange
from rcl_interfaces.msg import IntegerRange
from rcl_interfaces.msg import ParameterDescriptor
from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from esam2_ros.errors import ConfigError

MODEL_NAMES = (
    'compact',
    'sam2.1_hiera_tiny',
    'sam2.1_hiera_small',
    'sam2.1_hiera_base_plus',
    'sam2.1_hiera_large',
)
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


def _parameter(default: Any, name: str, description: str, **limits: Any) -> Any:
    """A field of Settings: `name` is the ROS parameter, the rest is its ParameterSpec."""
    return field(
        default=default, metadata={'name': name, 'spec': ParameterSpec(description, **limits)}
    )


@dataclass(frozen=True)
class Settings:
    """The values of all parameters. A field's metadata holds its ROS name and ParameterSpec."""

    model_name: str = _parameter(
        'compact', 'model.name', 'Model that segments.', choices=MODEL_NAMES
    )
    checkpoint: str = _parameter(
        '',
        'model.checkpoint',
        'Path of the weights. Empty: the packaged file of the compact model, the downloaded'
        ' file of the others. "random": untrained weights made from the seed, for tests.',
    )
    device: str = _parameter(
        'auto',
        'model.device',
        'Where the model runs. "auto": cuda when there is one, else cpu.',
        choices=('auto', 'cpu', 'cuda'),
    )
    dtype: str = _parameter(
        'auto',
        'model.dtype',
        'Arithmetic of the model. "auto": float32 on the CPU, bfloat16 on a GPU.',
        choices=('auto', 'float32', 'bfloat16', 'float16'),
    )
    image_size: int = _parameter(
        0,
        'model.image_size',
        'Side of the square model input in pixels. 0: 512 for compact, 1024 for the others.',
        choices=IMAGE_SIZES,
    )
    memory_frames: int = _parameter(
        7,
        'memory.frames',
        'Memories a target is recalled from: the prompt and the most recent frames.',
        low=1,
        high=7,
    )
    prompt_frames: int = _parameter(
        4,
        'memory.prompt_frames',
        'Prompted frames a target remembers; the first and the newest always stay.',
        low=1,
        high=8,
    )
    max_targets: int = _parameter(
        16, 'tracking.max_targets', 'Targets at one time.', low=1, high=254
    )
    lost_after_frames: int = _parameter(
        30,
        'tracking.lost_after_frames',
        'Frames out of sight after which a target is LOST.',
        low=1,
        high=1_000_000,
    )
    prompt_history_s: float = _parameter(
        2.0,
        'tracking.prompt_history_s',
        'How old, in seconds, the image may be that a prompt was drawn on.',
        low=0.0,
        high=3600.0,
    )
    service_timeout_s: float = _parameter(
        2.0,
        'tracking.service_timeout_s',
        'Seconds after which a service call that could not be served is refused.',
        low=0.05,
        high=60.0,
        dynamic=True,
    )
    overlay: bool = _parameter(
        True, 'publish.overlay', 'Draw the overlay while somebody subscribes to it.', dynamic=True
    )
    label_encoding: str = _parameter(
        'mono8',
        'publish.label_encoding',
        'Encoding of the label image.',
        choices=('mono8', '16UC1'),
        dynamic=True,
    )
    image_transport: str = _parameter(
        'raw',
        'image_transport',
        'Input: "raw" is image, "compressed" is image/compressed.',
        choices=('raw', 'compressed'),
    )
    queue_policy: str = _parameter(
        'latest',
        'queue_policy',
        'Which images are processed: "latest" only ever the newest, "all" each one from a'
        ' bounded queue (for replay).',
        choices=('latest', 'all'),
    )
    seed: int = _parameter(
        0, 'seed', 'Makes "random" weights repeatable.', low=0, high=2_147_483_647
    )
    autostart: bool = _parameter(
        True, 'autostart', 'Configure and activate the node when it starts.'
    )


def parameter_table() -> dict[str, tuple[Any, ParameterSpec]]:
    """Default and spec of each parameter by its ROS name."""
    return {
        each.metadata['name']: (each.default, each.metadata['spec']) for each in fields(Settings)
    }


def declare(node: Node) -> Settings:
    """Declare all parameters on a node and read them.

    Raises ConfigError for a value outside its limits.
    """
    values = {}
    for each in fields(Settings):
        name, spec = each.metadata['name'], each.metadata['spec']
        value = node.declare_parameter(name, each.default, _descriptor(spec, each.default)).value
        spec.check(name, value)
        values[each.name] = value
    return Settings(**values)


def changed(settings: Settings, parameters: list[Parameter]) -> Settings:
    """The settings after a change; ConfigError for a value outside its limits.

    Parameters that are not ours (use_sim_time, QoS overrides) are passed over.
    """
    by_name = {each.metadata['name']: each for each in fields(Settings)}
    for parameter in parameters:
        ours = by_name.get(parameter.name)
        if ours is None:
            continue
        ours.metadata['spec'].check(parameter.name, parameter.value)
        settings = replace(settings, **{ours.name: parameter.value})
    return settings


def refusal(error: ConfigError) -> SetParametersResult:
    """What the set-parameters callback answers to a bad value."""
    return SetParametersResult(successful=False, reason=str(error))


def _descriptor(spec: ParameterSpec, default: Any) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(
        description=spec.description,
        additional_constraints=f'allowed: {spec.allowed}' if spec.allowed else '',
        read_only=not spec.dynamic,
    )
    if isinstance(default, float) and spec.low is not None:
        descriptor.floating_point_range = [
            FloatingPointRange(from_value=spec.low, to_value=spec.high)
        ]
    elif spec.low is not None:
        descriptor.integer_range = [
            IntegerRange(from_value=int(spec.low), to_value=int(spec.high), step=1)
        ]
    return descriptor
