# SPDX-License-Identifier: Apache-2.0
"""The yaml file and the docs say what the table says."""

from pathlib import Path

from esam2_ros.ros.parameter_docs import with_table
from esam2_ros.ros.parameter_docs import yaml_text

ROOT = Path(__file__).parents[2]


def test_the_yaml_file_holds_every_default():
    assert (ROOT / 'config' / 'esam2.yaml').read_text() == yaml_text()


def test_the_table_in_the_docs_is_current():
    document = (ROOT / 'docs' / 'node.md').read_text()
    assert with_table(document) == document
