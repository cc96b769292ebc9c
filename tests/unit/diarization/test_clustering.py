"""Who is who: stable numbers, corrections, bounded memory, a state that is the very same."""

import numpy as np
import pytest
from numpy.typing import NDArray

from services.diarization.clustering import MAX_VOICES, Span, Speakers, Voice, quantised
from services.diarization.linkage import average_linkage
from services.diarization.utterances import Utterance, by_voice

Vector = NDArray[np.float32]


def person(number: int, noise: float = 0.4, seed: int = 0) -> Vector:
    """An embedding of a made-up person: people are orthogonal, noise is its distance from them."""
    made = np.zeros(192, np.float32)
    made[number] = 1.0
    direction = np.random.default_rng(seed).standard_normal(192).astype(np.float32)
    made += noise * direction / np.linalg.norm(direction)
    return made / np.float32(np.linalg.norm(made))


def voice(block: int, unit: Vector, duration_s: float = 3.0, start_s: float = 0.0) -> Voice:
    start = block * 160_000 + int(start_s * 16_000)
    return Voice(block, quantised(unit), duration_s, (Span(block, start, start + int(duration_s * 16_000)),))


def labels(speakers: Speakers) -> list[int]:
    return [kept.speaker for kept in speakers.voices]


def test_the_same_voice_is_the_same_speaker() -> None:
    speakers = Speakers()
    for block, number in enumerate([5, 9, 5, 9, 7, 5]):
        speakers.add([voice(block, person(number, seed=block))])
    assert labels(speakers) == [1, 2, 1, 2, 3, 1]


def test_voices_that_speak_at_once_are_different_people_unless_they_are_one_voice() -> None:
    # Cosines of .63 and .78, as of one person whom the segmentation took for two.
    for noise, expected in ((1.25, [1, 2]), (0.8, [1, 1])):
        speakers = Speakers()
        speakers.add([voice(0, person(1, 0.0)), voice(0, person(1, noise), start_s=2.0)])
        assert labels(speakers) == expected


def test_voices_of_one_block_that_take_turns_are_one_person_when_alike_enough() -> None:
    # Cosines of .7 and .55: the first is beyond what the segmentation's word against it weighs.
    for noise, expected in ((1.0, [1, 1]), (1.5, [1, 2])):
        speakers = Speakers()
        speakers.add([voice(0, person(1, 0.0)), voice(0, person(1, noise), start_s=4.0)])
        assert labels(speakers) == expected


def test_confidence_grows_with_speech_and_with_the_distance_of_others() -> None:
    def last(duration_s: float, other: int) -> float:
        speakers = Speakers()
        # Between person 1 and person 2, nearer the first.
        between = (2 * person(1, 0.0) + person(2, 0.0)) / np.float32(np.sqrt(5))
        speakers.add([voice(0, person(1, 0.0))])
        speakers.add([voice(1, person(other, 0.0))])
        speakers.add([voice(2, between, duration_s)])
        assert labels(speakers) == [1, 2, 1]
        return speakers.voices[-1].confidence

    assert 0.5 < last(3.0, 2) < last(3.0, 5) < 1.0
    assert last(0.3, 2) < last(1.5, 2) < last(6.0, 2)


def test_a_voice_is_told_again_when_its_speaker_is_less_sure_than_was_told() -> None:
    speakers = Speakers()
    speakers.add([voice(0, person(1, 0.0))])
    between = np.float32(0.75) * person(1, 0.0) + np.float32(0.66) * person(2, 0.0)
    (told,) = speakers.add([voice(1, between, 0.3)])
    again = {v.block: v for v in speakers.add([voice(2, person(2, 0.0))])}
    assert again[1].speaker == told.speaker == 1
    assert again[1].confidence < told.confidence - 0.1
    assert [v.block for v in speakers.add([voice(3, person(9))])] == [3]


def test_a_later_voice_corrects_earlier_ones_under_their_own_turns() -> None:
    # Half-way between two people, each alone looks like the first; their own voices part them.
    between = (person(1, 0) + person(2, 0)) / np.float32(np.sqrt(2))
    speakers = Speakers()
    speakers.add([voice(0, person(1, 0))])
    speakers.add([voice(1, between)])
    assert labels(speakers) == [1, 1]
    changed = speakers.add([voice(2, between)])
    changed += speakers.add([voice(3, person(2, 0.0))])
    assert labels(speakers)[0] != labels(speakers)[3]
    assert {span.turn for one in changed for span in one.spans} >= {3}


