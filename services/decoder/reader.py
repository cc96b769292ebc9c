"""The reader: a question and a line -> how well the line answers, and which of its words do.

MiniLM with low-rank changes that tools/train_decoder learnt from made meetings, merged when its graph is written
(engines/export/reader.py). It reads
    [CLS] question [SEP] words before the line [SEP] speaker: line [SEP]
and gives one logit for the line, against 0 for "not said", and two for every token: begin and end of the answer.
A second one, the wide reader, sees the words of three utterances before the line instead of one: it was trained on talk
whose subject comes before what is told of it, and takes what stands before for the subject more often than it is. It
reads what the first one is surest of, and there the mean of both counts.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from engines.engine import Engine
from engines.manifest import manifest
from engines.models import model_file, open_engine
from services.decoder.lines import Line

NAME = "reader"
# Tokens that are read of a question, of the words before a line (its last) and of a line.
_QUESTION_TOKENS, _BEFORE_TOKENS, _WIDE_TOKENS, _LINE_TOKENS = 40, 20, 60, 64
_LONGEST_ANSWER_TOKENS = 24
# Lines, the reader's surest, that the wide reader reads too: on meetings for development as good as all.
_READ_AGAIN = 4
# Lines that are read at once, one run each: in one run each would be as long as the longest, a sixth dearer and 50 to
# 100 MB of memory more.
_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Passage:
    """A line with the words before it and its speaker's name, "" where nobody knows it.

    `wide` are the words of several lines before it, which the wide reader sees.
    """

    before: str
    speaker: str
    line: Line
    wide: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """`logit` of the line; `span` of the answer in the line's text, or None when it is the speaker."""

    logit: float
    span: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of a question and a passage; the line's begin at `line_start`, `offsets` are their characters."""

    ids: list[int]
    question_length: int
    line_start: int
    speaker_length: int
    offsets: list[tuple[int, int]]

    def tokens_of(self, place: tuple[int, int] | str | None) -> tuple[int, int] | None:
        """First and last token of a span of the line's text, of its speaker, or of all of the line."""
        shift = self.speaker_length
        if place == "speaker":
            wanted = (0, max(0, shift - 2))
        elif isinstance(place, tuple):
            wanted = (place[0] + shift, place[1] + shift)
        else:
            wanted = (shift, 1 << 30)
        inside = [i for i, (a, b) in enumerate(self.offsets) if a < wanted[1] and b > wanted[0]]
        return (self.line_start + inside[0], self.line_start + inside[-1]) if inside else None


class Tokens:
    """Tokens of a question and a passage as the reader takes them. Raises ModelMissingError."""

    def __init__(self) -> None:
        self._tokenizer = Tokenizer.from_file(str(model_file("minilm", "tokenizer.json")))
        self._tokenizer.encode_special_tokens = True
        self._cls, self._sep = self._tokenizer.encode("").ids

    def encode(self, question: str, passage: Passage, *, is_wide: bool = False) -> Encoded:
        """Cut what is too long: a question and a line at their end, the words before at their beginning."""
        words, most = (passage.wide, _WIDE_TOKENS) if is_wide else (passage.before, _BEFORE_TOKENS)
        asked = self._tokenizer.encode(question, add_special_tokens=False).ids[:_QUESTION_TOKENS]
        before = self._tokenizer.encode(words, add_special_tokens=False).ids[-most:]
        who = "screen" if passage.line.kind == "screen" else passage.speaker or passage.line.speaker
        line = self._tokenizer.encode(f"{who}: {passage.line.text}", add_special_tokens=False)
        head = [self._cls, *asked, self._sep]
        ids = [*head, *before, self._sep]
        start = len(ids)
        return Encoded(
            [*ids, *line.ids[:_LINE_TOKENS], self._sep], len(head), start, len(who) + 2, line.offsets[:_LINE_TOKENS]
        )

    def decode(self, ids: Sequence[int]) -> str:
        """Token ids as words, in small letters."""
        pieces = [self._tokenizer.id_to_token(each) or "" for each in ids]
        return " ".join(pieces).replace(" ##", "")


class Reader:
    """The trained readers. Raises ModelMissingError."""

    def __init__(self, threads: int = 1) -> None:
        self._engine = open_engine(NAME, "reader.onnx", threads=threads)
        self._wide = open_engine(NAME, "wide.onnx", threads=threads)
        self._tokens = Tokens()
        self._pool = ThreadPoolExecutor(_AT_ONCE, "reader")
        self.parameters = manifest(NAME).parameters

    def open(self) -> None:
        """Open the graphs, so that the first question need not wait for that."""
        nothing = [Passage("", "", Line("", "speech", "", "", 0, 0, ""))]
        for engine in (self._engine, self._wide):
            self._run(engine, "", nothing)

    def read(self, question: str, passages: Sequence[Passage]) -> list[Reading]:
        """For each passage its logit and span; the surest line is one that both readers have read."""
        readings = self._run(self._engine, question, passages)
        order = sorted(range(len(passages)), key=lambda i: -readings[i].logit)
        again, rest = order[:_READ_AGAIN], order[_READ_AGAIN:]
        while again:
            wide = self._run(self._wide, question, [passages[i] for i in again], is_wide=True)
            for i, other in zip(again, wide, strict=True):
                readings[i] = _mean(readings[i], other)
            best = max(range(len(passages)), key=lambda i: readings[i].logit)
            again = [best] if best in rest else []
            rest = [i for i in rest if i != best]
        return readings

    def _run(
        self, engine: Engine, question: str, passages: Sequence[Passage], *, is_wide: bool = False
    ) -> list[Reading]:
        def read(passage: Passage) -> Reading:
            return _read(engine, self._tokens.encode(question, passage, is_wide=is_wide))

        return list(self._pool.map(read, passages))


def _mean(one: Reading, other: Reading) -> Reading:
    """The mean of two readers' logits, and the words of the surer one."""
    return Reading((one.logit + other.logit) / 2, max(one, other, key=lambda reading: reading.logit).span)


def _read(engine: Engine, encoded: Encoded) -> Reading:
    ids = np.array([encoded.ids], np.int64)
    types = (np.arange(len(encoded.ids)) >= encoded.question_length).astype(np.int64)[None]
    out = engine.run({"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": types})
    return Reading(float(out["evidence"][0]), _span(out["spans"][0], encoded))


def _span(logits: NDArray[np.float32], encoded: Encoded) -> tuple[int, int] | None:
    """Characters of the line's text from the likeliest first to the likeliest last token; None for the speaker."""
    count = len(encoded.offsets)
    tokens = logits[encoded.line_start : encoded.line_start + count]
    pairs = tokens[:, None, 0] + tokens[None, :, 1]
    place = np.arange(count)
    length = place[None, :] - place[:, None]
    # an answer does not reach from the speaker into the words
    is_word = np.array([start >= encoded.speaker_length for start, _ in encoded.offsets])
    is_possible = (length >= 0) & (length < _LONGEST_ANSWER_TOKENS) & (is_word[:, None] == is_word[None, :])
    first, last = divmod(int(np.where(is_possible, pairs, -np.inf).argmax()), count)
    if not is_word[first]:
        return None
    return encoded.offsets[first][0] - encoded.speaker_length, encoded.offsets[last][1] - encoded.speaker_length
