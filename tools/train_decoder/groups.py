"""Questions with the lines that retrieval finds for them, tokenised: what the reader is trained and measured on."""

import random
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx

from engines.export.reader import base_weights
from services.decoder.lineindex import Candidate, LineIndex
from services.decoder.lines import Line
from services.decoder.reader import Passage, Reader, Tokens
from services.runtime.percept import SAMPLE_RATE
from services.runtime.sentence import SentenceEncoder
from tools.train_decoder.changes import make_with_changes
from tools.train_decoder.meetings import Meeting, Question, make
from tools.train_decoder.slides import make_with_slides
from tools.train_decoder.talk import make_with_talk
from tools.train_decoder.written import together, written

# Lines that the reader compares in training, the right ones among them.
_LINES_A_GROUP = 4
_MAX_RIGHT = 1
# Lines after a right one of which one is compared with it.
_AFTER = 4
# Utterances after an answer of which one may be a new one; and of those answers that stay true the share that is looked
# at.
_LATER, _STILL_TRUE = 8, 0.4
_BY_HAND = {"written": written, "together": together, "later": written}
SomeIndex = TypeVar("SomeIndex", bound=LineIndex)


def lines_of(meeting: Meeting) -> list[Line]:
    """A meeting as the index takes it."""
    out, row = [], 0
    for index, piece in enumerate(meeting.lines):
        start = round(piece.second * SAMPLE_RATE)
        if piece.who == "screen":
            row += 1
            box = (40.0, 40.0 * row, 600.0, 40.0 * row + 30)
            out.append(Line(f"screen:{index}", "screen", piece.text, "", start, start, str(index), box, f"f{start}"))
        else:
            row = 0
            end = start + SAMPLE_RATE * max(1, len(piece.text.split()) // 3)
            out.append(Line(f"speech:{index}", "speech", piece.text, piece.who, start, end, str(index)))
    return out


def readers() -> tuple[SentenceEncoder, Reader]:
    """What an index is made of, from the installed models."""
    return SentenceEncoder(), Reader()


def filled(index: SomeIndex, meeting: Meeting) -> SomeIndex:
    """The index with all of a meeting in it."""
    for line in lines_of(meeting):
        index.replace(f"{line.kind}:{line.source_id}", [line])
    return index


def write(kind: str, split: str, seeds: range, path: Path, *, is_wide: bool = False) -> None:
    """Tokenise the groups of some meetings into one npz.

    They are "spoken" alone, with "slides", also with "talk", with talk and "changes", or all that were "written" by
    hand, with the errors of each seed; "together": those, some of them in one long session; "later": of those what is
    said after an answer, of which one line may be a new answer in its place.

    `is_wide`: as the wide reader sees them.
    """
    encoder, tokens, rng = SentenceEncoder(), Tokens(), random.Random(seeds.start)  # noqa: S311  # not for secrets
    ids: list[int] = []
    rows = []
    sizes = []
    ranks = []
    for meeting in _meetings(kind, split, seeds):
        index, lines = filled(LineIndex(encoder), meeting), lines_of(meeting)
        for question in meeting.questions:
            if kind == "later":
                right, wrong = _later(lines, question, rng)
                if not right + wrong:
                    continue
            else:
                found = index.candidates(question.text, meeting.speakers)
                gold = [c for c in found if int(c.line.source_id) in question.gold]
                if question.gold:
                    ranks.append(next((i for i, c in enumerate(found) if c in gold), 99))
                    if not gold:
                        continue
                right = rng.sample(gold, min(_MAX_RIGHT, len(gold)))
                wrong = _wrong(index, question, right, found, rng, is_hard=kind in ("changes", *_BY_HAND))
            sizes.append(len(right) + len(wrong))
            for candidate in right + wrong:
                speaker = meeting.speakers.get(candidate.line.speaker, "")
                passage = Passage(candidate.before, speaker, candidate.line, candidate.wide)
                encoded = tokens.encode(question.text, passage, is_wide=is_wide)
                is_right = int(candidate.line.source_id) in question.gold
                place = question.gold.get(int(candidate.line.source_id))
                span = encoded.tokens_of(place) if is_right else None
                rows.append(
                    (
                        len(ids),
                        len(encoded.ids),
                        encoded.question_length,
                        encoded.line_start,
                        int(is_right),
                        *(span or (-1, -1)),
                    )
                )
                ids += encoded.ids
    np.savez(path, ids=np.array(ids, np.int32), rows=np.array(rows, np.int64), sizes=np.array(sizes, np.int64))
    print(f"{kind}, {split}: {len(sizes)} questions, {len(rows)} lines, {len(ids) / len(rows):.1f} tokens a line")
    for k in (1, 4, 8, 12, 16) if ranks else ():
        print(f"recall@{k} {np.mean(np.array(ranks) < k):.3f}")


def _meetings(kind: str, split: str, seeds: range) -> Iterator[Meeting]:
    made = {"spoken": make, "slides": make_with_slides, "talk": make_with_talk, "changes": make_with_changes}
    for seed in seeds:
        yield from _BY_HAND[kind](split, seed) if kind in _BY_HAND else [made[kind](split, seed)]


def _wrong(
    index: LineIndex,
    question: Question,
    right: Sequence[Candidate],
    found: Sequence[Candidate],
    rng: random.Random,
    *,
    is_hard: bool,
) -> list[Candidate]:
    """Found lines that do not answer and did not: the best few and some others. `is_hard`: one of what is said next."""
    neither = question.gold.keys() | question.outdated
    wrong = [c for c in found[: _LINES_A_GROUP * 2] if int(c.line.source_id) not in neither]
    if is_hard and right:
        # what is said next may be another answer, and mostly is none
        after = _after(index, right[0], found, neither, rng)
        wrong = after + [c for c in wrong if c.line not in [other.line for other in after]]
    hard = wrong[: rng.randint(1, 3)]
    easy = [c for c in wrong if c not in hard]
    return (hard + rng.sample(easy, min(len(easy), _LINES_A_GROUP)))[: _LINES_A_GROUP - len(right)]


def _later(lines: Sequence[Line], question: Question, rng: random.Random) -> tuple[list[Candidate], list[Candidate]]:
    """Of what is said after a line that answers, or did, the new answer, if there is one, and others."""
    if not question.gold or (not question.outdated and rng.random() > _STILL_TRUE):
        return [], []
    said = _said_after(lines, rng.choice(sorted(question.outdated or question.gold)))
    right = [c for c in said if question.outdated and int(c.line.source_id) in question.gold]
    wrong = [c for c in said if int(c.line.source_id) not in question.gold.keys() | question.outdated]
    if question.outdated and not right:
        return [], []
    count = _LINES_A_GROUP - len(right[:1])
    return right[:1], rng.sample(wrong, min(count, len(wrong)))


def _said_after(lines: Sequence[Line], place: int) -> list[Candidate]:
    """The next lines of speech, each with the words of the line at that place and of the one before it."""
    told, before, said = lines[place].text, "", []
    for line in [line for line in lines[place + 1 :] if line.kind == "speech"][:_LATER]:
        said.append(Candidate(line, before or told, f"{told} {before}".strip(), 0.0, 0.0, 0.0))
        before = line.text
    return said


def _after(
    index: LineIndex, right: Candidate, found: Sequence[Candidate], neither: Collection[int], rng: random.Random
) -> list[Candidate]:
    """One of the next lines of speech that do not answer, where the right one is speech."""
    if right.line.kind != "speech":
        return []
    next_ids = index.spoken_after(right.line, _AFTER)
    said = [c for c in found if c.line.line_id in next_ids and int(c.line.source_id) not in neither]
    return rng.sample(said, min(1, len(said)))


def write_base(package: Path, out: Path) -> None:
    """Keep the float weights of the package's MiniLM as npz: training needs no ONNX then."""
    np.savez(out, **base_weights(onnx.load(package)))  # type: ignore[arg-type]  # its stub takes **arrays for allow_pickle
