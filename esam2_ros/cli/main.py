# SPDX-License-Identifier: Apache-2.0
"""The `esam2` program: which commands there are, and how a refusal ends it."""

import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated
from typing import Any

import typer
from typer.core import TyperCommand
from typer.core import TyperGroup
from typer.main import get_command
from typer.main import get_group

from esam2_ros import __version__
from esam2_ros.errors import Esam2Error

FAILED = 1
WRONG_INPUT = 2
INTERRUPTED = 130

# Each is a module of this package, which holds a Typer called `app` or a function of the
# command's name. It is imported when the command is called, so that `esam2 --help` stays instant.
COMMANDS = {
    'bag': 'Make recordings.',
    'bench': 'Measure speed, arithmetic and the scene monitor.',
    'demo': 'A made scene, or your own video, through the running node.',
    'eval': 'Score masks against the truth.',
    'replay': 'Play a recording to the node and sum up what it publishes.',
    'scenes': 'Make labelled scenes.',
    'train': 'Teach the compact model, or a shortcut, on made scenes.',
    'weights': 'List, download and check the checkpoints.',
}


class _DeferredCommand(TyperCommand):
    """Stands in the help for a command whose module is imported only when it runs."""

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> Any:
        """Hand over to the real command; everything after this step is its own."""
        return _load(str(self.name)).make_context(info_name, args, *rest, **extra)


class _Commands(TyperGroup):
    """The top level: every command of the table, none of them imported yet."""

    def __init__(self, **settings: Any) -> None:
        settings['commands'] = {
            name: _DeferredCommand(name, help=help_line) for name, help_line in COMMANDS.items()
        }
        super().__init__(**settings)


def _load(name: str) -> Any:
    module = import_module(f'esam2_ros.cli.{name}')
    if hasattr(module, 'app'):
        return get_group(module.app)
    single = typer.Typer(add_completion=False)
    single.command(name)(getattr(module, name))
    return get_command(single)


app = typer.Typer(
    name='esam2',
    cls=_Commands,
    pretty_exceptions_enable=False,
    context_settings={'help_option_names': ['-h', '--help']},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f'esam2 {__version__}')
        raise typer.Exit


@app.callback()
def _settings(
    verbose: Annotated[
        bool, typer.Option('--verbose', '-v', help='Also log what goes as it should.')
    ] = False,
    version: Annotated[
        bool, typer.Option('--version', callback=_version, is_eager=True, help='Print the version.')
    ] = False,
) -> None:
    """Promptable video segmentation for ROS 2.

    Exit codes: 0 good, 1 a check failed, 2 wrong usage or input, 130 interrupted.
    """
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format='%(levelname)s: %(message)s',
        stream=sys.stderr,
    )


def run(arguments: Sequence[str]) -> int:
    """Run the program with these arguments and return its exit code.

    A refusal of the input is one line on standard error and code 2; anything else that goes
    wrong is a defect of this program, and keeps its traceback.
    """
    try:
        code = get_command(app).main(list(arguments), prog_name='esam2', standalone_mode=False)
    except Esam2Error as error:
        return _refuse(str(error), WRONG_INPUT)
    except typer.TyperException as error:
        command = getattr(getattr(error, 'ctx', None), 'command_path', 'esam2')
        # Empty when `no_args_is_help` has printed the help in its place.
        message = error.format_message()
        hint = f' (see `{command} --help`)' if message else ''
        return _refuse(message.rstrip('.') + hint, error.exit_code)
    except typer.Abort:
        return _refuse('interrupted', INTERRUPTED)
    except BrokenPipeError:
        # The reader has left (`esam2 ... | head`); keep the interpreter's last flush quiet too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return code if isinstance(code, int) else 0


def _refuse(message: str, code: int) -> int:
    line = ' '.join(message.split())
    if line:
        typer.echo(f'esam2: {line}', err=True)
    return code


def main() -> None:
    """Entry point of the `esam2` program."""
    sys.exit(run(sys.argv[1:] or ['--help']))
