"""What the audio adapter brings: `python -m benchmarks.adapters --media DIR`.

DIR as in `benchmarks.phrases`. English clips go through the asr stage with `embeddings=on`, clean and with noise of
`--noise-db` below the voice. Prints one JSON object of

- recall: each rare word is asked for ("When did they mention X?") among all clips: by the decoder's first step over
  the recognised words (BM25 and MiniLM), the same with words that are spelled alike taken for said, and with words
  heard in the sound;
- answers: how often the whole search, with the reader, offers the right clip first, and how often it abstains from a
  word that nobody says;
- screen: words of a clip's list that the recogniser did not write: found by sound or by spelling, right and false;
- ties: Moonshine's reading or Whisper's, by their own probability or by what fits the spelled sound (WER, clean);
- letter errors of the recogniser and of the adapter's best path.

Nothing was trained or chosen on these clips. Needs jiwer and whisper-normalizer.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.asr import read
from services.asr.second_pass import is_better
from services.asr.service import AsrExpert, new_expert
from services.decoder.answer import is_answerable
from services.decoder.lineindex import LineIndex
from services.decoder.lines import Line
from services.decoder.listening import LEAST_LETTERS, Listener
from services.decoder.reader import Reader
from services.decoder.retrieval import Index
from services.runtime.percept import TokenSpan, Transcript
from services.runtime.sentence import SentenceEncoder
from services.runtime.spelling import BLANK, LETTERS, spelled
from services.runtime.stage import StageConfig
from tools.train_adapter.reading import best_path, distance

FIRST = 5
QUESTION = "When did they mention {}?"
# As alike as this a recognised word counts as the one that is asked for.
ALIKE = 0.75


Kind = TypeVar("Kind", bound=LineIndex)


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip: what was read, what was recognised, its rows of the space of spelling."""

    name: str
    text: str
    recognised: str
    rows: NDArray[np.float32]


def listen(expert: AsrExpert, name: str, text: str, samples: NDArray[np.float32], language: str = "") -> Clip:
    """A clip through the stage; there is no second pass where the language is known to be English."""
    stage = expert.open_stage(StageConfig(language, options={"partials": "off", "embeddings": "on"}))
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


def answered(index: Index, words: Sequence[tuple[str, str]]) -> float:
    """Part of (word, clip) pairs whose clip is offered first as the answer."""
    offered = 0
    for word, name in words:
        hits = index.search(QUESTION.format(word), {})
        offered += is_answerable(hits) and hits[0].line.source_id == name
    return round(offered / len(words), 3)


def abstained(index: Index, strange: Sequence[str]) -> float:
    """Part of words that nobody says for which nothing is offered."""
    return round(sum(not is_answerable(index.search(QUESTION.format(word), {})) for word in strange) / len(strange), 3)


def is_alike(word: str, text: str) -> bool:
    """Whether one or two words of a spelled text are spelled like it."""
    pieces = text.split()
    pairs = [a + b for a, b in zip(pieces, pieces[1:], strict=False)]
    return len(word) >= LEAST_LETTERS and any(
        SequenceMatcher(None, word, piece).ratio() >= ALIKE for piece in [*pieces, *pairs]
    )


class AlikeIndex(LineIndex):
    """The rival without sound: a word that no line holds counts as said where a recognised word is spelled alike."""

    def _heard(self, word: str) -> dict[int, float]:
        return {row: 1.0 for row in self._lines if is_alike(word, spelled(self._line(row).text))}


def on_screen(clips: Sequence[Clip], lists: dict[str, list[str]]) -> dict[str, dict[str, int]]:
    """Words of each clip's screen that were not recognised: found right and false, by sound and by spelling."""
    counts = {way: {"right": 0, "false": 0} for way in ("sound", "spelled alike")}
    missed = 0
    for clip in clips:
        listener, text, truth = Listener(), spelled(clip.recognised), set(spelled(clip.text).split())
        listener.hear("", clip.rows)
        for word in lists.get(clip.name, ()):
            if word in text.split():
                continue
            missed += word in truth
            for way, is_found in (("sound", bool(listener.find(word))), ("spelled alike", is_alike(word, text))):
                if is_found:
                    counts[way]["right" if word in truth else "false"] += 1
    return counts | {"not recognised": {"said": missed}}


