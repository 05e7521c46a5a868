# SPDX-License-Identifier: Apache-2.0
"""Write a clip as files: DAVIS folders, one folder a clip, or a rosbag2 with ground truth."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from esam2_ros.bags.frames import Frame
from esam2_ros.bags.write import BagOptions
from esam2_ros.bags.write import write_bag
from esam2_ros.errors import ConfigError
from esam2_ros.training.scenes.film import TARGET
from esam2_ros.training.scenes.values import Clip

QUALITY = 95


def facts(clip: Clip, name: str) -> dict[str, Any]:
    """What meta.json says of a clip: size, ids, cuts, frames without the target, all events."""
    width, height = clip.spec.size
    return {
        'name': name,
        'frames': len(clip.frames),
        'size': [width, height],
        'seed': clip.seed,
        'ids': list(clip.ids()),
        'target': TARGET,
        'cuts': list(clip.cuts()),
        'absent': list(clip.absent(TARGET)),
        'events': [asdict(event) for event in clip.events],
        'dataset': 'esam2_ros made scenes',
        'licence': 'Apache-2.0',
        'truth': 'rendered',
    }


def write_davis(clip: Clip, root: Path, name: str) -> Path:
    """ROOT/{JPEGImages,Annotations,Meta}/NAME; returns the folder of the frames."""
    frames, masks = root / 'JPEGImages' / name, root / 'Annotations' / name
    _pictures(clip, frames, masks)
    meta = root / 'Meta'
    meta.mkdir(parents=True, exist_ok=True)
    (meta / f'{name}.json').write_text(json.dumps(facts(clip, name), indent=1) + '\n')
    return frames


def write_plain(clip: Clip, root: Path, name: str) -> Path:
    """ROOT/NAME/{frames,masks,meta.json}; returns ROOT/NAME."""
    _pictures(clip, root / name / 'frames', root / name / 'masks')
    (root / name / 'meta.json').write_text(json.dumps(facts(clip, name), indent=1) + '\n')
    return root / name


def write_scene_bag(clip: Clip, path: Path, name: str, fps: float = 30.0) -> Path:
    """A rosbag2 with /image and the ground truth topic; NAME.json lies in the bag's folder."""
    write_bag(path, _bag_frames(clip), BagOptions(fps=fps))
    (path / f'{name}.json').write_text(json.dumps(facts(clip, name), indent=1) + '\n')
    return path


def _bag_frames(clip: Clip) -> Iterator[Frame]:
    for number, (image, labels) in enumerate(zip(clip.frames, clip.masks, strict=True)):
        yield Frame(image, f'frame {number}', labels=labels)


def _pictures(clip: Clip, frames: Path, masks: Path) -> None:
    """00000.jpg ... and palette PNGs 00000.png ..., whose pixels are instance ids."""
    for folder in (frames, masks):
        if folder.exists():
            raise ConfigError(f'{folder} exists already and is not overwritten')
        folder.mkdir(parents=True)
    palette = np.random.default_rng(0).integers(60, 256, (256, 3), dtype=np.uint8)
    palette[0] = 0
    for number, (image, labels) in enumerate(zip(clip.frames, clip.masks, strict=True)):
        Image.fromarray(image).save(frames / f'{number:05d}.jpg', quality=QUALITY)
        mask = Image.fromarray(labels, mode='P')
        mask.putpalette(palette.reshape(-1).tolist())
        mask.save(masks / f'{number:05d}.png')
