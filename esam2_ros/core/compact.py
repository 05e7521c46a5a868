# SPDX-License-Identifier: Apache-2.0
"""The compact SAM2: the shape of SAM 2.1, small enough to ship inside the package.

Built only from classes of the ``sam2`` package, so that every code path of the official
models (windows, global blocks, memory attention, object pointers) is the same one here.
"""

from sam2.modeling.backbones.hieradet import Hiera
from sam2.modeling.backbones.image_encoder import FpnNeck
from sam2.modeling.backbones.image_encoder import ImageEncoder
from sam2.modeling.memory_attention import MemoryAttention
from sam2.modeling.memory_attention import MemoryAttentionLayer
from sam2.modeling.memory_encoder import CXBlock
from sam2.modeling.memory_encoder import Fuser
from sam2.modeling.memory_encoder import MaskDownSampler
from sam2.modeling.memory_encoder import MemoryEncoder
from sam2.modeling.position_encoding import PositionEmbeddingSine
from sam2.modeling.sam.transformer import RoPEAttention
from sam2.modeling.sam2_base import SAM2Base

WIDTH = 32  # channels at stride 4; doubles with every stage
HIDDEN = 128  # channels of the image embedding (256 in SAM 2.1)
MEMORY = 32  # channels of a memory token (64 in SAM 2.1)
STAGES = (1, 2, 7, 2)
GLOBAL_BLOCKS = (6, 9)
# Tokens a side per stage. Stage 4's window covers the pixels of stage 3's, as in SAM 2.1:
# 96 px, that is 6 x 6 windows at 512.
WINDOWS = (8, 4, 6, 3)
MEMORY_LAYERS = 2


def _sine(channels: int) -> PositionEmbeddingSine:
    return PositionEmbeddingSine(
        num_pos_feats=channels, normalize=True, scale=None, temperature=10000
    )


def _rope(image_size: int, **extra: object) -> RoPEAttention:
    grid = image_size // 16
    return RoPEAttention(
        rope_theta=10000.0,
        feat_sizes=(grid, grid),
        embedding_dim=HIDDEN,
        num_heads=1,
        downsample_rate=1,
        dropout=0.0,
        **extra,
    )


def _image_encoder() -> ImageEncoder:
    trunk = Hiera(
        embed_dim=WIDTH,
        num_heads=1,
        stages=STAGES,
        global_att_blocks=GLOBAL_BLOCKS,
        window_spec=WINDOWS,
        window_pos_embed_bkg_spatial_size=(7, 7),
    )
    neck = FpnNeck(
        position_encoding=_sine(HIDDEN),
        d_model=HIDDEN,
        backbone_channel_list=trunk.channel_list,
        fpn_top_down_levels=[2, 3],
        fpn_interp_model='nearest',
    )
    return ImageEncoder(trunk=trunk, neck=neck, scalp=1)


def _memory_attention(image_size: int) -> MemoryAttention:
    layer = MemoryAttentionLayer(
        activation='relu',
        dim_feedforward=512,
        dropout=0.0,
        d_model=HIDDEN,
        pos_enc_at_attn=False,
        self_attention=_rope(image_size),
        cross_attention=_rope(image_size, rope_k_repeat=True, kv_in_dim=MEMORY),
        pos_enc_at_cross_attn_keys=True,
        pos_enc_at_cross_attn_queries=False,
    )
    return MemoryAttention(
        d_model=HIDDEN, pos_enc_at_input=True, layer=layer, num_layers=MEMORY_LAYERS
    )


def _memory_encoder() -> MemoryEncoder:
    block = CXBlock(
        dim=HIDDEN, kernel_size=7, padding=3, layer_scale_init_value=1e-6, use_dwconv=True
    )
    return MemoryEncoder(
        out_dim=MEMORY,
        in_dim=HIDDEN,
        position_encoding=_sine(MEMORY),
        fuser=Fuser(block, num_layers=2),
        mask_downsampler=MaskDownSampler(embed_dim=HIDDEN, kernel_size=3, stride=2, padding=1),
    )


def build_compact(image_size: int = 512) -> SAM2Base:
    """Build the untrained compact model with SAM 2.1's settings.

    `image_size` is the side of the square model input in pixels, a multiple of 64.
    """
    return SAM2Base(
        _image_encoder(),
        _memory_attention(image_size),
        _memory_encoder(),
        image_size=image_size,
        num_maskmem=7,
        backbone_stride=16,
        sigmoid_scale_for_mem_enc=20.0,
        sigmoid_bias_for_mem_enc=-10.0,
        binarize_mask_from_pts_for_mem_enc=True,
        use_mask_input_as_output_without_sam=True,
        directly_add_no_mem_embed=True,
        no_obj_embed_spatial=True,
        use_high_res_features_in_sam=True,
        multimask_output_in_sam=True,
        multimask_output_for_tracking=True,
        multimask_min_pt_num=0,
        multimask_max_pt_num=1,
        use_multimask_token_for_obj_ptr=True,
        iou_prediction_use_sigmoid=True,
        use_obj_ptrs_in_encoder=True,
        add_tpos_enc_to_obj_ptrs=True,
        proj_tpos_enc_in_obj_ptrs=True,
        use_signed_tpos_enc_to_obj_ptrs=True,
        only_obj_ptrs_in_the_past_for_eval=True,
        use_mlp_for_obj_ptr_proj=True,
        pred_obj_scores=True,
        pred_obj_scores_mlp=True,
        fixed_no_obj_ptr=True,
        sam_mask_decoder_extra_args={
            'dynamic_multimask_via_stability': True,
            'dynamic_multimask_stability_delta': 0.05,
            'dynamic_multimask_stability_thresh': 0.98,
        },
    )
