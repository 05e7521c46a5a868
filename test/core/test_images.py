# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch
from PIL import Image

from esam2_ros.core.images import MEAN
from esam2_ros.core.images import STD
from esam2_ros.core.images import Normaliser
from esam2_ros.core.images import check_image
from esam2_ros.core.images import resize_to_square
from esam2_ros.errors import ImageError


@pytest.mark.parametrize(
    ('image', 'message'),
    [
        ([[1, 2]], 'a list; allowed: a numpy array'),
        (np.zeros((4, 4), np.uint8), r'uint8 of shape \(4, 4\)'),
        (np.zeros((4, 4, 4), np.uint8), r'shape \(4, 4, 4\)'),
        (np.zeros((4, 4, 3), np.float32), 'float32'),
        (np.zeros((0, 4, 3), np.uint8), 'empty'),
    ],
)
def test_refuses(image, message):
    with pytest.raises(ImageError, match=message):
        check_image(image)


def test_normalises_as_sam2_does():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    expected = (pixels / 255.0 - np.array(MEAN)) / np.array(STD)
    got = Normaliser(torch.device('cpu'))(pixels)
    assert got.shape == (1, 3, 8, 8)
    np.testing.assert_allclose(got[0].permute(1, 2, 0).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize('size', [(640, 360), (1280, 720), (300, 200), (512, 512)])
def test_resizing_is_close_to_stock(size):
    """Stock resizes with PIL; on a smooth image ours differs by less than 2 grey levels."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    wave = 127 + 60 * np.sin(x / width * 25) + 60 * np.cos(y / height * 18)
    image = np.stack([wave, wave[::-1], wave[:, ::-1]], axis=2).clip(0, 255).astype(np.uint8)
    stock = np.asarray(Image.fromarray(image).resize((512, 512)))
    got = resize_to_square(image, 512)
    assert np.abs(got.astype(int) - stock.astype(int)).max() <= 2
    assert not np.shares_memory(got, image)
