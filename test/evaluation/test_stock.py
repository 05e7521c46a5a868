# SPDX-License-Identifier: Apache-2.0
"""The yardstick is stock's own answer, and mode `exact` gives the same masks."""

from functools import partial

import numpy as np
import pytest
import stock_sam2
import torch
from sam2 import sam2_video_predictor
from square_clips import CHANGING
from square_clips import paint

from esam2_ros.core.images import Normaliser
from esam2_ros.core.images import resize_to_square
from esam2_ros.core.models import build_model
from esam2_ros.evaluation.modes import MODES
from esam2_ros.evaluation.modes import Setup
from esam2_ros.evaluation.segmenter import PromptKind
from esam2_ros.evaluation.segmenter import draw_prompt
from esam2_ros.evaluation.segmenter import merge
from esam2_ros.evaluation.stock import StockSegmenter
from esam2_ros.evaluation.stock import stock_predictor
from esam2_ros.policy.config import TrackerConfig

IMAGES = [paint(truth) for truth in CHANGING]


@pytest.fixture(scope='module')
def model():
    return stock_sam2.sharpen(build_model('compact', 256, seed=0))


def run(segmenter, kind):
    """Both targets, prompted on frames 0 and 2."""
    prompts = {
        0: {1: draw_prompt(CHANGING[0] == 1, kind)},
        2: {2: draw_prompt(CHANGING[2] == 2, kind)},
    }
    return [segmenter.step(image, prompts.get(i, {})).labels for i, image in enumerate(IMAGES)]


def test_fed_frame_by_frame_as_if_it_had_the_whole_video(model, monkeypatch):
    frames = torch.cat([Normaliser(model.device)(resize_to_square(each, 256)) for each in IMAGES])
    reader, bar = sam2_video_predictor.load_video_frames, sam2_video_predictor.tqdm
    labels = []
    streamed = StockSegmenter(model, len(IMAGES))
    for index, image in enumerate(IMAGES):
        prompts = {} if index else {1: draw_prompt(CHANGING[0] == 1, PromptKind.BOX)}
        labels.append(streamed.step(image, prompts).labels)
    # The package is left as it was found.
    assert (sam2_video_predictor.load_video_frames, sam2_video_predictor.tqdm) == (reader, bar)

    predictor = stock_predictor(model)
    monkeypatch.setattr(
        sam2_video_predictor, 'load_video_frames', lambda **_: (frames, *CHANGING[0].shape)
    )
    monkeypatch.setattr(sam2_video_predictor, 'tqdm', partial(bar, disable=True))
    state = predictor.init_state('')
    predictor.add_new_points_or_box(state, 0, 1, box=np.array([20, 40, 40, 60], np.float32))
    whole = [
        merge(ids, logits[:, 0], (100, 100))
        for _, ids, logits in predictor.propagate_in_video(state)
    ]
    assert any(each.any() for each in whole)
    for ours, theirs in zip(labels, whole, strict=True):
        assert (ours == theirs).all()


@pytest.mark.parametrize('kind', PromptKind)
def test_exact_equals_stock(model, kind, monkeypatch):
    stock_sam2.keep_memories_in_fp32(monkeypatch)
    setup = Setup(model, TrackerConfig(max_targets=1))
    # Told of fewer than 16 frames, stock scales the times of its object pointers to the video's
    # length, which a stream does not have.
    exact = run(MODES['exact'].start(16, setup), kind)
    stock = run(MODES['stock'].start(16, setup), kind)
    assert {1, 2} <= set(np.unique(stock).tolist())
    for ours, theirs in zip(exact, stock, strict=True):
        # Logits agree to rounding: on another machine a pixel may fall on the other side of 0.
        assert (ours != theirs).mean() <= 0.0005


def test_no_target_yet(model):
    segmenter = StockSegmenter(model, 3)
    assert not segmenter.step(IMAGES[0], {}).labels.any()
    setup = Setup(model, TrackerConfig())
    first = MODES['exact'].start(3, setup).step(IMAGES[0], {})
    assert not first.labels.any()
    assert first.active == 0
