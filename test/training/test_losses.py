# SPDX-License-Identifier: Apache-2.0
"""Losses with values that can be worked out by hand."""

import torch

from esam2_ros.training.losses import grade
from esam2_ros.training.losses import mask_losses
from esam2_ros.training.losses import true_iou

TRUTH = torch.zeros(1, 4, 4)
TRUTH[0, :2] = 1  # 8 of 16 pixels


def test_a_sure_and_right_mask_costs_nothing():
    logits = (TRUTH * 2 - 1)[:, None] * 50
    assert mask_losses(logits, TRUTH).item() < 1e-6


def test_a_mask_of_zero_logits():
    # BCE ln 2 on both sides (half + whole); dice 1 - (2 * 4 + 1) / (8 + 8 + 1)
    expected = 1.5 * torch.log(torch.tensor(2.0)) + 1 - 9 / 17
    assert torch.isclose(mask_losses(torch.zeros(1, 1, 4, 4), TRUTH)[0, 0], expected)


def test_iou_counts_pixels():
    logits = -torch.ones(1, 2, 4, 4)
    logits[0, 0, :1] = 1  # 4 of the 8
    assert true_iou(logits, TRUTH).tolist() == [[0.5, 0.0]]
    assert true_iou(-torch.ones(1, 1, 4, 4), TRUTH * 0).item() == 1.0


def test_an_absent_target_teaches_only_the_object_score():
    masks = torch.randn(1, 4, 4, 4, requires_grad=True)
    score = torch.zeros(1, 1, requires_grad=True)
    marks = grade(masks, torch.rand(1, 4), score, TRUTH * 0, multi=True)
    marks.total.backward()
    assert masks.grad is not None and masks.grad.abs().max() == 0
    assert score.grad is not None and score.grad.item() == 0.5  # sigmoid(0)
