# SPDX-License-Identifier: Apache-2.0
"""The node's health, once a second on /diagnostics."""

from collections import Counter
from collections import deque
from dataclasses import dataclass
from dataclasses import field
from time import monotonic

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from diagnostic_msgs.msg import KeyValue

from esam2_ros.msg import FrameStats
from esam2_ros.policy.events import EventKind
from esam2_ros.policy.results import FrameResult
from esam2_ros.ros.loading import LoadedTracker

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
SILENCE_S = 2.0
HYSTERESIS = 3
_WINDOW = 100  # frames that percentiles are taken over


@dataclass
class Record:
    """What happened lately; filled by the callbacks and the worker, read once a second."""

    topic: str = ''
    received: int = 0
    dropped: int = 0
    refused: int = 0
    refusal: str = ''
    incompatible: int = 0
    publishers: int = 0
    state: str = 'unconfigured'
    last_image: float | None = None
    activated: float = 0.0
    loaded: LoadedTracker | None = None
    result: FrameResult | None = None
    budget_ms: float = 0.0  # 0: none
    events: Counter[str] = field(default_factory=Counter)  # since the node started
    stats: deque[FrameStats] = field(default_factory=lambda: deque(maxlen=_WINDOW))

    def frame(self, result: FrameResult, stats: FrameStats) -> None:
        """Note a processed frame."""
        self.result = result
        self.stats.append(stats)


class Diagnostics:
    """Turns a Record into statuses. A level rises at once and falls after three better periods."""

    def __init__(self, record: Record) -> None:
        """Watch `record`."""
        self._record = record
        self._received = 0
        self._at = monotonic()
        self._levels: dict[str, tuple[bytes, int]] = {}

    def statuses(self) -> list[DiagnosticStatus]:
        """One status for each task; call it once a period."""
        tasks = (self._input, self._latency, self._tracking, self._memory, self._model)
        return [task() for task in tasks]

    def _status(self, task: str, level: bytes, message: str, **values: object) -> DiagnosticStatus:
        shown, better = self._levels.get(task, (OK, 0))
        better = 0 if level >= shown else better + 1
        if level > shown or better >= HYSTERESIS:
            shown, better = level, 0
        self._levels[task] = (shown, better)
        if shown != level:
            message = f'recovering: {message}'
        loaded = self._record.loaded
        return DiagnosticStatus(
            name=f'esam2: {task}',
            level=shown,
            message=message,
            hardware_id=loaded.device if loaded else '',
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
        )

    def _input(self) -> DiagnosticStatus:
        record, now = self._record, monotonic()
        rate = (record.received - self._received) / max(now - self._at, 1e-6)
        self._received, self._at = record.received, now
        silent = now - max(record.last_image or 0.0, record.activated)
        level, message = OK, f'{rate:.1f} images/s'
        if record.state != 'active':
            level, message = WARN, f'the node is {record.state}: no images are taken'
        elif silent > SILENCE_S:
            level, message = ERROR, f'no image on {record.topic} for {silent:.1f} s'
            if record.incompatible:
                message += '; a publisher offers an incompatible QoS'
        elif record.incompatible:
            level, message = WARN, f'a publisher on {record.topic} offers an incompatible QoS'
        age = record.stats[-1].age_on_arrival if record.stats else 0.0
        return self._status(
            'Input',
            level,
            message,
            topic=record.topic,
            rate_hz=f'{rate:.1f}',
            publishers=record.publishers,
            incompatible_qos=record.incompatible,
            received=record.received,
            dropped=record.dropped,
            refused=record.refused,
            last_refusal=record.refusal,
            age_ms=f'{age:.1f}',
        )

    def _latency(self) -> DiagnosticStatus:
        totals = [stats.total for stats in list(self._record.stats)]
        if not totals:
            return self._status('Latency', OK, 'no image processed yet')
        p50, p95 = np.percentile(totals, (50, 95))
        ages = [stats.end_to_end for stats in list(self._record.stats)]
        budget = self._record.budget_ms
        level, message = OK, f'{p50:.0f} ms'
        if 0 < budget < p95:
            level, message = WARN, f'{p95:.0f} ms (p95) is over the budget of {budget:g} ms'
        return self._status(
            'Latency',
            level,
            message,
            p50_ms=f'{p50:.1f}',
            p95_ms=f'{p95:.1f}',
            budget_ms=f'{budget:g}',
            end_to_end_p50_ms=f'{np.percentile(ages, 50):.1f}',
        )

    def _tracking(self) -> DiagnosticStatus:
        names = ('TRACKED', 'OCCLUDED', 'LOST', 'SUSPECT')
        targets = self._record.result.targets if self._record.result else ()
        counts = {name: sum(each.state.name == name for each in targets) for name in names}
        level = WARN if counts['LOST'] else OK
        shown = ', '.join(f'{count} {name.lower()}' for name, count in counts.items() if count)
        events = {f'events_{kind.name}': self._record.events[kind.name] for kind in EventKind}
        return self._status('Tracking', level, shown or 'no targets', **counts, **events)

    def _memory(self) -> DiagnosticStatus:
        held = self._record.result.memory.bytes if self._record.result else 0
        return self._status('Memory', OK, f'{held / 2**20:.1f} MiB', bytes=held)

    def _model(self) -> DiagnosticStatus:
        loaded, stats = self._record.loaded, list(self._record.stats)
        if loaded is None:
            return self._status('Model', WARN, 'not loaded')
        active = float(np.mean([each.windows_active for each in stats])) if stats else 0.0
        return self._status(
            'Model',
            OK,
            f'{loaded.model} on {loaded.device}',
            name=loaded.model,
            device=loaded.device,
            dtype=loaded.dtype,
            image_size=loaded.image_size,
            load_and_warm_up_s=f'{loaded.seconds:.2f}',
            mean_active_windows=f'{active:.1f}',
        )
