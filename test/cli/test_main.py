# SPDX-License-Identifier: Apache-2.0
"""The program starts at once, and its exit codes and error lines keep their promise."""

import subprocess
import sys

import pytest
import typer

from esam2_ros import __version__
from esam2_ros.cli import main
from esam2_ros.cli import weights
from esam2_ros.errors import CheckpointError

HEAVY = ('torch', 'sam2', 'rclpy', 'cv2', 'numpy', 'rosbags', 'scipy', 'matplotlib')


def test_help_imports_nothing_heavy():
    script = (
        'import sys; from esam2_ros.cli.main import run; code = run(["--help"]); '
        f'print([name for name in {HEAVY} if name in sys.modules], code)'
    )
    done = subprocess.run(
        [sys.executable, '-c', script], capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith('[] 0\n')


@pytest.mark.parametrize('arguments', [['--help'], [], ['--version']])
def test_python_dash_m(arguments):
    done = subprocess.run(
        [sys.executable, '-m', 'esam2_ros', *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert (__version__ if arguments == ['--version'] else 'weights') in done.stdout


@pytest.mark.parametrize('name', main.COMMANDS)
def test_every_command_of_the_table_is_there(name, capsys):
    assert main.run(['--help']) == 0
    assert name in capsys.readouterr().out
    assert main.run([name, '--help']) == 0
    assert f'Usage: esam2 {name}' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('arguments', 'line'),
    [
        (['wieghts'], "esam2: No such command 'wieghts'. Did you mean 'weights'? "),
        (['weights'], 'esam2: Missing command (see `esam2 weights --help`)'),
        (['--loud'], 'esam2: No such option: --loud'),
        (['weights', 'fetch'], "esam2: Missing argument 'names'"),
        (['weights', 'fetch', 'huge'], "esam2: unknown checkpoint 'huge'; allowed: compact, "),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(arguments, line, capsys):
    assert main.run(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ''
    assert shown.err.startswith(line)
    assert shown.err.count('\n') == 1


@pytest.fixture
def raises(monkeypatch):
    """Make `esam2 weights list` raise what a test wants."""

    def install(error: BaseException) -> list[str]:
        def broken() -> None:
            raise error

        monkeypatch.setattr(weights, 'checkpoints', broken)
        return ['weights', 'list']

    return install


@pytest.mark.parametrize(
    ('error', 'code', 'line'),
    [
        (CheckpointError('two\nlines'), 2, 'esam2: two lines\n'),
        (typer.Exit(1), 1, ''),
        (typer.Exit(2), 2, ''),
        (typer.Abort(), 130, 'esam2: interrupted\n'),
        (KeyboardInterrupt(), 130, ''),
    ],
    ids=lambda value: type(value).__name__,
)
def test_how_a_command_ends(raises, capsys, error, code, line):
    assert main.run(raises(error)) == code
    assert capsys.readouterr().err == line


def test_a_defect_keeps_its_traceback(raises):
    with pytest.raises(ZeroDivisionError):
        main.run(raises(ZeroDivisionError()))


def test_a_reader_that_leaves_early_is_no_error():
    script = f'{sys.executable} -m esam2_ros weights list --json | head -n 1'
    done = subprocess.run(['bash', '-c', script], capture_output=True, text=True, check=True)
    assert done.stdout == '{\n'
    assert done.stderr == ''
