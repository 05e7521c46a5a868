# SPDX-License-Identifier: Apache-2.0
"""What a window gets instead of the routed blocks (Efficient-SAM2, section 3.2)."""

import torch
from torch import Tensor
from torch import nn


class Shortcut(nn.Module):
    """`x + Up(ReLU(Down(LayerNorm(x))))` on tokens of `width` channels, half as wide inside.

    The names are those of the published weights. A new one is the identity.
    """

    def __init__(self, width: int) -> None:
        """Make an identity."""
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.down_project = nn.Linear(width, width // 2)
        self.up_project = nn.Linear(width // 2, width)
        nn.init.zeros_(self.up_project.weight)
        nn.init.zeros_(self.up_project.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """[n, width] -> [n, width]."""
        hidden = torch.relu(self.down_project(self.norm(tokens)))
        out: Tensor = tokens + self.up_project(hidden)
        return out
