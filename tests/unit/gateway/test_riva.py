"""Finals of a live Riva call: once each, in order of time, with their speakers when those come in time."""

from protos.media.v1 import media_pb2
from protos.session.v1 import session_pb2 as pb
from services.gateway.riva import JOINED_S, SOUND_LATE_SAMPLES, SPEAKERS_LATE_SAMPLES, Waiting
from services.runtime.percept import Transcript


def utterance(name: str, start: int, speaker: str = "") -> pb.Event:
    word = media_pb2.Word(text=name, start_sample=start, end_sample=start + 1_000, speaker=speaker)
    said = media_pb2.Transcript(
        utterance_id=name, is_final=True, start_sample=start, end_sample=start + 1_000, words=[word], speaker=speaker
    )
    return pb.Event(utterance=said)


def turn(end: int) -> pb.Event:
    return pb.Event(turn=media_pb2.SpeakerTurn(turn_id="t", speaker="S1", end_sample=end))


def progress(sample: int) -> pb.Event:
    return pb.Event(progress=pb.Progress(received_sample=sample))


def given(events: list[pb.Event], has_speakers: bool = True, each_s: float = JOINED_S) -> list[list[str]]:
    """Words and speakers that come out after each event, `each_s` after the one before."""
    now = [0.0]
    waiting, shown = Waiting(has_speakers, lambda: now[0]), []
    for event in events:
        shown.append([_shown(final) for final in waiting.take(event)])
        now[0] += each_s
    return shown


def _shown(final: Transcript) -> str:
    return f"{final.words[0].text}:{final.words[0].speaker}"


def test_without_speakers_nothing_waits() -> None:
    assert given([utterance("a", 0), utterance("b", 9_000)], has_speakers=False) == [["a:"], ["b:"]]


def test_a_final_waits_for_its_speaker_and_comes_once() -> None:
    events = [utterance("a", 0), turn(1_000), utterance("a", 0, "S1"), utterance("a", 0, "S2")]
    assert given(events) == [[], [], ["a:S1"], []]


def test_a_later_final_does_not_overtake() -> None:
    events = [utterance("a", 0), utterance("b", 9_000, "S2"), utterance("a", 0, "S1")]
    assert given(events) == [[], [], ["a:S1", "b:S2"]]


def test_a_final_whose_speaker_does_not_come_is_let_go() -> None:
    late = [turn(1_000 + SPEAKERS_LATE_SAMPLES - 1), turn(1_000 + SPEAKERS_LATE_SAMPLES)]
    assert given([utterance("a", 0), *late]) == [[], [], ["a:"]]
    late = [progress(1_000 + SOUND_LATE_SAMPLES - 1), progress(1_000 + SOUND_LATE_SAMPLES)]
    assert given([utterance("a", 0), *late]) == [[], [], ["a:"]]


def test_a_final_that_comes_after_the_turns_waits_for_the_decoder_to_join_them() -> None:
    turns = turn(1_000 + SPEAKERS_LATE_SAMPLES)
    assert given([turns, utterance("a", 0), progress(1), utterance("a", 0, "S1")], each_s=0.1)[-1] == ["a:S1"]
    assert given([turns, utterance("a", 0), progress(1)])[-1] == ["a:"]


def test_the_end_lets_everything_go() -> None:
    ended = pb.Event(ended=pb.Ended(end_sample=20_000))
    assert given([utterance("b", 9_000), utterance("a", 0), ended]) == [[], [], ["a:", "b:"]]
