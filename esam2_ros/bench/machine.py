# SPDX-License-Identifier: Apache-2.0
"""What a time was measured on."""

import os
import platform
from pathlib import Path

import torch

_CPU_FACTS = Path('/proc/cpuinfo')


def machine_name(device: torch.device) -> str:
    """The processor and the cores this process may use, and the GPU where there is one."""
    cores = len(os.sched_getaffinity(0))
    name = f'{_cpu()}, {cores} of {os.cpu_count()} cores'
    if device.type == 'cuda':
        name += f', {torch.cuda.get_device_name(device)}'
    return name


def _cpu() -> str:
    if _CPU_FACTS.is_file():
        for line in _CPU_FACTS.read_text(encoding='utf-8').splitlines():
            key, _, value = line.partition(':')
            if key.strip() == 'model name':
                return value.strip()
    return platform.processor() or platform.machine()