def test_a_short_voice_makes_no_speaker() -> None:
    speakers = Speakers()
    speakers.add([voice(0, person(1))])
    speakers.add([voice(1, person(2), duration_s=0.5)])
    assert labels(speakers) == [1, 1]


def test_a_short_voice_alone_is_somebody() -> None:
    speakers = Speakers()
    speakers.add([voice(0, person(1), duration_s=0.4)])
    assert labels(speakers) == [1]


def test_a_guess_names_known_people_and_counts_on_for_others() -> None:
    speakers = Speakers()
    assert speakers.guess([person(1), person(2)]) == [1, 2]
    speakers.add([voice(0, person(1)), voice(0, person(2))])
    assert speakers.guess([person(2, seed=5), person(3)]) == [2, 3]
    assert speakers.guess([]) == []


def test_memory_is_bounded_and_forgotten_voices_still_name_their_speaker() -> None:
    speakers = Speakers()
    # A person who speaks only at the start, then many blocks of two others.
    speakers.add([voice(0, person(50))])
    for block in range(1, MAX_VOICES + 20):
        speakers.add([voice(block, person(block % 2, seed=block))])
    assert len(speakers.voices) == MAX_VOICES
    assert len(speakers.to_bytes()) < 100_000
    speakers.add([voice(10_000, person(50, seed=3))])
    assert labels(speakers)[-1] == 1
    assert speakers.speaker_count == 3


def test_a_state_read_back_goes_on_the_same() -> None:
    speakers = Speakers()
    for block in range(MAX_VOICES + 5):
        speakers.add([voice(block, person(block % 3, 0.8, seed=block))])
    again = Speakers.from_bytes(speakers.to_bytes())
    assert again.to_bytes() == speakers.to_bytes()
    one, other = (s.add([voice(999, person(1, seed=7)), voice(999, person(77))]) for s in (speakers, again))
    assert [(v.block, v.speaker, v.spans) for v in one] == [(v.block, v.speaker, v.spans) for v in other]
    assert again.to_bytes() == speakers.to_bytes()


@pytest.mark.parametrize("data", [b"", b"voices2\n", b"voices2\n" + b"\xff" * 12, b"voices1\n" + bytes(12)])
def test_a_state_of_another_kind_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="state"):
        Speakers.from_bytes(data)


def test_linkage_joins_by_mean_similarity_and_never_what_must_stay_apart() -> None:
    nodes = np.stack([person(1, 0.1, 0), person(2, 0.1, 1), person(1, 0.1, 2), person(1, 0.1, 3)])
    doubt = np.zeros((4, 4))
    assert average_linkage(nodes, [1.0] * 4, doubt, 0.5) == [[0, 2, 3], [1]]
    doubt[0, 2] = doubt[2, 0] = np.inf
    assert average_linkage(nodes, [1.0] * 4, doubt, 0.5) in ([[0, 3], [1], [2]], [[0], [1], [2, 3]])


def test_linkage_is_lenient_with_light_nodes() -> None:
    nodes = np.stack([person(1, 0.0), person(1, 1.0)])
    doubt = np.zeros((2, 2))
    assert average_linkage(5 * nodes, [5.0, 5.0], doubt, 0.75) == [[0], [1]]
    assert average_linkage(nodes, [1.0, 1.0], doubt, 0.75, light=(2.0, 0.1)) == [[0, 1]]


def test_a_track_of_two_people_is_parted_and_short_utterances_follow_the_nearest() -> None:
    said = [
        Utterance(0, 10, 3.0, person(1, seed=1)),
        Utterance(20, 30, 0.4, person(2, seed=2)),
        Utterance(40, 50, 3.0, person(2, seed=3)),
        Utterance(60, 70, 2.0, person(1, seed=4)),
    ]
    assert [[u.start_sample for u in group] for group in by_voice(said)] == [[0, 60], [20, 40]]
    assert by_voice([]) == []


@pytest.mark.parametrize(("silence_s", "expected"), [(0.6, [[0], [1, 2, 3]]), (1.4, [[0, 1, 2, 3]])])
def test_short_utterances_with_short_silences_between_them_show_a_second_person(
    silence_s: float, expected: list[list[int]]
) -> None:
    step = round((0.4 + silence_s) * 16_000)
    said = [Utterance(0, 48_000, 3.0, person(1, seed=1))]
    said += [Utterance(60_000 + i * step, 66_400 + i * step, 0.4, person(2, seed=i)) for i in range(3)]
    assert [[said.index(u) for u in group] for group in by_voice(said)] == expected
