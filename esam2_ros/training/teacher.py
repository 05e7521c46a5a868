# SPDX-License-Identifier: Apache-2.0
"""Run a lesson through SAM2Base's own steps, with every decoder output on record."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor
from torch import nn

from esam2_ros.training.lessons import Lesson
from esam2_ros.training.lessons import at_stride
from esam2_ros.training.losses import Marks
from esam2_ros.training.losses import grade

# Clips count as parts of a long video: SAM2Base scales the age of object pointers by the number
# of frames as long as that is below 16.
HORIZON = 1000
LONGEST_GAP = 3
CERTAIN = 10.0  # the object score that stands for the truth


def set_size(model: SAM2Base, size: int) -> None:
    """Let the model take images of `size` px a side; its weights do not depend on it."""
    grid = size // model.backbone_stride
    model.image_size = size
    model.sam_image_embedding_size = grid
    prompts = model.sam_prompt_encoder
    prompts.image_embedding_size = (grid, grid)
    prompts.input_image_size = (size, size)
    prompts.mask_input_size = (4 * grid, 4 * grid)


@dataclass
class Recorder:
    """Keeps what the decoder predicted last; `force` [B] replaces its object score."""

    masks: Tensor | None = None
    ious: Tensor | None = None
    score: Tensor | None = None
    force: Tensor | None = None


@contextmanager
def recording(model: SAM2Base) -> Iterator[Recorder]:
    """Listen at the mask decoder.

    SAM2Base blanks the masks of targets that it scores absent before anybody sees them, which
    would cut their gradient; the decoder's own output is taken here, before that gate.
    """
    decoder, record = model.sam_mask_decoder, Recorder()
    predict = decoder.predict_masks

    def listen(**arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        masks, ious, tokens, score = predict(**arguments)
        record.masks, record.ious, record.score = masks, ious, score
        if record.force is not None:
            score = (record.force[:, None].to(score) * 2 - 1) * CERTAIN
        return masks, ious, tokens, score

    decoder.predict_masks = listen
    try:
        yield record
    finally:
        del decoder.predict_masks


class EdgeHead(nn.Module):
    """A training-only reader of the stride-16 features: outlines and objects at stride 4.

    It gives the encoder a dense signal at every pixel while the decoder has not yet learnt
    where its prompts point. It is not part of the exported model.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.read = nn.Conv2d(channels, 32, 1)

    def forward(self, features: Tensor) -> Tensor:
        """[N, C, h, w] -> [N, 2, 4h, 4w] logits of outline and object."""
        return nn.functional.pixel_shuffle(self.read(features), 4)


@dataclass(frozen=True)
class Report:
    """What a lesson cost and how well it went: IoU at the prompt and while tracking."""

    loss: Tensor
    prompt_iou: float
    track_iou: float
    score_loss: float


def _view(levels: list[Tensor], rows: Tensor) -> list[Tensor]:
    """Feature maps of the chosen images as SAM2Base wants them: [HW, B, C] a level."""
    return [level.index_select(0, rows).flatten(2).permute(2, 0, 1) for level in levels]


def _prompts(kind: str, lesson: Lesson, rows: Tensor) -> tuple[dict[str, Tensor] | None, Any]:
    if kind == 'mask':
        return None, lesson.truth[0, rows][:, None].float()
    if kind == 'box':
        points = lesson.boxes[rows].view(-1, 2, 2)
        labels = torch.tensor([2, 3], dtype=torch.int32, device=points.device)
    else:
        points = lesson.clicks[rows].view(-1, 1, 2)
        labels = torch.tensor([1], dtype=torch.int32, device=points.device)
    return {'point_coords': points, 'point_labels': labels.expand(len(points), -1)}, None


