# SPDX-License-Identifier: Apache-2.0
"""Watch a stream: is this still the scene of the previous frame, and what moved?"""

from collections import deque
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from esam2_ros.errors import ImageError
from esam2_ros.policy.monitor.change import Change
from esam2_ros.policy.monitor.change import compare
from esam2_ros.policy.monitor.classify import Shift
from esam2_ros.policy.monitor.classify import another_light
from esam2_ros.policy.monitor.classify import another_scene
from esam2_ros.policy.monitor.classify import blank
from esam2_ros.policy.monitor.classify import movement
from esam2_ros.policy.monitor.classify import rapid
from esam2_ros.policy.monitor.thumbnail import Thumbnail
from esam2_ros.policy.monitor.thumbnail import make_thumbnail
from esam2_ros.policy.monitor.values import MonitorConfig
from esam2_ros.policy.monitor.values import MotionClass
from esam2_ros.policy.monitor.values import SceneView


class SceneMonitor:
    """Causal scene monitor: a frame is judged when it comes, from the frames before it.

    The same frames give the same views. It keeps two thumbnails (the previous frame's, and
    the last one before a flash) and `history` shifts, whatever the length of the stream.
    """

    def __init__(self, config: MonitorConfig | None = None) -> None:
        self.config = MonitorConfig() if config is None else config
        self._shifts: deque[Shift] = deque(maxlen=self.config.history - 1)
        self._previous: Thumbnail | None = None
        self._difference = 0.0
        self._forget()

    def reset(self) -> None:
        """Forget the stream; the next frame is a first one."""
        self._forget()
        self._previous = None
        self._difference = 0.0

    def _forget(self) -> None:
        self._shifts.clear()
        self._unrest = 0  # frames for which the view stays rapid
        self._let_go()

    def _let_go(self) -> None:
        self._held: Thumbnail | None = None
        self._held_for = 0
        self._doubt = False  # the view is blank: a flash, or the end of the scene?

    def observe(
        self, image: NDArray[np.uint8], object_mask: NDArray[np.generic] | None = None
    ) -> SceneView:
        """Judge the next frame, [height, width, 3] uint8 RGB.

        `object_mask` is where the targets were on the previous frame, above 0 = target, at any
        size. An image of another size starts a new stream. Raises ImageError for other input.
        """
        after = make_thumbnail(image, self.config.corners)
        before = self._previous
        if before is None or before.size != after.size:
            self.reset()
            self._previous = after
            return SceneView()
        change = compare(before, after, _small(object_mask, before))
        motion_class, change = self._judge(before, after, change)
        if motion_class is MotionClass.CUT:
            self._forget()
        else:
            self._shifts.append(change.shift)
        second = abs(change.difference - self._difference)
        self._previous, self._difference = after, change.difference
        size = (after.luma.shape[1], after.luma.shape[0])
        if rapid(change, motion_class, size, self.config):
            self._unrest = self.config.rapid_frames
        else:
            self._unrest = max(0, self._unrest - 1)
        view = _view(motion_class, change, second, after)
        return replace(view, rapid=self._unrest > 0)

    def _judge(
        self, before: Thumbnail, after: Thumbnail, change: Change
    ) -> tuple[MotionClass, Change]:
        """The class, and the change that tells how the scene moved."""
        config, width = self.config, after.luma.shape[1]
        scene, light = another_scene(change, config), another_light(change, config)
        hidden = blank(after, config)
        if self._held is not None:
            self._held_for += 1
            if self._doubt or scene or light:
                back = compare(self._held, after, None)
                if not (another_scene(back, config) or another_light(back, config)):
                    self._let_go()
                    change = back if scene else change
                    return movement(change, self._shifts, width, config), change
        lasting = self._held is not None and self._held_for >= config.flash_frames
        if (scene or self._doubt) and (lasting or not hidden or not config.flash_frames):
            return MotionClass.CUT, change
        if lasting:
            self._let_go()
        elif config.flash_frames and (scene or light or self._doubt):
            if self._held is None:
                self._held, self._held_for = before, 0
            self._doubt = self._doubt or scene
            return MotionClass.FLASH, change
        return movement(change, self._shifts, width, config), change


def _small(mask: NDArray[np.generic] | None, like: Thumbnail) -> NDArray[np.bool_] | None:
    """The mask at the size of `coarse`, by the nearest pixel: any type, any size."""
    if mask is None:
        return None
    if mask.ndim != 2 or 0 in mask.shape:
        raise ImageError(f'object_mask is {list(mask.shape)}; allowed: [height, width]')
    rows, columns = (
        (np.arange(to) * 2 + 1) * size // (2 * to)
        for to, size in zip(like.coarse.shape, mask.shape, strict=True)
    )
    return np.asarray(mask[rows[:, None], columns] > 0)


def _view(motion_class: MotionClass, change: Change, second: float, after: Thumbnail) -> SceneView:
    """In full-image pixels; on a cut there is no motion to speak of."""
    cut = motion_class is MotionClass.CUT
    motion = change.motion

    def full(shift: Shift) -> Shift:
        return shift[0] * after.scale[0], shift[1] * after.scale[1]

    return SceneView(
        motion_class=motion_class,
        frame_difference=change.difference,
        second_difference=second,
        shift=(0.0, 0.0) if cut else full(change.shift),
        rotation=0.0 if cut else change.rotation,
        scale=1.0 if cut else change.scale,
        found=motion.found,
        inliers=motion.agreed / motion.found if motion.found else 0.0,
        structure=change.structure,
        likeness=change.likeness,
        palette=change.palette,
        light=change.light,
        residual_before=change.residual_before,
        residual_after=change.residual_after,
        object_residual=change.object_residual,
        object_shift=None if cut or change.object_shift is None else full(change.object_shift),
    )
