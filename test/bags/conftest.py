# SPDX-License-Identifier: Apache-2.0
"""Where the real bags are."""

import os
from pathlib import Path

import pytest


@pytest.fixture
def real_bags():
    """The folder of real bags; skips where there is none."""
    root = os.environ.get('ESAM2_DATA')
    if not root:
        pytest.skip('ESAM2_DATA is not set: no real bags')
    folder = Path(root, 'bags')
    if not folder.is_dir():
        pytest.skip(f'ESAM2_DATA holds no folder bags: {root}')
    return folder
