# SPDX-License-Identifier: Apache-2.0
"""Score what the node published against ground truth."""

from collections.abc import Iterable
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esam2_ros.bags.frames import pictures
from esam2_ros.bags.images import stamp_of
from esam2_ros.bags.read import BagReader
from esam2_ros.bags.schema import IMAGE
from esam2_ros.bags.schema import TRUTH_TOPIC
from esam2_ros.bags.schema import typestore
from esam2_ros.errors import BagError
from esam2_ros.evaluation.scores import iou
from esam2_ros.replay.prompts import Box
from esam2_ros.replay.prompts import ReplayPrompt

Labels = NDArray[np.uint8]


class TruthScorer:
    """Collect the IoU of each target, frame by frame.

    A target is compared with the true object that its first prompt points at. The prompted frame
    itself is not scored, as in DAVIS; frames where neither shows it count as 1.
    """

    def __init__(self, prompts: Iterable[tuple[int, ReplayPrompt]]) -> None:
        self._targets: dict[int, ReplayPrompt] = {}
        for target_id, prompt in prompts:
            self._targets.setdefault(target_id, prompt)
        self._true_ids: dict[int, int] = {}
        self.ious: dict[int, list[float]] = {}

    def add(self, index: int, truth: Labels | None, labels: Labels | None) -> None:
        """Take the next frame: [height, width] ids of the truth and of the node, where there.

        Raises:
            BagError: the truth has another size than the image.
        """
        if truth is None:
            return
        for target_id, prompt in self._targets.items():
            if prompt.at == index:
                self._true_ids[target_id] = true_id(prompt, truth)
            elif prompt.at < index and labels is not None and self._true_ids.get(target_id):
                if truth.shape != labels.shape:
                    raise BagError(
                        f'truth of frame {index} has shape {truth.shape}; '
                        f'allowed: {labels.shape}, that of the image'
                    )
                value = iou(labels == target_id, truth == self._true_ids[target_id])
                self.ious.setdefault(target_id, []).append(value)


def true_id(prompt: ReplayPrompt, truth: Labels) -> int:
    """Id of the true object that a prompt points at, 0 for none.

    Clicks: the object under the first click on the target. Box or mask: the object whose box or
    mask overlaps it most.
    """
    ids = [int(value) for value in np.unique(truth) if value]
    if prompt.mask is not None and prompt.mask.shape == truth.shape:
        overlaps = [iou(prompt.mask, truth == value) for value in ids]
    elif prompt.box is not None:
        overlaps = [_box_iou(prompt.box, box_of(truth == value)) for value in ids]
    else:
        return _id_under_click(prompt, truth)
    best = int(np.argmax(overlaps)) if overlaps else -1
    return ids[best] if overlaps and overlaps[best] > 0 else 0


def _id_under_click(prompt: ReplayPrompt, truth: Labels) -> int:
    height, width = truth.shape
    for (x, y), on in zip(prompt.points, prompt.point_labels, strict=True):
        if on and 0 <= x < width and 0 <= y < height:
            return int(truth[int(y), int(x)])
    return 0


def box_of(mask: NDArray[np.bool_]) -> Box:
    """x_min, y_min, x_max, y_max (edges) of a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def _box_iou(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0.0) * max(height, 0.0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return shared / (areas - shared) if areas > shared else 0.0


def bag_truth(bag: BagReader) -> Iterator[tuple[int, Labels]]:
    """Stamp in ns and labels of each image on the truth topic; nothing without that topic."""
    for item in bag.messages(TRUTH_TOPIC):
        if item.msgtype == IMAGE:
            yield stamp_of(item.cdr), labels_from(item.cdr)


def folder_truth(folder: Path, frames: int) -> list[Path]:
    """One mask a frame, in natural order.

    Raises:
        BagError: there are fewer masks than frames.
    """
    paths = [path for path in pictures(folder) if path.suffix.lower() == '.png']
    if len(paths) < frames:
        raise BagError(f'{folder} holds {len(paths)} masks; allowed: one PNG a frame, {frames}')
    return paths


def labels_from(cdr: bytes) -> Labels:
    """[height, width] ids of a serialised mono8 or 16UC1 label image.

    Raises:
        BagError: the encoding is another.
    """
    image: Any = typestore().deserialize_cdr(cdr, IMAGE)
    kinds = {'mono8': np.dtype('u1'), '16UC1': np.dtype('>u2' if image.is_bigendian else '<u2')}
    if image.encoding not in kinds:
        raise BagError(f'label image has encoding {image.encoding!r}; allowed: mono8, 16UC1')
    kind = kinds[image.encoding]
    rows = np.frombuffer(image.data, np.uint8).reshape(image.height, image.step)
    return rows[:, : image.width * kind.itemsize].view(kind).astype(np.uint8)
