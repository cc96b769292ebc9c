"""The mixer's clock is gapless, and the backlog keeps it so when it runs over."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.gateway.mixer import LATE_SAMPLES, SAMPLE_RATE_HZ, Backlog, Mixer

FRAME = 320


def tone(value: int, samples: int = FRAME) -> NDArray[np.int16]:
    return np.full(samples, value, np.int16)


def test_one_track_comes_out_as_it_went_in() -> None:
    mixer = Mixer(1000)
    sound = np.arange(10 * FRAME, dtype=np.int16)
    out = []
    for at in range(0, len(sound), FRAME):
        mixer.push("mic", at, sound[at : at + FRAME])
        out.append(mixer.take())
    np.testing.assert_array_equal(np.concatenate(out), sound)
    assert mixer.position == 1000 + len(sound)


def test_a_gap_in_the_time_stamps_becomes_silence_of_the_same_length() -> None:
    mixer = Mixer(0)
    mixer.push("mic", 0, tone(5))
    mixer.push("mic", 3 * FRAME, tone(7))
    expected = np.concatenate([tone(5), tone(0, 2 * FRAME), tone(7)])
    np.testing.assert_array_equal(mixer.take(), expected)


def test_two_tracks_are_added_and_clipped() -> None:
    mixer = Mixer(0)
    mixer.push("mic", 0, tone(30_000))
    mixer.take()
    mixer.push("tab", 500_000, tone(20_000))
    mixer.push("mic", FRAME, tone(20_000))
    np.testing.assert_array_equal(mixer.take(), tone(32_767))


def test_a_track_waits_for_another_that_is_behind() -> None:
    mixer = Mixer(0)
    mixer.push("mic", 0, tone(1))
    mixer.push("tab", 0, tone(1))
    mixer.take()
    mixer.push("tab", FRAME, tone(1))
    assert not len(mixer.take())
    mixer.push("mic", FRAME, tone(1))
    np.testing.assert_array_equal(mixer.take(), tone(2))


def test_a_track_that_has_paused_is_not_waited_for() -> None:
    mixer = Mixer(0)
    mixer.push("mic", 0, tone(1))
    for at in range(0, 4 * LATE_SAMPLES, FRAME):
        mixer.push("tab", at, tone(1))
    mixer.take()
    mixer.push("tab", 4 * LATE_SAMPLES, tone(9))
    np.testing.assert_array_equal(mixer.take(), tone(9))


def test_a_clock_that_jumps_loses_no_sound_and_makes_no_hole() -> None:
    mixer = Mixer(0)
    mixer.push("mic", 0, tone(1))
    mixer.take()
    mixer.push("mic", 2**31, tone(2))
    np.testing.assert_array_equal(mixer.take(), tone(2))
    mixer.push("mic", 5, tone(3))
    np.testing.assert_array_equal(mixer.take(), tone(3))


def test_idle_time_is_silence_and_the_sound_after_it_follows() -> None:
    mixer = Mixer(0)
    mixer.idle(SAMPLE_RATE_HZ)
    assert not mixer.take().any()
    mixer.push("mic", 0, tone(4))
    np.testing.assert_array_equal(mixer.take(), tone(4))
    assert mixer.position == SAMPLE_RATE_HZ + FRAME


def test_flush_gives_what_still_waited_for_another_track() -> None:
    mixer = Mixer(0)
    mixer.push("mic", 0, tone(1))
    mixer.push("tab", 0, tone(1))
    mixer.push("tab", FRAME, tone(2))
    total = len(mixer.take()) + len(mixer.flush())
    assert total == mixer.position


@given(
    st.lists(
        st.tuples(st.sampled_from(["mic", "tab"]), st.integers(0, 4000), st.integers(1, 900), st.booleans()),
        max_size=60,
    )
)
def test_what_is_taken_always_adds_up_to_the_position(pushes: list[tuple[str, int, int, bool]]) -> None:
    mixer = Mixer(77)
    clocks = {"mic": 10_000, "tab": 0}
    taken = 77
    for track, gap, samples, take in pushes:
        clocks[track] += gap
        mixer.push(track, clocks[track], tone(1, samples))
        clocks[track] += samples
        if take:
            taken += len(mixer.take())
            assert taken <= mixer.position
    assert taken + len(mixer.flush()) == mixer.position


def test_the_backlog_gives_back_what_came_in_pieces_of_any_length() -> None:
    backlog = Backlog(100_000)
    sound = np.arange(5000, dtype=np.int16)
    for part in np.split(sound, [7, 900, 901, 4000]):
        backlog.append(part)
    out = []
    while backlog.samples:
        out.append(backlog.take(333))
    np.testing.assert_array_equal(np.concatenate(out), sound)
    assert backlog.lost_samples == 0


def test_a_full_backlog_turns_its_oldest_sound_into_silence_of_the_same_length() -> None:
    backlog = Backlog(3 * FRAME)
    for value in range(1, 6):
        backlog.append(tone(value))
    assert backlog.samples == 5 * FRAME
    assert backlog.lost_samples == 2 * FRAME
    out = np.concatenate([backlog.take(FRAME) for _ in range(5)])
    np.testing.assert_array_equal(out, np.concatenate([tone(value) for value in (0, 0, 3, 4, 5)]))
