# SPDX-License-Identifier: Apache-2.0
"""The monitor on films in which everything is known: what is a cut, what is not, and what else."""

import pickle
from time import thread_time

import cv2
import numpy as np
import pytest
from monitor_film import SIZE
from monitor_film import lit
from monitor_film import noisy
from monitor_film import view
from monitor_film import wall
from monitor_film import with_patch

from esam2_ros.errors import ImageError
from esam2_ros.policy.monitor import MonitorConfig
from esam2_ros.policy.monitor import MotionClass
from esam2_ros.policy.monitor import SceneMonitor
from esam2_ros.policy.monitor import SceneView

HERE, THERE = wall(1), wall(2)
BLACK = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)


def classes(frames, config=None):
    monitor = SceneMonitor(config)
    return [monitor.observe(frame).motion_class.name for frame in frames]


def steps(count, **speed):
    """A steady camera motion: every setting of `view` grows by `speed` a frame."""
    return [view(HERE, **{name: each * t for name, each in speed.items()}) for t in range(count)]


def zooms(count, factor):
    return [view(HERE, zoom=factor**t) for t in range(count)]


def shakes(count, reach, seed=3):
    jolts = np.random.default_rng(seed).normal(0, reach, (count, 2))
    return [view(HERE, dx, dy) for dx, dy in jolts]


def still(count, **camera):
    return [view(HERE, **camera)] * count


def crossing():
    """A picture as large as a third of the view comes in and goes through."""
    patch = wall(5)[:200, :200]
    return [with_patch(view(HERE), patch, x, 30)[0] for x in range(0, 280, 25)]


@pytest.mark.parametrize('size', [(640, 360), (320, 240), (192, 192), (96, 64)])
@pytest.mark.parametrize('back', [1, 2, 5])
def test_a_cut_and_a_cut_back_are_seen_on_their_frames(size, back):
    here = [noisy(view(HERE, t, size=size), 2, t) for t in range(10)]
    there = [noisy(view(THERE, t, size=size), 2, t) for t in range(10)]
    seen = classes([*here[:4], *there[:back], *here[4:]])
    assert [number for number, name in enumerate(seen) if name == 'CUT'] == [4, 4 + back]


@pytest.mark.parametrize(
    'lead_in',
    [
        steps(6, dx=20),  # pan
        shakes(6, 20),
        [*still(3), lit(view(HERE), 1.8, 40), *still(2)],  # flash
        [*still(3), *[lit(view(HERE), 0.5)] * 3],  # exposure step
        [*still(5), lit(view(HERE), 1.8, 40)],  # flash on the very frame before
        [view(HERE, 3 * (-1) ** t) for t in range(6)],
    ],
    ids=['pan', 'shake', 'flash', 'exposure', 'flash before', 'jitter'],
)
def test_a_cut_is_seen_whatever_came_before(lead_in):
    seen = classes([*lead_in, *[view(THERE)] * 3])
    assert [number for number, name in enumerate(seen) if name == 'CUT'] == [len(lead_in)]


@pytest.mark.parametrize(
    'frames',
    [
        steps(8, dx=12),
        steps(8, dx=-45, dy=10),
        steps(6, turn=0.06),
        zooms(8, 1.05),
        zooms(8, 0.95),
        shakes(12, 15),
        [*still(3), lit(view(HERE), 1.6, 50), *still(3)],
        [*still(3), lit(view(HERE), 0.3), *still(3)],
        [*still(3), *[lit(view(HERE), 1.6, 50)] * 2, *still(3)],
        [*still(3), np.full_like(BLACK, 255), *still(3)],
        [*still(3), lit(view(HERE), 3.0, 100), *still(3)],
        [*still(3), BLACK, BLACK, *still(3)],
        [*still(3), *[lit(view(HERE), 1.8)] * 4],
        [*still(3), *[lit(view(HERE), 0.4)] * 4],
        crossing(),
        [noisy(view(HERE), 20, t) for t in range(6)],
        [cv2.GaussianBlur(view(HERE, 10 * t), (0, 0), 4) for t in range(6)],
    ],
    ids=[
        'pan',
        'fast pan',
        'turn',
        'zoom in',
        'zoom out',
        'shake',
        'flash',
        'dark flash',
        'flash of two frames',
        'white flash',
        'nearly white flash',
        'black frames',
        'brighter',
        'darker',
        'large object',
        'noise',
        'blur',
    ],
)
def test_the_same_scene_is_not_a_cut(frames):
    assert 'CUT' not in classes(frames)


