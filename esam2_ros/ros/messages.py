# SPDX-License-Identifier: Apache-2.0
"""From results to messages. Headers are those of the image, as they came."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from esam2_ros.core.plan import FramePlan
from esam2_ros.msg import FrameStats
from esam2_ros.msg import TrackArray
from esam2_ros.msg import TrackedTarget
from esam2_ros.policy.monitor.values import SceneView
from esam2_ros.policy.results import FrameResult
from esam2_ros.policy.results import TargetState
from esam2_ros.policy.results import TargetStatus
from esam2_ros.ros.labels import label_image

LABEL_TYPES: dict[str, type[np.unsignedinteger]] = {'mono8': np.uint8, '16UC1': np.uint16}
# Why a window was computed, by the counts of FrameStats; other reasons are of all windows.
_OBJECT = ('mask', 'saliency', 'motion', 'margin')
_CHANGED = ('changed',)
_REFRESH = ('refresh',)
_STATES = {
    TargetStatus.TRACKED: TrackedTarget.TRACKED,
    TargetStatus.OCCLUDED: TrackedTarget.OCCLUDED,
    TargetStatus.LOST: TrackedTarget.LOST,
    TargetStatus.SUSPECT: TrackedTarget.SUSPECT,
}


@dataclass(frozen=True)
class Passage:
    """A frame's way through the node in milliseconds, beside the tracker's own timings."""

    age_on_arrival: float
    queue: float
    decode: float
    publish: float
    total: float
    end_to_end: float
    dropped_since_last: int


def target_message(target: TargetState) -> TrackedTarget:
    """One target; an empty mask has a box and a centroid of zeros."""
    message = TrackedTarget(
        id=target.id,
        label=target.label,
        state=_STATES[target.state],
        score=target.score,
        object_logit=target.object_logit,
        area_px=target.area_px,
        age_frames=target.age_frames,
        frames_since_seen=target.frames_since_seen,
    )
    if target.box is not None:
        message.box = np.array(target.box, np.float32)
    if target.centroid is not None:
        message.centroid = np.array(target.centroid, np.float32)
    return message


def tracks_message(header: Header, result: FrameResult) -> TrackArray:
    """All targets of a frame."""
    by_id = sorted(result.targets, key=lambda target: target.id)
    targets = [target_message(target) for target in by_id]
    return TrackArray(header=header, frame_index=result.frame_index, targets=targets)


def labels_message(header: Header, result: FrameResult, encoding: str) -> Image:
    """The label image of a frame; `encoding` is one of LABEL_TYPES."""
    labels = label_image(result.targets, result.image_size, LABEL_TYPES[encoding])
    return image_message(header, labels, encoding)


def image_message(header: Header, pixels: NDArray[np.unsignedinteger], encoding: str) -> Image:
    """An image [height, width] or [height, width, channels] as a message."""
    rows = np.ascontiguousarray(pixels)
    message = Image(
        header=header,
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=rows.strides[0],
    )
    # A hundred times faster than assigning the array; needs the fresh message's empty data.
    message.data.frombytes(rows.view(np.uint8).data)
    return message


def stats_message(header: Header, result: FrameResult, passage: Passage) -> FrameStats:
    """Time, routing and memory of a frame."""
    plan, timings, memory = result.plan, result.timings, result.memory
    view = result.view or SceneView()
    tracked = sum(target.state is TargetStatus.TRACKED for target in result.targets)
    return FrameStats(
        header=header,
        frame_index=result.frame_index,
        dropped_since_last=passage.dropped_since_last,
        age_on_arrival=passage.age_on_arrival,
        queue=passage.queue,
        decode=passage.decode,
        motion=timings.motion,
        encode=timings.encode,
        memory=timings.memory,
        mask=timings.mask,
        publish=passage.publish,
        total=passage.total,
        end_to_end=passage.end_to_end,
        frame_difference=float(view.frame_difference),
        motion_class=getattr(FrameStats, view.motion_class.name),
        route_mode=plan.mode,
        route_reason=', '.join(sorted(set(plan.reasons))),
        windows_total=plan.grid.count,
        windows_object=_count(plan, _OBJECT),
        windows_changed=_count(plan, _CHANGED),
        windows_refresh=_count(plan, _REFRESH),
        windows_active=len(plan.active),
        memory_frames=memory.frames,
        memory_queries=memory.queries,
        memory_queries_total=len(result.targets) * plan.grid.tokens,
        memory_keys_kept=memory.keys_kept,
        memory_keys_total=memory.keys_total,
        memory_bytes=memory.bytes,
        targets_active=tracked,
    )


def _count(plan: FramePlan, reasons: tuple[str, ...]) -> int:
    """How many windows were computed for one of `reasons`."""
    return sum(reason in reasons for reason in plan.reasons)
