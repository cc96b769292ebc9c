"""Rules of the asr stage on real speech and on sounds that are no speech."""

import itertools
from collections.abc import Callable
from concurrent.futures import Future
from threading import Event

import numpy as np
import pytest

from services.asr.endpointing import MAX_LENGTH
from services.asr.second_pass import SecondReading
from services.asr.service import AsrExpert, new_expert
from services.asr.vad import WINDOW
from services.runtime.load import Shed, Sheds
from services.runtime.percept import SAMPLE_RATE, Checkpoint, Percept, SpeechActivity, SpeechEvent, Transcript
from services.runtime.stage import MediaError, StageConfig
from tests.unit.asr.conftest import Samples, Transcribe

SENTENCE = "that account of himself"


def finals(said: list[Percept]) -> list[Transcript]:
    """The finals in order."""
    return [p for p in said if isinstance(p, Transcript) and p.is_final]


def silence(seconds: float) -> Samples:
    """Digital silence."""
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


@pytest.fixture(scope="session")
def talk(speech: Samples) -> Samples:
    """The sentence, a long silence, the sentence cut short, a pause, the sentence."""
    parts = [
        silence(0.4),
        speech[: 3 * SAMPLE_RATE],
        silence(6.5),
        speech[: 2 * SAMPLE_RATE],
        silence(0.9),
        speech,
    ]
    return np.concatenate(parts)


@pytest.fixture(scope="session")
def told(transcribe: Transcribe, talk: Samples) -> list[Percept]:
    """What the stage says about the talk."""
    return transcribe(talk)


def test_a_sentence_is_heard(transcribe: Transcribe, speech: Samples) -> None:
    (final,) = finals(transcribe(speech))
    assert SENTENCE in final.text.lower()
    assert final.language == "en"
    assert final.stable_words == len(final.words)
    assert final.confidence is not None and 0.5 < final.confidence <= 1


@pytest.mark.parametrize("pieces", [(160,), (4_000, 1, 77), (1_000_000,)])
def test_results_do_not_depend_on_chunk_size(
    transcribe: Transcribe, talk: Samples, told: list[Percept], pieces: tuple[int, ...]
) -> None:
    assert transcribe(talk, pieces=pieces) == told


def test_finals_do_not_depend_on_partials(transcribe: Transcribe, talk: Samples, told: list[Percept]) -> None:
    assert finals(transcribe(talk, options={"second_pass": "off", "partials": "off"})) == finals(told)


def test_results_do_not_depend_on_chunk_size_down_to_one_sample(transcribe: Transcribe, speech: Samples) -> None:
    clip = speech[: int(1.2 * SAMPLE_RATE)]
    assert transcribe(clip, pieces=(1,)) == transcribe(clip)


@pytest.mark.parametrize("second_pass,eou,every", [("off", "0", 2), ("off", "160", 1), ("whisper", "0", 2)])
def test_replay_from_any_checkpoint_gives_the_same_finals(
    transcribe: Transcribe, talk: Samples, second_pass: str, eou: str, every: int
) -> None:
    options = {"second_pass": second_pass, "partials": "off", "stop_history_eou": eou}
    if second_pass == "whisper":  # it reads several utterances at once: checkpoints are rarer
        talk = np.concatenate([talk, silence(2.5), talk])
    said = transcribe(talk, options=options)
    checkpoints = [(i, p) for i, p in enumerate(said) if isinstance(p, Checkpoint)]
    assert len(checkpoints) >= 4
    for i, checkpoint in checkpoints[::every]:
        again = transcribe(
            talk[checkpoint.resume_sample :],
            start_sample=checkpoint.resume_sample,
            resume_state=checkpoint.state,
            options=options,
        )
        assert finals(again) == [final for final in finals(said) if final.start_sample >= checkpoint.resume_sample]
        assert all(final.start_sample >= checkpoint.resume_sample for final in finals(said[i:]))


def test_no_final_crosses_a_checkpoint(told: list[Percept]) -> None:
    for i, checkpoint in enumerate(told):
        if isinstance(checkpoint, Checkpoint):
            assert all(final.end_sample <= checkpoint.resume_sample for final in finals(told[:i]))
            assert all(final.start_sample >= checkpoint.resume_sample for final in finals(told[i:]))


