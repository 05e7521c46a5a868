# SPDX-License-Identifier: Apache-2.0
"""The numbers of a model that decide what a frame costs, read from the model itself."""

from dataclasses import dataclass
from functools import cache

from sam2.modeling.sam2_base import SAM2Base
from torch import nn

from esam2_ros.core.models import build_model

STRIDE = 16  # pixels a side of a token of the embedding
_PROMPT_TOKENS = 2  # SAM pads a target without a prompt by two empty points


@dataclass(frozen=True)
class BlockShape:
    """One Hiera block.

    stage      1..4
    width_in   channels of its input
    width_out  and of its output
    inner      channels inside its MLP
    window     tokens a side of its windows, 0 for a global block
    pooled     whether it halves the grid: the entry of a stage
    """

    stage: int
    width_in: int
    width_out: int
    inner: int
    window: int
    pooled: bool


@dataclass(frozen=True)
class ConvShape:
    """A convolution: its stride, and how many weights every output pixel meets."""

    stride: int
    weights: int


@dataclass(frozen=True)
class HeadShape:
    """The mask decoder: a two-way transformer over few tokens and the image, then upscaling.

    tokens  output tokens and empty prompt tokens
    layers  two-way layers
    inner   channels inside attention across tokens and image
    mlp     channels inside the token MLP
    masks   candidate masks
    fine    channels of the embedding at stride 4
    middle  and at stride 8
    single  weights that meet one token once: hypernetworks, score heads, pointer projection
    """

    tokens: int
    layers: int
    inner: int
    mlp: int
    masks: int
    fine: int
    middle: int
    single: int


@dataclass(frozen=True)
class ModelShape:
    """A SAM2 model.

    patch        the patch convolution
    blocks       of the encoder, in order
    routed       those that window routing may skip: after the entry of stage 3, before the
                 last global block (Efficient-SAM2, arXiv 2602.08224)
    window       tokens a side of stage 3's windows
    levels       channels of the four stages
    hidden       channels of the embedding
    memory       channels of a memory token
    layers       of memory attention
    inner        channels inside the MLP of memory attention
    memories     spatial memories SAM2 recalls
    pointers     object pointers SAM2 recalls
    head         the mask decoder
    mask_convs   the memory encoder's convolutions over the mask
    fuse         weights each embedding token meets in the rest of the memory encoder
    """

    patch: ConvShape
    blocks: tuple[BlockShape, ...]
    routed: range
    window: int
    levels: tuple[int, ...]
    hidden: int
    memory: int
    layers: int
    inner: int
    memories: int
    pointers: int
    head: HeadShape
    mask_convs: tuple[ConvShape, ...]
    fuse: int

    def parts(self, reuses: bool, lossless: bool) -> range:
        """The blocks that are computed for some windows only.

        By the paper those of `routed`; where the others are kept (`reuses`) all after stage 3's
        entry, or, to be `lossless`, those of them before the first global block.
        """
        if not reuses:
            return self.routed
        last = len(self.blocks)
        if lossless:
            last = next(n for n in self.routed if not self.blocks[n].window)
        return range(self.routed.start, last)


@cache
def shape_named(name: str) -> ModelShape:
    """The shape of a model by name; ConfigError for an unknown one."""
    return shape_of(build_model(name))


def shape_of(model: SAM2Base) -> ModelShape:
    """Read a model's shape."""
    trunk = model.image_encoder.trunk
    layer = model.memory_attention.layers[0]
    encoder = model.memory_encoder
    return ModelShape(
        patch=_conv(trunk.patch_embed.proj),
        blocks=tuple(
            BlockShape(
                stage=1 + sum(end < number for end in trunk.stage_ends),
                width_in=block.dim,
                width_out=block.dim_out,
                inner=block.mlp.layers[0].out_features,
                window=block.window_size,
                pooled=block.q_stride is not None,
            )
            for number, block in enumerate(trunk.blocks)
        ),
        routed=range(trunk.stage_ends[1] + 2, max(trunk.global_att_blocks)),
        window=trunk.window_spec[2],
        levels=tuple(reversed(trunk.channel_list)),
        hidden=model.hidden_dim,
        memory=model.mem_dim,
        layers=model.memory_attention.num_layers,
        inner=layer.linear1.out_features,
        memories=model.num_maskmem,
        pointers=model.max_obj_ptrs_in_encoder,
        head=_head(model),
        mask_convs=_convs(encoder.mask_downsampler),
        fuse=_weights(encoder.pix_feat_proj) + _weights(encoder.fuser) + _weights(encoder.out_proj),
    )


def _head(model: SAM2Base) -> HeadShape:
    decoder = model.sam_mask_decoder
    first = decoder.transformer.layers[0]
    single = (
        decoder.output_hypernetworks_mlps,
        decoder.iou_prediction_head,
        decoder.pred_obj_score_head,
        model.obj_ptr_proj,
    )
    return HeadShape(
        tokens=2 + decoder.num_mask_tokens + _PROMPT_TOKENS,
        layers=decoder.transformer.depth,
        inner=first.cross_attn_token_to_image.internal_dim,
        mlp=first.mlp.layers[0].out_features,
        masks=decoder.num_mask_tokens,
        fine=decoder.conv_s0.out_channels,
        middle=decoder.conv_s1.out_channels,
        single=sum(_weights(part) for part in single),
    )


def _convs(part: nn.Module) -> tuple[ConvShape, ...]:
    return tuple(_conv(each) for each in part.modules() if isinstance(each, nn.Conv2d))


def _conv(conv: nn.Conv2d) -> ConvShape:
    return ConvShape(conv.stride[0], conv.weight.numel())


def _weights(part: nn.Module) -> int:
    """Weights of all linear layers and convolutions in a module."""
    return sum(
        each.weight.numel() for each in part.modules() if isinstance(each, nn.Linear | nn.Conv2d)
    )
