# SPDX-License-Identifier: Apache-2.0
"""J&F: by hand, and equal to `vos-benchmark`."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from vos_benchmark.evaluator import Evaluator

from esam2_ros.evaluation.scores import ObjectScore
from esam2_ros.evaluation.scores import ScoreError
from esam2_ros.evaluation.scores import VideoScorer
from esam2_ros.evaluation.scores import boundary_tolerance
from esam2_ros.evaluation.scores import score_masks
from esam2_ros.evaluation.scores import score_video
from esam2_ros.evaluation.scores import summarise


def square(left, top=40, side=20):
    mask = np.zeros((100, 100), bool)
    mask[top : top + side, left : left + side] = True
    return mask


EMPTY = np.zeros((100, 100), bool)
FULL = np.ones((100, 100), bool)


@pytest.mark.parametrize(
    ('prediction', 'truth', 'j', 'f'),
    [
        (square(40), square(40), 1, 1),
        (EMPTY, EMPTY, 1, 1),
        (EMPTY, square(40), 0, 0),
        (square(40), EMPTY, 0, 0),
        # 200 of 600 px in common; contours are rings of 80 px of which 13 + 13 + 4 lie within 2 px
        (square(50), square(40), 1 / 3, 30 / 80),
        # within the tolerance: contours match though the regions differ
        (square(42), square(40), 360 / 440, 1),
        # far apart
        (square(0), square(70), 0, 0),
        # the image's own edge is no contour
        (FULL, FULL, 1, 1),
        (FULL, EMPTY, 0, 1),
        # a target in the corner that holds the origin has two sides of 20 px and their corner
        (square(0, 0), square(0, 0), 1, 1),
    ],
)
def test_by_hand(prediction, truth, j, f):
    assert score_masks(prediction, truth) == pytest.approx((j, f), abs=1e-12)


@pytest.mark.parametrize(
    ('size', 'pixels'), [((480, 854), 8), ((360, 640), 6), ((240, 432), 4), ((100, 100), 2)]
)
def test_tolerance_is_a_share_of_the_diagonal_rounded_up(size, pixels):
    assert boundary_tolerance(*size) == pixels


def test_first_and_last_frame_are_skipped():
    labels = [square(40).astype(np.uint8)] * 5
    wrong = EMPTY.astype(np.uint8)
    scores = score_video([wrong, labels[1], wrong, labels[3], wrong], labels)
    assert scores == {1: ObjectScore(j=pytest.approx(2 / 3), f=pytest.approx(2 / 3))}


def test_absence_is_counted_apart():
    there, gone = square(40).astype(np.uint8), EMPTY.astype(np.uint8)
    truths = [there, there, gone, gone, gone, there]
    predictions = [there, there, there, gone, there, there]
    scores = score_video(predictions, truths)
    assert scores == {1: ObjectScore(j=0.5, f=0.5, absent=3, false_masks=2)}
    assert summarise(scores.values()).false_mask_rate == pytest.approx(2 / 3)


def test_every_object_weighs_the_same():
    mean = summarise([ObjectScore(1, 0.5), ObjectScore(0, 0), ObjectScore(0.5, 1)])
    assert (mean.j, mean.f, mean.jf) == (0.5, 0.5, 0.5)
    assert mean.false_mask_rate is None


def test_refusals():
    with pytest.raises(ScoreError, match=r'shape \(100, 100\) and truth \(50, 100\)'):
        score_masks(EMPTY, EMPTY[:50])
    with pytest.raises(ScoreError, match='a video of 2 frames cannot be scored'):
        VideoScorer(2)
    scorer = VideoScorer(3)
    with pytest.raises(ScoreError, match='0 of 3 frames were scored'):
        scorer.scores()
    for _ in range(3):
        scorer.add(EMPTY.astype(np.uint8), EMPTY.astype(np.uint8))
    with pytest.raises(ScoreError, match='the video has 3 frames and all are scored'):
        scorer.add(EMPTY.astype(np.uint8), EMPTY.astype(np.uint8))
    with pytest.raises(ScoreError, match='no object to average'):
        summarise(scorer.scores().values())


def perturb(labels, rng):
    """Spoil a label map the ways a tracker does."""
    reach = np.ones((rng.integers(2, 15),) * 2, np.uint8)
    half = labels.copy()
    half[:, : labels.shape[1] // 2] = 0
    specks = np.where(rng.random(labels.shape) < 0.01, labels.max(), labels).astype(np.uint8)
    ways = (
        np.zeros_like(labels),
        np.roll(labels, rng.integers(-20, 20, 2), (0, 1)),
        cv2.dilate(labels, reach),
        cv2.erode(labels, reach),
        half,
        specks,
        labels,
        np.where(labels == 1, 2, labels).astype(np.uint8),  # an identity lost to another
    )
    return ways[rng.integers(len(ways))]


def assert_equal_to_vos_benchmark(truths, seed):
    rng = np.random.default_rng(seed)
    predictions = [perturb(truth, rng) for truth in truths]
    reference = Evaluator()
    for prediction, truth in zip(predictions[1:-1], truths[1:-1], strict=True):
        reference.feed_frame(prediction, truth)
    js, fs = reference.conclude()
    ours = score_video(predictions, truths)
    assert ours.keys() == js.keys()
    for target, score in ours.items():
        assert score.j == pytest.approx(js[target] / 100, abs=1e-6)
        assert score.f == pytest.approx(fs[target] / 100, abs=1e-6)


def made_truths(seed):
    """Blobs that drift over the image's edges, come late and go early."""
    rng = np.random.default_rng(seed)
    size = rng.integers(40, 200, 2)
    truths = []
    for step in range(12):
        labels = np.zeros(size, np.uint8)
        for target in (1, 2, 255):
            if (target == 2 and step < 4) or (target == 255 and step > 7):
                continue
            centre = rng.integers(-10, size[::-1] + 10)
            axes = rng.integers(1, 40, 2)
            cv2.ellipse(labels, centre.tolist(), axes.tolist(), step * 30, 0, 360, target, -1)
        truths.append(labels)
    return truths


@pytest.mark.parametrize('seed', range(8))
def test_equal_to_vos_benchmark_on_made_masks(seed):
    assert_equal_to_vos_benchmark(made_truths(seed), seed)


def real_clips() -> list[Path]:
    data = os.environ.get('ESAM2_DATA')
    if not data:
        return []
    return sorted(path for path in Path(data).glob('**/masks') if path.is_dir())


@pytest.mark.skipif(not real_clips(), reason='ESAM2_DATA names no folder of annotated clips')
def test_equal_to_vos_benchmark_on_real_masks():
    for seed, folder in enumerate(real_clips()):
        paths = sorted(folder.glob('*.png'))[:20]
        assert_equal_to_vos_benchmark([np.array(Image.open(path)) for path in paths], seed)
