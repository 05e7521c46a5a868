# SPDX-License-Identifier: Apache-2.0
"""A second pass over a replay: each image with what the node published for it."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from esam2_ros.bags.frames import read_labels
from esam2_ros.bags.images import StampedImage
from esam2_ros.bags.images import read_images
from esam2_ros.bags.images import stamp_of
from esam2_ros.bags.read import BagReader
from esam2_ros.bags.read import Topic
from esam2_ros.overlay import draw_labels
from esam2_ros.replay.decode import decode
from esam2_ros.replay.log import ReplayLog
from esam2_ros.replay.pictures import ContactSheet
from esam2_ros.replay.pictures import VideoFile
from esam2_ros.replay.pictures import draw_prompts
from esam2_ros.replay.truth import Labels
from esam2_ros.replay.truth import TruthScorer
from esam2_ros.replay.truth import bag_truth
from esam2_ros.replay.truth import folder_truth
from esam2_ros.replay.truth import labels_from

SECOND_NS = 1_000_000_000
DEFAULT_FPS = 10.0


@dataclass(frozen=True)
class ReportFiles:
    """Where the pictures go; a video of None is not written."""

    sheet: Path
    video: Path | None


def write_report(
    bag: BagReader,
    topic: Topic,
    recorded: Path,
    log: ReplayLog,
    files: ReportFiles,
    truth_folder: Path | None,
) -> dict[int, list[float]]:
    """Write video and contact sheet; the IoU with the truth in each scored frame, by target.

    Raises:
        BagError: a bag is damaged, or the truth does not fit the images.
    """
    scorer = TruthScorer((answer.target_id, prompt) for prompt, answer in log.prompts)
    first = min((prompt.at for prompt, _ in log.prompts), default=0)
    sheet = ContactSheet(files.sheet, min(first, log.sent - 1), log.sent - 1)
    truth = _truth(bag, truth_folder, log.sent)
    with ExitStack() as stack:
        results = stack.enter_context(BagReader(recorded))
        labels = Aligned(_last_labels(results))
        video = files.video and stack.enter_context(
            VideoFile(files.video, _frame_rate(bag, topic, log.sent))
        )
        for image in read_images(bag, topic, log.sent):
            found = labels.at(image.stamp_ns)
            scorer.add(image.index, truth(image), found)
            picture = decode(image, topic)
            tracks = log.tracks.get(image.stamp_ns)
            if found is not None and tracks is not None:
                picture = draw_labels(picture, found, tracks.targets)
            picture = np.array(picture)
            draw_prompts(picture, (each for each, _ in log.prompts if each.at == image.index))
            sheet.add(image.index, picture)
            if video:
                video.add(picture)
    sheet.save()
    return scorer.ious


class Aligned:
    """Labels of a stream, asked for by stamp in the order in which they come."""

    def __init__(self, labels: Iterable[tuple[int, Labels]]) -> None:
        self._rest = iter(labels)
        self._next = next(self._rest, None)

    def at(self, stamp_ns: int) -> Labels | None:
        """[height, width] ids for this stamp, None when the stream skips it."""
        if self._next is None or self._next[0] != stamp_ns:
            return None
        labels = self._next[1]
        self._next = next(self._rest, None)
        return labels


def _last_labels(results: BagReader) -> Iterator[tuple[int, Labels]]:
    """Labels by stamp; where a prompt made the node publish an image again, the last ones."""
    for stamp, group in groupby(results.messages('/labels'), lambda item: stamp_of(item.cdr)):
        *_, last = group
        yield stamp, labels_from(last.cdr)


def _truth(
    bag: BagReader, folder: Path | None, frames: int
) -> Callable[[StampedImage], Labels | None]:
    if folder is not None:
        paths = folder_truth(folder, frames)
        return lambda image: read_labels(paths[image.index])
    aligned = Aligned(bag_truth(bag))
    return lambda image: aligned.at(image.stamp_ns)


def _frame_rate(bag: BagReader, topic: Topic, frames: int) -> float:
    stamps = [image.stamp_ns for image in read_images(bag, topic, min(frames, 100))]
    gap = float(np.median(np.diff(stamps))) / SECOND_NS if len(stamps) > 1 else 0.0
    return min(60.0, max(1.0, 1.0 / gap)) if gap > 0 else DEFAULT_FPS
