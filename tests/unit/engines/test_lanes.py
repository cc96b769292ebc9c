"""Who waits for a lane gets it in order of urgency; one lane stays free of long runs."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from engines.lanes import Lanes, Urgency


def held(lanes: Lanes, urgency: Urgency, started: Event, release: Event) -> Callable[[], None]:
    def work() -> None:
        with lanes.turn(urgency):
            started.set()
            release.wait()

    return work


def test_the_most_urgent_goes_first_and_equals_in_order() -> None:
    lanes, started, release = Lanes(1), Event(), Event()
    order: list[tuple[Urgency, int]] = []

    def take(urgency: Urgency, number: int) -> None:
        with lanes.turn(urgency):
            order.append((urgency, number))

    wanted = [(Urgency.PARTIAL, 0), (Urgency.LONG, 1), (Urgency.FINAL, 2), (Urgency.FINAL, 3), (Urgency.STEP, 4)]
    with ThreadPoolExecutor(8) as pool:
        pool.submit(held(lanes, Urgency.PARTIAL, started, release))
        started.wait()
        for i, (urgency, number) in enumerate(wanted):
            pool.submit(take, urgency, number)
            while len(lanes._waiting) <= i:
                pass
        release.set()
    assert order == [
        (Urgency.STEP, 4),
        (Urgency.FINAL, 2),
        (Urgency.FINAL, 3),
        (Urgency.LONG, 1),
        (Urgency.PARTIAL, 0),
    ]


def test_lanes_are_crowded_while_a_run_waits() -> None:
    lanes, started, release = Lanes(1), Event(), Event()
    with ThreadPoolExecutor(2) as pool:
        pool.submit(held(lanes, Urgency.PARTIAL, started, release))
        started.wait()
        assert not lanes.is_crowded
        waits = pool.submit(held(lanes, Urgency.FINAL, Event(), release))
        while not lanes.is_crowded:
            pass
        release.set()
        waits.result()
    assert not lanes.is_crowded


def test_long_runs_leave_a_lane_to_the_others() -> None:
    lanes, release = Lanes(2), Event()
    first, second, short = Event(), Event(), Event()
    with ThreadPoolExecutor(3) as pool:
        pool.submit(held(lanes, Urgency.LONG, first, release))
        first.wait()
        pool.submit(held(lanes, Urgency.LONG, second, release))
        while not lanes._waiting:
            pass
        with lanes.turn(Urgency.PARTIAL):
            short.set()
        assert short.is_set() and not second.is_set()
        release.set()
    assert second.is_set()


def test_one_lane_serves_long_runs_too() -> None:
    with Lanes(1).turn(Urgency.LONG):
        pass


def test_a_run_that_fails_gives_its_lane_back() -> None:
    lanes = Lanes(1)
    with pytest.raises(ZeroDivisionError), lanes.turn(Urgency.FINAL):
        raise ZeroDivisionError
    with lanes.turn(Urgency.PARTIAL):
        pass
