"""Numbers out of one record and the truth. Pure: no clock, no I/O."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jiwer
import numpy as np
from scipy.optimize import linear_sum_assignment

from benchmarks.meeting import Asked, Record
from protos.media.v1 import media_pb2
from services.gateway.transcript import Document
from services.runtime.percept import SAMPLE_RATE, Word

# The truth's edges come from energy and a recogniser's from its alignment: they may differ by this.
EDGE_S = 0.3
# A screen event belongs to a slide when it holds so many of its lines.
LINES_OF_A_SLIDE = 0.7


def score(record: Record, truth: Mapping[str, Any]) -> dict[str, Any]:
    """All numbers; latencies in seconds as {"n", "p50", "p95", "max"}."""
    document = record.document
    minutes = truth["duration_s"] / 60
    return {
        "meeting": {"media": truth["media"], "duration_s": truth["duration_s"], "wall_s": round(record.wall_s, 2)},
        "start_s": {"serving": round(record.started_s, 2), "first_session": round(record.warmed_up_s, 2)},
        "latency_s": {
            "speech onset -> first word shown": spread(first_words(record, truth)),
            "end of speech -> final": spread(finals(record, truth)),
            "end of speech -> final with its speaker": spread(finals(record, truth, with_speaker=True)),
            "end of the final's last word -> final": spread(finals_by_own_clock(record)),
            "screen change -> its text": spread(screens(record, truth)),
            "question -> first evidence": spread([a.evidence_s for a in record.asked if a.evidence_s is not None]),
            "question -> first text": spread([a.first_text_s for a in record.asked if a.first_text_s is not None]),
            "question -> whole answer": spread([a.whole_s for a in record.asked]),
        },
        "hop_s": {
            **{name: spread(times) for name, times in record.hops_s.items()},
            "audio received: client-gateway-client": spread(record.audio_round_trip_s),
            "event: gateway-client": spread(record.gateway_to_client_s),
        },
        "usage": {
            name: {
                "cpu_s_per_minute": round(usage.cpu_s / minutes, 2),
                "resident_mb": round(usage.resident_bytes / 1e6),
                "peak_mb": round(usage.peak_bytes / 1e6),
            }
            for name, usage in record.usage.items()
        },
        "accuracy": {
            **word_errors(document, truth),
            **speakers(document, truth),
            **screen_lines(record, truth),
            **answers(record.asked, truth),
        },
        "answers": [
            {"asked_s": round(a.asked_s, 2), "question": a.question, "answer": a.answer.text, "tier": a.answer.tier}
            for a in record.asked
        ],
        "transcript": [
            {
                "start_s": round(segment.start_sample / SAMPLE_RATE, 2),
                "end_s": round(segment.end_sample / SAMPLE_RATE, 2),
                "speaker": segment.speaker,
                "text": segment.text,
            }
            for segment in document.segments
        ],
    }


def spread(values: Iterable[float]) -> dict[str, float | int | None]:
    """How many, median, 95th percentile (linear between ranks), largest."""
    found = np.array(list(values), np.float64)
    if not len(found):
        return {"n": 0, "p50": None, "p95": None, "max": None}
    p50, p95 = np.percentile(found, (50, 95))
    return {"n": len(found), "p50": round(p50, 4), "p95": round(p95, 4), "max": round(found.max(), 4)}


def _transcripts(record: Record) -> list[tuple[float, media_pb2.Transcript]]:
    """Partials and finals with their arrival, in order."""
    kinds = ("partial", "utterance")
    return [(at_s, getattr(e, kind)) for at_s, e in record.events if (kind := e.WhichOneof("event")) in kinds]


def first_words(record: Record, truth: Mapping[str, Any]) -> list[float]:
    """Per utterance: from its first sound to the first partial or final that holds a word of it."""
    latencies = []
    for utterance in truth["utterances"]:
        for at_s, transcript in _transcripts(record):
            if any(utterance["start_s"] - EDGE_S < _middle_s(w) < utterance["end_s"] for w in transcript.words):
                latencies.append(at_s - utterance["start_s"])
                break
    return latencies


def finals(record: Record, truth: Mapping[str, Any], *, with_speaker: bool = False) -> list[float]:
    """Per utterance: from its last sound to the first final that reaches its end (and says who spoke)."""
    latencies = []
    for utterance in truth["utterances"]:
        for at_s, transcript in _transcripts(record):
            if not transcript.is_final or not transcript.words:
                continue
            begins_s = transcript.words[0].start_sample / SAMPLE_RATE
            last = transcript.words[-1]
            reaches_end = (
                begins_s < utterance["end_s"] and last.end_sample / SAMPLE_RATE > utterance["end_s"] - 2 * EDGE_S
            )
            if reaches_end and (not with_speaker or last.speaker or transcript.speaker):
                latencies.append(at_s - utterance["end_s"])
                break
    return latencies


def finals_by_own_clock(record: Record) -> list[float]:
    """Per final, first version: from the end of its last word, as the recogniser placed it, to its arrival."""
    seen = set()
    latencies = []
    for at_s, transcript in _transcripts(record):
        if transcript.is_final and transcript.words and transcript.utterance_id not in seen:
            seen.add(transcript.utterance_id)
            latencies.append(at_s - transcript.words[-1].end_sample / SAMPLE_RATE)
    return latencies


def _screen_events(record: Record) -> list[tuple[float, media_pb2.ScreenState]]:
    return [(at_s, event.screen) for at_s, event in record.events if event.WhichOneof("event") == "screen"]


def screens(record: Record, truth: Mapping[str, Any]) -> list[float]:
    """Per slide: from the moment when it came up to the first event that holds its lines."""
    latencies = []
    for slide in truth["slides"]:
        for at_s, screen in _screen_events(record):
            if slide["start_s"] - EDGE_S < screen.start_sample / SAMPLE_RATE < slide["end_s"]:
                if _lines_found(slide, screen) >= LINES_OF_A_SLIDE * len(slide["lines"]):
                    latencies.append(at_s - slide["start_s"])
                    break
    return latencies


def _lines_found(slide: Mapping[str, Any], screen: media_pb2.ScreenState) -> int:
    shown = {_plain(region.text) for region in screen.regions}
    return sum(_plain(line["text"]) in shown for line in slide["lines"])


def screen_lines(record: Record, truth: Mapping[str, Any]) -> dict[str, Any]:
    """Share of all slides' lines that an event of that slide holds, letter for letter but for case and spaces."""
    found = 0
    for slide in truth["slides"]:
        spans = (slide["start_s"] - EDGE_S, slide["end_s"])
        events = [s for _, s in _screen_events(record) if spans[0] < s.start_sample / SAMPLE_RATE < spans[1]]
        found += max((_lines_found(slide, screen) for screen in events), default=0)
    total = sum(len(slide["lines"]) for slide in truth["slides"])
    return {"screen_lines_right": round(found / total, 4), "screen_lines": total}