@pytest.mark.parametrize(
    ('frames', 'expected'),
    [
        (still(4), ['STILL'] * 3),
        (steps(5, dx=2), ['NORMAL'] * 4),
        (steps(5, dx=12), ['PAN'] * 4),
        (steps(5, dy=-12), ['PAN'] * 4),
        (steps(5, turn=0.05), ['PAN'] * 4),
        (zooms(5, 1.04), ['PAN'] * 4),
        ([view(HERE, 8 * (-1) ** t) for t in range(6)], ['PAN', 'PAN', *['SHAKE'] * 3]),
        ([*still(2), lit(view(HERE), 1.6, 40), *still(2)], ['STILL', 'FLASH', 'NORMAL', 'STILL']),
        ([*still(2), *[lit(view(HERE), 0.5)] * 3], ['STILL', 'FLASH', 'STILL', 'STILL']),
        ([*still(2), BLACK, *still(2)], ['STILL', 'FLASH', 'STILL', 'STILL']),
        ([*still(2), BLACK, BLACK, *still(1)], ['STILL', 'FLASH', 'FLASH', 'STILL']),
        # A blank view that stays was a cut, and so is what comes after it.
        (
            [*still(1), *[BLACK] * 6, view(THERE)],
            ['FLASH', 'FLASH', 'FLASH', 'CUT', 'STILL', 'STILL', 'CUT'],
        ),
        ([*still(1), BLACK, view(THERE), view(THERE)], ['FLASH', 'CUT', 'STILL']),
    ],
)
def test_classes(frames, expected):
    assert classes(frames) == ['NORMAL', *expected]


@pytest.mark.parametrize('step', [12, 20, 40])
@pytest.mark.parametrize('masked', [True, False])
def test_a_fast_target_needs_its_mask(step, masked):
    patch = wall(7)[:70, :70]
    film = [with_patch(view(HERE), patch, 20 + step * t, 100) for t in range(6)]
    monitor = SceneMonitor()
    monitor.observe(film[0][0])
    for (frame, _), (_, mask) in zip(film[1:], film, strict=False):
        seen = monitor.observe(frame, mask if masked else None)
        assert seen.motion_class is (MotionClass.FAST if masked else MotionClass.NORMAL)
        if masked and seen.object_shift is not None:
            assert seen.object_shift == pytest.approx((step, 0), abs=1)


@pytest.mark.parametrize('size', [(1280, 720), (480, 270), (192, 192)])
@pytest.mark.parametrize(
    ('dx', 'dy', 'turn', 'zoom'),
    [(9, 0, 0, 1), (-14, 6, 0, 1), (0, 0, 0.05, 1), (4, -3, -0.03, 1.03), (0, 0, 0, 0.96)],
)
def test_the_motion_of_the_camera_is_measured(size, dx, dy, turn, zoom):
    monitor = SceneMonitor()
    monitor.observe(view(HERE, size=size))
    seen = monitor.observe(view(HERE, dx, dy, turn, zoom, size))
    tolerance = 0.4 * max(1, size[0] / 320)  # of a thumbnail pixel
    assert seen.shift == pytest.approx((dx, dy), abs=tolerance)
    assert seen.rotation == pytest.approx(turn, abs=0.004)
    assert seen.scale == pytest.approx(zoom, abs=0.004)
    assert seen.inliers > 0.8
    assert seen.residual_after < 0.6 * seen.residual_before


@pytest.mark.parametrize(
    ('frames', 'settings', 'expected'),
    [
        ([*steps(3, dx=16), *still(3, dx=32)], {}, [False, True, True, True, False, False]),
        (
            [*steps(3, dx=16), *still(2, dx=32)],
            {'rapid_frames': 1},
            [False, True, True, False, False],
        ),
        (steps(3, dx=16), {'rapid_frames': 0}, [False] * 3),
        (steps(3, dx=16), {'rapid_shift': 0.1}, [False] * 3),
        (steps(4, dx=4), {}, [False] * 4),
        ([*still(2), *[view(THERE)] * 3], {}, [False] * 5),  # a false cut costs one frame
        ([*steps(2, dx=16), *[view(THERE)] * 2], {}, [False, True, False, False]),
        ([*still(2), BLACK, *still(2)], {}, [False] * 5),
    ],
    ids=['two frames', 'one frame', 'off', 'high', 'slow', 'cut', 'cut in a pan', 'flash'],
)
def test_rapid_views_last_a_moment(frames, settings, expected):
    monitor = SceneMonitor(MonitorConfig(**settings))
    assert [monitor.observe(frame).rapid for frame in frames] == expected


def test_any_mask_size_and_type_tells_the_same():
    frames = [with_patch(view(HERE), wall(7)[:90, :90], 100 + 20 * t, 90) for t in range(2)]
    small = cv2.resize(frames[0][1].astype(np.float32), (128, 128))
    seen = []
    for mask in (frames[0][1], frames[0][1].astype(np.uint8) * 7, small - 0.5):
        monitor = SceneMonitor()
        monitor.observe(frames[0][0])
        seen.append(monitor.observe(frames[1][0], mask))
    assert {each.motion_class for each in seen} == {MotionClass.FAST}
    assert seen[0] == seen[1]
    assert seen[2].object_residual == pytest.approx(seen[0].object_residual, rel=0.1)


