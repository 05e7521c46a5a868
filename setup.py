# SPDX-License-Identifier: Apache-2.0
"""Build the package with pip: CMake makes the interfaces, setuptools packs what it installed.

With a ROS 2 installation use `colcon build` instead: package.xml says ament_cmake, so colcon
never reads this file.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import ClassVar

from setuptools import setup
from setuptools.command.build import build
from setuptools.command.build_py import build_py
from setuptools.dist import Distribution

HERE = Path(__file__).resolve().parent
NAME = 'esam2_ros'


def version() -> str:
    """Return the version of package.xml, the one place that has it."""
    found = re.search(r'<version>([^<]+)</version>', (HERE / 'package.xml').read_text())
    if found is None:
        raise RuntimeError('package.xml has no <version>')
    return found.group(1)


def need(program: str, env: dict[str, str], hint: str) -> str:
    """Return the path of a program that the build needs, or end with a message."""
    path = shutil.which(program, path=env['PATH'])
    if path is None:
        raise SystemExit(f'{NAME}: the build needs {program!r}, which is not on the PATH: {hint}')
    return path


class RosDistribution(Distribution):
    """The wheel has shared libraries, though setuptools compiled none."""

    def has_ext_modules(self) -> bool:
        return True


class BuildRos(build_py):
    """Run CMake into a staging prefix; take the Python package and the data files from it."""

    def run(self) -> None:
        work = HERE / 'build' / 'pip'
        stage = work / 'stage'
        shutil.rmtree(stage, ignore_errors=True)
        self._cmake(work / 'cmake', stage)
        base = {'base': str(stage), 'platbase': str(stage)}
        purelib = Path(sysconfig.get_path('purelib', vars=base))
        target = Path(self.build_lib) / NAME
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(purelib / NAME, target, ignore=shutil.ignore_patterns('__pycache__', '*.c'))
        data: dict[str, list[str]] = {}
        for path in sorted(stage.rglob('*')):
            inside = path.relative_to(stage)
            if path.is_file() and purelib not in path.parents and inside.parts[0] != 'include':
                data.setdefault(str(inside.parent), []).append(os.path.relpath(path, HERE))
        self.distribution.data_files = sorted(data.items())

    def _cmake(self, build_dir: Path, stage: Path) -> None:
        prefix = os.environ.get('ESAM2_ROS_PREFIX', sys.prefix)
        env = dict(os.environ)
        for name in ('CMAKE_PREFIX_PATH', 'AMENT_PREFIX_PATH'):
            env[name] = os.pathsep.join(filter(None, [prefix, env.get(name)]))
        scripts = str(Path(sys.executable).parent)
        env['PATH'] = os.pathsep.join([scripts, env.get('PATH', os.defpath)])
        cmake = need('cmake', env, 'install cmake 3.21 or newer')
        need('cc', env, 'install a C compiler, e.g. gcc')
        need('c++', env, 'install a C++ compiler, e.g. g++')
        generator = ['-GNinja'] if shutil.which('ninja', path=env['PATH']) else []
        configure = [
            *generator,
            f'-DCMAKE_INSTALL_PREFIX={stage}',
            '-DCMAKE_BUILD_TYPE=Release',
            f'-DPython3_EXECUTABLE={sys.executable}',
            '-DBUILD_TESTING=OFF',
            f'-DCMAKE_PROJECT_INCLUDE={HERE / "cmake" / "pip_ros.cmake"}',
        ]
        jobs = str(os.cpu_count() or 2)
        for step in (
            ['-S', str(HERE), '-B', str(build_dir), *configure],
            ['--build', str(build_dir), '--parallel', jobs],
            ['--install', str(build_dir)],
        ):
            subprocess.run([cmake, *step], check=True, env=env)


class Build(build):
    """Always run build_py, though no Python package is listed."""

    sub_commands: ClassVar[list[tuple[str, None]]] = [('build_py', None)]


setup(
    version=version(),
    packages=[NAME],
    distclass=RosDistribution,
    cmdclass={'build_py': BuildRos, 'build': Build},
)