def test_silence_makes_a_checkpoint_about_every_five_seconds(transcribe: Transcribe) -> None:
    said = transcribe(silence(21))
    positions = [p.resume_sample / SAMPLE_RATE for p in said if isinstance(p, Checkpoint)]
    assert len(said) == len(positions) == 4
    assert np.all(np.diff(positions) < 5.1)


def test_partials_come_first_and_their_stable_words_stay(transcribe: Transcribe, speech: Samples) -> None:
    said = [p for p in transcribe(speech) if isinstance(p, Transcript)]
    assert len(said) > 8 and not said[0].is_final and said[-1].is_final
    assert said[0].end_sample - said[0].start_sample < 0.9 * SAMPLE_RATE
    *partials, final = said
    for earlier, later in itertools.pairwise(partials):
        kept = earlier.stable_words
        assert [w.text for w in later.words[:kept]] == [w.text for w in earlier.words[:kept]]
        assert later.stable_words >= kept
    assert partials[-1].stable_words > len(final.words) // 2


def test_words_are_in_order_and_inside_their_utterance(told: list[Percept], talk: Samples) -> None:
    for said in told:
        if isinstance(said, Transcript):
            edges = [said.start_sample]
            for word in said.words:
                assert word.start_sample < word.end_sample
                assert word.confidence is not None and 0 <= word.confidence <= 1
                edges += [word.start_sample, word.end_sample]
            assert edges == sorted(edges) and edges[-1] <= said.end_sample
            assert said.end_sample <= len(talk)


def test_positions_count_from_the_start_of_the_stream(transcribe: Transcribe, speech: Samples) -> None:
    (here,), (there,) = finals(transcribe(speech)), finals(transcribe(speech, start_sample=70_001))
    assert there.start_sample == here.start_sample + 70_001
    assert there.utterance_id == f"u{there.start_sample:012d}"
    assert there.text == here.text


def test_speech_without_a_pause_is_cut_before_the_limit(transcribe: Transcribe, speech: Samples) -> None:
    running = np.concatenate([speech[3_000:-6_000]] * 9)
    said = finals(transcribe(running, options={"partials": "off", "second_pass": "off"}))
    assert len(said) >= 2
    assert all(final.end_sample - final.start_sample <= MAX_LENGTH * WINDOW for final in said)
    heard = " ".join(final.text.lower() for final in said)
    assert heard.count("account of himself") >= 8


def _sounds() -> dict[str, Samples]:
    rng = np.random.default_rng(7)
    seconds = np.arange(20 * SAMPLE_RATE) / SAMPLE_RATE
    chord = sum(np.sin(2 * np.pi * f * seconds) for f in (220.0, 277.2, 329.6, 440.0))
    beat = 0.5 + 0.5 * np.sign(np.sin(2 * np.pi * 2 * seconds))
    clicks = np.zeros_like(seconds)
    for start in rng.integers(0, len(clicks) - 400, 120):
        clicks[start : start + 400] += rng.standard_normal(400) * np.exp(-np.arange(400) / 60)
    brown = np.cumsum(rng.standard_normal(len(seconds)))
    brown -= np.convolve(brown, np.ones(800) / 800, "same")
    sounds = {
        "silence": np.zeros_like(seconds),
        "white noise": rng.standard_normal(len(seconds)) * 0.1,
        "hum": brown / np.abs(brown).max() * 0.5,
        "keyboard": clicks * 0.4,
        "music": chord * beat * 0.1,
        "tone": np.sin(2 * np.pi * 1000 * seconds) * 0.5,
        "clipping": np.sign(np.sin(2 * np.pi * 90 * seconds)),
    }
    return {name: sound.astype(np.float32) for name, sound in sounds.items()}


@pytest.mark.parametrize("name", _sounds())
def test_what_is_no_speech_gives_no_words(transcribe: Transcribe, name: str) -> None:
    said = transcribe(_sounds()[name], language="", options={})
    assert [p.text for p in said if isinstance(p, Transcript)] == []


def test_english_that_is_pinned_never_loads_whisper(speech: Samples) -> None:
    alone = new_expert()
    stage = alone.open_stage(StageConfig(language="en"))
    said = [*stage.push_audio(speech), *stage.flush()]
    assert finals(said)
    assert {m.name: m.is_loaded for m in alone.models()} == {
        "silero-vad": True,
        "moonshine-tiny-en": True,
        "whisper-base": False,
        "moonshine-adapter": False,
        "whisper-adapter": False,
    }


