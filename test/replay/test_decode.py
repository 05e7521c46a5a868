# SPDX-License-Identifier: Apache-2.0
"""Images of a bag that the node could not use are refused before they are sent."""

import numpy as np
import pytest
from made_bags import picture

from esam2_ros.bags.images import StampedImage
from esam2_ros.bags.read import Topic
from esam2_ros.bags.schema import COMPRESSED_IMAGE
from esam2_ros.bags.schema import IMAGE
from esam2_ros.bags.write import compressed_cdr
from esam2_ros.bags.write import raw_cdr
from esam2_ros.errors import BagError
from esam2_ros.replay.decode import checked
from esam2_ros.replay.decode import decode

GOOD = raw_cdr(picture(0), 'rgb8', 1, 'camera')


@pytest.mark.parametrize('encoding', ['rgb8', 'bgr8'])
def test_pixels(encoding):
    image = picture(0) if encoding == 'rgb8' else picture(0)[..., ::-1]
    stamped = StampedImage(0, 1, 1, raw_cdr(image, encoding, 1, 'camera'))
    np.testing.assert_array_equal(decode(stamped, Topic('/image', IMAGE, 1)), picture(0))


@pytest.mark.parametrize(
    ('bad', 'message'),
    [
        (GOOD[: len(GOOD) // 2], 'message 1 on /image is damaged: .'),
        (raw_cdr(picture(0), 'hsv8', 1, ''), "message 1 on /image: .*'hsv8'; allowed: rgb8, "),
        (
            raw_cdr(picture(0)[:32, :48], 'rgb8', 1, ''),
            'message 1 on /image is 48x32; allowed: 96x64, the size of the first image',
        ),
    ],
)
def test_bad_raw_images(bad, message):
    images = [StampedImage(index, 1, 1, cdr) for index, cdr in enumerate((GOOD, bad))]
    stream = checked(images, Topic('/image', IMAGE, 2))
    assert next(stream) is images[0]
    with pytest.raises(BagError, match=message):
        next(stream)


def test_a_bad_compressed_image():
    image = StampedImage(3, 1, 1, compressed_cdr(b'no picture', 'jpeg', 1, 'camera'))
    with pytest.raises(BagError, match=r'message 3 on /image: .'):
        next(checked([image], Topic('/image', COMPRESSED_IMAGE, 1)))
