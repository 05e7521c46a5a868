# SPDX-License-Identifier: Apache-2.0
"""From a camera image to the model's input."""

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from esam2_ros.core.transfer import to_device
from esam2_ros.errors import ImageError

# ImageNet statistics, as SAM 2 was trained with.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def check_image(image: Any) -> None:
    """Raise ImageError unless `image` is a non-empty [height, width, 3] uint8 array."""
    if not isinstance(image, np.ndarray):
        raise ImageError(f'image is a {type(image).__name__}; allowed: a numpy array')
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ImageError(
            f'image is {image.dtype} of shape {image.shape}; allowed: uint8 [height, width, 3] RGB'
        )
    if image.size == 0:
        raise ImageError(f'image is empty: shape {image.shape}')


def resize_to_square(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Stretch [height, width, 3] to [side, side, 3], averaging pixels where it shrinks."""
    height, width = image.shape[:2]
    if (height, width) == (side, side):
        return image.copy()
    shrinks = height >= side and width >= side
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (side, side), interpolation=method), np.uint8)


class Normaliser:
    """Turns a [side, side, 3] uint8 image into the normalised [1, 3, side, side] input."""

    def __init__(self, device: torch.device) -> None:
        """Keep the constants on `device`."""
        self._device = device
        # (pixel / 255 - mean) / std as one multiply-add.
        std = torch.tensor(STD, device=device).view(1, 3, 1, 1)
        mean = torch.tensor(MEAN, device=device).view(1, 3, 1, 1)
        self._scale = 1.0 / (255.0 * std)
        self._shift = -mean / std

    def __call__(self, pixels: NDArray[np.uint8] | Tensor) -> Tensor:
        """Normalise pixels; a tensor is taken as normalised already and only moved."""
        if isinstance(pixels, Tensor):
            return to_device(pixels, self._device).float()
        image = to_device(torch.from_numpy(pixels), self._device)
        return torch.addcmul(self._shift, image.permute(2, 0, 1)[None].float(), self._scale)

    def levels(self, image: Tensor) -> NDArray[np.float32]:
        """Pixels [side, side, 3] of a normalised image [1, 3, side, side], not rounded."""
        pixels = (image.to(self._device).float() - self._shift) / self._scale
        return np.ascontiguousarray(pixels[0].permute(1, 2, 0).cpu().numpy())

    def undo(self, image: Tensor) -> NDArray[np.uint8]:
        """The same as 8-bit pixels."""
        return self.levels(image).round().clip(0, 255).astype(np.uint8)
