# SPDX-License-Identifier: Apache-2.0
"""From a normalised image to what memory attention and the mask decoder read."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor
from torch import nn
from torch.nn import functional

from esam2_ros.core.graphs import Capture
from esam2_ros.core.graphs import GraphCache
from esam2_ros.core.linear import Linear
from esam2_ros.core.pack import ExactPack
from esam2_ros.core.shortcut import Shortcut
from esam2_ros.core.transfer import to_device
from esam2_ros.core.trunk import WindowTrunk
from esam2_ros.core.windows import Selection
from esam2_ros.core.windows import WindowLayout
from esam2_ros.errors import ConfigError

# Window counts that a captured graph exists for; a plan is rounded up to the next.
BUCKETS = (1, 2, 4, 6, 8, 12, 16, 20, 25, 30, 36, 49, 64)
_DENSE = 'dense'


@dataclass(frozen=True)
class Features:
    """An encoded frame.

    embedding  [1, hidden, S/16, S/16]
    skips      maps for the decoder: [1, hidden/8, S/4, S/4] and [1, hidden/4, S/8, S/8]
    """

    embedding: Tensor
    skips: tuple[Tensor, Tensor]


class Encoder:
    """The image encoder of one model at one input size, dense or over some windows."""

    def __init__(
        self,
        model: SAM2Base,
        pack: ExactPack,
        shortcut: Shortcut | None = None,
        first_routed: int | None = None,
    ) -> None:
        """Make the layouts and the fused weights."""
        self._model = model
        self._pack = pack
        self._static = model.device.type != 'cpu'
        self._graphs = GraphCache(self._encode)
        self.linear = Linear(pack.onednn)
        self.trunk = WindowTrunk(
            model.image_encoder.trunk, model.image_size, self.linear, shortcut, first_routed
        )
        # The neck's convolutions are listed from the lowest resolution up.
        convs = [each.conv for each in reversed(model.image_encoder.neck.convs)]
        self._laterals = [
            (conv.weight.detach()[:, :, 0, 0].contiguous(), conv.bias) for conv in convs
        ]
        if pack.fused_neck:
            decoder = model.sam_mask_decoder
            self._laterals[0] = _fuse(convs[0], decoder.conv_s0)
            self._laterals[1] = _fuse(convs[1], decoder.conv_s1)

    @property
    def windows(self) -> WindowLayout:
        """The stage-3 windows that routing chooses among."""
        return self.trunk.layouts[2]

    def __call__(self, image: Tensor, active: Sequence[int] | None = None) -> Features:
        """Encode [1, 3, S, S]; `active` are the stage-3 windows to compute, None for all."""
        if active is None or len(active) >= self.windows.windows:
            return _features(self._graphs(_DENSE, image))
        if not self._static:
            return self._features(image, self.windows.select(active))
        count = self.bucket(len(active))
        table = to_device(self.windows.table(active, count), image.device)
        return _features(self._graphs(count, image, table))

    @property
    def buckets(self) -> tuple[int, ...]:
        """The window counts that frames are rounded up to on a GPU, the smallest first."""
        every = self.windows.windows
        return (*(count for count in BUCKETS if count < every), every)

    def bucket(self, active: int) -> int:
        """The count that `active` windows are rounded up to; one for none."""
        return next(count for count in self.buckets if count >= active)

    def record(self, capture: Capture) -> None:
        """Record the dense frame and every bucket; frames then replay what was recorded."""
        image = torch.zeros(1, 3, *[self._model.image_size] * 2, device=self.windows.device)
        self._graphs.record(_DENSE, capture, image)
        for count in self.buckets:
            table = to_device(self.windows.table(range(count), count), image.device)
            self._graphs.record(count, capture, image, table)

    def _encode(self, image: Tensor, table: Tensor | None = None) -> tuple[Tensor, ...]:
        """What is recorded: shapes depend on those of the inputs and on nothing else."""
        route = None if table is None else self.windows.padded(table)
        features = self._features(image, route)
        return features.embedding, *features.skips

    def _features(self, image: Tensor, route: Selection | None) -> Features:
        pack = self._pack
        if route is None and not pack.window_order:
            if not pack.fused_neck:
                return self._stock(image)
            grids = self._model.image_encoder.trunk(image)
            stages = tuple(grid[0].flatten(1).T for grid in grids)
            return self._neck(stages, None)
        return self.finish(self.trunk(image, route, pack.cached_tables))

    def finish(self, stages: tuple[Tensor, ...]) -> Features:
        """The features of stage outputs in window order."""
        return self._neck(stages, self.trunk.layouts)

    def _neck(
        self, stages: tuple[Tensor, ...], layouts: tuple[WindowLayout, ...] | None
    ) -> Features:
        """Lateral convolutions on tokens, and stage 4 added to stage 3."""
        grids = [
            _to_grid(self.linear(tokens, *lateral), i, layouts)
            for i, (tokens, lateral) in enumerate(zip(stages, self._laterals, strict=True))
        ]
        fine, middle, third, fourth = grids
        if not self._pack.fused_neck:
            decoder = self._model.sam_mask_decoder
            fine, middle = decoder.conv_s0(fine), decoder.conv_s1(middle)
        coarse = functional.interpolate(fourth.float(), scale_factor=2.0, mode='nearest')
        return Features((third + coarse).contiguous(), (fine, middle))

    def _stock(self, image: Tensor) -> Features:
        levels = self._model.forward_image(image)['backbone_fpn']
        fine, middle, embedding = levels[-3:]
        return Features(embedding, (fine, middle))


def _features(encoded: tuple[Tensor, ...]) -> Features:
    embedding, fine, middle = encoded
    return Features(embedding, (fine, middle))


def _fuse(first: nn.Conv2d, second: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Weight and bias of `second` after `first`, both 1 x 1."""
    a, b = first.weight.detach().double()[..., 0, 0], second.weight.detach().double()[..., 0, 0]
    if first.bias is None or second.bias is None:
        raise ConfigError('a 1 x 1 convolution of the neck has no bias; SAM2 models have one')
    bias = b @ first.bias.detach().double() + second.bias.detach().double()
    return (b @ a).to(first.weight.dtype), bias.to(first.weight.dtype)


def _to_grid(tokens: Tensor, stage: int, layouts: tuple[WindowLayout, ...] | None) -> Tensor:
    """[tokens, C] of a stage, in window order or (without layouts) row by row, to a map."""
    if layouts is not None:
        return layouts[stage].to_grid(tokens)
    side = round(tokens.shape[0] ** 0.5)
    return tokens.T.reshape(1, -1, side, side)
