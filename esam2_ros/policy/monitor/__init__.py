# SPDX-License-Identifier: Apache-2.0
"""The scene monitor: cuts, flashes, camera motion and fast targets, on a small thumbnail."""

from esam2_ros.policy.monitor.monitor import SceneMonitor
from esam2_ros.policy.monitor.values import MonitorConfig
from esam2_ros.policy.monitor.values import MotionClass
from esam2_ros.policy.monitor.values import SceneView

__all__ = ['MonitorConfig', 'MotionClass', 'SceneMonitor', 'SceneView']
