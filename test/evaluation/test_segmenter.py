# SPDX-License-Identifier: Apache-2.0
"""Prompts drawn from a mask, and overlapping targets put into one label map."""

import numpy as np
import pytest
import torch

from esam2_ros.evaluation.segmenter import PromptKind
from esam2_ros.evaluation.segmenter import draw_prompt
from esam2_ros.evaluation.segmenter import merge

BAR = np.zeros((40, 60), bool)
BAR[10:15, 20:51] = True
CORNER = np.zeros((40, 60), bool)
CORNER[:9, :9] = True
PIXEL = np.zeros((40, 60), bool)
PIXEL[39, 59] = True


@pytest.mark.parametrize(
    ('mask', 'box', 'row'),
    [
        (BAR, (20, 10, 51, 15), 12.5),
        (CORNER, (0, 0, 9, 9), 4.5),
        (PIXEL, (59, 39, 60, 40), 39.5),
    ],
)
def test_prompts_of_a_mask(mask, box, row):
    assert (draw_prompt(mask, PromptKind.MASK).mask == mask).all()
    assert tuple(draw_prompt(mask, PromptKind.BOX).box) == box
    point = draw_prompt(mask, PromptKind.POINT)
    ((x, y),) = point.points
    assert y == row
    assert mask[int(y), int(x)]
    assert point.point_labels.tolist() == [1]


def test_the_higher_logit_wins_and_negative_ones_are_background():
    logits = torch.tensor([[[5.0, 1.0, -1.0, -2.0]], [[4.0, 2.0, 3.0, -1.0]]])
    assert merge([7, 3], logits, (4, 1)).tolist() == [[7, 3, 3, 0]]


def test_logits_are_resized_before_they_are_compared():
    logits = torch.tensor([[[6.0, -2.0]]])
    # Bilinear with half-pixel centres: 6, 4, 0, -2; zero is not the target.
    assert merge([1], logits, (4, 2)).tolist() == [[1, 1, 0, 0]] * 2


def test_no_target_is_an_empty_map():
    assert not merge([], torch.empty(0), (3, 2)).any()
