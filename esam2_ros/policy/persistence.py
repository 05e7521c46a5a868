# SPDX-License-Identifier: Apache-2.0
"""Targets and their memories in a file, so that a robot that restarts still knows them.

The tensors of a target are called '<id>.<name>'; the description holds the rest.
"""

import hashlib
from collections import deque
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import asdict
from dataclasses import dataclass
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor
from torch.nn import functional

from esam2_ros.core.memory import BankState
from esam2_ros.core.memory import MemoryBank
from esam2_ros.core.memory import MemoryShape
from esam2_ros.core.prompts import Prompt
from esam2_ros.core.segmentation import Segmentation
from esam2_ros.errors import Esam2Error
from esam2_ros.errors import ImageSizeError
from esam2_ros.errors import MemoryFileError
from esam2_ros.errors import TooManyTargetsError
from esam2_ros.policy.memory_file import Contents
from esam2_ros.policy.memory_file import read_contents
from esam2_ros.policy.memory_file import write_contents
from esam2_ros.policy.memory_policy import AREAS
from esam2_ros.policy.memory_policy import Watch
from esam2_ros.policy.targets import Target

_SAMPLE = 4096  # values of each weight that tell one model from another
_NO_FRAME = -1
_BANK = ('features', 'pointers', 'best')
_SEEN = ('logits', 'score', 'object_logit', 'pointer')
_PROMPT = ('points', 'point_labels', 'box', 'mask')