def word_errors(document: Document, truth: Mapping[str, Any]) -> dict[str, Any]:
    """Word error rate of the whole transcript in order of time."""
    reference = words(" ".join(utterance["text"] for utterance in truth["utterances"]))
    heard = words(" ".join(segment.text for segment in document.segments))
    if not heard:
        return {"wer": 1.0, "words": len(reference)}
    return {"wer": round(jiwer.wer(" ".join(reference), " ".join(heard)), 4), "words": len(reference)}


def words(text: str) -> list[str]:
    """Lower case, no punctuation, "mr" spelt out: enough to compare; numbers stay as they were written."""
    plain = re.sub(r"[^\w' ]", " ", text.lower().replace("’", "'"))
    return ["mister" if word == "mr" else word for word in plain.split()]


def _plain(text: str) -> str:
    return "".join(text.casefold().split())


def speakers(document: Document, truth: Mapping[str, Any]) -> dict[str, Any]:
    """Share of words that carry the right speaker, under the one-to-one naming that is best for the transcript."""
    pairs = []
    for segment in document.segments:
        for word in segment.words:
            said = [u["speaker"] for u in truth["utterances"] if u["start_s"] - EDGE_S < _middle_s(word) < u["end_s"]]
            if said:
                pairs.append((said[-1], word.speaker or segment.speaker))
    real, named = sorted({pair[0] for pair in pairs}), sorted({pair[1] for pair in pairs})
    if not pairs:
        return {"speaker_words_right": 0.0, "speakers_found": 0, "speakers": 0}
    table = np.zeros((len(real), len(named)))
    for said_by, given in pairs:
        table[real.index(said_by), named.index(given)] += 1
    rows, columns = linear_sum_assignment(-table)
    right = sum(table[r, c] for r, c in zip(rows, columns, strict=True) if named[c])
    return {
        "speaker_words_right": round(float(right) / len(pairs), 4),
        "speakers_found": len([name for name in named if name]),
        "speakers": len({utterance["speaker"] for utterance in truth["utterances"]}),
    }


def answers(asked: Sequence[Asked], truth: Mapping[str, Any]) -> dict[str, Any]:
    """Share of answers that hold an expected word, in their text or in their first evidence."""
    expected = {question["question"]: question["expected_any"] for question in truth["questions"]}

    def holds(text: str, question: str) -> bool:
        return any(_plain(word) in _plain(text.replace("-", " ")) for word in expected[question])

    texts = [holds(a.answer.text, a.question) for a in asked]
    quoted = [bool(a.answer.evidence) and holds(a.answer.evidence[0].text, a.question) for a in asked]
    share = 1 / max(1, len(asked))
    return {
        "answers_right": round(sum(texts) * share, 4),
        "first_evidence_right": round(sum(quoted) * share, 4),
        "questions": len(asked),
    }


def _middle_s(word: Word | media_pb2.Word) -> float:
    return (word.start_sample + word.end_sample) / 2 / SAMPLE_RATE
