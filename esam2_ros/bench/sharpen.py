# SPDX-License-Identifier: Apache-2.0
"""Random weights that react: with default ones a wrong slot or rotation changes nothing."""

import torch
from sam2.modeling.sam2_base import SAM2Base


def sharpen(model: SAM2Base, seed: int = 0) -> SAM2Base:
    """Make a model's seeded random weights responsive, in place; returns it.

    Attention to memory gets peaked, temporal slots differ, mask logits spread to about +-6, and
    a target counts as in view: a logit near 0 would flip its presence on a rounding error.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if 'memory_attention' in name and name.endswith(('q_proj.weight', 'k_proj.weight')):
                weight.mul_(4)
            if 'output_hypernetworks_mlps' in name and 'layers.2' in name:
                weight.mul_(20)
            if name.startswith('obj_ptr_proj.layers.2'):
                weight.mul_(10)
        slots = model.maskmem_tpos_enc
        slots.copy_(torch.randn(slots.shape, generator=generator))
        model.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.fill_(10.0)
    return model
