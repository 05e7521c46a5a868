# SPDX-License-Identifier: Apache-2.0
"""The program `esam2_node`."""

import signal
import sys
from collections.abc import Sequence
from threading import Event

# Python runs signal handlers only when the executor's wait in C has returned.
_SIGNAL_PERIOD_S = 0.1


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM; both end it with exit code 0."""
    stop = Event()
    # Before anything slow: without handlers of ours SIGINT would raise KeyboardInterrupt
    # anywhere. rclpy's own would take the context from a transition or image under way.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())

    import rclpy
    from rclpy.exceptions import InvalidParameterTypeException
    from rclpy.exceptions import InvalidParameterValueException
    from rclpy.executors import ExternalShutdownException
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.logging import get_logger
    from rclpy.signals import SignalHandlerOptions

    from esam2_ros.errors import ConfigError
    from esam2_ros.ros.lifecycle import Esam2Node

    node = None
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    try:
        if stop.is_set():
            return 0
        node = Esam2Node()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        while rclpy.ok() and not stop.is_set():
            executor.spin_once(_SIGNAL_PERIOD_S)
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
