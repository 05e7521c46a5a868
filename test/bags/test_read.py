# SPDX-License-Identifier: Apache-2.0
"""Any bag is read, or refused with its name and the reason."""

import shutil

import pytest
from made_bags import STRING
from made_bags import picture
from made_bags import text_cdr
from made_bags import write_messages
from rosbags.rosbag2 import StoragePlugin

from esam2_ros.bags.frames import Frame
from esam2_ros.bags.images import read_images
from esam2_ros.bags.images import stamp_of
from esam2_ros.bags.read import BagReader
from esam2_ros.bags.read import Topic
from esam2_ros.bags.read import zstd
from esam2_ros.bags.schema import COMPRESSED_IMAGE
from esam2_ros.bags.schema import IMAGE
from esam2_ros.bags.schema import typestore
from esam2_ros.bags.write import BagOptions
from esam2_ros.bags.write import raw_cdr
from esam2_ros.bags.write import write_bag
from esam2_ros.errors import BagError

SUFFIXES = {'sqlite3': '.db3', 'mcap': '.mcap'}
PLUGINS = {'sqlite3': StoragePlugin.SQLITE3, 'mcap': StoragePlugin.MCAP}


def image(stamp_ns):
    """A serialised image with this stamp."""
    return raw_cdr(picture(0), 'rgb8', stamp_ns, 'camera')


@pytest.fixture(params=SUFFIXES)
def made(request, tmp_path):
    """A bag of 8 images, and its one storage file."""
    path = tmp_path / 'bag'
    frames = (Frame(picture(index), str(index)) for index in range(8))
    write_bag(path, frames, BagOptions(storage=request.param))
    (storage,) = path.glob(f'*{SUFFIXES[request.param]}')
    return path, storage


def stamps(path):
    """Stamps of all images of a bag."""
    with BagReader(path) as bag:
        return [each.stamp_ns for each in read_images(bag, bag.image_topic())]


def test_with_and_without_metadata_as_a_file_and_packed(made):
    path, storage = made
    expected = stamps(path)
    assert len(expected) == 8
    (path / 'metadata.yaml').unlink()
    assert stamps(path) == expected
    assert stamps(storage) == expected
    packed = storage.with_name(storage.name + '.zstd')
    packed.write_bytes(zstd.compress(storage.read_bytes()))
    storage.unlink()
    assert stamps(packed) == expected
    assert stamps(path) == expected


def test_a_bag_in_two_files_without_metadata(made):
    path, storage = made
    (path / 'metadata.yaml').unlink()
    shutil.copy(storage, storage.with_name(f'more_{storage.name}'))
    with BagReader(path) as bag:
        assert bag.topics == (Topic('/image', IMAGE, 16),)
        assert len(list(bag.messages('/image'))) == 16


@pytest.mark.parametrize('share', [0.0, 0.1, 0.5, 0.9])
def test_a_truncated_file_is_refused_by_name(made, share):
    path, storage = made
    whole = storage.read_bytes()
    storage.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(BagError, match=f'bag {path} (cannot be read|is damaged): .'):
        stamps(path)


def test_a_file_of_something_else_is_refused(made):
    path, storage = made
    storage.write_bytes(b'something else ' * 5000)
    with pytest.raises(BagError, match=f'bag {path} (cannot be read|is damaged): .'):
        stamps(path)
    with pytest.raises(BagError, match=f'bag {storage} (cannot be read|is damaged): .'):
        stamps(storage)


@pytest.mark.parametrize('content', ['', 'no: bag\n', '{', '\x00\x01'])
def test_corrupt_metadata_is_refused(made, content):
    path, _ = made
    (path / 'metadata.yaml').write_text(content)
    with pytest.raises(BagError, match=f'bag {path} cannot be read: .'):
        stamps(path)


def test_a_storage_file_that_metadata_names_is_missing(made):
    path, storage = made
    storage.unlink()
    with pytest.raises(BagError, match=f'bag {path} cannot be read: .*{storage.name}'):
        stamps(path)


def test_no_bag(tmp_path):
    with pytest.raises(BagError, match=r'bag .*gone does not exist'):
        stamps(tmp_path / 'gone')
    (tmp_path / 'notes.txt').write_text('notes')
    for path in (tmp_path, tmp_path / 'notes.txt'):
        with pytest.raises(BagError, match='is not a rosbag2; allowed: a folder with metadata'):
            stamps(path)


