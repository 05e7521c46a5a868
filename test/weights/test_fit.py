# SPDX-License-Identifier: Apache-2.0
"""A checkpoint is told from others by its tensors, and what does not fit is named."""

import json
import os
from pathlib import Path

import pytest

from esam2_ros.core.models import MODELS
from esam2_ros.core.models import build_model
from esam2_ros.weights.fit import compare
from esam2_ros.weights.fit import model_shapes
from esam2_ros.weights.fit import nearest_model
from esam2_ros.weights.fit import shapes_of

OFFICIAL = [name for name in MODELS if name != 'compact']


def schema(name: str) -> dict[str, tuple[int, ...]]:
    """Tensor shapes of an official checkpoint."""
    root = os.environ.get('ESAM2_DATA')
    if not root:
        pytest.skip('needs ESAM2_DATA')
    path = Path(root) / 'schemas' / f'schema_{name}.json'
    return {key: tuple(shape) for key, (shape, _) in json.loads(path.read_text()).items()}


@pytest.mark.parametrize('name', OFFICIAL)
def test_models_have_the_tensors_of_the_official_files(name):
    assert not compare(schema(name), model_shapes(name))
    assert str(nearest_model(schema(name))) == f'it is a checkpoint of {name}'


@pytest.mark.parametrize('name', OFFICIAL)
def test_no_official_file_fits_another_model(name):
    for other in MODELS:
        assert bool(compare(schema(name), model_shapes(other))) == (other != name)


@pytest.mark.parametrize('size', [256, 1024])
def test_shapes_built_on_nothing_are_the_real_ones(size):
    assert dict(model_shapes('compact')) == shapes_of(build_model('compact', size).state_dict())


def test_every_difference_is_counted_and_the_first_are_named():
    needed = {key: (2, 3) for key in 'abcdef'}
    found = {'a': (2, 3), 'b': (3, 2), 'y': (1,), 'z': (1,)}
    assert str(compare(found, needed)) == (
        '4 missing (c, d, e, ...); 2 unexpected (y, z); '
        '1 of another shape (b: [3, 2], needs [2, 3])'
    )


def test_a_relative_of_a_model_is_recognised():
    found = dict(model_shapes('compact'))
    found['extra'] = (1,)
    del found['no_obj_ptr']
    total = len(found) + 1
    assert str(nearest_model(found)) == (
        f'nearest is compact: {total - 2} of {total} tensors are like its own'
    )


@pytest.mark.parametrize('found', [{}, {'weight': (3, 3)}])
def test_a_stranger_is_recognised(found):
    assert str(nearest_model(found)).startswith('it is a checkpoint of none of compact, sam2.1')