def correct(points: dict[str, Tensor], logits: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """Add one click a target in the middle of its largest error.

    logits [B, 1, S, S], truth [B, S, S] bool. The error is shrunk by repeated 3 x 3 erosion on
    a coarse grid; the last cell that survives is clicked.
    """
    mine = logits[:, 0] > 0
    wrong = nn.functional.avg_pool2d((mine ^ truth)[:, None].float(), 4)
    depth = torch.rand_like(wrong) * 1e-3
    for _ in range(6):
        depth = depth + wrong
        wrong = -nn.functional.max_pool2d(-wrong, 3, 1, 1)
    flat = depth.flatten(1).argmax(1)
    side = depth.shape[-1]
    spot = torch.stack([flat % side, flat // side], dim=1)[:, None].float() * 4 + 2
    inside = truth[torch.arange(len(truth)), spot[:, 0, 1].long(), spot[:, 0, 0].long()]
    return {
        'point_coords': torch.cat([points['point_coords'], spot], dim=1),
        'point_labels': torch.cat([points['point_labels'], inside[:, None].int()], dim=1),
    }


def frame_numbers(frames: int, generator: torch.Generator) -> list[int]:
    """Rising frame numbers from 0, in half of the clips with gaps, so that short clips also
    teach the embeddings of older memories."""
    gaps = torch.randint(1, LONGEST_GAP + 1, (frames,), generator=generator)
    if torch.rand((), generator=generator) < 0.5:
        gaps = torch.ones(frames, dtype=torch.long)
    gaps[0] = 0
    return [int(n) for n in gaps.cumsum(0)]


class Teacher:
    """Holds the model and runs lessons; one lesson at a time."""

    def __init__(self, model: SAM2Base, edges: EdgeHead, edge_weight: float) -> None:
        self.model = model
        self.edges = edges
        self.edge_weight = edge_weight

    def run(self, lesson: Lesson, forced: bool, generator: torch.Generator) -> Report:
        """Prompt on frame 0 by box, click and mask, then track; returns the loss and scores."""
        model = self.model
        set_size(model, lesson.images.shape[-1])
        with torch.set_grad_enabled(not lesson.frozen):
            features = model.forward_image(lesson.images)
        clock = frame_numbers(lesson.frames, generator)
        levels, places = features['backbone_fpn'], features['vision_pos_enc']
        outputs: dict[str, dict[int, Any]] = {
            'cond_frame_outputs': {},
            'non_cond_frame_outputs': {},
        }
        prompted: list[Marks] = []
        tracked: list[Marks] = []
        with recording(model) as record:
            for t in range(lesson.frames):
                rows = lesson.owner * lesson.frames + t
                scene = _view(levels, rows), _view(places, rows), [x.shape[-2:] for x in levels]
                if t == 0:
                    out = self._prompt(lesson, scene, record, forced, generator, prompted)
                    outputs['cond_frame_outputs'][0] = out
                else:
                    truth = at_stride(lesson.truth[t])
                    record.force = lesson.truth[t].flatten(1).any(1) if forced else None
                    out, sam = self._step(clock[t], False, scene, None, None, outputs)
                    tracked.append(_grade(record, truth, True))
                    outputs['non_cond_frame_outputs'][clock[t]] = out
                if t + 1 < lesson.frames and t > 0:
                    self._remember(scene, sam, out)
        parts = [marks.total for marks in prompted] + [marks.total for marks in tracked]
        loss = torch.stack(parts).mean() + self.edge_weight * self._edge_loss(levels[-1], lesson)
        return Report(loss, _mean(prompted, 'iou'), _mean(tracked, 'iou'), _mean(tracked, 'score'))

    def _step(
        self,
        t: int,
        first: bool,
        scene: tuple[Any, ...],
        points: Any,
        masks: Any,
        outputs: Any,
        before: Tensor | None = None,
    ) -> tuple[dict[str, Any], tuple[Tensor, ...]]:
        out, sam, _, _ = self.model._track_step(
            t, first, *scene, points, masks, outputs, HORIZON, False, before
        )
        out['obj_ptr'] = sam[5]
        return out, sam

    def _remember(self, scene: tuple[Any, ...], sam: tuple[Tensor, ...], out: Any) -> None:
        features, _, sizes = scene
        self.model._encode_memory_in_output(
            features, sizes, out['point_inputs'], True, sam[4], sam[6], out
        )

    def _prompt(
        self,
        lesson: Lesson,
        scene: tuple[Any, ...],
        record: Recorder,
        forced: bool,
        generator: torch.Generator,
        marks: list[Marks],
    ) -> dict[str, Any]:
        """Frame 0: a share of the targets by box, click and mask; then one memory for all."""
        count, device = len(lesson.owner), lesson.images.device
        order = torch.randperm(count, generator=generator).to(device)
        kinds = ('box', 'click') if lesson.frames == 1 else ('box', 'click', 'mask')
        pointers, masks_high, scores, rows_done = [], [], [], []
        for kind, rows in zip(kinds, order.chunk(len(kinds)), strict=False):
            part = (*[[x[:, rows] for x in each] for each in scene[:2]], scene[2])
            points, mask = _prompts(kind, lesson, rows)
            record.force = torch.ones(len(rows), device=device) if forced else None
            out, sam = self._step(0, True, part, points, mask, {})
            truth = at_stride(lesson.truth[0, rows])
            if kind != 'mask':
                marks.append(_grade(record, truth, kind == 'click'))
                if torch.rand((), generator=generator) < 0.35:
                    more = correct(points, sam[4], lesson.truth[0, rows])
                    before = sam[3].detach().clamp(-32, 32)
                    out, sam = self._step(0, True, part, more, None, {}, before)
                    marks.append(_grade(record, truth, False))
            pointers.append(out['obj_ptr'])
            masks_high.append(sam[4])
            scores.append(sam[6])
            rows_done.append(rows)
        back = torch.cat(rows_done).argsort()
        merged: dict[str, Any] = {'obj_ptr': torch.cat(pointers)[back], 'point_inputs': None}
        if lesson.frames > 1:
            self._first_memory(scene, torch.cat(masks_high)[back], torch.cat(scores)[back], merged)
        return merged

    def _first_memory(
        self, scene: tuple[Any, ...], masks: Tensor, scores: Tensor, out: dict[str, Any]
    ) -> None:
        """Prompted frames are remembered as hard masks, as inference does."""
        hard = (masks.detach() > 0).to(masks) * 2 * CERTAIN - CERTAIN
        self.model._encode_memory_in_output(scene[0], scene[2], None, True, hard, scores, out)

    def _edge_loss(self, features: Tensor, lesson: Lesson) -> Tensor:
        """Outlines of all instances, and object or background, on every frame."""
        logits = self.edges(features).float()
        ids = lesson.instances[:, None].float()
        grown = nn.functional.max_pool2d(ids, 3, 1, 1)
        shrunk = -nn.functional.max_pool2d(-ids, 3, 1, 1)
        outline = nn.functional.max_pool2d((grown != shrunk).float(), 4)
        goal = torch.cat([outline, nn.functional.avg_pool2d((ids > 0).float(), 4)], dim=1)
        return nn.functional.binary_cross_entropy_with_logits(logits, goal, 1 + 2 * goal)


def _grade(record: Recorder, truth: Tensor, multi: bool) -> Marks:
    if record.masks is None or record.ious is None or record.score is None:
        raise RuntimeError('the decoder has not run yet')
    return grade(record.masks, record.ious, record.score, truth, multi)


def _mean(marks: list[Marks], name: str) -> float:
    if not marks:
        return float('nan')
    return float(torch.stack([getattr(m, name) for m in marks]).mean())
