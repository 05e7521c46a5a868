# SPDX-License-Identifier: Apache-2.0
"""Signals wait until they are asked for."""

import os
import signal
import threading

import pytest

from esam2_ros.replay.interrupt import Interrupt


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_a_callback_is_not_lost(number):
    before = signal.getsignal(number)
    interrupt = Interrupt()

    class Finalised:
        def __del__(self):
            os.kill(os.getpid(), number)  # an exception here would be ignored

    with interrupt.held():
        interrupt.check()
        Finalised()
        with pytest.raises(KeyboardInterrupt):
            interrupt.check()
    assert signal.getsignal(number) is before


def test_another_thread_holds_nothing():
    handlers = []

    def run():
        with Interrupt().held():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGINT)]
