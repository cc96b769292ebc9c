"""What the diarization stage promises, on real voices with the real models."""

import itertools

import numpy as np
import pytest

from services.diarization.service import DiarizationExpert
from services.runtime.percept import SAMPLE_RATE, Checkpoint, Percept, SpeakerTurn, SpeakerVoice
from services.runtime.stage import Frame, MediaError, StageConfig
from tests.unit.diarization.conftest import Listen, Samples


def final_turns(said: list[Percept]) -> dict[str, SpeakerTurn]:
    """The last word on every turn."""
    return {p.turn_id: p for p in said if isinstance(p, SpeakerTurn) and p.is_final}


def test_two_voices_are_two_speakers_and_keep_their_names(
    two_speakers: Samples, truth: list[tuple[float, float, str]], listen: Listen
) -> None:
    turns = final_turns(listen(two_speakers)).values()
    assert {turn.speaker for turn in turns} == {"S1", "S2"}
    wrong_s = heard_s = 0.0
    name = {truth[0][2]: "S1", truth[1][2]: "S2"}
    for start, end, reader in truth:
        for turn in turns:
            shared = min(end, turn.end_sample / SAMPLE_RATE) - max(start, turn.start_sample / SAMPLE_RATE)
            heard_s += max(shared, 0.0)
            wrong_s += max(shared, 0.0) * (turn.speaker != name[reader])
    # The truth counts pauses between phrases as speech.
    assert heard_s > 0.8 * sum(end - start for start, end, _ in truth)
    assert wrong_s < 0.05 * heard_s


def test_speakers_are_numbered_by_first_appearance(meeting: Samples, listen: Listen) -> None:
    turns = sorted(final_turns(listen(meeting)).values(), key=lambda turn: turn.start_sample)
    assert list(dict.fromkeys(turn.speaker for turn in turns)) == ["S1", "S2"]


@pytest.mark.parametrize("sizes", [(1_600,), (16_000,), (10**6,), (7_829, 1, 7_831, 333, 48_000)])
def test_results_do_not_depend_on_chunk_size(two_speakers: Samples, listen: Listen, sizes: tuple[int, ...]) -> None:
    assert listen(two_speakers, sizes) == listen(two_speakers, (4_096,))


def test_finals_do_not_depend_on_the_latency(two_speakers: Samples, listen: Listen) -> None:
    said = [listen(two_speakers, config=StageConfig(options={"latency_s": s})) for s in ("0.5", "2", "5")]
    finals = [[p for p in one if not isinstance(p, SpeakerTurn) or p.is_final] for one in said]
    assert finals[0] == finals[1] == finals[2]


@pytest.mark.parametrize("latency_s", ["0.5", "2", "5"])
def test_a_turn_is_reported_within_the_latency(
    expert: DiarizationExpert, two_speakers: Samples, truth: list[tuple[float, float, str]], latency_s: str
) -> None:
    stage = expert.open_stage(StageConfig(options={"latency_s": latency_s}))
    # A second of a voice must have been heard before it can be told from others.
    due = int((truth[0][0] + 1.0 + float(latency_s)) * SAMPLE_RATE)
    turns = [p for p in stage.push_audio(two_speakers[:due]) if isinstance(p, SpeakerTurn)]
    assert [turn.speaker for turn in turns][:1] == ["S1"]
    assert not any(turn.is_final for turn in turns)


def test_a_stage_made_from_any_checkpoint_goes_on_as_if_nothing_had_happened(meeting: Samples, listen: Listen) -> None:
    said = listen(meeting)
    marks = [i for i, percept in enumerate(said) if isinstance(percept, Checkpoint)]
    assert len(marks) >= 3
    for mark in marks:
        checkpoint = said[mark]
        assert isinstance(checkpoint, Checkpoint)
        config = StageConfig(start_sample=checkpoint.resume_sample, resume_state=checkpoint.state)
        assert listen(meeting[checkpoint.resume_sample :], (5_000,), config) == said[mark + 1 :]


def test_a_checkpoint_parts_final_turns_and_comes_at_least_every_ten_seconds(meeting: Samples, listen: Listen) -> None:
    said = listen(meeting)
    known: set[str] = set()
    resume = 0
    for percept in said:
        if isinstance(percept, Checkpoint):
            assert 0 < percept.resume_sample - resume <= 10 * SAMPLE_RATE
            resume = percept.resume_sample
            assert all(turn.end_sample <= resume for turn in final_turns(said).values() if turn.turn_id in known)
        elif isinstance(percept, SpeakerTurn) and percept.is_final and percept.turn_id not in known:
            assert percept.start_sample >= resume
            known.add(percept.turn_id)


def test_a_final_turn_never_changes_its_span(meeting: Samples, listen: Listen) -> None:
    finals = [p for p in listen(meeting) if isinstance(p, SpeakerTurn) and p.is_final]
    for one, other in itertools.combinations(finals, 2):
        if one.turn_id == other.turn_id:
            assert (one.start_sample, one.end_sample) == (other.start_sample, other.end_sample)


def test_every_turn_reported_has_a_span_within_what_was_heard(two_speakers: Samples, listen: Listen) -> None:
    config = StageConfig(start_sample=80_000, options={"latency_s": "0.5"})
    for percept in listen(two_speakers, config=config):
        if isinstance(percept, SpeakerTurn):
            assert 80_000 <= percept.start_sample < percept.end_sample <= 80_000 + len(two_speakers)


VOICES = StageConfig(options={"voices": "on"})