@dataclass(frozen=True)
class Origin:
    """What makes memories; only the same can read them.

    build    the encoder in words
    weights  hash of a sample of every weight
    side     of the model's square input in pixels
    """

    build: str
    weights: str
    side: int

    @classmethod
    def of(cls, model: SAM2Base) -> 'Origin':
        """The origin of what `model` remembers, the same on every device."""
        blocks = model.image_encoder.trunk.blocks
        digest = hashlib.sha256()
        for name, value in sorted(model.state_dict().items()):
            digest.update(f'{name} {tuple(value.shape)}'.encode())
            flat = value.detach().flatten()
            sample = flat[:: -(-flat.numel() // _SAMPLE) or 1].to('cpu', torch.float16)
            digest.update(sample.contiguous().numpy().tobytes())
        build = f'{len(blocks)} blocks from {blocks[0].dim} channels'
        return cls(build, digest.hexdigest(), int(model.image_size))


@dataclass(frozen=True, eq=False)
class SavedTargets:
    """What a file holds: targets of images of `size` (width, height in pixels)."""

    size: tuple[int, int]
    targets: tuple[Target, ...]


def write_targets(
    path: Path, origin: Origin, size: tuple[int, int] | None, targets: Sequence[Target]
) -> None:
    """Write targets to a file, whole or not at all; what was there before is replaced.

    Raises MemoryFileError when there is no target or the file cannot be written.
    """
    if not targets or size is None:
        raise MemoryFileError(f'{path}: nothing to save, no target is tracked')
    tensors: dict[str, Tensor] = {}
    described = []
    for target in targets:
        state = target.bank.state()
        for name, tensor in (*_bank_tensors(state), *_own_tensors(target)):
            tensors[f'{target.id}.{name}'] = tensor
        described.append(_describe(target, state))
    description = {
        'origin': asdict(origin),
        'shape': asdict(targets[0].bank.shape),
        'size': size,
        'targets': described,
    }
    write_contents(path, Contents(description, tensors))


def read_targets(path: Path, origin: Origin, new_bank: Callable[[], MemoryBank]) -> SavedTargets:
    """Read what `write_targets` wrote; `new_bank` makes an empty bank for each target.

    Raises MemoryFileError for a file that is absent, damaged, or of another origin or bank shape.
    """
    contents = read_contents(path)
    description, tensors = contents.description, contents.tensors
    try:
        _check_origin(path, Origin(**description['origin']), origin)
        shape = MemoryShape(**description['shape'])
        width, height = description['size']
        targets = []
        for each in description['targets']:
            bank = new_bank()
            _check_shape(path, shape, bank.shape)
            prefix = f'{each["id"]}.'
            own = {
                name.removeprefix(prefix): tensor
                for name, tensor in tensors.items()
                if name.startswith(prefix)
            }
            targets.append(_target(each, own, bank, origin.side))
    except MemoryFileError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError, Esam2Error) as error:
        raise MemoryFileError(f'{path}: damaged ({error})') from error
    return SavedTargets((int(width), int(height)), tuple(targets))


def check_room(
    path: Path,
    saved: SavedTargets,
    size: tuple[int, int] | None,
    taken: Collection[int],
    limit: int,
) -> None:
    """Raise where targets of a file do not fit beside those with the ids `taken`.

    ImageSizeError when the images here have another `size`, MemoryFileError for ids in use,
    TooManyTargetsError above `limit` targets.
    """
    if size is not None and size != saved.size:
        raise ImageSizeError(
            f'{path} holds targets of images of {saved.size[0]} x {saved.size[1]} px;'
            f' the images here have {size[0]} x {size[1]} px'
        )
    shared = sorted(target.id for target in saved.targets if target.id in taken)
    if shared:
        raise MemoryFileError(
            f'{path} holds targets with ids that are in use: {", ".join(map(str, shared))};'
            ' remove them or reset first'
        )
    if len(taken) + len(saved.targets) > limit:
        raise TooManyTargetsError(
            f'{path} holds {len(saved.targets)} targets, {len(taken)} are tracked and max_targets'
            f' is {limit}'
        )


def _bank_tensors(state: BankState) -> list[tuple[str, Tensor]]:
    return [(name, getattr(state, name)) for name in _BANK]


def _own_tensors(target: Target) -> list[tuple[str, Tensor]]:
    seen = [
        (name, getattr(target.segmentation, name).to('cpu', copy=True).contiguous())
        for name in _SEEN
    ]
    drawn = [(name, getattr(target.prompt, name)) for name in _PROMPT]
    prompt = [
        (f'prompt.{name}', torch.from_numpy(value.copy()))
        for name, value in drawn
        if value is not None
    ]
    return [*seen, *prompt]


def _describe(target: Target, state: BankState) -> dict[str, Any]:
    """All of a target that is no tensor."""
    bank = {name: value for name, value in vars(state).items() if name not in _BANK}
    watch = {**vars(target.watch), 'areas': list(target.watch.areas)}
    return {
        'id': target.id,
        'label': target.label,
        'prompt_label': target.prompt.label,
        'at': target.at,
        'committed': target.committed,
        'suspect': target.suspect,
        'age_frames': target.age_frames,
        'frames_since_seen': target.frames_since_seen,
        'bank': bank,
        'watch': watch,
    }


def _target(
    values: Mapping[str, Any], tensors: Mapping[str, Tensor], bank: MemoryBank, side: int
) -> Target:
    kept = values['bank']
    bank.restore(
        BankState(
            **{name: tensors[name] for name in _BANK},
            prompts=_frames(kept['prompts'], bank.shape.prompt_slots),
            recent=_frames(kept['recent'], bank.shape.recent_slots),
            newest=_frames(kept['newest'], bank.shape.pointer_slots),
            scored=tuple((int(frame), int(count)) for frame, count in kept['scored']),
            anchors=tuple(kept['anchors']),
        )
    )
    watch = dict(values['watch'])
    if watch['place'] is not None:
        watch['place'] = tuple(watch['place'])
    drawn = {name: tensors.get(f'prompt.{name}') for name in _PROMPT}
    prompt = Prompt(
        **{name: None if value is None else value.numpy() for name, value in drawn.items()},
        label=values['prompt_label'],
    )
    return Target(
        id=int(values['id']),
        label=values['label'],
        bank=bank,
        segmentation=_segmentation(tensors, bank.features.device, side),
        prompt=prompt,
        # Its frame is none that a correction could name: clicks do not add up over a restart.
        prompt_frame=_NO_FRAME,
        at=int(values['at']),
        committed=bool(values['committed']),
        suspect=bool(values['suspect']),
        watch=replace(Watch(**watch), areas=deque(watch['areas'], maxlen=AREAS)),
        age_frames=int(values['age_frames']),
        frames_since_seen=int(values['frames_since_seen']),
    )


def _segmentation(tensors: Mapping[str, Tensor], device: torch.device, side: int) -> Segmentation:
    """The newest mask; the candidates that it was chosen from are not kept."""
    logits, score, object_logit, pointer = (tensors[name].to(device) for name in _SEEN)
    return Segmentation(
        logits=logits,
        full_logits=functional.interpolate(
            logits, (side, side), mode='bilinear', align_corners=False
        ),
        score=score,
        object_logit=object_logit,
        pointer=pointer,
        candidates=logits,
        candidate_scores=score[:, None],
    )


def _frames(values: Sequence[int], slots: int) -> tuple[int, ...]:
    if len(values) != slots:
        raise ValueError(f'{len(values)} rows instead of {slots}')
    return tuple(int(value) for value in values)


def _check_origin(path: Path, saved: Origin, ours: Origin) -> None:
    if saved.build != ours.build:
        raise MemoryFileError(
            f'{path} is of another model, of {saved.build}; this one is of {ours.build}'
        )
    if saved.side != ours.side:
        raise MemoryFileError(
            f'{path} is of a model of {saved.side} px; this one has {ours.side} px'
        )
    if saved.weights != ours.weights:
        raise MemoryFileError(f'{path} is of the same model with other weights')


def _check_shape(path: Path, saved: MemoryShape, ours: MemoryShape) -> None:
    theirs = asdict(saved)
    odd = [
        f'{name} is {theirs[name]} in the file and {value} here'
        for name, value in asdict(ours).items()
        if theirs[name] != value
    ]
    if odd:
        raise MemoryFileError(f'{path} holds memories of another shape: {", ".join(odd)}')
