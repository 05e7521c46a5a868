# SPDX-License-Identifier: Apache-2.0
"""Which frames a target remembers: the gate, the suspicion, the anchors, and what a cut does.

SAM2 remembers every frame. Published variants that need no training remember only frames that
look right (SAMURAI, arXiv 2411.11922), and keep a few of the times when a look-alike was near
(DAM4SAM, arXiv 2411.17576). The rules here follow them.
"""

from collections import deque
from dataclasses import dataclass
from dataclasses import field
from math import dist
from statistics import median

from esam2_ros.policy.config import TrackerConfig
from esam2_ros.policy.monitor.values import MotionClass
from esam2_ros.policy.monitor.values import SceneView

AREAS = 10  # frames whose areas say what is usual
TRUSTED = 3  # frames in view after a cut until a target is remembered again
_JUMP = 3.0  # times the usual area, or a third of it
_LEAP = 2.0  # diagonals of its box a frame that a target may move against the scene
_ANCHOR_IOU = 0.8  # predicted IoU above which a mask is clear
_ANCHOR_AREA = 0.2  # share by which its area may differ from the usual one
_ANCHOR_RIVAL = 0.3  # 1 - IoU with the other candidate, from which that one is another thing
_ANCHOR_GAP = 5  # frames between two anchors


@dataclass(frozen=True)
class Sighting:
    """What the model says of a target on a frame.

    score         predicted IoU
    object_logit  above 0 when it is in view
    area          of its mask, share of the image
    rival         how much the best other candidate mask differs from the chosen one, 0..1
    place         centre of its mask against the scene, shares of the image; None when unknown
    extent        diagonal of its box, shares of the image
    whole         whether all windows of the frame were computed
    """

    score: float
    object_logit: float
    area: float
    rival: float = 0.0
    place: tuple[float, float] | None = None
    extent: float = 0.0
    whole: bool = True

    @property
    def seen(self) -> bool:
        """Whether the target is in view."""
        return self.object_logit > 0 and self.area > 0


@dataclass(frozen=True)
class Verdict:
    """What to do with a frame's memory.

    write    remember the frame
    suspect  the mask jumped implausibly; `jump` is its area over the usual one
    anchor   keep the memory beside the prompts
    drop     forget recent memories: after a cut the target came back looking doubtful
    """

    write: bool
    suspect: bool = False
    jump: float = 1.0
    anchor: bool = False
    drop: bool = False


@dataclass
class Watch:
    """What the policy keeps of one target, bounded."""

    areas: deque[float] = field(default_factory=lambda: deque(maxlen=AREAS))
    waiting: bool = False
    streak: int = 0
    doubtful: int = 0
    since_anchor: int = 0
    place: tuple[float, float] | None = None
    since_place: int = 0

    def cut(self) -> None:
        """The scene changed: what was just seen of the target says nothing of this one."""
        self.waiting, self.streak, self.doubtful = True, 0, 0
        self.areas.clear()
        self.place = None


def judge(watch: Watch, sighting: Sighting, view: SceneView, config: TrackerConfig) -> Verdict:
    """Judge a frame and bring `watch` up to date."""
    cut = view.motion_class is MotionClass.CUT
    doubtful = sighting.seen and sighting.score < config.min_iou
    # What moves is hard to see; a memory that waits for a clear look is left behind.
    good = (view.rapid or not doubtful) and sighting.object_logit > config.min_score
    watch.streak = watch.streak + 1 if sighting.seen else 0
    watch.doubtful = watch.doubtful + doubtful if sighting.seen else 0
    watch.since_anchor += 1
    watch.since_place += 1
    drop = False
    if watch.waiting:
        if watch.streak < TRUSTED or cut:
            return Verdict(write=False)
        watch.waiting, drop = False, watch.doubtful > 0
    if not good or cut:
        return Verdict(write=False, drop=drop)
    if not sighting.seen:
        # SAM2 was taught to remember that a target was hidden; where windows were left out,
        # they may be why it is not seen.
        return Verdict(write=sighting.whole, drop=drop)
    usual = median(watch.areas) if len(watch.areas) == AREAS else sighting.area
    jump = sighting.area / usual
    # A size that stays is no longer a jump: the usual one follows.
    watch.areas.append(sighting.area)
    if not 1 / _JUMP <= jump <= _JUMP or leaps(watch, sighting):
        return Verdict(write=False, suspect=True, jump=jump, drop=drop)
    watch.place, watch.since_place = sighting.place, 0
    anchor = (
        config.anchors > 0
        and len(watch.areas) == AREAS
        and sighting.score > _ANCHOR_IOU
        and abs(jump - 1) <= _ANCHOR_AREA
        and sighting.rival >= _ANCHOR_RIVAL
        and watch.since_anchor >= _ANCHOR_GAP
    )
    if anchor:
        watch.since_anchor = 0
    return Verdict(write=True, jump=jump, anchor=anchor, drop=drop)


def leaps(watch: Watch, sighting: Sighting) -> bool:
    """Whether a mask is farther from its last trusted place than a target moves in that time."""
    if watch.place is None or sighting.place is None:
        return False
    distance = dist(watch.place, sighting.place)
    return distance > _LEAP * watch.since_place * sighting.extent
