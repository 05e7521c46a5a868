# SPDX-License-Identifier: Apache-2.0
"""Both layouts are found, and what does not fit together is refused by name."""

import numpy as np
import pytest
from PIL import Image

from esam2_ros.evaluation.davis import DatasetError
from esam2_ros.evaluation.davis import find_clips
from esam2_ros.evaluation.davis import read_frame
from esam2_ros.evaluation.davis import read_mask


def to_davis(root, target, resolution):
    for clip in root.iterdir():
        for kind, inner in (('JPEGImages', 'frames'), ('Annotations', 'masks')):
            folder = target / kind / resolution
            folder.mkdir(parents=True, exist_ok=True)
            (clip / inner).rename(folder / clip.name)
    return target


@pytest.mark.parametrize('resolution', ['', '480p', 'Full-Resolution'])
def test_davis_layout(root, tmp_path, resolution):
    plain = find_clips(root)
    clips = find_clips(to_davis(root, tmp_path / 'davis', resolution))
    assert [clip.name for clip in clips] == ['changing', 'moving']
    assert [len(clip) for clip in clips] == [6, 5]
    assert clips[0].size == (100, 100)
    assert clips[0].masks[2].parent.parent == tmp_path / 'davis' / 'Annotations' / resolution
    assert [clip.frames[1].name for clip in clips] == [clip.frames[1].name for clip in plain]


def test_plain_layout_and_choice(root):
    (root / 'index.json').write_text('[]')
    (root / 'notes').mkdir()
    assert [clip.name for clip in find_clips(root)] == ['changing', 'moving']
    assert [clip.name for clip in find_clips(root, ['moving', 'changing'])] == [
        'moving',
        'changing',
    ]
    (alone,) = find_clips(root / 'moving')
    assert (alone.name, len(alone)) == ('moving', 5)


def test_a_palette_mask_is_read_by_index(tmp_path):
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    image = Image.fromarray(labels).convert('P')
    image.putpalette([255 - value for value in range(256) for _ in range(3)])
    image.save(tmp_path / 'mask.png')
    assert (read_mask(tmp_path / 'mask.png') == labels).all()


def remove_masks(clip):
    for path in (clip / 'masks').iterdir():
        path.unlink()
    (clip / 'masks').rmdir()


def resave(path, change):
    image = Image.open(path)
    image.load()
    change(image).save(path)


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (remove_masks, r'clip moving has no masks: .*moving/masks is not a folder'),
        (
            lambda clip: (clip / 'masks/00002.png').unlink(),
            '1 of 5 frames and 4 masks stand alone; no mask named 00002',
        ),
        (
            lambda clip: (clip / 'frames/00002.png').unlink(),
            '1 of 4 frames and 5 masks stand alone; no frame named 00002',
        ),
        (
            lambda clip: resave(clip / 'masks/00003.png', lambda image: image.resize((50, 40))),
            r'masks/00003.png: 50 x 40 px; needed: 100 x 100 px',
        ),
        (
            lambda clip: resave(clip / 'frames/00003.png', lambda image: image.resize((50, 40))),
            r'frames/00003.png: 50 x 40 px; needed: 100 x 100 px',
        ),
        (
            lambda clip: resave(clip / 'masks/00003.png', lambda image: image.convert('RGB')),
            'a mask of mode RGB; allowed: 8-bit palette or grey',
        ),
        (lambda clip: (clip / 'masks/00001.png').write_bytes(b'no'), '00001.png: not an image'),
        (
            lambda clip: [path.unlink() for path in (clip / 'frames').glob('*[2-9].png')],
            'moving/frames: 2 frames; needed: 3 or more',
        ),
    ],
)
def test_a_clip_that_does_not_fit_together(root, spoil, message):
    spoil(root / 'moving')
    with pytest.raises(DatasetError, match=message):
        find_clips(root)
    assert find_clips(root, ['changing'])


def test_a_folder_without_clips(root, tmp_path):
    with pytest.raises(DatasetError, match='nowhere: no such folder'):
        find_clips(tmp_path / 'nowhere')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(DatasetError, match='empty: no clips; allowed layouts: '):
        find_clips(tmp_path / 'empty')
    with pytest.raises(DatasetError, match='no clip named car; there are: changing, moving'):
        find_clips(root, ['moving', 'car'])


def test_a_damaged_file_is_named(root):
    path = root / 'moving/frames/00001.png'
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DatasetError, match=r'00001\.png: damaged or not an image'):
        read_frame(path)


def test_fingerprint_notices_an_exchanged_mask(root):
    before = find_clips(root, ['moving'])[0].fingerprint
    assert find_clips(root, ['moving'])[0].fingerprint == before
    resave(root / 'moving/masks/00003.png', lambda image: image.rotate(30))
    assert find_clips(root, ['moving'])[0].fingerprint != before
