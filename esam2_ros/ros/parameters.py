# SPDX-License-Identifier: Apache-2.0
"""Declare the parameters on a node, read them, and check changes."""

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
from esam2_ros.ros.parameter_spec import ParameterSpec
from esam2_ros.ros.settings import Settings


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
