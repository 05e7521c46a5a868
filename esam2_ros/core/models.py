# SPDX-License-Identifier: Apache-2.0
"""The five models and how to build them, untrained."""

from dataclasses import dataclass

import torch
from hydra import compose
from hydra.utils import instantiate
from omegaconf import OmegaConf
from sam2.modeling.sam2_base import SAM2Base

from esam2_ros.core.compact import build_compact
from esam2_ros.errors import ConfigError

# What `build_sam2_video_predictor` adds to every yaml: the settings SAM 2.1 is published with.
_PUBLISHED = (
    '++model.sam_mask_decoder_extra_args.dynamic_multimask_via_stability=true',
    '++model.sam_mask_decoder_extra_args.dynamic_multimask_stability_delta=0.05',
    '++model.sam_mask_decoder_extra_args.dynamic_multimask_stability_thresh=0.98',
    '++model.binarize_mask_from_pts_for_mem_enc=true',
)


@dataclass(frozen=True)
class ModelSpec:
    """A model: its name, the ``sam2`` yaml it is built from, its usual input size in pixels."""

    name: str
    config: str  # '' = built by `build_compact`
    image_size: int


MODELS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        ModelSpec('compact', '', 512),
        ModelSpec('sam2.1_hiera_tiny', 'configs/sam2.1/sam2.1_hiera_t.yaml', 1024),
        ModelSpec('sam2.1_hiera_small', 'configs/sam2.1/sam2.1_hiera_s.yaml', 1024),
        ModelSpec('sam2.1_hiera_base_plus', 'configs/sam2.1/sam2.1_hiera_b+.yaml', 1024),
        ModelSpec('sam2.1_hiera_large', 'configs/sam2.1/sam2.1_hiera_l.yaml', 1024),
    )
}

IMAGE_SIZES = range(256, 1025, 64)


def model_spec(name: str) -> ModelSpec:
    """Look a model up by its name, or by the last part of it ('tiny', 'large' ...).

    Raises ConfigError for an unknown name.
    """
    spec = MODELS.get(name) or MODELS.get(f'sam2.1_hiera_{name}')
    if spec is None:
        raise ConfigError(f'unknown model {name!r}; allowed: {", ".join(MODELS)}')
    return spec


def build_model(name: str, image_size: int | None = None, seed: int | None = None) -> SAM2Base:
    """Build an untrained model in eval mode, on the CPU, with frozen parameters.

    `image_size`: side of the square input in pixels (256..1024, multiple of 64; default: the
    model's own). `seed`: makes the random weights repeatable without touching the caller's
    random state. Raises ConfigError for an unknown name or size.
    """
    spec = model_spec(name)
    size = spec.image_size if image_size is None else image_size
    if size not in IMAGE_SIZES:
        raise ConfigError(f'image_size is {size}; allowed: a multiple of 64 from 256 to 1024')
    with torch.random.fork_rng(devices=[]):
        if seed is not None:
            torch.manual_seed(seed)
        model = build_compact(size) if not spec.config else _build_official(spec, size)
    return model.eval().requires_grad_(False)


def _build_official(spec: ModelSpec, image_size: int) -> SAM2Base:
    grid = image_size // 16
    attention = 'model.memory_attention.layer'
    overrides = [
        *_PUBLISHED,
        f'model.image_size={image_size}',
        f'{attention}.self_attention.feat_sizes=[{grid},{grid}]',
        f'{attention}.cross_attention.feat_sizes=[{grid},{grid}]',
    ]
    config = compose(config_name=spec.config, overrides=overrides)
    OmegaConf.resolve(config)
    model: SAM2Base = instantiate(config.model, _recursive_=True)
    return model
