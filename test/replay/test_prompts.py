# SPDX-License-Identifier: Apache-2.0
"""The words of `--prompt`."""

import cv2
import numpy as np
import pytest
from made_bags import labels
from made_bags import picture

from esam2_ros.errors import PromptError
from esam2_ros.replay.prompts import ReplayPrompt
from esam2_ros.replay.prompts import parse_prompt


@pytest.mark.parametrize(
    ('text', 'prompt'),
    [
        ('box=10,20,30,40', ReplayPrompt(box=(10, 20, 30, 40))),
        ('box=1.5,2e1,30.25,-4', ReplayPrompt(box=(1.5, 20, 30.25, -4))),
        (
            'points=4,5,1',
            ReplayPrompt(points=((4, 5),), point_labels=(1,)),
        ),
        (
            'points=4,5,1;6.5,7,0',
            ReplayPrompt(points=((4, 5), (6.5, 7)), point_labels=(1, 0)),
        ),
        (
            'box=1,2,3,4 points=2,3,0 label=cup at=12 id=3',
            ReplayPrompt(
                at=12,
                target_id=3,
                label='cup',
                box=(1, 2, 3, 4),
                points=((2, 3),),
                point_labels=(0,),
            ),
        ),
        ('label="tea cup" box=1,2,3,4', ReplayPrompt(label='tea cup', box=(1, 2, 3, 4))),
        ("label='a=b' box=1,2,3,4", ReplayPrompt(label='a=b', box=(1, 2, 3, 4))),
        ('  at=0   box=1,2,3,4  id=254 ', ReplayPrompt(target_id=254, box=(1, 2, 3, 4))),
    ],
)
def test_good(text, prompt):
    assert parse_prompt(text) == prompt


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', "prompt '' has no box=, points= or mask="),
        ('label=cup at=3', "prompt 'label=cup at=3' has no box=, points= or mask="),
        ('box=1,2,3', "'1,2,3' is not four finite numbers x0,y0,x1,y1"),
        ('box=1,2,3,4,5', "'1,2,3,4,5' is not four finite numbers x0,y0,x1,y1"),
        ('box=', "'' is not four finite numbers x0,y0,x1,y1"),
        ('box=a,2,3,4', "'a,2,3,4' is not four finite numbers x0,y0,x1,y1"),
        ('box=nan,2,3,4', "'nan,2,3,4' is not four finite numbers x0,y0,x1,y1"),
        ('box=1,2,inf,4', "'1,2,inf,4' is not four finite numbers x0,y0,x1,y1"),
        ('box=1, 2, 3, 4', "'2,' is not known; allowed: box= points= mask= label= at= id="),
        ('points=1,2', "'1,2' is not x,y,1 or x,y,0"),
        ('points=1,2,1;', "'' is not x,y,1 or x,y,0"),
        ('points=1,nan,1', "'1,nan,1' is not x,y,1 or x,y,0"),
        ('points=1,2,2', 'point label 2 is not 0 or 1'),
        ('points=1,2,0.5', 'point label 0.5 is not 0 or 1'),
        ('box=1,2,3,4 box=1,2,3,4', 'has box= twice'),
        ('box=1,2,3,4 colour=red', "'colour=red' is not known; allowed: box= points= mask="),
        ('1,2,3,4', "'1,2,3,4' is not known; allowed: box= points= mask="),
        ('box=1,2,3,4 at=-1', 'at=-1 is not a whole number of 0 to 2147483648'),
        ('box=1,2,3,4 at=1.5', 'at=1.5 is not a whole number of 0 to'),
        ('box=1,2,3,4 at=', 'at= is not a whole number of 0 to'),
        ('box=1,2,3,4 id=255', 'id=255 is not a whole number of 0 to 254'),
        ('box=1,2,3,4 label="cup', 'cannot be read: No closing quotation'),
        ('mask=a.png box=1,2,3,4', 'a mask stands alone, without box or points'),
        ('mask=a.png points=1,2,1', 'a mask stands alone, without box or points'),
        ('mask=gone.png', 'gone.png cannot be read as a mask: '),
    ],
)
def test_bad(text, message):
    with pytest.raises(PromptError) as caught:
        parse_prompt(text)
    assert str(caught.value).startswith(f'prompt {text!r}')
    assert message in str(caught.value)


def test_a_mask_is_every_pixel_with_an_id(tmp_path):
    path = tmp_path / 'the mask.png'
    cv2.imwrite(str(path), labels(0) * 7)
    prompt = parse_prompt(f'mask="{path}" at=2 label=box')
    assert (prompt.at, prompt.label, prompt.box, prompt.points) == (2, 'box', None, ())
    assert prompt.mask.dtype == bool
    np.testing.assert_array_equal(prompt.mask, labels(0) == 1)


def test_a_picture_is_no_mask(tmp_path):
    path = tmp_path / 'picture.png'
    cv2.imwrite(str(path), picture(0))
    with pytest.raises(PromptError, match=r'picture\.png has mode RGB; allowed: '):
        parse_prompt(f'mask={path}')
