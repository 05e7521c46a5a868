# SPDX-License-Identifier: Apache-2.0
"""What is put in a bag comes out of it: pixels, bytes, stamps, truth."""

import cv2
import numpy as np
import pytest
from made_bags import labels
from made_bags import picture
from made_bags import write_folder

from esam2_ros.bags.frames import Frame
from esam2_ros.bags.frames import open_frames
from esam2_ros.bags.images import read_images
from esam2_ros.bags.read import BagReader
from esam2_ros.bags.read import Topic
from esam2_ros.bags.schema import COMPRESSED_IMAGE
from esam2_ros.bags.schema import IMAGE
from esam2_ros.bags.schema import typestore
from esam2_ros.bags.write import BagOptions
from esam2_ros.bags.write import write_bag
from esam2_ros.errors import BagError


def decoded(bag, topic):
    """Messages of a topic."""
    return [typestore().deserialize_cdr(item.cdr, item.msgtype) for item in bag.messages(topic)]


@pytest.mark.parametrize('storage', ['sqlite3', 'mcap'])
@pytest.mark.parametrize('encoding', ['rgb8', 'bgr8'])
def test_raw_images_come_back_to_the_pixel(tmp_path, storage, encoding):
    options = BagOptions(
        fps=12.5, topic='/camera/image', frame_id='left', storage=storage, encoding=encoding
    )
    frames = (Frame(picture(index), f'frame {index}') for index in range(3))
    steps = []
    report = write_bag(tmp_path / 'bag', frames, options, lambda: steps.append(1))
    assert (report.frames, report.image_size, report.truth_frames) == (3, (96, 64), 0)
    assert len(steps) == 3
    with BagReader(tmp_path / 'bag') as bag:
        assert bag.topics == (Topic('/camera/image', IMAGE, 3),)
        for index, message in enumerate(decoded(bag, '/camera/image')):
            assert (message.width, message.height, message.step) == (96, 64, 288)
            assert (message.encoding, message.header.frame_id) == (encoding, 'left')
            stamp = message.header.stamp
            assert (stamp.sec, stamp.nanosec) == (1, 80_000_000 * index)
            pixels = message.data.reshape(64, 96, 3)
            image = pixels if encoding == 'rgb8' else pixels[..., ::-1]
            np.testing.assert_array_equal(image, picture(index))
        images = list(read_images(bag, bag.image_topic()))
        assert [image.stamp_ns for image in images] == [10**9, 1_080_000_000, 1_160_000_000]
        assert [image.time_ns for image in images] == [image.stamp_ns for image in images]
        assert [image.restamped for image in images] == [False] * 3
        assert len(list(read_images(bag, bag.image_topic(), 2))) == 2


@pytest.mark.parametrize('storage', ['sqlite3', 'mcap'])
@pytest.mark.parametrize(
    ('suffix', 'compression', 'same_bytes'),
    [('.jpg', 'jpeg', True), ('.png', 'png', True), ('.png', 'jpeg', False)],
)
def test_compressed_files_keep_their_bytes(tmp_path, storage, suffix, compression, same_bytes):
    folder = write_folder(tmp_path / 'frames', 2, suffix)
    options = BagOptions(storage=storage, compression=compression)
    write_bag(tmp_path / 'bag', open_frames(folder), options)
    with BagReader(tmp_path / 'bag') as bag:
        assert bag.image_topic() == Topic('/image', COMPRESSED_IMAGE, 2)
        messages = decoded(bag, '/image')
    assert [message.format for message in messages] == [compression] * 2
    for index, message in enumerate(messages):
        file_bytes = (folder / f'{index}{suffix}').read_bytes()
        assert (message.data.tobytes() == file_bytes) is same_bytes
        image = cv2.imdecode(message.data, cv2.IMREAD_COLOR_RGB)
        difference = np.abs(image.astype(int) - picture(index)).mean()
        assert difference == 0 if suffix == '.png' and same_bytes else difference < 5


@pytest.mark.parametrize('storage', ['sqlite3', 'mcap'])
def test_truth_stands_beside_the_images_with_their_stamps(tmp_path, storage):
    folder = write_folder(tmp_path / 'frames', 3, masks=tmp_path / 'masks')
    frames = open_frames(folder, tmp_path / 'masks')
    report = write_bag(tmp_path / 'bag', frames, BagOptions(storage=storage))
    assert report.truth_frames == 3
    with BagReader(tmp_path / 'bag') as bag:
        assert bag.topics == (Topic('/image', IMAGE, 3), Topic('/truth', IMAGE, 3))
        # The truth is no image to replay, so there is no choice to make.
        assert bag.image_topic().name == '/image'
        pairs = zip(decoded(bag, '/image'), decoded(bag, '/truth'), strict=True)
        for index, (image, truth) in enumerate(pairs):
            assert truth.header.stamp == image.header.stamp
            assert (truth.encoding, truth.step) == ('mono8', 96)
            np.testing.assert_array_equal(truth.data.reshape(64, 96), labels(index))


def test_frames_of_another_size_are_refused_by_name_and_leave_no_bag(tmp_path):
    folder = write_folder(tmp_path / 'frames', 2)
    cv2.imwrite(str(folder / '7.png'), np.zeros((50, 80, 3), np.uint8))
    message = f'{folder}/7.png is 80x50; allowed: 96x64, the size of the first frame'
    with pytest.raises(BagError) as caught:
        write_bag(tmp_path / 'bag', open_frames(folder))
    assert str(caught.value) == message
    assert not (tmp_path / 'bag').exists()


def test_a_mask_of_another_size_is_refused_by_name(tmp_path):
    frame = Frame(picture(0), 'a.png', labels=np.zeros((10, 20), np.uint8))
    message = 'the mask of a.png is 20x10; allowed: 96x64, the size of the first frame'
    with pytest.raises(BagError, match=message):
        write_bag(tmp_path / 'bag', [frame])


def test_no_frame_and_an_existing_path_are_refused(tmp_path):
    with pytest.raises(BagError, match=r'there is no frame to write to .*bag'):
        write_bag(tmp_path / 'bag', [])
    assert not (tmp_path / 'bag').exists()
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'notes.txt').write_text('kept')
    with pytest.raises(BagError, match='mine exists already and is not overwritten'):
        write_bag(tmp_path / 'mine', [Frame(picture(0), 'a')])
    assert (tmp_path / 'mine' / 'notes.txt').read_text() == 'kept'


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'fps': 0.0}, 'fps is 0.0; allowed: above 0 and up to 1000'),
        ({'fps': float('nan')}, 'fps is nan; allowed: above 0 and up to 1000'),
        ({'storage': 'hdf5'}, "storage is 'hdf5'; allowed: sqlite3, mcap"),
        ({'encoding': 'mono8'}, "encoding is 'mono8'; allowed: rgb8, bgr8"),
        ({'compression': 'webp'}, "compression is 'webp'; allowed: none, jpeg, png"),
        ({'topic': 'image'}, "topic is 'image'; allowed: an absolute name"),
        ({'topic': '/truth'}, "topic is '/truth'; allowed: an absolute name"),
    ],
)
def test_options_outside_their_range(options, message):
    with pytest.raises(BagError) as caught:
        BagOptions(**options)
    assert str(caught.value).startswith(message)
