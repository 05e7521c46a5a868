# SPDX-License-Identifier: Apache-2.0
"""Matrix products on the CPU through oneDNN, which PyTorch ships but does not use for float32.

PyTorch's default for float32 is MKL, which leaves AVX-512 of other makers' CPUs unused: on an
AMD Zen 5 core oneDNN is two to three times as fast on the shapes of SAM2. The result is the same
up to rounding. Where oneDNN does not apply (GPU, half precision, gradients) this is plain PyTorch.
"""

import platform

import torch
from torch import Tensor
from torch.nn import functional

_X86 = platform.machine() in ('x86_64', 'AMD64')
_ONEDNN = _X86 and torch.backends.mkldnn.is_available() and hasattr(torch.ops, 'mkldnn')


def onednn_available() -> bool:
    """Whether this machine's CPU products can go through oneDNN."""
    return _ONEDNN and hasattr(torch.ops.mkldnn, '_linear_pointwise')


_AVAILABLE = onednn_available()


class Linear:
    """`tokens @ weight.T + bias`, then an activation: '', 'relu' or 'gelu' (the exact one)."""

    def __init__(self, onednn: bool = True) -> None:
        """Use oneDNN where it applies; `onednn` False never does."""
        self._onednn = onednn and _AVAILABLE

    def __call__(
        self, tokens: Tensor, weight: Tensor, bias: Tensor | None = None, activation: str = ''
    ) -> Tensor:
        """[..., in] and [out, in] -> [..., out]."""
        # On a strided weight oneDNN is a thousand times slower.
        if self.applies(tokens) and weight.dtype == torch.float32 and weight.is_contiguous():
            out: Tensor = torch.ops.mkldnn._linear_pointwise(
                tokens.contiguous(),
                weight,
                bias,
                activation or 'none',
                [],
                'none' if activation == 'gelu' else '',
            )
            return out
        out = functional.linear(tokens, weight, bias)
        if activation == 'gelu':
            return functional.gelu(out)
        return functional.relu(out) if activation == 'relu' else out

    def applies(self, tokens: Tensor) -> bool:
        """Whether products of `tokens` go through oneDNN now."""
        return self._onednn and plain_on_cpu(tokens)


def plain_on_cpu(tokens: Tensor) -> bool:
    """Whether this is float32 arithmetic on a CPU without gradients."""
    if tokens.device.type != 'cpu' or torch.is_grad_enabled():
        return False
    return tokens.dtype == torch.float32 and not torch.is_autocast_enabled('cpu')
