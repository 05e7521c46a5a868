# SPDX-License-Identifier: Apache-2.0
"""torch.compile: what can be traced, and when; no backend is run."""

import pytest
import torch

from esam2_ros.core.compiled import as_compiled
from esam2_ros.core.compiled import compiling
from esam2_ros.core.conditioning import Memories
from esam2_ros.core.engine import Engine
from esam2_ros.core.models import build_model
from esam2_ros.core.trunk import WindowTrunk
from esam2_ros.errors import ConfigError

SIDE = 320


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


@pytest.fixture(scope='module')
def model():
    return build_model('compact', SIDE, seed=3)


def image(seed=5, side=SIDE):
    return torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(seed))


def relative(got, wanted):
    return ((got - wanted).abs().max() / wanted.abs().max()).item()


def test_blocks_compile_whole(model):
    """Traced without a break and only while that is allowed."""
    trunk = WindowTrunk(model.image_encoder.trunk, SIDE, Engine(model).encoder.linear)
    layout = trunk.layouts[2]
    some, other = layout.select_padded([0, 15], 2), layout.select_padded([1, 2, 3], 4)
    wanted = trunk(image(), some)[2], trunk(image(), other)[2]
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    trunk.compile(
        lambda function: torch.compile(function, backend=backend, fullgraph=True, dynamic=False)
    )
    with compiling():
        assert relative(trunk(image(), some)[2], wanted[0]) < 1e-6
    compiled = len(graphs)
    assert compiled > 0
    with as_compiled():
        assert relative(trunk(image(), some)[2], wanted[0]) < 1e-6
        assert relative(trunk(image(), other)[2], wanted[1]) < 1e-6
    assert len(graphs) == compiled


def test_layers_of_memory_attention_compile_whole(model):
    engine = Engine(model)
    conditioner = engine.conditioner
    bank = engine.new_bank()
    generator = torch.Generator().manual_seed(1)
    tokens = engine.grid.tokens
    bank.write_prompt(0, torch.randn(tokens, 32, generator=generator), torch.ones(128))
    batch = [Memories(bank, bank.recall(1), 1)]
    embedding = torch.randn(1, 128, 20, 20, generator=generator)
    wanted = conditioner(embedding, batch)
    conditioner.compile(
        lambda function: torch.compile(function, backend='eager', fullgraph=True, dynamic=False)
    )
    with compiling():
        assert relative(conditioner(embedding, batch), wanted) < 1e-6


def test_compiling_is_refused_on_a_cpu(model):
    with pytest.raises(ConfigError, match='compile is True on cpu; allowed: on a CUDA device'):
        Engine(model, compile=True)
