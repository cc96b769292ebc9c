"""When a stream is late, what it leaves out then, and when nobody else is let in."""

from dataclasses import dataclass

import pytest

from services.runtime.load import STANDING_S, Lateness, Load, Shed
from services.runtime.percept import SAMPLE_RATE
from services.runtime.stage import OverloadedError
from services.runtime.streams import Streams


@dataclass
class Clock:
    """Seconds that pass when the test says so."""

    now_s: float = 100.0

    def __call__(self) -> float:
        return self.now_s


def live(lateness: Lateness, clock: Clock, arrived_s: float, taken_s: float) -> None:
    """A sender in real time: so much has come, so much is taken in."""
    clock.now_s = 100.0 + arrived_s
    lateness.arrived(round(arrived_s * SAMPLE_RATE))
    lateness.taken(round(taken_s * SAMPLE_RATE))


@pytest.mark.parametrize(
    ("lag_s", "shed"),
    [
        (0.0, Shed()),
        (0.25, Shed()),
        (0.35, Shed(2)),
        (0.7, Shed(2, has_second_pass=False)),
        (1.5, Shed(0, has_second_pass=False)),
    ],
)
def test_partials_get_slower_before_anything_else(lag_s: float, shed: Shed) -> None:
    clock = Clock()
    load = Load(clock)
    with load.stream(0) as lateness:
        live(lateness, clock, 0.001, 0.001)
        live(lateness, clock, 10.0, 10.0 - lag_s)
        assert lateness.lag_s == pytest.approx(lag_s, abs=0.01)
        assert load.shed(lateness) == shed


def test_a_stream_that_caught_up_does_all_again() -> None:
    clock = Clock()
    load = Load(clock)
    with load.stream(0) as lateness:
        live(lateness, clock, 0.001, 0.001)
        live(lateness, clock, 10.0, 8.0)
        live(lateness, clock, 10.5, 10.5)
        assert load.shed(lateness) == Shed()
        assert load.late_streams == 0


def test_nobody_gets_second_passes_while_one_is_very_late() -> None:
    clock = Clock()
    load = Load(clock)
    with load.stream(0) as late, load.stream(0) as other:
        for stream in (late, other):
            live(stream, clock, 0.001, 0.001)
        live(late, clock, 10.0, 9.0)
        live(other, clock, 10.0, 10.0)
        assert load.shed(other) == Shed(1, has_second_pass=False)
        assert (load.lag_s, load.late_streams) == (pytest.approx(1.0, abs=0.01), 1)


def test_a_file_sent_faster_than_time_is_not_late() -> None:
    clock = Clock()
    load = Load(clock)
    with load.stream(0) as lateness:
        lateness.arrived(60 * SAMPLE_RATE)
        for second in range(1, 40):
            clock.now_s = 100.0 + second / 4
            lateness.taken(second * SAMPLE_RATE)
            assert lateness.lag_s == 0


def test_silence_at_the_sender_is_no_lag() -> None:
    clock = Clock()
    load = Load(clock)
    with load.stream(0) as lateness:
        live(lateness, clock, 0.001, 0.001)
        clock.now_s += 60
        lateness.arrived(2 * SAMPLE_RATE // 10)
        lateness.taken(2 * SAMPLE_RATE // 10)
        assert lateness.lag_s == 0


def test_while_half_of_the_streams_stay_late_no_more_are_let_in() -> None:
    clock = Clock()
    streams = Streams(10)
    streams.load = Load(clock)
    with streams.admit(), streams.load.stream(0) as one, streams.load.stream(0) as two, streams.load.stream(0) as three:
        for stream in (one, two, three):
            live(stream, clock, 0.001, 0.001)
        for stream in (one, two):
            live(stream, clock, 1.0 + STANDING_S, STANDING_S)
        live(three, clock, 1.0 + STANDING_S, 1.0 + STANDING_S)
        with pytest.raises(OverloadedError, match="2 of 3 live streams are up to 1.0 s") as refused, streams.admit():
            pass
        assert refused.value.retry_after_s > 0
        live(one, clock, 2.0 + STANDING_S, 2.0 + STANDING_S)
        with streams.admit():
            assert streams.active == 2


def test_a_stream_that_is_late_for_a_moment_refuses_nobody() -> None:
    clock = Clock()
    streams = Streams(10)
    streams.load = Load(clock)
    with streams.load.stream(0) as stream:
        live(stream, clock, 0.001, 0.001)
        live(stream, clock, STANDING_S, STANDING_S)
        live(stream, clock, STANDING_S + 1.0, STANDING_S - 1.0)
        with streams.admit():
            pass
