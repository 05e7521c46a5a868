# SPDX-License-Identifier: Apache-2.0
"""A stand-in for CUDA graphs."""


class Replayer:
    """Stands in for CUDA graphs: runs the function again and writes to the same outputs."""

    def __init__(self):
        self.recorded = 0
        self.replayed = 0

    def __call__(self, function):
        outputs = function()
        self.recorded += 1

        def replay():
            self.replayed += 1
            for own, new in zip(outputs, function(), strict=True):
                own.copy_(new)

        return replay, outputs
