"""The benchmark's numbers mean what `docs/benchmarks.md` says, on records made by hand."""

from typing import Any

import pytest

from benchmarks.meeting import Asked, Record, plan_questions
from benchmarks.report import as_markdown
from benchmarks.scores import finals, first_words, score, screens, speakers, spread, word_errors, words
from protos.decoder.v1 import decoder_pb2
from protos.media.v1 import media_pb2
from protos.session.v1 import session_pb2
from services.gateway.transcript import fold

TRUTH: dict[str, Any] = {
    "media": "made-up",
    "duration_s": 30.0,
    "utterances": [
        {"id": "a", "speaker": "1", "start_s": 1.0, "end_s": 3.0, "text": "Good day, Mister Hale."},
        {"id": "b", "speaker": "2", "start_s": 4.0, "end_s": 6.0, "text": "One half pint."},
    ],
    "slides": [
        {"id": "s", "start_s": 0.0, "end_s": 4.0, "lines": [{"text": "Margaret"}]},
        {"id": "t", "start_s": 4.0, "end_s": 30.0, "lines": [{"text": "Cream"}, {"text": "1/2 pint"}]},
    ],
    "questions": [{"question": "How much?", "expected_any": ["half pint"], "utterance": "b", "slide": "t"}],
}


def said(texts: str, start_s: float, end_s: float, speaker: str = "", *, final: bool = True) -> session_pb2.Event:
    """Words of equal length from `start_s` to `end_s`."""
    spoken = texts.split()
    step = (end_s - start_s) / len(spoken)
    transcript = media_pb2.Transcript(
        utterance_id=texts,
        is_final=final,
        start_sample=round(start_s * 16_000),
        end_sample=round(end_s * 16_000),
        words=[
            media_pb2.Word(
                text=text,
                start_sample=round((start_s + n * step) * 16_000),
                end_sample=round((start_s + (n + 1) * step) * 16_000),
                speaker=speaker,
            )
            for n, text in enumerate(spoken)
        ],
    )
    return session_pb2.Event(utterance=transcript) if final else session_pb2.Event(partial=transcript)


def shown(*lines: str, start_s: float) -> session_pb2.Event:
    regions = [media_pb2.TextRegion(text=line) for line in lines]
    return session_pb2.Event(screen=media_pb2.ScreenState(start_sample=round(start_s * 16_000), regions=regions))


EVENTS = [
    (0.5, shown("Margaret", start_s=0.0)),
    (1.6, said("Good", 1.0, 1.5, final=False)),
    (3.8, said("Good day Mr. Hale", 1.0, 3.0)),
    (4.3, shown("Cream", "1/2 pint", start_s=4.0)),
    (4.9, said("One", 4.0, 4.5, final=False)),
    (6.4, said("One half pint", 4.0, 6.0)),
    (7.0, said("One half pint", 4.0, 6.0, "S2")),
]


def record() -> Record:
    answer = decoder_pb2.Answer(text="One half-pint.", evidence=[decoder_pb2.Evidence(text="Cream")])
    return Record(
        events=EVENTS,
        asked=[Asked("How much?", 10.0, 0.1, None, 0.4, answer)],
        document=fold([event for _, event in EVENTS]),
    )


def test_latencies_count_from_the_truth_not_from_the_recogniser() -> None:
    assert first_words(record(), TRUTH) == pytest.approx([0.6, 0.9])
    assert finals(record(), TRUTH) == pytest.approx([0.8, 0.4])
    assert screens(record(), TRUTH) == pytest.approx([0.5, 0.3])


def test_a_final_without_speaker_is_not_one_with_speaker() -> None:
    assert finals(record(), TRUTH, with_speaker=True) == pytest.approx([1.0])


def test_what_never_came_is_missing_from_the_count() -> None:
    empty = Record()
    assert first_words(empty, TRUTH) == finals(empty, TRUTH) == screens(empty, TRUTH) == []
    assert spread([]) == {"n": 0, "p50": None, "p95": None, "max": None}
    assert word_errors(empty.document, TRUTH)["wer"] == 1.0


def test_percentiles_are_linear_between_ranks() -> None:
    assert spread([1.0, 2.0, 3.0, 4.0, 5.0]) == {"n": 5, "p50": 3.0, "p95": 4.8, "max": 5.0}


def test_words_are_compared_without_case_and_punctuation() -> None:
    assert words("Don't, said Mr. Hale — ONE!") == ["don't", "said", "mister", "hale", "one"]
    assert word_errors(record().document, TRUTH) == {"wer": 0.0, "words": 7}


def test_speakers_are_named_one_to_one() -> None:
    both_one = [said("Good day Mr. Hale", 1.0, 3.0, "S1"), said("One half pint", 4.0, 6.0, "S1")]
    assert speakers(fold(both_one), TRUTH)["speaker_words_right"] == pytest.approx(4 / 7, abs=1e-4)
    apart = [said("Good day Mr. Hale", 1.0, 3.0, "S2"), said("One half pint", 4.0, 6.0, "S1")]
    assert speakers(fold(apart), TRUTH) == {"speaker_words_right": 1.0, "speakers_found": 2, "speakers": 2}


def test_an_answer_and_its_first_evidence_are_scored_apart() -> None:
    accuracy = score(record(), TRUTH)["accuracy"]
    assert (accuracy["answers_right"], accuracy["first_evidence_right"], accuracy["questions"]) == (1.0, 0.0, 1)
    assert accuracy["screen_lines_right"] == 1.0


def test_questions_come_after_their_answer_and_before_the_end() -> None:
    assert plan_questions(TRUTH) == [(10.0, "How much?"), (21.0, "How much?")]


def test_the_report_holds_every_number_of_the_result() -> None:
    result = {"machine": {"date": "", "commit": "", "processor": "", "cores": 2, "load_before": 0.0}}
    result |= score(record(), TRUTH)
    table = as_markdown(result)
    for name in (*result["latency_s"], *result["hop_s"], *result["usage"]):
        assert name in table
