# SPDX-License-Identifier: Apache-2.0
"""The recipe: the shipped one is read, bad ones are refused with a useful message."""

from pathlib import Path

import pytest
import yaml

from esam2_ros.training.config import RecipeError
from esam2_ros.training.config import load_recipe

SHIPPED = Path(__file__).parents[2] / 'config' / 'train_compact.yaml'
PHASE = {'steps': 10, 'lr_from': 1e-3, 'lr_to': 5e-4, 'shapes': [{'size': 64}]}


def write(path, table):
    path.write_text(yaml.safe_dump(table))
    return path


def test_the_shipped_recipe_is_good_and_ends():
    recipe = load_recipe(SHIPPED)
    total = sum(phase.steps for phase in recipe.phases)
    assert recipe.locate(total - 1)[0] is recipe.phases[-1]
    assert recipe.locate(total) is None
    # It begins with single images and ends at the shipped input size.
    assert {shape.frames for shape in recipe.phases[0].shapes} == {1}
    assert max(shape.size for shape in recipe.phases[-1].shapes) == 512


def test_the_rate_runs_from_one_value_to_the_other(tmp_path):
    table = {'warmup': 2, 'phases': [PHASE, {**PHASE, 'lr_from': 1e-4, 'lr_to': 1e-4}]}
    recipe = load_recipe(write(tmp_path / 'r.yaml', table))
    rates = [recipe.locate(step)[1] for step in (0, 1, 5, 9, 10, 19)]
    assert rates == pytest.approx([5e-4, 9.5e-4, 7.5e-4, 5.5e-4, 1e-4, 1e-4])


@pytest.mark.parametrize(
    ('table', 'message'),
    [
        ({}, 'phases is None, allowed is a list'),
        ({'phases': []}, r'phases is \[\], allowed is a list'),
        ({'phases': [7]}, 'shapes is None, allowed is a list'),
        ({'phases': [{**PHASE, 'shapes': []}]}, r'shapes is \[\], allowed is a list'),
        ({'phases': [{**PHASE, 'shapes': [64]}]}, 'shape is 64, allowed is a mapping'),
        ({'phases': [{**PHASE, 'shapes': [{'size': 100}]}]}, 'size is 100, allowed are multiples'),
        ({'phases': [{**PHASE, 'shapes': [{'clips': 'two'}]}]}, "clips is 'two', allowed is a wh"),
        ({'phases': [{**PHASE, 'steps': 0}]}, 'steps is 0, allowed is a whole number from 1'),
        ({'phases': [{'shapes': [{}]}]}, 'a phase has no steps'),
        ({'phases': [{**PHASE, 'lr_to': 'low'}]}, "lr_to is 'low', allowed is 0.0 to 1.0"),
        ({'phases': [PHASE], 'rate': 1}, "unknown key 'rate', allowed are"),
        ({'phases': [PHASE], 'ema': 1.5}, 'ema is 1.5, allowed is 0.0 to 1.0'),
    ],
)
def test_a_bad_recipe_is_refused(tmp_path, table, message):
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(write(tmp_path / 'r.yaml', table))
    assert 'r.yaml' in str(caught.value)


def test_a_file_that_is_no_yaml(tmp_path):
    (tmp_path / 'r.yaml').write_text('phases: [')
    for name in ('r.yaml', 'absent.yaml'):
        with pytest.raises(RecipeError, match=f'{name} cannot be read as YAML'):
            load_recipe(tmp_path / name)
