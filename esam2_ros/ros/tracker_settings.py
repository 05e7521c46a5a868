# SPDX-License-Identifier: Apache-2.0
"""From the node's settings to the tracker's."""

from esam2_ros.policy.config import TrackerConfig
from esam2_ros.policy.monitor.values import MonitorConfig
from esam2_ros.ros.settings import Settings


def tracker_config(settings: Settings) -> TrackerConfig:
    """What of the settings concerns the tracker."""
    return TrackerConfig(
        prompt_frames=settings.prompt_frames,
        memory_frames=settings.memory_frames,
        max_targets=settings.max_targets,
        lost_after_frames=settings.lost_after_frames,
        prompt_history_s=settings.prompt_history_s,
        dtype=settings.dtype,
        mode=settings.mode,
        saliency_mass=settings.saliency_mass,
        score_threshold=settings.score_threshold,
        keep_ratio=settings.keep_ratio,
        query_sparse=settings.query_sparse,
        monitor=settings.motion_enabled,
        motion=MonitorConfig(
            cut_difference=settings.cut_threshold,
            fast_shift=settings.fast_threshold,
            rapid_shift=settings.rapid_threshold,
        ),
        cut_policy=settings.cut_policy,
        change_levels=settings.change_levels,
        margin_px=settings.margin_px,
        doubt_logit=settings.doubt_logit,
        refresh_windows=settings.refresh_windows,
        latency_ms=settings.latency_ms,
        min_iou=settings.min_iou,
        min_score=settings.min_score,
        anchors=settings.anchors,
    )
