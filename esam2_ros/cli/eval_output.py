# SPDX-License-Identifier: Apache-2.0
"""How `esam2 eval` prints."""

from typing import TYPE_CHECKING

from esam2_ros.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

TABLE_WIDTH = 140


def check_form(as_json: bool, as_markdown: bool) -> None:
    """Raises ConfigError when both are wanted."""
    if as_json and as_markdown:
        raise ConfigError('--json and --markdown are two forms of one output: give one of them')


def wide_console() -> 'Console':
    """The terminal, or a file wide enough for the tables."""
    from rich.console import Console

    console = Console()
    # Rich takes a file to be 80 columns wide.
    return console if console.is_terminal else Console(width=TABLE_WIDTH)
