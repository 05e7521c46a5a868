# SPDX-License-Identifier: Apache-2.0
"""Short films of textured walls, for tests of the scene monitor: everything in them is known."""

import cv2
import numpy as np

SIZE = (480, 270)


def wall(seed, size=(1200, 900)):
    """A large picture with detail at all scales, [height, width, 3] uint8."""
    rng = np.random.default_rng(seed)
    total = np.zeros((size[1], size[0], 3), np.float32)
    for cells in (3, 9, 27, 81, 200):
        grid = rng.random((cells, cells, 3), dtype=np.float32) - 0.5
        total += cv2.resize(grid, size, interpolation=cv2.INTER_CUBIC)
    low, high = rng.uniform(40, 110, 3), rng.uniform(110, 190, 3)
    return np.clip(low + (high - low) * (total + 0.5), 0, 255).astype(np.uint8)


def view(picture, dx=0.0, dy=0.0, turn=0.0, zoom=1.0, size=SIZE):
    """What a camera sees whose picture is moved by (dx, dy) px, turned (radians) and zoomed."""
    height, width = picture.shape[:2]
    about = cv2.getRotationMatrix2D((width / 2, height / 2), -np.degrees(turn), zoom)
    about[:, 2] += (size[0] / 2 - width / 2 + dx, size[1] / 2 - height / 2 + dy)
    return cv2.warpAffine(picture, about, size, borderMode=cv2.BORDER_REFLECT_101)


def lit(image, gain, offset=0.0):
    """The image in another light."""
    return cv2.convertScaleAbs(image, alpha=gain, beta=offset)


def noisy(image, level, seed=0):
    """The image with sensor noise."""
    grain = np.random.default_rng(seed).normal(0, level, image.shape)
    return np.clip(image + grain, 0, 255).astype(np.uint8)


def with_patch(image, patch, x, y):
    """The image with a picture laid over it at (x, y), and the mask of it."""
    image, mask = image.copy(), np.zeros(image.shape[:2], bool)
    height, width = patch.shape[:2]
    image[y : y + height, x : x + width] = patch[
        : max(0, image.shape[0] - y), : max(0, image.shape[1] - x)
    ]
    mask[y : y + height, x : x + width] = True
    return image, mask
