# SPDX-License-Identifier: Apache-2.0
"""What the package raises: every message names the thing, the bad value and what is allowed."""

from collections.abc import Iterable


class Esam2Error(ValueError):
    """Base class of every refusal of bad input or settings."""


class ConfigError(Esam2Error):
    """A setting has a value outside its range."""


class ImageError(Esam2Error):
    """An image is empty or has the wrong shape, type or encoding."""


class ImageSizeError(ImageError):
    """The image size changed while targets are being tracked."""


class PromptError(Esam2Error):
    """A prompt is empty, not finite, outside the image or of the wrong shape."""


class NoImageError(PromptError):
    """A prompt came before the first image."""


class UnknownFrameError(PromptError):
    """A prompt names a frame that is no longer, or not yet, in the history."""


class UnknownTargetError(Esam2Error):
    """No target has this id."""


class TooManyTargetsError(Esam2Error):
    """Every target slot is taken."""


class CheckpointError(Esam2Error):
    """A checkpoint is missing, corrupt, or of another model."""


class BagError(Esam2Error):
    """A bag is missing, corrupt, or has no usable image topic."""


class MemoryFileError(Esam2Error):
    """A memory file is missing, damaged, in the wrong place, or of another model or image size."""


class TraceError(Esam2Error):
    """A trace is missing or one of its lines is damaged."""


def check_ranges(settings: object, limits: Iterable[tuple[str, float, float]]) -> None:
    """Raise ConfigError unless each named attribute of `settings` is from its low to its high."""
    for name, low, high in limits:
        value = getattr(settings, name)
        if not low <= value <= high:
            raise ConfigError(f'{name} is {value}; allowed: {low} to {high}')
