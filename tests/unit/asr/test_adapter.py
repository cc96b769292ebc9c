"""Beside each English final its rows of the space of spelling, where a stream asks for them; Whisper's replace them."""

import numpy as np
import pytest

from engines.fetch import fetch
from services.asr.service import AsrExpert
from services.runtime.percept import Percept, TokenSpan, Transcript
from services.runtime.spelling import LETTERS, SPACE_ID, spelled
from services.runtime.stage import MediaError, StageConfig
from tests.unit.asr.conftest import Samples, Transcribe
from tools.train_adapter.reading import best_path, distance

ON = {"second_pass": "off", "embeddings": "on"}


@pytest.fixture(scope="module", autouse=True)
def _models(expert: AsrExpert) -> None:
    fetch(["moonshine-adapter", "whisper-adapter"])


def spans(percepts: list[Percept]) -> list[TokenSpan]:
    return [percept for percept in percepts if isinstance(percept, TokenSpan)]


def test_it_is_off_unless_a_stream_asks_for_it(transcribe: Transcribe, speech: Samples) -> None:
    without, with_spans = transcribe(speech), transcribe(speech, options=ON)
    assert not spans(without)
    assert [percept for percept in with_spans if not isinstance(percept, TokenSpan)] == without


def test_every_final_has_a_span_of_its_name_that_spells_it(transcribe: Transcribe, speech: Samples) -> None:
    percepts = transcribe(np.concatenate([speech, np.zeros(2 * 16_000, np.float32), speech]), options=ON)
    finals = [percept for percept in percepts if isinstance(percept, Transcript) and percept.is_final]
    assert len(finals) == 2
    for final, span in zip(finals, spans(percepts), strict=True):
        assert (span.source_id, span.modality) == (final.utterance_id, "speech")
        assert (span.start_sample, span.end_sample) == (final.start_sample, final.end_sample)
        assert (span.space_id, span.dimension) == (SPACE_ID, len(LETTERS))
        rows = np.frombuffer(span.values, "<f2").reshape(span.rows, span.dimension).astype(np.float32)
        assert np.exp(rows).sum(axis=1) == pytest.approx(1, abs=0.02)
        said = spelled(final.text)
        assert distance(best_path(rows), said) / len(said) < 0.45


def test_chunks_change_nothing(transcribe: Transcribe, speech: Samples) -> None:
    whole = spans(transcribe(speech, options=ON))
    assert whole and spans(transcribe(speech, pieces=(317, 4_800), options=ON)) == whole


def test_early_finals_have_the_sound_of_their_own_time(transcribe: Transcribe, speech: Samples) -> None:
    pause = np.zeros(int(0.35 * 16_000), np.float32)
    options = ON | {"stop_history_eou": "200", "stop_history": "2000"}
    percepts = transcribe(np.concatenate([speech, pause, speech]), options=options)
    last = {p.utterance_id: p for p in percepts if isinstance(p, Transcript) and p.is_final}
    kept = {span.source_id: span for span in spans(percepts)}
    assert kept.keys() == last.keys()
    for name, span in kept.items():
        assert (span.start_sample, span.end_sample) == (last[name].start_sample, last[name].end_sample)


def test_the_second_pass_replaces_the_rows_of_every_final_by_those_of_whisper(
    transcribe: Transcribe, speech: Samples
) -> None:
    options = {"second_pass": "whisper", "embeddings": "on", "stop_history_eou": "200"}
    percepts = transcribe(np.concatenate([speech, np.zeros(2 * 16_000, np.float32), speech]), options=options)
    finals = {percept.utterance_id: percept for percept in percepts if isinstance(percept, Transcript)}
    told = spans(percepts)
    for name, final in finals.items():
        *_, first, last = (span for span in told if span.source_id == name)
        assert (last.start_sample, last.end_sample, last.space_id) == (final.start_sample, final.end_sample, SPACE_ID)
        rows = np.frombuffer(last.values, "<f2").reshape(last.rows, last.dimension).astype(np.float32)
        said = spelled(final.text)
        assert last != first and distance(best_path(rows), said) / len(said) < 0.4


def test_another_value_than_on_and_off_is_refused(expert: AsrExpert) -> None:
    with pytest.raises(MediaError, match="must be one of on, off, auto"):
        expert.open_stage(StageConfig("en", options={"embeddings": "yes"}))