def test_the_same_frames_give_the_same_views_and_the_random_numbers_of_others_are_left_alone():
    frames = [*shakes(5, 20), view(THERE), view(THERE, 30), lit(view(THERE), 1.7, 30)]
    views = []
    for seed in (1, 2):
        cv2.setRNGSeed(seed)
        monitor = SceneMonitor()
        views.append([monitor.observe(frame) for frame in frames])
    left, untouched = np.zeros(4), np.zeros(4)
    cv2.randu(left, 0, 1)
    cv2.setRNGSeed(2)
    cv2.randu(untouched, 0, 1)
    assert views[0] == views[1]
    assert left.tolist() == untouched.tolist()


def test_reset_and_a_new_size_start_a_new_stream():
    monitor = SceneMonitor()
    first = [monitor.observe(frame) for frame in steps(3, dx=12)]
    monitor.reset()
    assert [monitor.observe(frame) for frame in steps(3, dx=12)] == first
    assert monitor.observe(view(THERE, size=(192, 192))) == SceneView()
    assert monitor.observe(view(THERE, size=(192, 192))).motion_class is MotionClass.STILL


def test_what_is_kept_does_not_grow():
    monitor = SceneMonitor()
    sizes = []
    for t in range(120):
        monitor.observe(view(THERE if t // 7 % 2 else HERE, 9 * np.sin(t), size=(96, 64)))
        sizes.append(len(pickle.dumps(monitor)))
    # Two thumbnails at most: the previous one, and one from before a flash.
    assert max(sizes) <= 2.2 * min(sizes)


@pytest.mark.parametrize('size', [(1, 1), (2, 3), (1, 400), (700, 2), (8, 8), (33, 17)])
@pytest.mark.parametrize('fill', ['constant', 'grey noise', 'noise'])
def test_odd_images(size, fill):
    rng = np.random.default_rng(0)
    monitor = SceneMonitor()
    for level in (10, 10, 200, 60):
        image = np.full((size[1], size[0], 3), level, np.uint8)
        if fill == 'noise':
            image = rng.integers(0, 256, image.shape, np.uint8)
        if fill == 'grey noise':
            image[:] = rng.integers(0, 256, (size[1], size[0], 1), np.uint8)
        seen = monitor.observe(image, np.ones((4, 5), bool))
        numbers = [each for each in vars(seen).values() if isinstance(each, float)]
        assert np.isfinite([*numbers, *seen.shift]).all()


@pytest.mark.parametrize(
    'image', [view(HERE)[:, ::-1], view(HERE)[::2, ::3], np.asfortranarray(HERE)]
)
def test_views_of_other_arrays_are_taken_and_not_changed(image):
    before = image.copy()
    assert classes([image, image]) == ['NORMAL', 'STILL']
    assert (image == before).all()


@pytest.mark.parametrize(
    ('image', 'message'),
    [
        (
            np.zeros((4, 4), np.uint8),
            r'image is uint8 \[4, 4\]; allowed: uint8 \[height, width, 3\]',
        ),
        (np.zeros((4, 4, 4), np.uint8), r'uint8 \[4, 4, 4\]'),
        (np.zeros((4, 4, 3), np.float32), r'float32 \[4, 4, 3\]'),
        (np.zeros((0, 4, 3), np.uint8), r'uint8 \[0, 4, 3\]'),
    ],
)
def test_bad_images_are_refused(image, message):
    with pytest.raises(ImageError, match=message):
        SceneMonitor().observe(image)


@pytest.mark.parametrize('shape', [(4,), (2, 4, 4), (0, 4)])
def test_bad_masks_are_refused(shape):
    monitor = SceneMonitor()
    monitor.observe(BLACK)
    with pytest.raises(ImageError, match='object_mask is'):
        monitor.observe(BLACK, np.zeros(shape, bool))


def test_the_threshold_of_light_is_a_setting():
    frames = [view(HERE), lit(view(HERE), 1.0, 20)]
    assert classes(frames)[1] == 'FLASH'
    assert classes(frames, MonitorConfig(light_change=40))[1] == 'NORMAL'


def test_flashes_can_be_switched_off():
    frames = [*still(2), BLACK, *still(2)]
    assert classes(frames, MonitorConfig(flash_frames=0))[2:] == ['CUT', 'CUT', 'STILL']


def test_a_frame_is_cheap():
    """Loose, for slow and busy machines; the benchmark measures it."""
    frames = [view(HERE, 5 * t, size=(1280, 720)) for t in range(8)]
    monitor, spent = SceneMonitor(), []
    for frame in frames:
        start = thread_time()
        monitor.observe(frame)
        spent.append(thread_time() - start)
    assert np.median(spent) < 0.03