def test_the_language_is_found(transcribe: Transcribe, speech: Samples) -> None:
    said = finals(transcribe(speech, language="", options={"partials": "off"}))
    assert {final.language for final in said} == {"en"}


def test_english_that_was_not_pinned_is_final_as_early_as_if_it_were(expert: AsrExpert, speech: Samples) -> None:
    pause = np.concatenate([speech, silence(0.5)])  # too short to end the utterance
    pinned, unknown = (
        finals(list(expert.open_stage(StageConfig(language, options=EARLY)).push_audio(pause)))
        for language in ("en", "")
    )
    assert pinned and unknown == pinned


def test_the_second_pass_replaces_the_final_under_the_same_id(transcribe: Transcribe, speech: Samples) -> None:
    first, second = finals(transcribe(speech, options={"second_pass": "whisper", "partials": "off"}))
    assert (second.utterance_id, second.revision) == (first.utterance_id, first.revision + 1)
    assert SENTENCE in second.text.lower()


def test_utterances_near_one_another_are_read_as_one_and_each_is_corrected_under_its_id(
    transcribe: Transcribe, speech: Samples
) -> None:
    near = np.concatenate([speech[: 3 * SAMPLE_RATE], silence(0.9), speech, silence(4)])
    options = {"second_pass": "whisper", "partials": "off"}
    said = transcribe(near, options=options)
    firsts, seconds = ([f for f in finals(said) if (f.revision > 0) is again] for again in (False, True))
    assert [f.utterance_id for f in seconds] == [f.utterance_id for f in firsts] and len(firsts) == 2
    # Both came before the second pass, which did not wait for the end, and no checkpoint parts them.
    order = [said.index(percept) for percept in (*firsts, *seconds)]
    assert order == sorted(order) and isinstance(said[order[-1] + 1], Checkpoint)
    assert not any(isinstance(percept, Checkpoint) for percept in said[order[0] : order[-1]])
    for final in seconds:
        assert "account" in final.text.lower()
        edges = [edge for word in final.words for edge in (word.start_sample, word.end_sample)]
        assert edges == sorted(edges) and final.start_sample <= edges[0] and edges[-1] <= final.end_sample
    assert transcribe(near, pieces=(4_000, 1, 77), options=options) == said


def test_partials_do_not_wait_for_the_second_pass(
    expert: AsrExpert, speech: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    later, may_begin = expert.later, Event()

    def when_told(job: Callable[[], SecondReading | None]) -> Future[SecondReading | None]:
        return later(lambda: job() if may_begin.wait(60) else None)

    monkeypatch.setattr(expert, "later", when_told)
    stage = expert.open_stage(StageConfig("en", options={"second_pass": "whisper", "stop_history_eou": "0"}))
    said = stage.push_audio(np.concatenate([speech, silence(2.2), speech[: 2 * SAMPLE_RATE]]))
    (first,) = finals(list(said))
    assert any(isinstance(p, Transcript) and p.start_sample > first.end_sample for p in said)
    may_begin.set()
    (second, *_) = finals(list(stage.push_audio(silence(4))))
    assert (second.utterance_id, second.revision) == (first.utterance_id, 1)


def test_a_late_stream_does_not_wait_for_a_second_pass_that_has_begun(
    expert: AsrExpert, speech: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    later, is_awaited = expert.later, Event()

    def slow(job: Callable[[], SecondReading | None]) -> Future[SecondReading | None]:
        def wait() -> SecondReading | None:
            is_awaited.wait(10)
            return job()

        return later(wait)

    monkeypatch.setattr(expert, "later", slow)
    stage = expert.open_stage(StageConfig("en", options={"second_pass": "whisper", "partials": "off"}))
    assert finals(list(stage.push_audio(np.concatenate([speech, silence(2.2)]))))
    assert isinstance(stage, Sheds)
    stage.shed(Shed(has_second_pass=False))
    said = stage.push_audio(silence(4))
    is_awaited.set()
    assert not finals(list(said)) and isinstance(said[0], Checkpoint)


EARLY = {"second_pass": "off", "stop_history_eou": "128"}


@pytest.fixture(scope="session")
def told_early(transcribe: Transcribe, talk: Samples) -> list[Percept]:
    """What the stage says about the talk when each short pause gives a final."""
    return transcribe(talk, options=EARLY)


@pytest.mark.parametrize("pieces", [(4_000, 1, 77), (1_000_000,)])
def test_early_finals_do_not_depend_on_chunk_size(
    transcribe: Transcribe, talk: Samples, told_early: list[Percept], pieces: tuple[int, ...]
) -> None:
    assert transcribe(talk, pieces=pieces, options=EARLY) == told_early


def test_an_early_final_comes_before_the_pause_is_over_and_is_continued(
    told: list[Percept], told_early: list[Percept]
) -> None:
    last = {final.utterance_id: final for final in finals(told_early)}
    assert len(last) > len(finals(told))
    # In the end it is the same reading of the same sound.
    assert [w.text for final in last.values() for w in final.words] == [w.text for f in finals(told) for w in f.words]
    spans = [(final.start_sample, final.end_sample) for final in last.values()]
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))
    for one, other in itertools.pairwise(finals(told_early)):
        assert other.revision > 0 or other.start_sample >= one.end_sample


