import pytest

from tools.media import SAMPLE_RATE, Audio, Picture
from tools.replay import MAX_AUDIO_SAMPLES, MAX_PICTURES, Replay, ReplayGapError


def _audio(start, n=100):
    return Audio(bytes(range(256))[: 2 * n] if n <= 128 else bytes(2 * n), start)


def test_what_was_not_trimmed_comes_again_in_order_of_time():
    replay = Replay()
    items = [_audio(0), Picture(b"p", 100, "v0"), _audio(100), _audio(200)]
    for item in items:
        replay.add(item)
    assert replay.since(0) == items


def test_a_chunk_is_cut_at_the_sample_that_the_server_wants():
    replay = Replay()
    replay.add(_audio(0))
    (item,) = replay.since(30)
    assert item == Audio(_audio(0).pcm[60:], 30)


def test_trimmed_sound_is_forgotten_and_asking_for_it_is_an_error():
    replay = Replay()
    for start in range(0, 500, 100):
        replay.add(_audio(start))
    replay.trim(250)
    assert [item.start_sample for item in replay.since(250)] == [250, 300, 400]
    with pytest.raises(ReplayGapError, match=r"wants sound from 0\.0 s"):
        replay.since(0)


def test_the_newest_picture_survives_trimming_and_moves_to_where_the_server_is():
    replay = Replay()
    for number in range(3):
        replay.add(Picture(b"p", number * 100, f"v{number}"))
        replay.add(_audio(number * 100))
    replay.trim(300)
    assert replay.since(300) == [Picture(b"p", 300, "v2")]


def test_memory_is_bounded_when_the_server_never_says_what_it_needs():
    replay = Replay()
    second = SAMPLE_RATE
    for start in range(0, MAX_AUDIO_SAMPLES + 10 * second, second):
        replay.add(Audio(bytes(2 * second), start))
        replay.add(Picture(b"", start, ""))
    kept = replay.since(10 * second)
    assert sum(isinstance(item, Picture) for item in kept) == MAX_PICTURES
    assert sum(item.end_sample - item.start_sample for item in kept) == MAX_AUDIO_SAMPLES
    with pytest.raises(ReplayGapError):
        replay.since(0)
