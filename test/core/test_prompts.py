# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch

from esam2_ros import Prompt
from esam2_ros.core.prompts import mask_input
from esam2_ros.core.prompts import point_inputs
from esam2_ros.errors import PromptError

NAN = float('nan')
MASK = np.eye(4, dtype=bool)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({}, 'empty prompt'),
        ({'points': []}, 'no points'),
        ({'points': [[1, 2, 3]]}, r'shape \(1, 3\); allowed: \[n, 2\]'),
        ({'points': [[NAN, 2]]}, r'points are not finite: \[\[nan, 2.0\]\]'),
        ({'points': [[1, 2]], 'point_labels': [1, 0]}, '2 point_labels for 1 points'),
        ({'points': [[1, 2]], 'point_labels': [7]}, r'\[7\]; allowed: 1'),
        ({'point_labels': [1]}, '1 point_labels without points'),
        ({'box': [1, 2, 3]}, r'box has shape \(3,\)'),
        ({'box': [1, 2, float('inf'), 3]}, 'box is not finite'),
        ({'box': [5, 5, 5, 9]}, 'empty; needed: x_min < x_max'),
        ({'mask': np.zeros((4, 4))}, 'mask is empty'),
        ({'mask': np.ones((4, 4, 3))}, r'shape \(4, 4, 3\)'),
        ({'mask': MASK, 'box': [0, 0, 1, 1]}, 'stands alone'),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(PromptError, match=message):
        Prompt(**arguments)


@pytest.mark.parametrize(
    ('prompt', 'message'),
    [
        (Prompt(points=[[101, 5]]), r'point \(101, 5\) is outside the image of 100 x 50 px'),
        (Prompt(points=[[5, -1]]), 'outside'),
        (Prompt(box=[0, 0, 120, 40]), r'box \(0, 0, 120, 40\) is outside the image of 100 x 50'),
        (Prompt(box=[-5, 0, 20, 40]), 'outside'),
        (Prompt(mask=MASK), 'mask is 4 x 4 px, the image is 100 x 50 px'),
    ],
)
def test_check_refuses(prompt, message):
    with pytest.raises(PromptError, match=message):
        prompt.check(100, 50)


@pytest.mark.parametrize(
    'prompt',
    [
        Prompt(points=[[0, 0], [100, 50]]),
        Prompt(box=[0, 0, 100, 50]),
        Prompt(box=[-0.6, 0, 100.4, 50]),  # a detector's rounding
        Prompt(mask=np.ones((50, 100))),
    ],
)
def test_check_accepts(prompt):
    prompt.check(100, 50)


def test_box_corners_come_first_in_model_pixels():
    prompt = Prompt(points=[[50, 10]], point_labels=[0], box=[-0.5, 10, 100, 50])
    coordinates, labels = point_inputs(prompt, 100, 50, 256)
    torch.testing.assert_close(
        coordinates, torch.tensor([[[0.0, 51.2], [256.0, 256.0], [128.0, 51.2]]])
    )
    assert labels.tolist() == [[2, 3, 0]]
    assert labels.dtype == torch.int32


def test_points_are_on_the_target_by_default():
    assert np.asarray(Prompt(points=[[1, 2], [3, 4]]).point_labels).tolist() == [1, 1]


def test_mask_input_keeps_the_area():
    mask = np.zeros((60, 80), bool)
    mask[15:45, 20:60] = True  # a quarter
    resized = mask_input(mask, 64)
    assert resized.shape == (1, 1, 64, 64)
    assert set(resized.unique().tolist()) == {0.0, 1.0}
    assert abs(resized.mean().item() - 0.25) < 0.02


def test_the_caller_may_change_its_array():
    points = np.array([[1.0, 2.0]])
    prompt = Prompt(points=points)
    points[:] = 9
    assert np.asarray(prompt.points).tolist() == [[1.0, 2.0]]
