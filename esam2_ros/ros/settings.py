# SPDX-License-Identifier: Apache-2.0
"""The node's parameters: one table that the declarations, the yaml file and the docs come from."""

from dataclasses import dataclass
from dataclasses import fields
from typing import Any

from esam2_ros.ros.parameter_spec import IMAGE_SIZES
from esam2_ros.ros.parameter_spec import ParameterSpec
from esam2_ros.ros.parameter_spec import parameter

MODEL_NAMES = (
    'compact',
    'sam2.1_hiera_tiny',
    'sam2.1_hiera_small',
    'sam2.1_hiera_base_plus',
    'sam2.1_hiera_large',
)
MODES = ('stock', 'exact', 'swr', 'smr', 'paper', 'lossless', 'incremental')
CUT_POLICIES = ('hold', 'forget', 'reset')


@dataclass(frozen=True)
class Settings:
    """The values of all parameters. A field's metadata holds its ROS name and ParameterSpec."""

    model_name: str = parameter(
        'compact', 'model.name', 'Model that segments.', choices=MODEL_NAMES
    )
    checkpoint: str = parameter(
        '',
        'model.checkpoint',
        'Path of the weights. Empty: the packaged file of the compact model, the downloaded'
        ' file of the others. "random": untrained weights made from the seed, for tests.',
    )
    shortcut_checkpoint: str = parameter(
        '',
        'model.shortcut_checkpoint',
        'Path of the weights for windows that are not computed. Empty: the packaged file of the'
        ' compact model, else none; "identity": none.',
    )
    device: str = parameter(
        'auto',
        'model.device',
        'Where the model runs. "auto": cuda when there is one, else cpu.',
        choices=('auto', 'cpu', 'cuda'),
    )
    dtype: str = parameter(
        'auto',
        'model.dtype',
        'Arithmetic of the model. "auto": float32 on the CPU, bfloat16 on a GPU.',
        choices=('auto', 'float32', 'bfloat16', 'float16'),
    )
    image_size: int = parameter(
        0,
        'model.image_size',
        'Side of the square model input in pixels. 0: 512 for compact, 1024 for the others.',
        choices=IMAGE_SIZES,
    )
    mode: str = parameter(
        'exact',
        'routing.mode',
        'What is left out: "exact" nothing, "swr" windows, "smr" old memories, "paper" both,'
        ' "lossless" what did not change, "incremental" what did not change or is far from the'
        ' targets; "stock" is sam2 itself. To and from "stock" only while nothing is tracked.',
        choices=MODES,
        dynamic=True,
    )
    change_levels: float = parameter(
        3.0,
        'routing.change_levels',
        'What the mean of 8 x 8 pixels of the model input may change before they count as changed'
        ' in mode incremental; 0 to 255.',
        low=0.1,
        high=64.0,
        dynamic=True,
    )
    margin_px: int = parameter(
        32,
        'routing.margin_px',
        'Computed around a mask while motion.enabled, in pixels of the model input.',
        low=0,
        high=256,
        dynamic=True,
    )
    doubt_logit: float = parameter(
        2.5,
        'routing.doubt_logit',
        'Object score (logit) below which a target in view has all windows computed, while'
        ' motion.enabled. -10: never.',
        low=-10.0,
        high=10.0,
        dynamic=True,
    )
    refresh_windows: int = parameter(
        1,
        'routing.refresh_windows',
        'Windows a frame that are computed because they were not for longest, while'
        ' motion.enabled.',
        low=0,
        high=25,
        dynamic=True,
    )
    saliency_mass: float = parameter(
        0.7,
        'routing.saliency_mass',
        'Share of the attention that windows chosen by attention hold together.',
        low=0.0,
        high=1.0,
        dynamic=True,
    )
    score_threshold: float = parameter(
        5.0,
        'routing.score_threshold',
        'Object score (logit) below which windows are chosen by attention too.',
        low=-10.0,
        high=10.0,
        dynamic=True,
    )
    memory_frames: int = parameter(
        7,
        'memory.frames',
        'Memories a target is recalled from: the prompt and the most recent frames.',
        low=1,
        high=7,
    )
    prompt_frames: int = parameter(
        4,
        'memory.prompt_frames',
        'Prompted frames a target remembers; the first and the newest always stay.',
        low=1,
        high=8,
    )
    keep_ratio: float = parameter(
        0.05,
        'memory.keep_ratio',
        'Share of each older memory that the modes smr and paper read.',
        low=0.01,
        high=1.0,
        dynamic=True,
    )
    query_sparse: bool = parameter(
        False,
        'memory.query_sparse',
        'Condition only what is near a target on its memory, in the modes smr and paper, while'
        ' motion.enabled. The mode incremental always does.',
        dynamic=True,
    )
    min_iou: float = parameter(
        0.3,
        'memory.min_iou',
        'Predicted IoU below which a frame is not remembered, while motion.enabled.',
        low=0.0,
        high=1.0,
        dynamic=True,
    )
    min_score: float = parameter(
        -10.0,
        'memory.min_score',
        'Object score (logit) up to which a frame is not remembered, while motion.enabled.',
        low=-10.0,
        high=10.0,
        dynamic=True,
    )
    anchors: int = parameter(
        1,
        'memory.anchors',
        'Memories a target keeps beside its prompts, from frames with a look-alike,'
        ' while motion.enabled.',
        low=0,
        high=7,
        dynamic=True,
    )
    memory_directory: str = parameter(
        '',
        'memory.directory',
        'Folder of the files that save_memory and load_memory may name. Empty: esam2_memory in'
        ' ROS_HOME, or in ~/.ros.',
    )
    motion_enabled: bool = parameter(
        True,
        'motion.enabled',
        'Watch for cuts and motion, and act on them.',
        dynamic=True,
    )
    cut_threshold: float = parameter(
        8.0,
        'motion.cut_threshold',
        'Frame difference that a scene cut needs, beside everything else that tells one;'
        ' 0 to 255 as in frame_stats.',
        low=0.0,
        high=255.0,
        dynamic=True,
    )
    fast_threshold: float = parameter(
        0.02,
        'motion.fast_threshold',
        'How far a target moves in a frame to be FAST, in image widths.',
        low=0.0,
        high=1.0,
        dynamic=True,
    )
    rapid_threshold: float = parameter(
        0.025,
        'motion.rapid_threshold',
        'How far things move in a frame for all windows to be computed, in image widths.',
        low=0.0,
        high=1.0,
        dynamic=True,
    )
    cut_policy: str = parameter(
        'hold',
        'motion.cut_policy',
        'At a scene cut: "hold" recent memories until the target is seen again, "forget" them,'
        ' or "reset" everything.',
        choices=CUT_POLICIES,
        dynamic=True,
    )
    max_targets: int = parameter(
        16, 'tracking.max_targets', 'Targets at one time.', low=1, high=254
    )
    lost_after_frames: int = parameter(
        30,
        'tracking.lost_after_frames',
        'Frames out of sight after which a target is LOST.',
        low=1,
        high=1_000_000,
    )
    prompt_history_s: float = parameter(
        2.0,
        'tracking.prompt_history_s',
        'How old, in seconds, the image may be that a prompt was drawn on.',
        low=0.0,
        high=3600.0,
    )
    service_timeout_s: float = parameter(
        2.0,
        'tracking.service_timeout_s',
        'Seconds after which a service call that could not be served is refused.',
        low=0.05,
        high=60.0,
        dynamic=True,
    )
    latency_ms: float = parameter(
        0.0,
        'budget.latency_ms',
        'Milliseconds a frame may take, while motion.enabled: above it less is computed.'
        ' 0: no limit.',
        low=0.0,
        high=60_000.0,
        dynamic=True,
    )
    overlay: bool = parameter(
        True, 'publish.overlay', 'Draw the overlay while somebody subscribes to it.', dynamic=True
    )
    overlay_windows: bool = parameter(
        False,
        'publish.overlay_windows',
        'Show in the overlay which windows were computed.',
        dynamic=True,
    )
    label_encoding: str = parameter(
        'mono8',
        'publish.label_encoding',
        'Encoding of the label image.',
        choices=('mono8', '16UC1'),
        dynamic=True,
    )
    image_transport: str = parameter(
        'raw',
        'image_transport',
        'Input: "raw" is image, "compressed" is image/compressed.',
        choices=('raw', 'compressed'),
    )
    queue_policy: str = parameter(
        'latest',
        'queue_policy',
        'Which images are processed: "latest" only ever the newest, "all" each one from a'
        ' bounded queue (for replay).',
        choices=('latest', 'all'),
    )
    trace_path: str = parameter(
        '',
        'trace_path',
        'File that gets a line of JSON for each processed image; written anew each time the node'
        ' is configured. Empty: none.',
    )
    seed: int = parameter(
        0, 'seed', 'Makes "random" weights repeatable.', low=0, high=2_147_483_647
    )
    autostart: bool = parameter(
        True, 'autostart', 'Configure and activate the node when it starts.'
    )


def parameter_table() -> dict[str, tuple[Any, ParameterSpec]]:
    """Default and spec of each parameter by its ROS name."""
    return {
        each.metadata['name']: (each.default, each.metadata['spec']) for each in fields(Settings)
    }
