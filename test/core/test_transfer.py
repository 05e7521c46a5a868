# SPDX-License-Identifier: Apache-2.0
"""Tensors between host and device in one piece."""

import pytest
import torch

from esam2_ros.core.transfer import pack
from esam2_ros.core.transfer import to_host
from esam2_ros.core.transfer import unpack


def test_tensors_travel_in_one_piece():
    tensors = [
        torch.tensor([[True, False, True]]),
        torch.randn(2, 3),
        torch.tensor(7),
        torch.zeros(0, 4),
        torch.randn(3, 1).to(torch.bfloat16),
        torch.randn(4, 6).T[1:],
        torch.arange(3),
    ]
    packed = pack(tensors)
    assert packed.dtype == torch.uint8 and len(packed) == 8 + 24 + 8 + 0 + 8 + 80 + 24
    for got, wanted in zip(unpack(packed, tensors), tensors, strict=True):
        assert got.dtype == wanted.dtype
        assert torch.equal(got, wanted)


def test_tensors_of_the_host_are_not_copied():
    tensors = [torch.ones(2), torch.ones(3)]
    assert all(a is b for a, b in zip(to_host(tensors), tensors, strict=True))
    assert to_host([]) == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
def test_a_packed_copy_equals_single_ones():
    tensors = [torch.randn(2, 3, device='cuda'), torch.tensor([True, False], device='cuda')]
    for got, wanted in zip(to_host(tensors), tensors, strict=True):
        assert torch.equal(got, wanted.cpu())
