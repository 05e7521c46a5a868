# SPDX-License-Identifier: Apache-2.0
"""A scene monitor that is wrong once: what a false cut costs."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from esam2_ros.policy.monitor.monitor import SceneMonitor
from esam2_ros.policy.monitor.values import MonitorConfig
from esam2_ros.policy.monitor.values import MotionClass
from esam2_ros.policy.monitor.values import SceneView


class FalseCut(SceneMonitor):
    """Sees what a `SceneMonitor` sees, but calls one frame a CUT, and then acts as after one."""

    def __init__(self, config: MonitorConfig, at: int) -> None:
        """`at`: number of the frame that is called a cut, from 0."""
        super().__init__(config)
        self._at = at
        self._frame = -1

    def observe(
        self, image: NDArray[np.uint8], object_mask: NDArray[np.generic] | None = None
    ) -> SceneView:
        """Judge the next frame; see SceneMonitor."""
        view = super().observe(image, object_mask)
        self._frame += 1
        if self._frame != self._at or view.motion_class is MotionClass.CUT:
            return view
        # After a cut the monitor knows this frame alone, and there was no motion to speak of.
        self.reset()
        super().observe(image)
        return replace(
            view,
            motion_class=MotionClass.CUT,
            shift=(0.0, 0.0),
            rotation=0.0,
            scale=1.0,
            object_shift=None,
        )
