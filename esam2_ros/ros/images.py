# SPDX-License-Identifier: Apache-2.0
"""From ROS images to what the tracker takes: height x width x 3 uint8 RGB."""

import importlib
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage
from sensor_msgs.msg import Image

from esam2_ros.errors import ImageError

_RGB = NDArray[np.uint8]


@dataclass(frozen=True)
class _Encoding:
    """Channels of one pixel, their type, and OpenCV's conversion to RGB (None: none needed)."""

    channels: int
    dtype: type[np.generic]
    to_rgb: int | None


_ENCODINGS: dict[str, _Encoding] = {
    'rgb8': _Encoding(3, np.uint8, None),
    '8UC3': _Encoding(3, np.uint8, cv2.COLOR_BGR2RGB),
    'bgr8': _Encoding(3, np.uint8, cv2.COLOR_BGR2RGB),
    'rgba8': _Encoding(4, np.uint8, cv2.COLOR_RGBA2RGB),
    'bgra8': _Encoding(4, np.uint8, cv2.COLOR_BGRA2RGB),
    'mono8': _Encoding(1, np.uint8, cv2.COLOR_GRAY2RGB),
    '8UC1': _Encoding(1, np.uint8, cv2.COLOR_GRAY2RGB),
    'mono16': _Encoding(1, np.uint16, cv2.COLOR_GRAY2RGB),
    '16UC1': _Encoding(1, np.uint16, cv2.COLOR_GRAY2RGB),
    '32FC1': _Encoding(1, np.float32, cv2.COLOR_GRAY2RGB),
    'yuv422_yuy2': _Encoding(2, np.uint8, cv2.COLOR_YUV2RGB_YUY2),
    'yuv422': _Encoding(2, np.uint8, cv2.COLOR_YUV2RGB_UYVY),
}


def to_rgb(message: Image | CompressedImage) -> _RGB:
    """The image of a message as [height, width, 3] uint8 RGB.

    8-bit images keep their values. 16-bit and float ones (depth, thermal) are stretched from
    their own smallest to their own largest finite value. The result may share the message's
    memory. Raises ImageError for an image that is empty, cut short, or of an unknown encoding.
    """
    if isinstance(message, CompressedImage):
        return _decompress(message)
    _check(message)
    if message.encoding not in _ENCODINGS:
        return _through_cv_bridge(message)
    encoding = _ENCODINGS[message.encoding]
    pixels = _pixels(message, encoding)
    if encoding.channels == 2 and message.width % 2:
        raise ImageError(
            f'image has width {message.width}; needed: an even one ({message.encoding})'
        )
    if encoding.dtype is not np.uint8:
        pixels = _stretch(pixels)
    if encoding.to_rgb is None:
        return np.ascontiguousarray(pixels)
    return _uint8(cv2.cvtColor(pixels, encoding.to_rgb))


def mono8(message: Image, name: str) -> _RGB:
    """The pixels of a mono8 image as [height, width]; ImageError, with `name`, if it is none."""
    if message.encoding not in ('mono8', '8UC1'):
        raise ImageError(f'{name} has encoding {message.encoding!r}; allowed: mono8')
    _check(message, name)
    return _pixels(message, _ENCODINGS['mono8'], name)


def _check(message: Image, name: str = 'image') -> None:
    if message.width == 0 or message.height == 0 or len(message.data) == 0:
        raise ImageError(
            f'{name} is empty: {message.width} x {message.height} px, {len(message.data)} bytes'
        )


def _pixels(message: Image, encoding: _Encoding, name: str = 'image') -> NDArray[Any]:
    """A view of the message's data: [height, width, channels], or [height, width] for one."""
    dtype = np.dtype(encoding.dtype).newbyteorder('>' if message.is_bigendian else '<')
    pixel = encoding.channels * dtype.itemsize
    row = message.width * pixel
    if message.step < row:
        raise ImageError(
            f'{name} has step {message.step}; needed: at least {row}'
            f' ({message.width} px of {pixel} bytes, {message.encoding})'
        )
    needed = message.step * (message.height - 1) + row
    if len(message.data) < needed:
        raise ImageError(
            f'{name} has {len(message.data)} bytes of data; needed: {needed}'
            f' ({message.height} rows, step {message.step})'
        )
    shape, strides = [message.height, message.width], [message.step, pixel]
    if encoding.channels > 1:
        shape.append(encoding.channels)
        strides.append(dtype.itemsize)
    return np.ndarray(shape, dtype, memoryview(message.data), 0, strides)


def _stretch(pixels: NDArray[Any]) -> _RGB:
    """16-bit or float [height, width] to 0..255; what is not finite becomes 0."""
    values = pixels.astype(np.float32)
    finite = np.isfinite(values)
    if not finite.all():
        values[~finite] = 0.0
    if not finite.any():
        return values.astype(np.uint8)
    low, high, _, _ = cv2.minMaxLoc(values, finite.view(np.uint8))
    scaled = (values - low) * (255.0 / max(high - low, 1e-9))
    return np.where(finite, scaled + 0.5, 0).astype(np.uint8)


def _decompress(message: CompressedImage) -> _RGB:
    if 'compressedDepth' in message.format:
        raise ImageError(f'image has format {message.format!r}; allowed: jpeg, png')
    if len(message.data) == 0:
        raise ImageError('image is empty: 0 bytes')
    data = np.frombuffer(message.data, np.uint8)
    try:
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:  # a damaged header can ask for more than OpenCV allows
        pixels = None
    if pixels is None:
        raise ImageError(
            f'image of format {message.format!r} and {data.size} bytes cannot be decoded'
        )
    return _uint8(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, pixels))


def _through_cv_bridge(message: Image) -> _RGB:
    """Bayer and the rest, where the ROS installation has cv_bridge."""
    bridge = _cv_bridge()
    if bridge is None:
        raise ImageError(
            f'image has encoding {message.encoding!r}; allowed: {", ".join(_ENCODINGS)}'
        )
    try:
        return _uint8(bridge.imgmsg_to_cv2(message, 'rgb8'))
    except Exception as error:  # CvBridgeError is only known where cv_bridge is
        raise ImageError(
            f'image has encoding {message.encoding!r}, which cv_bridge refuses: {error}'
        ) from error


def _cv_bridge() -> Any:
    """ROS 2's converter, None without it: a package of that name on PyPI is another one."""
    try:
        importlib.import_module('cv_bridge.boost')
        return importlib.import_module('cv_bridge').CvBridge()
    except ImportError:
        return None


def _uint8(pixels: Any) -> _RGB:
    return np.asarray(pixels, np.uint8)
