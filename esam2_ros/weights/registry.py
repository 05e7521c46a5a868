# SPDX-License-Identifier: Apache-2.0
"""The checkpoints this package knows: where they come from and what the files must be."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from esam2_ros.errors import CheckpointError

_PUBLISHED = 'https://dl.fbaipublicfiles.com/segment_anything_2/092824'
_SAM2 = 'Ravi et al., SAM 2: Segment Anything in Images and Videos, arXiv:2408.00714'
_FAMILY = 'sam2.1_hiera_'


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint file. `size` is in bytes; `url` is empty for the packaged one."""

    model: str  # the name in `esam2_ros.core.models.MODELS`, and of the checkpoint itself
    file_name: str
    url: str
    size: int | None
    sha256: str | None
    licence: str
    reference: str

    @property
    def packaged(self) -> bool:
        """Whether the file comes with the package instead of a download."""
        return not self.url

    @property
    def path(self) -> Path:
        """Where the file is, or will be after its download."""
        return (package_dir() if self.packaged else cache_dir()) / self.file_name


def package_dir() -> Path:
    """Folder of the checkpoints that come with the package."""
    return Path(__file__).resolve().parent


def cache_dir() -> Path:
    """Folder of the downloads: $ESAM2_CACHE, else esam2_ros in $XDG_CACHE_HOME or ~/.cache."""
    own = os.environ.get('ESAM2_CACHE')
    if own:
        return Path(own).expanduser()
    base = os.environ.get('XDG_CACHE_HOME')
    return (Path(base) if base else Path.home() / '.cache') / 'esam2_ros'


def _official(name: str, size: int, sha256: str) -> Checkpoint:
    file_name = f'{_FAMILY}{name}.pt'
    return Checkpoint(
        model=f'{_FAMILY}{name}',
        file_name=file_name,
        url=f'{_PUBLISHED}/{file_name}',
        size=size,
        sha256=sha256,
        licence='Apache-2.0',
        reference=_SAM2,
    )


# Sizes and digests as others publish them for these files; docs/checkpoints.md says who.
OFFICIAL: tuple[Checkpoint, ...] = (
    _official(
        'tiny', 156_008_466, '7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69'
    ),
    _official(
        'small', 184_416_285, '6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38'
    ),
    _official(
        'base_plus',
        323_606_802,
        'a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5',
    ),
    _official(
        'large', 898_083_611, '2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318'
    ),
)


def compact() -> Checkpoint:
    """Return the packaged checkpoint, with the size and digest its sidecar `compact.json` holds.

    Both are None where the package was built without it. Raises CheckpointError for a sidecar
    that cannot be read.
    """
    sidecar = package_dir() / 'compact.json'
    facts: dict[str, object] = {}
    if sidecar.is_file():
        try:
            facts = json.loads(sidecar.read_text(encoding='utf-8'))
        except ValueError as error:
            raise CheckpointError(f'{sidecar}: not JSON ({error}); reinstall esam2_ros') from error
    size, sha256 = facts.get('size'), facts.get('sha256')
    return Checkpoint(
        model='compact',
        file_name='compact.safetensors',
        url='',
        size=size if isinstance(size, int) else None,
        sha256=sha256 if isinstance(sha256, str) else None,
        licence='Apache-2.0',
        reference='trained from nothing on made scenes by `esam2 train compact`',
    )


def checkpoints() -> tuple[Checkpoint, ...]:
    """Every checkpoint of the registry, the packaged one first."""
    return (compact(), *OFFICIAL)


def find(name: str) -> Checkpoint:
    """Look a checkpoint up by its name, or by the last part of it ('tiny', 'large' ...).

    Raises CheckpointError for an unknown name.
    """
    known = {entry.model: entry for entry in checkpoints()}
    entry = known.get(name) or known.get(f'{_FAMILY}{name}')
    if entry is None:
        raise CheckpointError(f'unknown checkpoint {name!r}; allowed: {", ".join(known)}')
    return entry
