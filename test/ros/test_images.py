# SPDX-License-Identifier: Apache-2.0
"""Images of every encoding become the same RGB picture."""

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from esam2_ros.errors import ImageError
from esam2_ros.ros.images import to_rgb
from esam2_ros.ros.messages import image_message

_RGB = np.random.default_rng(3).integers(0, 255, (5, 8, 3), np.uint8)
_GRAY = np.ascontiguousarray(_RGB[..., 0])
_GRAY_RGB = np.repeat(_GRAY[..., None], 3, 2)
_RAMP = np.array([[1000, 2000], [3000, 6000]])
_RAMP_RGB = np.repeat(np.array([[0, 51], [102, 255]], np.uint8)[..., None], 3, 2)


def message(pixels, encoding):
    return image_message(Header(), np.ascontiguousarray(pixels), encoding)


def with_alpha(pixels):
    return np.dstack([pixels, np.full(pixels.shape[:2], 77, np.uint8)])


@pytest.mark.parametrize(
    ('encoding', 'pixels', 'expected'),
    [
        ('rgb8', _RGB, _RGB),
        ('bgr8', _RGB[..., ::-1], _RGB),
        ('8UC3', _RGB[..., ::-1], _RGB),
        ('rgba8', with_alpha(_RGB), _RGB),
        ('bgra8', with_alpha(_RGB[..., ::-1]), _RGB),
        ('mono8', _GRAY, _GRAY_RGB),
        ('8UC1', _GRAY, _GRAY_RGB),
        ('mono16', _RAMP.astype('<u2'), _RAMP_RGB),
        ('16UC1', _RAMP.astype('<u2'), _RAMP_RGB),
        ('32FC1', _RAMP.astype('<f4') / 1000, _RAMP_RGB),
    ],
)
def test_encoding(encoding, pixels, expected):
    image = to_rgb(message(pixels, encoding))
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize(
    ('encoding', 'pixels', 'expected'),
    [
        ('rgb8', _RGB, _RGB),
        ('bgr8', _RGB[..., ::-1], _RGB),
        ('mono8', _GRAY, _GRAY_RGB),
        ('16UC1', _RAMP.astype('<u2'), _RAMP_RGB),
    ],
)
def test_a_padded_step_is_skipped(encoding, pixels, expected):
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(len(pixels), -1)
    padded = np.hstack([rows, np.full((len(rows), 6), 200, np.uint8)])
    made = message(padded, encoding)
    made.width, made.step = pixels.shape[1], padded.shape[1]
    np.testing.assert_array_equal(to_rgb(made), expected)


@pytest.mark.parametrize(('encoding', 'dtype'), [('16UC1', '>u2'), ('32FC1', '>f4')])
def test_big_endian(encoding, dtype):
    made = message(_RAMP.astype(dtype), encoding)
    made.is_bigendian = 1
    np.testing.assert_array_equal(to_rgb(made), _RAMP_RGB)


def test_depth_without_a_value_is_black_and_does_not_stretch_the_rest():
    depth = np.array([[np.nan, 1.0], [3.0, np.inf]], np.float32)
    np.testing.assert_array_equal(
        to_rgb(message(depth, '32FC1'))[..., 0], np.array([[0, 0], [255, 0]])
    )
    assert to_rgb(message(np.full((2, 2), np.nan, np.float32), '32FC1')).max() == 0
    assert to_rgb(message(np.full((2, 2), 7, np.uint16), '16UC1')).max() == 0


@pytest.mark.parametrize(('encoding', 'luma'), [('yuv422_yuy2', 0), ('yuv422', 1)])
def test_yuv_gray_stays_gray(encoding, luma):
    pixels = np.full((4, 6, 2), 128, np.uint8)
    pixels[..., luma] = 126  # (126 - 16) * 255 / 219
    assert to_rgb(message(pixels, encoding)) == pytest.approx(np.full((4, 6, 3), 128), abs=1)


def compressed(extension, pixels, form):
    encoded = cv2.imencode(extension, pixels)[1]
    return CompressedImage(format=form, data=encoded.tobytes())


def test_a_png_keeps_its_values():
    made = compressed('.png', _RGB[..., ::-1], 'rgb8; png compressed bgr8')
    np.testing.assert_array_equal(to_rgb(made), _RGB)


def test_a_jpeg_keeps_its_colours():
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 2] = 250
    image = to_rgb(compressed('.jpg', red, 'jpeg'))
    assert image.mean((0, 1)) == pytest.approx((250, 0, 0), abs=3)


@pytest.mark.parametrize(
    ('bad', 'reason'),
    [
        (Image(encoding='rgb8'), 'image is empty: 0 x 0 px, 0 bytes'),
        (Image(width=4, height=2, encoding='rgb8', step=12), '4 x 2 px, 0 bytes'),
        (Image(width=4, height=2, encoding='rgb8', step=11, data=bytes(24)), 'step 11; .* 12'),
        (Image(width=4, height=2, encoding='rgb8', step=12, data=bytes(23)), '23 bytes.*: 24'),
        (Image(width=4, height=2, encoding='16UC1', step=4, data=bytes(16)), 'step 4; .* 8'),
        (Image(width=3, height=1, encoding='yuv422', step=6, data=bytes(6)), 'width 3; .*even'),
        (Image(width=4, height=2, encoding='pink', step=12, data=bytes(24)), "'pink'; .*rgb8"),
        (CompressedImage(format='jpeg'), 'empty: 0 bytes'),
        (CompressedImage(format='jpeg', data=b'nonsense'), "'jpeg' and 8 bytes cannot be decoded"),
        (CompressedImage(format='16UC1; compressedDepth png', data=b'x'), 'compressedDepth png'),
    ],
)
def test_what_cannot_be_an_image_is_refused_with_its_value(bad, reason):
    with pytest.raises(ImageError, match=reason):
        to_rgb(bad)