def test_a_final_is_not_followed_by_a_partial_of_its_name(told_early: list[Percept]) -> None:
    closed = set()
    for said in told_early:
        if isinstance(said, Transcript):
            assert said.is_final or said.utterance_id not in closed
            if said.is_final:
                closed.add(said.utterance_id)


def _activities(said: list[Percept]) -> list[SpeechActivity]:
    return [percept for percept in said if isinstance(percept, SpeechActivity)]


def test_speech_begins_before_its_first_partial_and_ends_before_its_final(told_early: list[Percept]) -> None:
    open_id = ""
    for said in told_early:
        match said:
            case SpeechActivity(SpeechEvent.START_OF_SPEECH):
                assert not open_id
                open_id, begun = said.utterance_id, said.sample
            case SpeechActivity(SpeechEvent.END_OF_SPEECH):
                assert said.utterance_id == open_id and said.sample > begun
                ended = said.sample
            case Transcript() if said.is_final and not said.revision:
                assert said.utterance_id == open_id and said.start_sample <= begun < ended <= said.end_sample
                open_id = ""
            case Transcript() if not said.is_final:
                assert said.utterance_id == open_id
    assert not open_id
    assert len(_activities(told_early)) == 2 * len({final.utterance_id for final in finals(told_early)})


def test_wrong_settings_are_refused_by_name(expert: AsrExpert) -> None:
    with pytest.raises(MediaError, match="phrases, screen_rare, screen_seen, partials, second_pass, start_history"):
        expert.open_stage(StageConfig(options={"beams": "5"}))
    with pytest.raises(MediaError, match="stop_history is '20000'; must be 96 to 10000 milliseconds"):
        expert.open_stage(StageConfig(options={"stop_history": "20000"}))
    with pytest.raises(MediaError, match="stop_history_eou is '-1'.*0: no early final"):
        expert.open_stage(StageConfig(options={"stop_history_eou": "-1"}))
    with pytest.raises(MediaError, match="start_threshold is '1.5'; must be 0.05 to 1"):
        expert.open_stage(StageConfig(options={"start_threshold": "1.5"}))
    with pytest.raises(MediaError, match="sensitivity is 'high'; must be one of standard, short, supershort"):
        expert.open_stage(StageConfig(options={"endpointing_sensitivity": "high"}))
    with pytest.raises(MediaError, match="stop_threshold is 'nan'"):
        expert.open_stage(StageConfig(options={"stop_threshold": "nan"}))
    with pytest.raises(MediaError, match="start_history is 'soon'; must be a number"):
        expert.open_stage(StageConfig(options={"start_history": "soon"}))
    with pytest.raises(MediaError, match="phrase 1 has 300 characters"):
        expert.open_stage(StageConfig(options={"phrases": "x" * 300}))
    with pytest.raises(MediaError, match="'perhaps'; must be one of on, off"):
        expert.open_stage(StageConfig(options={"partials": "perhaps"}))
    with pytest.raises(MediaError, match="'klingon'; must be empty"):
        expert.open_stage(StageConfig(language="klingon"))
    with pytest.raises(MediaError, match="resume_state"):
        expert.open_stage(StageConfig(resume_state=b"nonsense"))
    with pytest.raises(MediaError, match="resume_state.*no language 'xx'"):
        expert.open_stage(StageConfig(resume_state=b'{"language": "xx"}'))