def last_voices(said: list[Percept]) -> dict[str, SpeakerVoice]:
    """What was last told of everybody's voice."""
    return {p.speaker: p for p in said if isinstance(p, SpeakerVoice)}


def test_voices_are_told_when_asked_for_and_change_nothing_else(two_speakers: Samples, listen: Listen) -> None:
    silent, telling = listen(two_speakers), listen(two_speakers, config=VOICES)
    assert last_voices(silent) == {}
    assert [p for p in telling if not isinstance(p, SpeakerVoice)] == silent
    assert set(last_voices(telling)) == {"S1", "S2"}
    assert all(voice.speech_s > 5.0 for voice in last_voices(telling).values())


def test_a_voice_is_most_like_the_same_persons_in_another_recording(two_speakers: Samples, listen: Listen) -> None:
    half = len(two_speakers) // 2
    before, after = (last_voices(listen(part, config=VOICES)) for part in (two_speakers[:half], two_speakers[half:]))
    alike = np.array([[np.dot(a.embedding, b.embedding) for b in after.values()] for a in before.values()])
    assert alike.shape == (2, 2)
    assert np.diag(alike).min() > 0.68 > 0.6 > np.fliplr(alike).diagonal().max()
    assert len({voice.space_id for voice in (*before.values(), *after.values())}) == 1


def test_voices_are_the_same_after_any_checkpoint_and_for_every_chunk_size(meeting: Samples, listen: Listen) -> None:
    said = listen(meeting, config=VOICES)
    assert listen(meeting, (7_829, 48_000), VOICES) == said
    for mark, checkpoint in enumerate(said):
        if isinstance(checkpoint, Checkpoint):
            state = {"start_sample": checkpoint.resume_sample, "resume_state": checkpoint.state}
            config = StageConfig(options=VOICES.options, **state)
            assert listen(meeting[checkpoint.resume_sample :], (5_000,), config) == said[mark + 1 :]


@pytest.mark.parametrize("kind", ["silence", "noise", "clipped hum"])
def test_what_is_no_speech_makes_no_turn(listen: Listen, kind: str) -> None:
    count = 20 * SAMPLE_RATE
    sound = {
        "silence": np.zeros(count, np.float32),
        "noise": (0.05 * np.random.default_rng(1).standard_normal(count)).astype(np.float32),
        "clipped hum": np.sign(np.sin(np.arange(count) * (2 * np.pi * 50 / SAMPLE_RATE))).astype(np.float32),
    }[kind]
    said = listen(sound)
    assert [p for p in said if isinstance(p, SpeakerTurn)] == []
    assert len([p for p in said if isinstance(p, Checkpoint)]) >= 2


@pytest.mark.parametrize("count", [0, 1, 990, 4_000, 9_000])
def test_a_stream_may_end_at_any_time(two_speakers: Samples, listen: Listen, count: int) -> None:
    said = listen(two_speakers[20_000 : 20_000 + count])
    assert all(isinstance(p, SpeakerTurn) and p.is_final for p in said)


def test_a_wrong_option_is_refused(expert: DiarizationExpert) -> None:
    with pytest.raises(MediaError, match=r"unknown options \['latency'\]; diarization knows latency_s"):
        expert.open_stage(StageConfig(options={"latency": "2"}))
    with pytest.raises(MediaError, match=r"latency_s is '3', must be one of 0\.5, 2, 5"):
        expert.open_stage(StageConfig(options={"latency_s": "3"}))
    with pytest.raises(MediaError, match="voices is 'yes', must be on or off"):
        expert.open_stage(StageConfig(options={"voices": "yes"}))


def test_a_damaged_state_is_refused(expert: DiarizationExpert, two_speakers: Samples, listen: Listen) -> None:
    checkpoint = [p for p in listen(two_speakers) if isinstance(p, Checkpoint)][-1]
    states = [b"x", checkpoint.state[:40], checkpoint.state[:-1], b"stage9\n" + checkpoint.state[7:]]
    states += [checkpoint.state[:30] + b"\xff" * 8 + checkpoint.state[38:]]
    for state in states:
        with pytest.raises(MediaError, match="begin a new stream without it"):
            expert.open_stage(StageConfig(start_sample=checkpoint.resume_sample, resume_state=state))
    with pytest.raises(MediaError, match="before the checkpoint's resume_sample"):
        expert.open_stage(StageConfig(resume_state=checkpoint.state))


def test_no_byte_of_a_state_can_do_harm(expert: DiarizationExpert, two_speakers: Samples, listen: Listen) -> None:
    checkpoint = [p for p in listen(two_speakers) if isinstance(p, Checkpoint)][-1]
    generator = np.random.default_rng(0)
    for _ in range(300):
        state = bytearray(checkpoint.state)
        state[generator.integers(len(state))] = generator.integers(256)
        try:
            expert.open_stage(StageConfig(start_sample=checkpoint.resume_sample, resume_state=bytes(state)))
        except MediaError:
            continue


def test_sound_that_is_not_finite_and_pictures_are_refused(expert: DiarizationExpert) -> None:
    stage = expert.open_stage(StageConfig())
    with pytest.raises(MediaError, match="not finite"):
        stage.push_audio(np.array([0.0, np.nan], np.float32))
    with pytest.raises(MediaError, match="takes sound"):
        stage.push_frame(Frame(np.zeros((1, 1, 3), np.uint8), 0))


def test_the_models_are_described(expert: DiarizationExpert) -> None:
    assert [(model.name, model.backend) for model in expert.models()] == [
        ("segmentation-3.0", "onnxruntime-cpu"),
        ("campplus", "onnxruntime-cpu"),
    ]
