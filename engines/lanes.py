"""Who computes next: at most so many graph runs at a time, the most urgent first."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from threading import Event, Lock
from typing import Any

from numpy.typing import NDArray

from engines.engine import Engine, Feeds, Outputs, TensorSpec


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Urgency(IntEnum):
    """Why a run is wanted; the smaller goes first.

    STEP: a few milliseconds that end soon what has begun. FINAL: a result that will stand. LONG: a run of about
    a second; one lane is always kept free of these, if there are two. PARTIAL: a result that may change.
    """

    STEP = 0
    FINAL = 1
    LONG = 2
    PARTIAL = 3


@dataclass(slots=True, eq=False)
class _Waiting:
    urgency: Urgency
    turn: Event = field(default_factory=Event)


class Lanes:
    """`width` runs at a time, shared by all engines that `engine` wraps; among equals who came first goes first."""

    def __init__(self, width: int) -> None:
        self.width = width
        self._lock = Lock()
        self._running = 0
        self._long = 0
        self._waiting: list[_Waiting] = []

    @property
    def is_crowded(self) -> bool:
        """Whether a run waits already, so that another one would wait too."""
        with self._lock:
            return bool(self._waiting)

    def engine(self, engine: Engine, urgency: Urgency) -> Engine:
        """The same engine; its runs wait for their turn."""
        return _QueuedEngine(engine, self, urgency)

    @contextmanager
    def turn(self, urgency: Urgency) -> Iterator[None]:
        """Hold a lane for the block, which must not ask for another one."""
        me = _Waiting(urgency)
        with self._lock:
            self._waiting.append(me)
            self._start_next()
        me.turn.wait()
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1
                self._long -= urgency is Urgency.LONG
                self._start_next()

    def _start_next(self) -> None:
        while self._running < self.width:
            is_full_of_long = self._long >= max(1, self.width - 1)
            able = [w for w in self._waiting if not (is_full_of_long and w.urgency is Urgency.LONG)]
            if not able:
                return
            chosen = min(able, key=lambda waiting: waiting.urgency)
            self._waiting.remove(chosen)
            self._running += 1
            self._long += chosen.urgency is Urgency.LONG
            chosen.turn.set()


class _QueuedEngine:
    def __init__(self, engine: Engine, lanes: Lanes, urgency: Urgency) -> None:
        self._engine, self._lanes, self._urgency = engine, lanes, urgency

    @property
    def backend(self) -> str:
        return self._engine.backend

    @property
    def inputs(self) -> Sequence[TensorSpec]:
        return self._engine.inputs

    @property
    def outputs(self) -> Sequence[TensorSpec]:
        return self._engine.outputs

    def run(self, feeds: Feeds, outputs: Outputs | None = None) -> dict[str, NDArray[Any]]:
        with self._lanes.turn(self._urgency):
            return self._engine.run(feeds, outputs)
