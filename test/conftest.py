# SPDX-License-Identifier: Apache-2.0
"""Every test worker has a ROS domain of its own and talks over shared memory."""

import os
from pathlib import Path

_PROFILE = str(Path(__file__).parents[1] / 'config' / 'fastdds_shm.xml')
_WORKER = os.environ.get('PYTEST_XDIST_WORKER', 'gw0').removeprefix('gw')

# Read when rclpy is first imported, so they are set here and not in a fixture.
os.environ.setdefault('FASTDDS_DEFAULT_PROFILES_FILE', _PROFILE)
os.environ.setdefault('FASTRTPS_DEFAULT_PROFILES_FILE', _PROFILE)
os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'SYSTEM_DEFAULT')
os.environ['ROS_DOMAIN_ID'] = str(60 + int(_WORKER) + os.getppid() % 8 * 5)
