# SPDX-License-Identifier: Apache-2.0
"""One replay from start to end: node, player, recorded bag, pictures, summary."""

import json
import os
import shutil
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import ExitStack
from contextlib import contextmanager
from dataclasses import asdict
from dataclasses import dataclass
from dataclasses import replace
from pathlib import Path

from esam2_ros.bags.images import read_images
from esam2_ros.bags.read import BagReader
from esam2_ros.bags.read import Topic
from esam2_ros.bags.schema import COMPRESSED_IMAGE
from esam2_ros.bags.write import STORAGES
from esam2_ros.errors import BagError
from esam2_ros.errors import PromptError
from esam2_ros.replay.decode import checked
from esam2_ros.replay.interrupt import Interrupt
from esam2_ros.replay.log import ReplayLog
from esam2_ros.replay.player import Player
from esam2_ros.replay.process import NodeOptions
from esam2_ros.replay.process import NodeProcess
from esam2_ros.replay.process import ReplayError
from esam2_ros.replay.process import middleware_environment
from esam2_ros.replay.prompts import ReplayPrompt
from esam2_ros.replay.recorder import Recorder
from esam2_ros.replay.report import ReportFiles
from esam2_ros.replay.report import write_report
from esam2_ros.replay.schedule import play
from esam2_ros.replay.summary import Counts
from esam2_ros.replay.summary import ReplaySummary
from esam2_ros.replay.summary import mean_iou
from esam2_ros.replay.summary import stage_columns
from esam2_ros.replay.summary import stage_times
from esam2_ros.replay.summary import target_summaries
from esam2_ros.replay.truth import folder_truth

RECORDED = 'recorded'
SHEET = 'contact_sheet.png'
VIDEO = 'overlay.mp4'
SUMMARY = 'summary.json'
PARAMS = 'params.yaml'
LOG = 'node.log'
OUTPUTS = (RECORDED, SHEET, VIDEO, SUMMARY, PARAMS, LOG)


@dataclass(frozen=True)
class ReplayOptions:
    """What to replay and how.

    Attributes:
        rate: times the speed of the recording; None waits for the node after each frame.
        frames: at most so many, or None for all.
        truth: folder of one mask PNG a frame; None uses the bag's truth topic, if it has one.
        replace: remove the files of an earlier replay in `out` first.
        timeout_s: longest wait for the start of the node, and for each answer of it.

    Raises:
        BagError: the storage is not one of those that can be written.
    """

    bag: Path
    out: Path
    prompts: tuple[ReplayPrompt, ...]
    node: NodeOptions
    topic: str | None = None
    rate: float | None = None
    frames: int | None = None
    storage: str = 'sqlite3'
    truth: Path | None = None
    video: bool = True
    replace: bool = False
    timeout_s: float = 120.0

    def __post_init__(self) -> None:
        if self.storage not in STORAGES:
            raise BagError(f'storage is {self.storage!r}; allowed: {", ".join(STORAGES)}')


def own_namespace() -> str:
    """A namespace that no other replay on this machine has."""
    return f'/esam2_replay_{os.getpid()}'


def replay(
    options: ReplayOptions,
    on_start: Callable[[Topic, int], None] = lambda topic, frames: None,
    on_frame: Callable[[], None] = lambda: None,
) -> ReplaySummary:
    """Play a bag to the node over DDS and report on what it publishes.

    `on_start` is called with the topic and the number of frames, `on_frame` after each of them.
    Ctrl-C ends the playing, not the report: what came until then is summed up.

    Raises:
        BagError: the bag, the truth or the output folder cannot be used.
        PromptError: a prompt stands on a frame that is not played, or the node refuses it.
        ReplayError: the node died or did not answer in time; holds the end of its log.
    """
    with BagReader(options.bag) as bag:
        topic = bag.image_topic(options.topic)
        frames = min(topic.count, options.frames or topic.count)
        for prompt in options.prompts:
            if prompt.at >= frames:
                raise PromptError(f'prompt at={prompt.at}; allowed: 0 to {frames - 1}')
        if options.truth is not None:
            folder_truth(options.truth, frames)
        make_folder(options.out, options.replace)
        on_start(topic, frames)
        log = ReplayLog()
        code = _run_node(options, bag, topic, log, on_frame)
        return _sum_up(options, bag, topic, log, code)


