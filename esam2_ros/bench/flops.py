# SPDX-License-Identifier: Apache-2.0
"""What a tracked frame costs, counted from the shapes of a model; nothing is run.

A multiply-add is two operations. Only products are counted: matrix products, convolutions and
both halves of attention, as `torch.utils.flop_counter` counts them.
"""

import math
from dataclasses import dataclass
from dataclasses import field

from esam2_ros.bench.model_shape import STRIDE
from esam2_ros.bench.model_shape import BlockShape
from esam2_ros.bench.model_shape import ModelShape
from esam2_ros.core.models import IMAGE_SIZES
from esam2_ros.core.pack import NOTHING
from esam2_ros.core.pack import ExactPack
from esam2_ros.core.plan import BLOCK
from esam2_ros.errors import ConfigError
from esam2_ros.errors import check_ranges
from esam2_ros.policy.modes import Mode

MODES = tuple(Mode)
KEEP_RATIO = 0.05  # of an older memory's tokens, arXiv 2602.08224
SALIENCY_QUERIES = 256


@dataclass(frozen=True)
class Work:
    """What is asked of a model on one frame.

    size      side of the model input in pixels
    memories  spatial memories each target recalls, the prompt's among them
    targets   tracked
    active    share of stage-3 windows computed in the modes that compute a part; rounded up to
              windows. Stages 1 and 2 are counted whole, as if every tile of them had changed
    queries   share of the image that is conditioned for each target, in the modes that read old
              memories in part; rounded up to blocks, None for all
    mode      one of MODES
    pack      exact speed-ups, ignored in mode 'stock'

    Raises ConfigError for a value out of range.
    """

    size: int
    memories: int = 7
    targets: int = 1
    active: float = 0.25
    queries: float | None = None
    mode: str = 'stock'
    pack: ExactPack = field(default_factory=ExactPack)

    def __post_init__(self) -> None:
        if self.size not in IMAGE_SIZES:
            raise ConfigError(f'size is {self.size}; allowed: a multiple of 64 from 256 to 1024')
        if self.mode not in MODES:
            raise ConfigError(f'unknown mode {self.mode!r}; allowed: {", ".join(MODES)}')
        check_ranges(self, (('memories', 1, 7), ('targets', 1, 254)))
        for name, share in (('active', self.active), ('queries', self.queries)):
            if share is not None and not 0 < share <= 1:
                raise ConfigError(f'{name} is {share}; allowed: above 0, up to 1')

    @property
    def tricks(self) -> ExactPack:
        """The exact speed-ups that run in this mode."""
        return NOTHING if self.mode == 'stock' else self.pack

    @property
    def tokens(self) -> int:
        """Tokens of the embedding, and of a memory."""
        return (self.size // STRIDE) ** 2


@dataclass(frozen=True)
class FrameCost:
    """Operations of one frame by part.

    encoder           patch, stage1 .. stage4, neck
    memory_attention  of all targets: cross_scores, cross_values, self_attention, mlp,
                      projections, retrieval (the choice of the keys that are kept)
    mask_decoder      of all targets
    memory_encoder    of all targets
    windows_active    computed of windows_total in the routed blocks
    queries, keys     each target's, in memory attention
    """

    encoder: dict[str, int]
    memory_attention: dict[str, int]
    mask_decoder: int
    memory_encoder: int
    windows_active: int
    windows_total: int
    queries: int
    keys: int

    @property
    def total(self) -> int:
        """The whole frame."""
        parts = sum(self.encoder.values()) + sum(self.memory_attention.values())
        return parts + self.mask_decoder + self.memory_encoder


def frame_cost(shape: ModelShape, work: Work) -> FrameCost:
    """Count a tracked frame in steady state: all memories and pointers are held."""
    windows = math.ceil(work.size // STRIDE / shape.window) ** 2
    active = _whole(work.active, windows) if Mode(work.mode).in_part else windows
    return FrameCost(
        encoder=_encoder(shape, work, active / windows),
        memory_attention=_memory_attention(shape, work),
        mask_decoder=work.targets * _mask_decoder(shape, work.tokens),
        memory_encoder=work.targets * _memory_encoder(shape, work),
        windows_active=active,
        windows_total=windows,
        queries=_queries(work),
        keys=spatial_keys(work) + _pointer_keys(shape),
    )


def _whole(share: float, count: int) -> int:
    """A share of so many things, rounded up."""
    return min(count, math.ceil(round(share * count, 9)))


def _queries(work: Work) -> int:
    """Tokens conditioned for a target."""
    if work.queries is None or not Mode(work.mode).sparse_memory:
        return work.tokens
    blocks = (work.size // BLOCK) ** 2
    return _whole(work.queries, blocks) * work.tokens // blocks


def spatial_keys(work: Work) -> int:
    """Memory tokens a target attends to: with retrieval, few of all but prompt and newest."""
    older = work.memories - 2
    if not Mode(work.mode).sparse_memory or older < 1:
        return work.memories * work.tokens
    return 2 * work.tokens + older * int(KEEP_RATIO * work.tokens)


def _pointer_keys(shape: ModelShape) -> int:
    return shape.pointers * (shape.hidden // shape.memory)


def _encoder(shape: ModelShape, work: Work, share: float) -> dict[str, int]:
    """`share` of the windows is computed where the mode leaves some out: the mean over places."""
    side = work.size // shape.patch.stride
    cost = dict.fromkeys(('patch', 'stage1', 'stage2', 'stage3', 'stage4', 'neck'), 0)
    cost['patch'] = 2 * side**2 * shape.patch.weights
    mode = Mode(work.mode)
    parts = shape.parts(mode.reuses, mode is Mode.LOSSLESS) if mode.in_part else range(0)
    packed = work.tricks.window_order or mode.in_part  # parts are never padded
    for number, block in enumerate(shape.blocks):
        linear = share if number in parts else 1.0
        # Tokens of a global block attend to all others where those are kept, else among themselves.
        pairs = linear if block.window or mode.reuses else linear**2
        cost[f'stage{block.stage}'] += _block(block, side, linear, pairs, packed)
        side //= 2 if block.pooled else 1
    cost['neck'] = _neck(shape, work)
    return cost


def _block(block: BlockShape, side: int, share: float, pair_share: float, packed: bool) -> int:
    """A block on a side x side grid; stock pads the grid to whole windows, `packed` does not.

    `share` of its tokens are computed, with `pair_share` of the pairs of attention.
    """
    window = block.window or side
    whole, rest = divmod(side, window)
    # Windows are a product of two axes, so sums over windows are squares of sums over one axis.
    spans = [window] * whole + [rest if packed else window] * (rest > 0)
    tokens, pairs = sum(spans) ** 2, sum(span**2 for span in spans) ** 2
    pooled = 4 if block.pooled else 1
    inside = side**2
    linear = tokens * block.width_in * 3 * block.width_out
    linear += tokens // pooled * block.width_out**2
    linear += inside // pooled * 2 * block.width_out * block.inner
    if block.width_in != block.width_out:
        linear += inside * block.width_in * block.width_out
    scores = 2 * pairs // pooled * block.width_out
    return round(2 * (linear * share + scores * pair_share))


def _neck(shape: ModelShape, work: Work) -> int:
    side = work.size // shape.patch.stride
    high = (shape.head.fine, shape.head.middle)  # what the decoder reads of the first two levels
    products = 0
    for level, width in enumerate(shape.levels):
        pixels = (side >> level) ** 2
        if level >= len(high):
            products += pixels * width * shape.hidden
        elif work.tricks.fused_neck:
            products += pixels * width * high[level]
        else:
            products += pixels * (width + high[level]) * shape.hidden
    return 2 * products


def _memory_attention(shape: ModelShape, work: Work) -> dict[str, int]:
    tokens, hidden, memory = work.tokens, shape.hidden, shape.memory
    queries = _queries(work)
    pointers = _pointer_keys(shape)
    keys = spatial_keys(work) + pointers
    tricks = work.tricks
    passes = shape.layers * work.targets  # every layer of every target
    # The first self-attention may serve all targets; keys and values are those of all tokens.
    openings = 1 if tricks.shared_self_attention else work.targets
    opened = min(tokens, work.targets * queries) if tricks.shared_self_attention else tokens
    above = (shape.layers - 1) * work.targets * queries
    projected = _projected_keys(work) + pointers
    retrieval = min(SALIENCY_QUERIES, queries) * tokens * hidden
    # Four products of self-attention, and the queries of the recall that follows it.
    projections = (openings * (3 * tokens + 2 * opened) + 5 * above) * hidden**2
    projections += passes * projected * memory * hidden
    if tricks.small_values:  # one product after the sum stands for values and output
        value_width = memory
        projections += passes * queries * memory * hidden
    else:
        value_width = hidden
        projections += passes * (keys * memory * hidden + queries * hidden**2)
    projections += work.targets * shape.pointers * hidden * memory  # positions of the pointers
    products = {
        'cross_scores': passes * queries * keys * hidden,
        'cross_values': passes * queries * keys * value_width,
        'self_attention': 2 * (openings * opened + above) * tokens * hidden,
        'mlp': passes * 2 * queries * hidden * shape.inner,
        'projections': projections,
        'retrieval': passes * retrieval
        if Mode(work.mode).sparse_memory and work.memories > 1
        else 0,
    }
    return {name: 2 * count for name, count in products.items()}


def _projected_keys(work: Work) -> int:
    """Memory tokens whose keys are computed: with a cache the newest memory's and the kept few."""
    recalled = spatial_keys(work)
    if not work.tricks.cached_keys:
        return recalled
    kept = recalled - 2 * work.tokens if Mode(work.mode).sparse_memory and work.memories > 2 else 0
    return work.tokens + kept


def _mask_decoder(shape: ModelShape, pixels: int) -> int:
    head, hidden = shape.head, shape.hidden
    tokens, inner = head.tokens, head.inner
    # Between tokens and image, either way: queries, keys, values, output, scores and sums.
    across = 2 * (tokens + pixels) * hidden * inner + 2 * tokens * pixels * inner
    among = 4 * tokens * hidden**2 + 2 * tokens**2 * hidden
    layer = among + 2 * across + 2 * tokens * hidden * head.mlp
    products = head.layers * layer + across
    products += pixels * 4 * hidden * head.middle
    products += 4 * pixels * 4 * head.middle * head.fine
    products += 16 * pixels * head.masks * head.fine
    products += head.single
    products += pixels * hidden  # position code of the image: 2 coordinates x hidden / 2
    return 2 * products


def _memory_encoder(shape: ModelShape, work: Work) -> int:
    side, products = work.size, work.tokens * shape.fuse
    for conv in shape.mask_convs:
        side //= conv.stride
        products += side**2 * conv.weights
    return 2 * products
