# SPDX-License-Identifier: Apache-2.0
"""Promptable video segmentation for ROS 2."""

from importlib import import_module
from pkgutil import extend_path
from typing import Any

# The generated messages live in another directory of this package (see CMakeLists.txt).
__path__ = extend_path(__path__, __name__)
__version__ = '0.1.0'

# Loaded when first asked for, so that importing a message does not import PyTorch.
_EXPORTS = {
    'Prompt': 'esam2_ros.core.prompts',
    'FramePlan': 'esam2_ros.core.plan',
    'StreamingTracker': 'esam2_ros.policy.tracker',
    'TrackerConfig': 'esam2_ros.policy.config',
    'FrameResult': 'esam2_ros.policy.results',
    'TargetState': 'esam2_ros.policy.results',
    'TargetStatus': 'esam2_ros.policy.results',
    'load_model': 'esam2_ros.weights.loading',
}
__all__ = ['__version__', *_EXPORTS]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(_EXPORTS[name]), name)