def make_folder(out: Path, replace_old: bool) -> None:
    """Make the folder for the results, and remove those of an earlier replay if asked to.

    Raises:
        BagError: earlier results are in the way, or the folder cannot be made.
    """
    old = [out / name for name in OUTPUTS if (out / name).exists()]
    if old and not replace_old:
        raise BagError(f'{old[0]} exists already; name another folder, or replace it with --force')
    for path in old:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BagError(f'{out} cannot be a folder for the results: {error}') from error


def _run_node(
    options: ReplayOptions,
    bag: BagReader,
    topic: Topic,
    log: ReplayLog,
    on_frame: Callable[[], None],
) -> int:
    # Read by Fast DDS when the player's context is made, and handed down to the node.
    os.environ.update(middleware_environment())
    compressed = topic.msgtype == COMPRESSED_IMAGE
    settings = replace(options.node, paced=options.rate is None, compressed=compressed)
    node = NodeProcess(settings, options.out / PARAMS, options.out / LOG)
    interrupt = Interrupt()

    def check() -> None:
        interrupt.check()
        node.check()

    def played() -> None:
        interrupt.check()
        on_frame()

    try:
        with ExitStack() as stack:
            recorder = stack.enter_context(Recorder(options.out / RECORDED, options.storage))

            def take(name: str, time_ns: int, cdr: bytes) -> None:
                recorder.write(name, time_ns, cdr)
                log.take(name, cdr)

            player = stack.enter_context(
                Player(settings.namespace, topic.msgtype, take, check, options.timeout_s)
            )
            # Before the player leaves: once, one that left a node that was still talking to it
            # ended with a segmentation fault inside Fast DDS.
            stack.callback(node.stop)
            with _interruptible(log), interrupt.held():
                player.start_node()
                images = checked(read_images(bag, topic, options.frames), topic)
                play(player, images, options.prompts, options.rate, log, played)
            log.round_trips_ms = player.round_trips_ms
    except ReplayError as error:
        raise ReplayError(f'{error}; {node.tail()}') from error
    finally:
        code = node.stop()
    if not log.tracks:
        raise ReplayError(f'stopped before the node answered to an image; {node.tail()}')
    return code


@contextmanager
def _interruptible(log: ReplayLog) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        log.interrupted = True


def _sum_up(
    options: ReplayOptions, bag: BagReader, topic: Topic, log: ReplayLog, code: int
) -> ReplaySummary:
    out = options.out
    files = ReportFiles(out / SHEET, out / VIDEO if options.video else None)
    ious = write_report(bag, topic, out / RECORDED, log, files, options.truth)
    names = {'sheet': SHEET, 'bag': RECORDED, 'summary': SUMMARY, 'params': PARAMS, 'log': LOG}
    if options.video:
        names['video'] = VIDEO
    targets = target_summaries(log.tracks.values(), ious)
    summary = ReplaySummary(
        bag=str(options.bag),
        topic=topic.name,
        paced=options.rate is None,
        rate=options.rate,
        frames=Counts(
            sent=log.sent,
            processed=len(log.tracks),
            dropped=log.sent - len(log.tracks),
            restamped=log.restamped,
        ),
        seconds=log.seconds,
        stages_ms=stage_times(stage_columns(log.stats.values(), log.round_trips_ms)),
        targets=targets,
        events=dict(log.events),
        prompts=[asdict(answer) for _, answer in log.prompts],
        mean_iou=mean_iou(targets),
        interrupted=log.interrupted,
        node_exit_code=code,
        files={key: str(out / name) for key, name in names.items()},
    )
    text = json.dumps(summary.as_json(), indent=2, ensure_ascii=False)
    (out / SUMMARY).write_text(text + '\n')
    return summary
