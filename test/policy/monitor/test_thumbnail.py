# SPDX-License-Identifier: Apache-2.0
"""The thumbnail: its size, and what of it changes with the light."""

import numpy as np
import pytest
from monitor_film import lit
from monitor_film import view
from monitor_film import wall

from esam2_ros.policy.monitor.thumbnail import make_thumbnail


@pytest.mark.parametrize(
    ('size', 'small'),
    [
        ((1280, 720), (320, 180)),
        ((640, 480), (240, 180)),
        ((1000, 100), (320, 32)),
        ((320, 180), (320, 180)),
        ((50, 40), (50, 40)),
        ((2000, 1), (320, 1)),
    ],
)
def test_size(size, small):
    made = make_thumbnail(np.zeros((size[1], size[0], 3), np.uint8), 100)
    assert made.luma.shape[::-1] == small
    assert made.colour.shape[:2] == made.detail.shape == made.luma.shape
    assert made.scale == pytest.approx((size[0] / small[0], size[1] / small[1]))
    assert made.palette.sum() == pytest.approx(1)


@pytest.mark.parametrize(('gain', 'offset'), [(0.6, 0), (1.3, 0), (1.0, 40)])
def test_detail_hardly_knows_the_light(gain, offset):
    image = view(wall(1))
    one, two = make_thumbnail(image, 100), make_thumbnail(lit(image, gain, offset), 100)
    agreement = np.corrcoef(one.detail.ravel(), two.detail.ravel())[0, 1]
    assert agreement > 0.97
    assert abs(float(one.luma.mean()) - float(two.luma.mean())) > 20
