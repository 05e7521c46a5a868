# SPDX-License-Identifier: Apache-2.0
"""Run the command line as `python -m esam2_ros`."""

from esam2_ros.cli.main import main

if __name__ == '__main__':
    main()
