# SPDX-License-Identifier: Apache-2.0
"""The program `esam2_node`."""

import signal
import sys
from collections.abc import Sequence
from threading import Event


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM; both end it with exit code 0."""
    stop = Event()
    # Before anything slow: without handlers of ours SIGINT would raise KeyboardInterrupt
    # anywhere. rclpy adds its own, which end the executor, and calls these as well.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())

    import rclpy
    from rclpy.exceptions import InvalidParameterTypeException
    from rclpy.exceptions import InvalidParameterValueException
    from rclpy.executors import ExternalShutdownException
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.logging import get_logger

    from esam2_ros.errors import ConfigError
    from esam2_ros.ros.lifecycle import Esam2Node

    node = None
    rclpy.init(args=args)
    try:
        if stop.is_set():
            return 0
        node = Esam2Node()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        while rclpy.ok() and not stop.is_set():
            executor.spin_once()
    except ExternalShutdownException:
        pass
    except (
        ConfigError,
        InvalidParameterTypeException,
        InvalidParameterValueException,
    ) as error:
        get_logger('esam2').fatal(str(error))
        return 2
    finally:
        if node is not None:
            node.close()
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
