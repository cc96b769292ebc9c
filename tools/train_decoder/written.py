"""Meetings written by hand for training, one JSON object a line in written.jsonl: lines, questions, and what changed.

`lines` are [second, speaker or "screen", text, more lines of the screen ...], `questions` [question, second of the line
that answers, words of it or "speaker"]. `changed` maps a question to the seconds of lines that answered it until people
changed their mind; other lines with another value change nothing. Every eighth meeting is kept for dev.
"""

import json
import random
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from tools.train_decoder.meetings import Meeting, Piece, Question
from tools.train_decoder.noise import Noise

_PATH = Path(__file__).parent / "written.jsonl"
_EVERY = 8
# Meetings of one long session, and seconds between them.
_A_SESSION, _PAUSE_S = 6, 60.0


def written(split: str, seed: int) -> list[Meeting]:
    """The meetings of one split, with the errors of a recogniser and an OCR that a seed gives."""
    records = [each for number, each in enumerate(_records()) if (number % _EVERY == _EVERY - 1) == (split == "dev")]
    meetings = []
    for number, record in enumerate(records):
        rng = random.Random(f"{seed}-{number}")  # noqa: S311  # not for secrets
        meetings.append(_noisy(meeting_of(record, split), rng))
    return meetings


def together(split: str, seed: int) -> list[Meeting]:
    """The same meetings in an order that the seed gives, some in one session: other lines are near what one asks."""
    meetings = written(split, seed)
    random.Random(seed).shuffle(meetings)  # noqa: S311  # not for secrets
    return [_joined(meetings[i : i + _A_SESSION]) for i in range(0, len(meetings), _A_SESSION)]


def _joined(meetings: list[Meeting]) -> Meeting:
    speakers, lines, questions = dict[str, str](), list[Piece](), list[Question]()
    for number, meeting in enumerate(meetings):
        first, begin = len(lines), lines[-1].second + _PAUSE_S if lines else 0.0
        speakers |= {f"{number}{who}": name for who, name in meeting.speakers.items()}
        lines += [
            replace(e, second=begin + e.second, who=e.who if e.who == "screen" else f"{number}{e.who}")
            for e in meeting.lines
        ]
        questions += [
            replace(
                question,
                gold={first + line: place for line, place in question.gold.items()},
                outdated=frozenset(first + line for line in question.outdated),
            )
            for question in meeting.questions
        ]
    return Meeting("; ".join(m.name for m in meetings), meetings[0].split, speakers, lines, questions, [])


@cache
def _records() -> list[dict[str, Any]]:
    return [json.loads(line) for line in _PATH.read_text("utf-8").splitlines()]


def meeting_of(record: dict[str, Any], split: str) -> Meeting:
    """One record as a meeting. Raises ValueError where words of an answer do not stand in their line."""
    lines, at = list[Piece](), dict[int, list[int]]()
    for second, who, *texts in record["lines"]:
        at[second] = list(range(len(lines), len(lines) + len(texts)))
        lines += [Piece(second, who, text) for text in texts]
    questions = []
    for text, second, words in record["questions"]:
        places = [i for i in at[second] if words == "speaker" or words in lines[i].text]
        if not places:
            raise ValueError(f"{record['name']}: {words!r} does not stand at {second} s")
        start = lines[places[0]].text.find(words)
        place: Any = "speaker" if words == "speaker" else (start, start + len(words))
        outdated = frozenset(i for old in record["changed"].get(text, ()) for i in at[old])
        questions.append(Question(text, "changed" if outdated else "told", {places[0]: place}, words, outdated))
    questions += [Question(text, "nowhere", {}) for text in record["unanswerable"]]
    return Meeting(record["name"], split, record["speakers"], lines, questions, [])


def _noisy(meeting: Meeting, rng: random.Random) -> Meeting:
    """A line of whose words several questions want a part stays as it is."""
    noise = Noise(rng)
    wanted: dict[int, set[Any]] = {}
    for question in meeting.questions:
        for line, place in question.gold.items():
            wanted.setdefault(line, set()).add(place)
    lines, moved = [], dict[int, tuple[int, int]]()
    for i, piece in enumerate(meeting.lines):
        places = [place for place in wanted.get(i, ()) if place != "speaker"]
        if piece.who == "screen" or len(places) > 1:
            lines.append(piece)
            continue
        start, end = places[0] if places else (0, len(piece.text))
        before, words, after = (
            noise.heard(part) for part in (piece.text[:start], piece.text[start:end], piece.text[end:])
        )
        lines.append(replace(piece, text=before + words + after))
        if places:
            moved[i] = (len(before), len(before) + len(words))
    questions = [
        replace(q, gold={i: moved.get(i, place) if place != "speaker" else place for i, place in q.gold.items()})
        for q in meeting.questions
    ]
    return replace(meeting, lines=lines, questions=questions)
