"""Long recordings on the asr stage alone: `python -m benchmarks.long --media DIR [--minutes 30]`.

Puts the English clips of DIR/audio/manifest.jsonl one after the other, pauses of .3 to 2.5 s of faint noise between
them, and compares the words with those of the single clips and among thirds: nothing may drift, be repeated or lost.
Then every reader's clips without their pauses: speech that must be cut somewhere, beside the same clips alone.
Prints one JSON object. Needs jiwer and whisper-normalizer.
"""

import argparse
import json
import time
from collections import defaultdict
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.asr import finals, read
from services.asr.service import AsrExpert, new_expert
from services.asr.vad import WINDOW, SpeechDetector
from services.runtime.percept import SAMPLE_RATE, Transcript

Samples = NDArray[np.float32]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--option", action="append", default=[])
    flags = parser.parse_args()
    options = {"partials": "off", "second_pass": "off"} | dict(option.split("=", 1) for option in flags.option)
    rows = [json.loads(line) for line in (flags.media / "audio" / "manifest.jsonl").open()]
    rows = [r for r in rows if r.get("text") and r["language"] == "en" and not r["kind"].startswith("diar")]
    sounds = {row["id"]: read(flags.media / "audio" / row["audio"]) for row in rows}
    expert = new_expert()
    alone = {row["id"]: _text(finals(expert, sounds[row["id"]], "en", options)) for row in rows}
    result: dict[str, Any] = {"options": options}
    result["single_clips_wer_percent"] = _wer([(row["text"], alone[row["id"]]) for row in rows])
    result["one_recording"] = _one_recording(expert, rows, sounds, flags.minutes * 60, options)
    result["without_pauses"] = _without_pauses(expert, rows, sounds, options)
    print(json.dumps(result, indent=1))


def _one_recording(
    expert: AsrExpert, rows: list[dict[str, Any]], sounds: dict[str, Samples], length_s: float, options: dict[str, str]
) -> dict[str, Any]:
    random = np.random.default_rng(0)
    order = [rows[i] for i in random.permutation(len(rows))]
    parts: list[Samples] = []
    begins_s: list[tuple[float, str]] = []
    at_s = 0.0
    for row in cycle(order):
        if at_s >= length_s:
            break
        pause = 2e-4 * random.standard_normal(round(random.uniform(0.3, 2.5) * SAMPLE_RATE))
        begins_s.append((at_s, row["text"]))
        parts += [sounds[row["id"]], pause.astype(np.float32)]
        at_s += (len(parts[-2]) + len(pause)) / SAMPLE_RATE
    start = time.process_time()
    said = sorted(finals(expert, np.concatenate(parts), "en", options), key=lambda final: final.start_sample)
    cpu_s = time.process_time() - start
    words = [(word.start_sample / SAMPLE_RATE, word.text) for final in said for word in final.words]

    def wer_between(from_s: float, to_s: float) -> float:
        return _wer(
            [
                (
                    " ".join(text for begin_s, text in begins_s if from_s <= begin_s < to_s),
                    " ".join(text for begin_s, text in words if from_s <= begin_s < to_s),
                )
            ]
        )

    return {
        "minutes": round(at_s / 60, 1),
        "clips": len(begins_s),
        "finals": len(said),
        "wer_percent": wer_between(0, at_s),
        "wer_percent_by_thirds": [wer_between(at_s * i / 3, at_s * (i + 1) / 3) for i in range(3)],
        "longest_final_s": round(max(f.end_sample - f.start_sample for f in said) / SAMPLE_RATE, 1),
        "cpu_s_per_audio_s": round(cpu_s / at_s, 3),
    }


def _without_pauses(
    expert: AsrExpert, rows: list[dict[str, Any]], sounds: dict[str, Samples], options: dict[str, str]
) -> dict[str, Any]:
    by_reader: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["kind"] == "read":
            by_reader[str(row["id"]).split("-")[0]].append(row)
    joined, alone, length_s, longest_s = [], [], 0.0, 0.0
    for own in by_reader.values():
        parts = [_squeezed(expert, sounds[row["id"]]) for row in own]
        said = sorted(finals(expert, np.concatenate(parts), "en", options), key=lambda final: final.start_sample)
        text = " ".join(row["text"] for row in own)
        joined.append((text, _text(said)))
        alone.append((text, " ".join(_text(finals(expert, part, "en", options)) for part in parts)))
        length_s += sum(map(len, parts)) / SAMPLE_RATE
        longest_s = max(longest_s, *((f.end_sample - f.start_sample) / SAMPLE_RATE for f in said))
    return {
        "readers": len(by_reader),
        "audio_s": round(length_s, 1),
        "longest_final_s": round(longest_s, 1),
        "wer_percent": _wer(joined),
        "wer_percent_of_its_clips_alone": _wer(alone),
    }


def _squeezed(expert: AsrExpert, samples: Samples) -> Samples:
    """Speech and one window beside it."""
    detector = SpeechDetector(expert.vad)
    windows = samples[: len(samples) // WINDOW * WINDOW].reshape(-1, WINDOW)
    speech = np.array([detector.probability(window) >= 0.5 for window in windows])
    kept: Samples = windows[np.convolve(speech, np.ones(3), "same") > 0].reshape(-1)
    return kept


def _text(said: list[Transcript]) -> str:
    return " ".join(final.text for final in said)


def _wer(pairs: list[tuple[str, str]]) -> float:
    import jiwer
    from whisper_normalizer.english import EnglishTextNormalizer

    normal = EnglishTextNormalizer()
    texts = [(normal(text), normal(said) or "-") for text, said in pairs]
    return round(100 * float(jiwer.wer([a for a, _ in texts], [b for _, b in texts])), 2)


if __name__ == "__main__":
    main()
