"""What the audio adapter brings: `python -m benchmarks.adapters --media DIR`.

DIR as in `benchmarks.phrases`. English clips go through the asr stage with `embeddings=on`, clean and with noise of
`--noise-db` below the voice. Each rare word is asked for ("What did they say about X?") among all clips: by the
decoder's first step over the recognised words (BM25 and MiniLM), the same with words that are spelled alike taken for
said, and the same with words that are heard in the sound. Words of the lists that nobody says are asked for too. Prints
one JSON object. Nothing was trained or chosen on these clips.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.asr import read
from services.asr.service import AsrExpert, new_expert
from services.decoder.lineindex import LineIndex
from services.decoder.lines import Line
from services.decoder.listening import LEAST_LETTERS
from services.runtime.percept import TokenSpan, Transcript
from services.runtime.sentence import SentenceEncoder
from services.runtime.spelling import LETTERS, spelled
from services.runtime.stage import StageConfig
from tools.train_adapter.reading import best_path, distance

FIRST = 5
QUESTION = "What did they say about {}?"
# As alike as this a recognised word counts as the one that is asked for.
ALIKE = 0.75


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip: what was read, what was recognised, its rows of the space of spelling."""

    name: str
    text: str
    recognised: str
    rows: NDArray[np.float32]


def listen(expert: AsrExpert, name: str, text: str, samples: NDArray[np.float32]) -> Clip:
    """A clip through the stage."""
    stage = expert.open_stage(StageConfig("en", options={"partials": "off", "embeddings": "on"}))
    perceived = [*stage.push_audio(samples), *stage.flush()]
    said = {p.utterance_id: p.text for p in perceived if isinstance(p, Transcript) and p.is_final}
    spans = {p.source_id: p for p in perceived if isinstance(p, TokenSpan)}
    rows = [np.frombuffer(spans[key].values, "<f2").reshape(-1, len(LETTERS)) for key in sorted(said) if key in spans]
    joined = np.concatenate(rows).astype(np.float32) if rows else np.zeros((0, len(LETTERS)), np.float32)
    return Clip(name, text, " ".join(said[key] for key in sorted(said)), joined)


def noisy(samples: NDArray[np.float32], below_db: float, seed: int) -> NDArray[np.float32]:
    """The samples with pink noise so far below their level."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(len(samples)))
    noise = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 30)), len(samples))
    level = np.sqrt(np.mean(samples**2)) / np.sqrt(np.mean(noise**2)) * 10 ** (-below_db / 20)
    return np.asarray(samples + noise * level, np.float32)


def found(index: LineIndex, words: Sequence[tuple[str, str]]) -> float:
    """Part of (word, clip) pairs whose clip is among the first."""
    hits = [
        name in [each.line.source_id for each in index.candidates(QUESTION.format(word), {})[:FIRST]]
        for word, name in words
    ]
    return round(sum(hits) / len(hits), 3)


class AlikeIndex(LineIndex):
    """The rival without sound: a word that no line holds counts as said where a recognised word is spelled alike."""

    def _heard(self, word: str) -> dict[int, int]:
        rows = {}
        for line_id, line in self._lines.items():
            pieces = spelled(line.text).split()
            pairs = [a + b for a, b in zip(pieces, pieces[1:], strict=False)]
            if len(word) >= LEAST_LETTERS and any(
                SequenceMatcher(None, word, piece).ratio() >= ALIKE for piece in [*pieces, *pairs]
            ):
                rows[self._rows[line_id]] = 1
        return rows


def measured(clips: Sequence[Clip], words: Sequence[tuple[str, str]], strange: Sequence[str]) -> dict[str, object]:
    """The table of one condition."""
    encoder = SentenceEncoder()

    def indexed(kind: Callable[[SentenceEncoder], LineIndex], *, with_sound: bool) -> LineIndex:
        index = kind(encoder)
        for clip in clips:
            line = Line(f"speech:{clip.name}:0", "speech", clip.recognised, "", 0, 1, clip.name)
            index.replace(f"speech:{clip.name}", [line])
            if with_sound and len(clip.rows):
                index.listener.hear(clip.name, clip.rows)
        return index

    text, alike = indexed(LineIndex, with_sound=False), indexed(AlikeIndex, with_sound=False)
    sound = indexed(LineIndex, with_sound=True)
    recognised = {clip.name: set(spelled(clip.recognised).split()) for clip in clips}
    lost = [(word, name) for word, name in words if word not in recognised[name]]
    started = time.process_time()
    false = [len(sound.listener.find(word)) for word in strange]
    ask_ms = (time.process_time() - started) / len(strange) * 1000
    both = {"all": words, "misrecognised": lost}
    letters = [clip for clip in clips if spelled(clip.text)]
    return {
        "words": {kind: len(some) for kind, some in both.items()},
        "recall_at_5": {
            way: {kind: found(index, some) for kind, some in both.items()}
            for way, index in (("text", text), ("text, words spelled alike", alike), ("text and sound", sound))
        },
        "false_finds_a_word": round(sum(false) / len(strange), 3),
        "listen_ms": round(ask_ms, 2),
        "letter_errors": {
            "recogniser": round(_errors([(spelled(clip.recognised), spelled(clip.text)) for clip in letters]), 3),
            "adapter": round(_errors([(best_path(clip.rows), spelled(clip.text)) for clip in letters]), 3),
        },
    }


def _errors(pairs: Sequence[tuple[str, str]]) -> float:
    return sum(distance(*pair) for pair in pairs) / sum(len(text) for _, text in pairs)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--noise-db", type=float, default=5.0)
    flags = parser.parse_args()
    audio = flags.media / "audio"
    rows = [json.loads(line) for line in (audio / "manifest.jsonl").open()]
    read_clips = [row for row in rows if row["language"] == "en" and row.get("text") and row["kind"] == "read"]
    lists = [json.loads(line) for line in (audio / "rare_words.jsonl").open()]
    words = sorted({(word, row["id"]) for row in lists for word in map(spelled, row["rare_words"])})
    words = [(word, name) for word, name in words if len(word) >= LEAST_LETTERS]
    said = {word for row in read_clips for word in spelled(row["text"]).split()}
    strange = sorted({word for row in lists for word in map(spelled, row["screen_words"])} - said)
    strange = [word for word in strange if len(word) >= LEAST_LETTERS][::5]
    expert, result = new_expert(), {}
    for condition in ("clean", f"noise {flags.noise_db:g} dB below"):
        clips = []
        for seed, row in enumerate(read_clips):
            samples = read(audio / row["audio"])
            samples = samples if condition == "clean" else noisy(samples, flags.noise_db, seed)
            clips.append(listen(expert, row["id"], row["text"], samples))
        result[condition] = measured(clips, words, strange)
    print(json.dumps({"clips": len(read_clips)} | result, indent=1))


if __name__ == "__main__":
    main()
