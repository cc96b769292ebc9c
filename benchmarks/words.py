"""How exact word times are and how true confidences: `python -m benchmarks.words --media DIR`.

DIR holds audio/manifest.jsonl (id, audio, text, language, kind; meetings of kind diar_sim have segments). English clips
are joined with pauses of 0.05 to 1.2 s to one stream, which goes through the asr stage. Prints one JSON object:

- times: errors of word edges against a forced alignment of each clip by pocketsphinx (an HMM recogniser; clips with
  words that its dictionary lacks are left out here);
- borders: errors against the meetings' segment borders, all of them and those where speech begins or ends for the ear;
- confidence: expected calibration error (10 bins of equal width) and the reliability table.

Heads and calibrations were chosen on clips of even number (`--part chosen`); report the odd ones (`--part held-out`).
Needs jiwer; pocketsphinx for times.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
from numpy.typing import NDArray

from benchmarks.asr import finals, read
from benchmarks.scores import words as plain
from services.asr.service import AsrExpert, new_expert
from services.runtime.percept import SAMPLE_RATE, Word

PARTS = {"all": (0, 1), "chosen": (0,), "held-out": (1,)}
PAUSES_S = (0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1.2)
BINS = 10
Row = dict[str, Any]
Timed = tuple[str, float, float]


def align(samples: NDArray[np.float32], text: str) -> list[Timed] | None:
    """Words with start and end in seconds by forced alignment; None when a word is not in the dictionary."""
    import pocketsphinx

    decoder = pocketsphinx.Decoder(lm=None, loglevel="FATAL", beam=1e-80, wbeam=1e-60, pbeam=1e-80)
    spoken = plain(text)
    if any(decoder.lookup_word(word) is None for word in spoken):
        return None
    decoder.set_align_text(" ".join(spoken))
    decoder.start_utt()
    decoder.process_raw((samples * 0.9 * 32_767).astype(np.int16).tobytes(), full_utt=True)
    decoder.end_utt()
    found = [(s.word.split("(")[0], s.start_frame / 100, (s.end_frame + 1) / 100) for s in decoder.seg() or ()]
    timed = [word for word in found if word[0] and not word[0].startswith(("<", "["))]
    return timed if [word for word, _, _ in timed] == spoken else None


def joined(
    clips: Sequence[tuple[NDArray[np.float32], list[Timed]]], seed: int
) -> tuple[NDArray[np.float32], list[Timed]]:
    """One stream of all clips, half of them cut close, and its words."""
    rng = np.random.default_rng(seed)
    parts = [np.zeros(SAMPLE_RATE // 2, np.float32)]
    words: list[Timed] = []
    at = len(parts[0])
    for samples, timed in clips:
        low, high = 0, len(samples)
        if timed and rng.random() < 0.5:
            low = max(0, round((timed[0][1] - 0.08) * SAMPLE_RATE))
            high = min(high, round((timed[-1][2] + 0.12) * SAMPLE_RATE))
        shift = (at - low) / SAMPLE_RATE
        words += [(word, shift + start, shift + end) for word, start, end in timed]
        pause = np.zeros(round(rng.choice(PAUSES_S) * SAMPLE_RATE), np.float32)
        parts += [samples[low:high], pause]
        at += high - low + len(pause)
    stream = np.concatenate(parts)
    faint = np.random.default_rng(seed).standard_normal(len(stream)) * 1e-4
    return (stream + faint).astype(np.float32), words


def time_errors(heard: Sequence[Word], truth: Sequence[Timed]) -> tuple[list[float], list[bool]]:
    """Errors of start and end in seconds (heard - true) of words heard right, and whether a pause is there."""
    errors: list[float] = []
    at_pause: list[bool] = []
    for i, j in _right(heard, [word for word, _, _ in truth]):
        start, end = truth[j][1:]
        errors += [heard[i].start_sample / SAMPLE_RATE - start, heard[i].end_sample / SAMPLE_RATE - end]
        at_pause.append(j == 0 or start - truth[j - 1][2] > 0.1)
        at_pause.append(j + 1 == len(truth) or truth[j + 1][1] - end > 0.1)
    return errors, at_pause


def _right(heard: Sequence[Word], truth: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs (index heard, index true) of the words that are the same in the best alignment of the texts."""
    pieces = [(piece, i) for i, word in enumerate(heard) for piece in plain(word.text)]
    aligned = jiwer.process_words(" ".join(truth), " ".join(piece for piece, _ in pieces))
    return [
        (pieces[chunk.hyp_start_idx + k][1], chunk.ref_start_idx + k)
        for chunk in aligned.alignments[0]
        if chunk.type == "equal"
        for k in range(chunk.ref_end_idx - chunk.ref_start_idx)
    ]


def spread_ms(errors: Sequence[float]) -> dict[str, int]:
    """Count, median, mean and 90th percentile of the sizes of errors, and the median with its sign, in ms."""
    sizes = 1000 * np.abs(errors)
    return {
        "n": len(sizes),
        "median": round(float(np.median(sizes))),
        "mean": round(float(sizes.mean())),
        "p90": round(float(np.percentile(sizes, 90))),
        "bias": round(float(1000 * np.median(errors))),
    }


