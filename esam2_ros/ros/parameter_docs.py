# SPDX-License-Identifier: Apache-2.0
"""Writes the parameter table into docs/node.md and config/esam2.yaml.

python -m esam2_ros.ros.parameter_docs, in the root of a checkout.
"""

import textwrap
from pathlib import Path
from typing import Any

import yaml

from esam2_ros.ros.settings import parameter_table

BEGIN = '<!-- parameters: written by python -m esam2_ros.ros.parameter_docs -->'
END = '<!-- end of parameters -->'


def markdown_table() -> str:
    """The parameters as a Markdown table."""
    lines = [
        '| parameter | default | allowed | when | |',
        '| --- | --- | --- | --- | --- |',
    ]
    for name, (default, spec) in parameter_table().items():
        when = 'any time' if spec.dynamic else 'at start'
        shown = f'`{_yaml(default)}`'
        lines.append(f'| `{name}` | {shown} | {spec.allowed} | {when} | {spec.description} |')
    return '\n'.join(lines)


def yaml_text() -> str:
    """The parameters as a ROS parameter file that holds every default."""
    lines = [
        '# Every parameter of the node with its default.',
        '# Written by python -m esam2_ros.ros.parameter_docs.',
        '/**:',
        '  ros__parameters:',
    ]
    group = ''
    for name, (default, spec) in parameter_table().items():
        head, _, tail = name.rpartition('.')
        if head and head != group:
            lines.append(f'    {head}:')
        group = head
        indent = '      ' if head else '    '
        comment = spec.description + (f' Allowed: {spec.allowed}.' if spec.allowed else '')
        lines += [f'{indent}# {line}' for line in textwrap.wrap(comment, 90)]
        lines.append(f'{indent}{tail}: {_yaml(default)}')
    return '\n'.join(lines) + '\n'


def with_table(document: str) -> str:
    """The document with the table between its two markers brought up to date."""
    before, rest = document.split(BEGIN)
    _, after = rest.split(END)
    return f'{before}{BEGIN}\n{markdown_table()}\n{END}{after}'


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True).splitlines()[0]


def main() -> None:
    """Rewrite both files."""
    document = Path('docs/node.md')
    document.write_text(with_table(document.read_text()))
    Path('config/esam2.yaml').write_text(yaml_text())


if __name__ == '__main__':
    main()
