#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Build the package with colcon over the ROS 2 wheels of $VENV, then use what was installed.
# All of it stays in build/colcon*.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

root="$PWD"
out="$root/build/colcon"
tools="$root/build/colcon-venv"
VENV="${VENV:-.venv}"
if [[ ! -x "$VENV/bin/python" ]]; then
  echo "colcon_build: VENV is '$VENV', which has no bin/python: run make setup" >&2
  exit 1
fi
venv="$(cd "$VENV" && pwd)"

if ! cmp -s requirements-colcon.txt "$tools/.installed"; then
  "$venv/bin/python" -m venv --clear "$tools"
  "$tools/bin/pip" --disable-pip-version-check install -q -r requirements-colcon.txt
  cp requirements-colcon.txt "$tools/.installed"
fi

# Only the wheels: a sourced ROS installation does not fit them.
unset PYTHONPATH COLCON_PREFIX_PATH
export AMENT_PREFIX_PATH="$venv" CMAKE_PREFIX_PATH="$venv" PATH="$venv/bin:$PATH"
export COLCON_LOG_PATH="$out/log" COLCON_HOME="$out/home"

# --paths and not --base-paths: colcon looks at this folder only and never into $VENV.
"$tools/bin/colcon" build \
  --paths . \
  --build-base "$out/build" \
  --install-base "$out/install" \
  --executor sequential \
  --cmake-args \
  -DCMAKE_BUILD_TYPE=Release \
  -DBUILD_TESTING=OFF \
  "-DPython3_EXECUTABLE=$venv/bin/python" \
  "-DCMAKE_PROJECT_INCLUDE=$root/cmake/pip_ros.cmake"

# The files that colcon writes read variables that need not be set.
set +u
# shellcheck source=/dev/null
source "$out/install/local_setup.bash"
set -u
cd "$out"

python - "$out/install" <<'PYTHON'
import sys
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from rclpy.serialization import deserialize_message
from rclpy.serialization import serialize_message

from esam2_ros.msg import Event
from esam2_ros.msg import TrackArray
from esam2_ros.srv import AddTarget

import esam2_ros.ros.node

install = Path(sys.argv[1]).resolve()
share = Path(get_package_share_directory('esam2_ros'))
for path in (esam2_ros.ros.node.__file__, sys.modules[Event.__module__].__file__, share):
    if install not in Path(path).resolve().parents:
        sys.exit(f'{path} is used, which is not in {install}')
for name in ('launch/esam2.launch.py', 'config/esam2.yaml', 'config/fastdds_shm.xml', 'package.xml'):
    if not (share / name).is_file():
        sys.exit(f'{share / name} was not installed')
for message in (Event(), TrackArray(), AddTarget.Request()):
    if deserialize_message(serialize_message(message), type(message)) != message:
        sys.exit(f'{type(message).__name__} did not survive serialisation')
PYTHON

programs="$(python -c 'from ament_index_python import get_package_prefix as p; print(p("esam2_ros"))')/lib/esam2_ros"
"$programs/esam2" --help >help.txt

export FASTDDS_DEFAULT_PROFILES_FILE="$root/config/fastdds_shm.xml"
export ROS_AUTOMATIC_DISCOVERY_RANGE=SYSTEM_DEFAULT ROS_LOG_DIR="$out/log"
"$programs/esam2_node" --ros-args -r __ns:=/colcon_check \
  -p model.checkpoint:=random -p model.image_size:=256 >node.txt 2>&1 &
node=$!
for _ in {1..120}; do
  if grep -q 'ready after' node.txt || ! kill -0 "$node" 2>/dev/null; then break; fi
  sleep 0.5
done
kill -INT "$node" 2>/dev/null || true
status=0
wait "$node" || status=$?
if ((status != 0)) || ! grep -q 'ready after' node.txt; then
  cat node.txt >&2
  echo "colcon_build: the node did not become ready and end with 0 (exit code $status)" >&2
  exit 1
fi
echo 'colcon: OK (built, installed, imported; the node became ready and ended with 0)'