@pytest.mark.parametrize('plugin', PLUGINS.values(), ids=PLUGINS)
class TestTopics:
    """Which topic is replayed."""

    def test_no_images(self, tmp_path, plugin):
        path = write_messages(tmp_path / 'bag', [('/talk', STRING, 1, text_cdr('hello'))], plugin)
        message = rf'bag {path} has no images; its topics: /talk \({STRING}, 1\)'
        with BagReader(path) as bag, pytest.raises(BagError, match=message):
            bag.image_topic()

    def test_an_empty_bag(self, tmp_path, plugin):
        path = write_messages(tmp_path / 'bag', [], plugin)
        with BagReader(path) as bag, pytest.raises(BagError, match='its topics: none'):
            bag.image_topic()

    def test_several(self, tmp_path, plugin):
        messages = [
            ('/left', IMAGE, 1, image(10)),
            ('/right', IMAGE, 2, image(20)),
            ('/right', IMAGE, 3, image(30)),
            ('/talk', STRING, 4, text_cdr('hello')),
        ]
        with BagReader(write_messages(tmp_path / 'bag', messages, plugin)) as bag:
            with pytest.raises(BagError) as caught:
                bag.image_topic()
            assert str(caught.value).endswith(
                'has 2 image topics; name one with --topic: '
                f'/left ({IMAGE}, 1), /right ({IMAGE}, 2)'
            )
            assert bag.image_topic('/right') == Topic('/right', IMAGE, 2)
            read = list(read_images(bag, bag.image_topic('/right')))
            assert [each.stamp_ns for each in read] == [20, 30]
            with pytest.raises(BagError, match='has no topic /up; its topics: /left'):
                bag.image_topic('/up')
            with pytest.raises(BagError, match=f'topic /talk of .* is {STRING}; allowed: {IMAGE}'):
                bag.image_topic('/talk')

    def test_unusable_stamps_are_replaced(self, tmp_path, plugin):
        second = 10**9
        # Recorded stamp and record time; then the stamp to use and whether it is a new one.
        table = [
            (0, 5, 5, True),
            (7 * second, 6, 7 * second, False),
            (7 * second, 7, 7 * second + 1, True),
            (0, 8 * second, 8 * second, True),
            (9 * second, 9 * second, 9 * second, False),
        ]
        messages = [('/image', IMAGE, time_ns, image(stamp)) for stamp, time_ns, *_ in table]
        with BagReader(write_messages(tmp_path / 'bag', messages, plugin)) as bag:
            read = list(read_images(bag, bag.image_topic()))
        assert [(each.time_ns, each.stamp_ns, each.restamped) for each in read] == [
            row[1:] for row in table
        ]
        for each in read:
            assert stamp_of(each.cdr) == each.stamp_ns
            assert each.cdr[12:] == image(0)[12:]

    def test_a_message_without_a_header(self, tmp_path, plugin):
        messages = [('/image', IMAGE, 1, image(10)), ('/image', IMAGE, 2, b'\x00\x01\x00\x00\x05')]
        path = write_messages(tmp_path / 'bag', messages, plugin)
        with BagReader(path) as bag, pytest.raises(BagError) as caught:
            list(read_images(bag, bag.image_topic()))
        assert str(caught.value) == (
            f'message 1 on /image of {path} has 5 bytes, too few for a header'
        )


@pytest.mark.parametrize(
    ('name', 'topic', 'expected'),
    [
        ('sample_db3_2019/sample.db3', '/image', Topic('/image', IMAGE, 1)),
        (
            'sample_db3_2019',
            '/image/compressed',
            Topic('/image/compressed', COMPRESSED_IMAGE, 1),
        ),
        ('soccer_goal_mcap', None, Topic('/camera/image_raw', IMAGE, 2)),
        ('soccer_goal_mcap/soccer_goal_12.mcap', None, Topic('/camera/image_raw', IMAGE, 2)),
    ],
)
def test_real_bags_are_read(real_bags, name, topic, expected):
    with BagReader(real_bags / name) as bag:
        assert bag.image_topic(topic) == expected
        images = list(read_images(bag, expected))
        assert len({each.stamp_ns for each in images}) == len(images) == expected.count
        for each in images:
            assert stamp_of(each.cdr) == each.stamp_ns > 0
            message = typestore().deserialize_cdr(each.cdr, expected.msgtype)
            assert len(message.data) > 1000


def test_a_real_bag_with_two_image_topics_asks_for_one(real_bags):
    with (
        BagReader(real_bags / 'sample_db3_2019') as bag,
        pytest.raises(BagError, match='has 2 image topics; name one with --topic: /image '),
    ):
        bag.image_topic()