def fit(rows: NDArray[np.float32], text: str) -> float:
    """Log-probability of the best path of a spelled text through all rows."""
    codes = np.full(2 * len(text) + 1, BLANK)
    codes[1::2] = [LETTERS.index(letter) for letter in text]
    skips = np.zeros(len(codes), bool)
    skips[3::2] = codes[3::2] != codes[1:-2:2]
    path = np.full(len(codes), -1e9)
    path[0] = 0.0
    for row in rows:
        one = np.concatenate([[-1e9], path[:-1]])
        two = np.where(skips, np.concatenate([[-1e9, -1e9], path[:-2]]), -1e9)
        path = np.maximum(np.maximum(path, one), two) + row[codes]
    return float(path[-2:].max())


def ties(expert: AsrExpert, clips: Sequence[tuple[str, NDArray[np.float32]]]) -> dict[str, float]:
    """Word error rates, percent, of ways to choose between two readings of the same sound."""
    import jiwer
    from whisper_normalizer.english import EnglishTextNormalizer

    normal, whisper = EnglishTextNormalizer(), expert.whisper
    if whisper is None:
        return {}
    ways: dict[str, list[str]] = {
        way: [] for way in ("moonshine", "whisper", "own probability", "sound", "best of both")
    }
    texts = []
    for text, samples in clips:
        active = np.ones(len(samples) // 512 + 1, bool)
        ours = expert.moonshine.transcribe(samples, align=True)
        theirs = whisper.transcribe(whisper.encode(samples), "en")
        readings = (
            " ".join(w.text for w in expert.moonshine.words(ours, 0, len(samples), active)),
            " ".join(w.text for w in whisper.words(theirs, "en", 0, len(samples), active)),
        )
        if ours.encoded is None:
            raise ValueError("the recogniser kept nothing of what its encoder made")
        rows = expert.adapter.spell(ours.encoded["hidden"][0])
        letters = [spelled(reading) for reading in readings]
        is_surer = is_better(theirs, ours.mean_log_prob)
        # digits are said otherwise than they are written
        fits_better = fit(rows, letters[1]) > fit(rows, letters[0]) if all(letters) else is_surer
        plain = [normal(reading) or "-" for reading in readings]
        texts.append(normal(text))
        ways["moonshine"].append(plain[0])
        ways["whisper"].append(plain[1])
        ways["own probability"].append(plain[is_surer])
        ways["sound"].append(plain[fits_better])
        ways["best of both"].append(min(plain, key=lambda reading: jiwer.wer(texts[-1], reading)))
    return {way: round(100 * jiwer.wer(texts, said), 2) for way, said in ways.items()}


def measured(
    clips: Sequence[Clip], words: Sequence[tuple[str, str]], strange: Sequence[str], lists: dict[str, list[str]]
) -> dict[str, object]:
    """The table of one condition."""
    encoder, reader = SentenceEncoder(), Reader()

    def indexed(kind: Callable[[SentenceEncoder], Kind], *, with_sound: bool) -> Kind:
        index = kind(encoder)
        for clip in clips:
            line = Line(f"speech:{clip.name}:0", "speech", clip.recognised, "", 0, 1, clip.name)
            index.replace(f"speech:{clip.name}", [line])
            if with_sound and len(clip.rows):
                index.listener.hear(clip.name, clip.rows)
        return index

    def reading(encoder: SentenceEncoder) -> Index:
        return Index(encoder, reader)

    text, alike = indexed(reading, with_sound=False), indexed(AlikeIndex, with_sound=False)
    sound = indexed(reading, with_sound=True)
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
        "answered_right": {
            way: {kind: answered(index, some) for kind, some in both.items()}
            for way, index in (("text", text), ("text and sound", sound))
        },
        "abstained_rightly": {"text": abstained(text, strange), "text and sound": abstained(sound, strange)},
        "screen": on_screen(clips, lists),
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
    strange = [word for word in strange if len(word) >= LEAST_LETTERS][::8]
    shown = {row["id"]: sorted({word for word in map(spelled, row["screen_words"]) if word}) for row in lists}
    expert = new_expert()
    result: dict[str, object] = {"clips": len(read_clips)}
    sounds = [(row["text"], read(audio / row["audio"])) for row in read_clips]
    for condition in ("clean", f"noise {flags.noise_db:g} dB below"):
        clips = []
        for seed, row in enumerate(read_clips):
            samples = sounds[seed][1]
            samples = samples if condition == "clean" else noisy(samples, flags.noise_db, seed)
            clips.append(listen(expert, row["id"], row["text"], samples))
        result[condition] = measured(clips, words, strange, shown)
    result["wer_percent"] = ties(expert, sounds)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
