# SPDX-License-Identifier: Apache-2.0
"""One short name for all settings that trade accuracy for speed.

A speed and a score belong together only when their presets are equal.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from esam2_ros.policy.config import TrackerConfig

# A row of a table, not a setting: every mode of a preset is measured beside the others.
_ROW = 'mode'
_DIGITS = 12


def digest(content: Mapping[str, Any]) -> str:
    """First digits of the SHA-256 of a mapping's canonical JSON."""
    text = json.dumps(content, sort_keys=True, separators=(',', ':'))
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def preset_of(model: str, image_size: int, config: TrackerConfig) -> str:
    """Name of these settings: model, side of its input in pixels, and the tracker's settings.

    The tracker's mode is left out, however deep it lies; the device and the weights are not
    settings.
    """
    tracker = _without_mode(asdict(config))
    return digest({'model': model, 'image_size': image_size, 'tracker': tracker})


def _without_mode(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: _without_mode(inner) for key, inner in value.items() if key != _ROW}
