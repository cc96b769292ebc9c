"""How late live streams are, what they leave out because of it, and when no more of them are let in.

The lag of a stream is media arrived minus media taken in, in seconds. It grows when the machine cannot keep up.
Bounded queues alone would only make every result late; so partials become rarer first, and finals never do.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from services.runtime.percept import SAMPLE_RATE
from services.runtime.stage import OverloadedError

# From these lags (s) on a stream leaves out every second partial, second passes, all partials.
SLOWER_PARTIALS_S, NO_SECOND_PASS_S, NO_PARTIALS_S = 0.3, 0.6, 1.0
# A stream whose lag has not been below SLOWER_PARTIALS_S for so long does not catch up (the standing queue of CoDel,
# RFC 8289); when that is half of them, new ones are refused for RETRY_AFTER_S.
STANDING_S, RETRY_AFTER_S = 2.0, 5.0


@dataclass(frozen=True, slots=True)
class Shed:
    """What a late stream does: every `partial_every`-th partial (0: none), and whether finals get a second look.

    That is a recogniser's search for a likelier text and the second pass of a larger one.
    """

    partial_every: int = 1
    has_second_pass: bool = True


@runtime_checkable
class Sheds(Protocol):
    """A stage that can leave things out; one without this does all its work always."""

    def shed(self, shed: Shed) -> None:
        """From the next media on. Finals come whatever this says."""


class Lateness:
    """Of one live stream, whose media begins at `start_sample`."""

    def __init__(self, start_sample: int, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._start = self._arrived = start_sample
        self._began: float | None = None
        self._in_time = clock()
        self.lag_s = 0.0

    def arrived(self, end_sample: int) -> None:
        """Media up to here came in."""
        self._arrived = end_sample
        if self._began is None:
            self._began = self._clock()

    def taken(self, end_sample: int) -> None:
        """Media up to here is given to the stage now.

        A sender that is faster than time itself is not live: what waits counts as late only as far as a live sender
        would have sent it by now, counted from the first message (so a lag is short by that message's length).
        """
        now = self._clock()
        waiting_s = (self._arrived - end_sample) / SAMPLE_RATE
        behind_s = now - (self._began or now) - (end_sample - self._start) / SAMPLE_RATE
        self.lag_s = max(0.0, min(waiting_s, behind_s))
        if self.lag_s < SLOWER_PARTIALS_S:
            self._in_time = now

    @property
    def is_standing(self) -> bool:
        """Whether it has been late for so long that it does not catch up."""
        return self.lag_s >= SLOWER_PARTIALS_S and self._clock() - self._in_time >= STANDING_S


class Load:
    """All live streams of a process; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._streams: set[Lateness] = set()

    @contextmanager
    def stream(self, start_sample: int) -> Iterator[Lateness]:
        """Watch one live stream during the block."""
        lateness = Lateness(start_sample, self._clock)
        self._streams.add(lateness)
        try:
            yield lateness
        finally:
            self._streams.discard(lateness)

    def shed(self, lateness: Lateness) -> Shed:
        """What one of the streams leaves out now. While any is late, none gets second passes."""
        lag_s = lateness.lag_s
        return Shed(
            partial_every=1 if lag_s < SLOWER_PARTIALS_S else 2 if lag_s < NO_PARTIALS_S else 0,
            has_second_pass=lag_s < NO_SECOND_PASS_S and self.lag_s < NO_SECOND_PASS_S,
        )

    @property
    def lag_s(self) -> float:
        """Of the latest stream."""
        return max((stream.lag_s for stream in self._streams), default=0.0)

    @property
    def late_streams(self) -> int:
        """How many leave something out now."""
        return sum(stream.lag_s >= SLOWER_PARTIALS_S for stream in self._streams)

    def check_room(self) -> None:
        """Raises OverloadedError when half of the live streams or more do not keep up."""
        standing = sum(stream.is_standing for stream in self._streams)
        if standing and 2 * standing >= len(self._streams):
            raise OverloadedError(
                f"{standing} of {len(self._streams)} live streams are up to {self.lag_s:.1f} s late; "
                "try again later or at another replica",
                retry_after_s=RETRY_AFTER_S,
            )