def border_errors(heard: Sequence[Word], meeting: Row, samples: NDArray[np.float32]) -> tuple[list[float], list[bool]]:
    """Errors of each segment's first start and last end where it does not overlap another, and whether one hears it."""
    segments = meeting["segments"]
    truth = [(word, i) for i, segment in enumerate(segments) for word in plain(segment["text"])]
    ends: dict[tuple[int, str], int] = {}
    for k, (_, i) in enumerate(truth):
        ends.setdefault((i, "start"), k)
        ends[i, "end"] = k
    found = {j: heard[i] for i, j in _right(heard, [word for word, _ in truth])}
    errors: list[float] = []
    audible: list[bool] = []
    for (i, side), k in ends.items():
        at_s = segments[i][side]
        alone = all(
            not other["start"] - 0.1 < at_s < other["end"] + 0.1 for other in segments if other is not segments[i]
        )
        if k not in found or not alone:
            continue
        word = found[k]
        errors.append((word.start_sample if side == "start" else word.end_sample) / SAMPLE_RATE - at_s)
        inside = round((at_s if side == "start" else at_s - 0.1) * SAMPLE_RATE)
        whole = samples[round(segments[i]["start"] * SAMPLE_RATE) : round(segments[i]["end"] * SAMPLE_RATE)]
        audible.append(_level_db(samples[inside : inside + SAMPLE_RATE // 10]) > _level_db(whole) - 20)
    return errors, audible


def _level_db(samples: NDArray[np.float32]) -> float:
    return float(10 * np.log10(np.mean(samples**2) + 1e-9))


def reliability(confidences: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[float, list[Row]]:
    """Expected calibration error, and for each bin with words their number, mean confidence and share right."""
    bins = np.minimum((confidences * BINS).astype(int), BINS - 1)
    table = [
        {
            "from": k / BINS,
            "words": int((bins == k).sum()),
            "confidence": round(float(confidences[bins == k].mean()), 3),
            "right": round(float(right[bins == k].mean()), 3),
        }
        for k in range(BINS)
        if (bins == k).any()
    ]
    return sum(row["words"] * abs(row["confidence"] - row["right"]) for row in table) / len(right), table


def heard_words(expert: AsrExpert, samples: NDArray[np.float32], language: str, options: dict[str, str]) -> list[Word]:
    """All words of the last revisions."""
    said = finals(expert, samples, language, options)
    return [word for final in sorted(said, key=lambda final: final.start_sample) for word in final.words]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--part", choices=PARTS, default="held-out")
    parser.add_argument("--language", default="")
    parser.add_argument("--option", action="append", default=[])
    flags = parser.parse_args()
    options = dict(option.split("=", 1) for option in flags.option) | {"partials": "off"}
    audio = flags.media / "audio"
    rows = [json.loads(line) for line in (audio / "manifest.jsonl").open()]
    clips = [row for row in rows if row["kind"] == "read" and row["language"] == "en" and row.get("speaker")]
    clips = [row for i, row in enumerate(clips) if i % 2 in PARTS[flags.part]]
    np.random.default_rng(5).shuffle(clips)
    expert = new_expert()
    result: Row = {"part": flags.part, "clips": len(clips), "language": flags.language, "options": options}

    read_clips = [read(audio / row["audio"]) for row in clips]
    timed = [align(samples, row["text"]) for samples, row in zip(read_clips, clips, strict=True)]
    stream, truth = joined([(s, t) for s, t in zip(read_clips, timed, strict=True) if t], seed=5)
    heard = heard_words(expert, stream, flags.language, options)
    edges, at_pause = time_errors(heard, truth)
    result["times_ms"] = {
        "clips left out": timed.count(None),
        "all": spread_ms(edges),
        "at pauses": spread_ms([e for e, pause in zip(edges, at_pause, strict=True) if pause]),
        "overlapping": sum(b.start_sample < a.end_sample for a, b in zip(heard[:-1], heard[1:], strict=True)),
    }
    right = np.zeros(len(heard), np.bool_)
    right[[i for i, _ in _right(heard, [word for word, _, _ in truth])]] = True
    error, table = reliability(np.array([word.confidence or 0 for word in heard], np.float64), right)
    result["confidence"] = {"words": len(heard), "ece": round(error, 3), "table": table}

    errors: list[float] = []
    audible: list[bool] = []
    for row in rows:
        if row["kind"] == "diar_sim":
            samples = read(audio / row["audio"])
            more = border_errors(heard_words(expert, samples, flags.language, options), row, samples)
            errors, audible = errors + more[0], audible + more[1]
    if errors:
        heard_ones = [e for e, is_audible in zip(errors, audible, strict=True) if is_audible]
        result["borders_ms"] = {"all": spread_ms(errors), "audible": spread_ms(heard_ones)}
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
