# SPDX-License-Identifier: Apache-2.0
"""Where the files beside the Python code are: in a checkout or in an installed share folder."""

import os
import sys
from pathlib import Path

import esam2_ros


def share_path(relative: str) -> Path:
    """Path of a shipped file such as `config/fastdds_shm.xml`.

    A checkout comes before an installation, so that edits there count.

    Raises:
        FileNotFoundError: no checkout and no installation holds it.
    """
    prefixes = [
        *filter(None, os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)),
        sys.prefix,
    ]
    roots = [Path(folder).parent for folder in esam2_ros.__path__]
    roots += [Path(prefix, 'share', 'esam2_ros') for prefix in prefixes]
    for root in roots:
        if (root / relative).exists():
            return root / relative
    places = ', '.join(str(root) for root in roots)
    raise FileNotFoundError(f'{relative} of esam2_ros not found; looked in {places}')
