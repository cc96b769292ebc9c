"""What the screen does for recognition, with real OCR between: `python -m benchmarks.screen_terms --media DIR`.

DIR as in `benchmarks.phrases`. The words of each clip's list stand on a slide that is drawn here and read by the
vision stage; its words (services/decoder/terms.py) go to the asr stage, as they do in a session. Three readings:
without a screen, with its own slide, with the slide of another clip. Prints one JSON object. Nothing was chosen on
the clips of odd number (`--part held-out`). Needs jiwer and whisper-normalizer.
"""

import argparse
import json
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.asr import finals, read
from benchmarks.phrases import PARTS
from services.asr.service import new_expert
from services.decoder.terms import ContextTerms
from services.runtime.percept import ScreenState
from services.runtime.phrases import phrase_lines
from services.runtime.sentence import SentenceEncoder
from services.runtime.stage import Frame, StageConfig
from services.vision.service import new_expert as new_vision_expert

WAYS = ("no screen", "its own slide", "another clip's slide")
_LEADS = ("Agenda", "Next steps", "Open points", "Owners", "Notes", "Background", "Review", "Status")
_FRAMES = ("{} and {}", "talk about {} with {}", "{}: see {}", "from {} to {}", "{}, then {}")


def slide(words: Sequence[str], seed: int) -> NDArray[np.uint8]:
    """A 1280 x 720 slide that shows these words in short lines, (h, w, 3) uint8 BGR."""
    rng = random.Random(seed)
    picture = np.full((720, 1280, 3), rng.choice((255, 248, 240)), np.uint8)
    mixed = rng.sample(list(words), len(words))
    lines = [rng.choice(_FRAMES).format(*pair) for pair in zip(mixed[::2], [*mixed[1::2], "others"], strict=False)]
    font = rng.choice((cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX))
    cv2.putText(picture, rng.choice(_LEADS), (50, 60), font, 1.4, (40, 40, 40), 2, cv2.LINE_AA)
    rows = -(-len(lines) // 2)
    for i, line in enumerate(lines):
        place = (50 + 610 * (i // rows), 120 + (i % rows) * min(56, 580 // rows))
        cv2.putText(picture, line, place, font, 0.75, (30, 30, 30), 1, cv2.LINE_AA)
    return picture


def options_of(picture: NDArray[np.uint8], rank: Callable[[str], int | None]) -> dict[str, str]:
    """What recognition is told of a picture: the options `screen_rare` and `screen_seen` of asr."""
    stage = new_vision_expert().open_stage(StageConfig())
    seen = [*stage.push_frame(Frame(picture, 0, "slide")), *stage.flush()]
    terms = ContextTerms(rank)
    for percept in seen:
        if isinstance(percept, ScreenState):
            terms.show(percept)
    shown = terms.at(0) or ()
    rare = phrase_lines((term.text, term.weight) for term in shown if not term.is_everyday)
    return {"screen_rare": rare, "screen_seen": phrase_lines((term.text, 0) for term in shown if term.is_everyday)}


def main() -> None:
    """Measure and print."""
    import jiwer
    from whisper_normalizer.english import EnglishTextNormalizer

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--part", choices=PARTS, default="held-out")
    parser.add_argument("--language", default="")
    flags = parser.parse_args()
    audio = flags.media / "audio"
    clips = {row["id"]: row for row in map(json.loads, (audio / "manifest.jsonl").open())}
    lists = [json.loads(line) for line in (audio / "rare_words.jsonl").open()][PARTS[flags.part]]
    normal, expert, encoder = EnglishTextNormalizer(), new_expert(), SentenceEncoder()
    listed = [options_of(slide(row["screen_words"], i), encoder.rank) for i, row in enumerate(lists)]
    read_right = sum(
        normal(word) in normal(options["screen_rare"])
        for row, options in zip(lists, listed, strict=True)
        for word in row["rare_words"]
    )
    heard, invented, cpu_s = dict.fromkeys(WAYS, 0), dict.fromkeys(WAYS, 0), dict.fromkeys(WAYS, 0.0)
    texts: dict[str, list[str]] = {way: [] for way in WAYS}
    references, rare_words, audio_s = [], 0, 0.0
    for i, row in enumerate(lists):
        clip = clips[row["id"]]
        samples = read(audio / clip["audio"])
        audio_s += len(samples) / 16_000
        references.append(normal(clip["text"]))
        rare = {normal(word) for word in row["rare_words"]}
        rare_words += sum(word in rare for word in references[-1].split())
        for way, options in zip(WAYS, ({}, listed[i], listed[i - 1]), strict=True):
            start = time.process_time()
            said = finals(expert, samples, flags.language, {"partials": "off"} | options)
            cpu_s[way] += time.process_time() - start
            text = normal(" ".join(final.text for final in said)) or "-"
            texts[way].append(text)
            shown = set(normal(" ".join(options.values()).replace("\t", " ")).split())
            corrected = {normal(w.text) for final in said for w in final.words if w.correction is not None}
            invented[way] += len(corrected & shown - set(references[-1].split()))
            for chunk in jiwer.process_words(references[-1], text).alignments[0]:
                words = references[-1].split()[chunk.ref_start_idx : chunk.ref_end_idx]
                heard[way] += sum(word in rare for word in words) if chunk.type == "equal" else 0
    result = {
        "clips": len(lists),
        "minutes": round(audio_s / 60, 1),
        "rare_words": rare_words,
        "rare_words_among_the_terms": read_right,
        "rare_recall_percent": {way: round(100 * n / rare_words, 1) for way, n in heard.items()},
        "wer_percent": {way: round(100 * jiwer.wer(references, texts[way]), 2) for way in WAYS},
        "false_screen_words": invented,
        "cpu_s": {way: round(s, 1) for way, s in cpu_s.items()},
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
