# SPDX-License-Identifier: Apache-2.0
"""Stop a model in the middle of an image, so that the node ends at once and cleanly."""

from threading import Event
from typing import Any

from torch import nn


class InterruptedWorkError(Exception):
    """The work was given up because the node has to end."""


def make_interruptible(model: nn.Module, stop: Event) -> None:
    """Let `model` raise InterruptedWorkError between two layers once `stop` is set."""

    def check(module: nn.Module, inputs: Any) -> None:
        if stop.is_set():
            raise InterruptedWorkError

    for module in model.modules():
        if next(module.children(), None) is None:
            module.register_forward_pre_hook(check)
