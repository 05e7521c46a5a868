# SPDX-License-Identifier: Apache-2.0
"""Folders, videos and masks: order, bytes and refusals."""

import cv2
import numpy as np
import pytest
from made_bags import labels
from made_bags import picture
from made_bags import write_folder
from PIL import Image

from esam2_ros.bags.frames import open_frames
from esam2_ros.bags.frames import read_labels
from esam2_ros.errors import BagError


def test_a_folder_comes_in_natural_order_with_its_bytes_and_masks(tmp_path):
    folder = write_folder(tmp_path / 'frames', 11, masks=tmp_path / 'masks')
    (folder / 'notes.txt').write_text('no picture')
    source = open_frames(folder, tmp_path / 'masks')
    frames = list(source)
    assert (source.count, len(frames), source.fps) == (11, 11, None)
    for index in (0, 2, 9, 10):
        assert frames[index].name == str(folder / f'{index}.png')
        assert frames[index].encoded == (folder / f'{index}.png').read_bytes()
        assert frames[index].encoding == 'png'
        np.testing.assert_array_equal(frames[index].image, picture(index))
        np.testing.assert_array_equal(frames[index].labels, labels(index))


def test_a_video_gives_its_rate_and_frames(tmp_path):
    path = tmp_path / 'clip.mp4'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'mp4v'), 12.5, (96, 64))
    for index in range(4):
        writer.write(np.ascontiguousarray(picture(index)[..., ::-1]))
    writer.release()
    source = open_frames(path)
    frames = list(source)
    assert source.fps == pytest.approx(12.5)
    assert len(frames) == 4
    assert frames[3].name == f'frame 3 of {path}'
    assert frames[3].encoded is None
    # Lossy: the middle of the object and a far corner, in RGB and not BGR.
    np.testing.assert_allclose(frames[3].image[30, 32], (200, 180, 40), atol=12)
    np.testing.assert_allclose(frames[3].image[5, 90], (20, 30, 40), atol=12)


def test_palette_masks_keep_their_ids(tmp_path):
    ids = np.array([[0, 1], [2, 200]], np.uint8)
    mask = Image.fromarray(ids)
    mask.putpalette(np.random.default_rng(0).integers(0, 256, 768).tolist())
    assert mask.mode == 'P'
    mask.save(tmp_path / 'mask.png')
    np.testing.assert_array_equal(read_labels(tmp_path / 'mask.png'), ids)


def test_refusals_name_the_file(tmp_path):
    frames = write_folder(tmp_path / 'frames', 2, masks=tmp_path / 'masks')
    empty = tmp_path / 'empty'
    empty.mkdir()
    text = tmp_path / 'text.mp4'
    text.write_text('no video')
    broken = tmp_path / 'broken'
    broken.mkdir()
    (broken / '0.png').write_bytes((frames / '0.png').read_bytes()[:40])
    (tmp_path / 'masks' / '1.png').rename(tmp_path / 'masks' / 'one.png')
    table = [
        (tmp_path / 'none', None, 'none does not exist; allowed: a folder of pictures or a video'),
        (empty, None, 'empty holds no picture; allowed: .jpg .jpeg .png'),
        (text, None, 'text.mp4 is not a video that OpenCV can open'),
        (broken, None, 'broken/0.png is not a picture that can be read'),
        (frames, tmp_path / 'masks', 'masks holds no mask 1.png for '),
        (frames, tmp_path / 'gone', 'gone is not a folder'),
        (text, tmp_path / 'masks', 'masks need a folder of pictures; '),
    ]
    for path, masks, message in table:
        with pytest.raises(BagError) as caught:
            list(open_frames(path, masks))
        assert message in str(caught.value)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('colour', 'has mode RGB; allowed: palette or grey PNG'),
        ('text', 'cannot be read as a mask'),
    ],
)
def test_a_mask_of_colours_or_of_no_kind_is_refused(tmp_path, content, message):
    path = tmp_path / 'mask.png'
    if content == 'colour':
        Image.fromarray(picture(0)).save(path)
    else:
        path.write_text('no picture')
    with pytest.raises(BagError, match=message):
        read_labels(path)
