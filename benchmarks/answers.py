"""Questions about invented meetings whose kinds, people and wordings nothing was chosen or trained on.

`python -m benchmarks.answers` asks the questions of 24 meetings made from seeds (tools/train_decoder, split "test",
with recognition errors), those that slides add to the same meetings, and of the held-out ones written by hand
(answers_by_hand.json, answers_changed.jsonl and the unit tests'), and prints: right line first, answer contained in
what is quoted, wrongly and rightly refused, calibration error, processor milliseconds a question; and the same among
many lines of other meetings.
"""

import argparse
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from engines.fetch import fetch
from services.decoder import answer as answering
from services.decoder import lineindex, retrieval
from services.decoder.lines import Line
from services.decoder.reader import Passage, Reader, Reading
from services.decoder.retrieval import Index
from services.runtime.percept import SAMPLE_RATE
from tools.train_decoder.groups import filled, lines_of, readers
from tools.train_decoder.meetings import make
from tools.train_decoder.slides import make_with_slides
from tools.train_decoder.written import meeting_of

_HERE = Path(__file__).parent
MADE_MEETINGS = 24
_BINS = 10


@dataclass(frozen=True)
class Asked:
    """One question: was the best line right, the answer in it, was it refused, how sure, and is there an answer."""

    kind: str
    has_answer: bool
    is_right: bool
    is_contained: bool
    is_refused: bool
    probability: float
    cpu_ms: float


def written_lines(meeting: dict[str, Any]) -> list[Line]:
    """Lines of a meeting written by hand: [second, speaker or "screen", text, more lines of the screen...]."""
    lines = []
    for second, who, *texts in meeting["lines"]:
        for i, text in enumerate(texts):
            start = round(second * SAMPLE_RATE)
            kind, speaker = ("screen", "") if who == "screen" else ("speech", who)
            name = f"{second}-{i}"
            box = (40.0, 40.0 * i, 600.0, 40.0 * i + 30) if who == "screen" else None
            lines.append(Line(f"{kind}:{name}", kind, text, speaker, start, start + SAMPLE_RATE, name, box))
    return lines


def ask(index: Index, names: dict[str, str], question: str, kind: str, gold: set[str], part: str) -> Asked:
    """Ask one question; `gold` are the ids of right lines, or `part` must be in the right line's text."""
    begun = time.process_time()
    hits = index.search(question, names)
    cpu_ms = (time.process_time() - begun) * 1000
    best = hits[0]
    quoted = _plain(answering.quoted(best, names))
    fits = best.line.line_id in gold if gold else bool(part) and _plain(part) in _plain(best.line.text)
    contained = bool(part) and _plain(part) in quoted
    return Asked(
        kind, bool(gold or part), fits, contained or (fits and not part), not answering.is_answerable(hits),
        best.probability, cpu_ms,
    )  # fmt: skip


def made(seeds: Iterable[int], around: int = 0, *, slides: bool = False, parts: str = "all") -> list[Asked]:
    """Meetings from seeds, each alone or among `around` lines of meetings of other kinds.

    `slides`: with slides, and only the questions that they add. `parts`: what the reader is told of a line.
    """
    encoder, reader = readers()
    index = Index(encoder, reader if parts == "all" else _Ablated(parts))
    fill_with_others(index, around)
    out = []
    for seed in seeds:
        meeting = make("test", seed)
        questions = meeting.questions
        if slides:
            meeting = make_with_slides("test", seed)
            questions = meeting.questions[len(questions) :]
        lines = lines_of(meeting)
        for line in lines:
            index.replace(line.line_id, [line])
        for q in questions:
            gold = {lines[i].line_id for i in q.gold}
            said = {meeting.lines[i].text[p[0] : p[1]] for i, p in q.gold.items() if isinstance(p, tuple)}
            part = next(iter(said)) if len(said) == 1 else ""
            out.append(ask(index, meeting.speakers, q.text, q.kind, gold, part))
        for line in lines:
            index.replace(line.line_id, [])
    return out


class _Ablated(Reader):
    """A reader that is told less of a line: its "words" alone, or also "who" said it or that it was shown."""

    def __init__(self, parts: str) -> None:
        super().__init__()
        self._parts = parts

    def read(self, question: str, passages: Sequence[Passage]) -> list[Reading]:
        """Readings of what is left of the passages."""
        if self._parts == "words":
            passages = [Passage("", "", replace(each.line, kind="speech", speaker="")) for each in passages]
        else:
            passages = [replace(each, before="", wide="") for each in passages]
        return super().read(question, passages)


def ablated(seeds: Sequence[int], *, slides: bool) -> Iterator[tuple[str, list[Asked]]]:
    """Made meetings without what is known of a line beside its words, and what it adds one after the other.

    The reader was trained with all of it.
    """
    with patch.multiple(lineindex, FOLLOWS=0.0, CONTINUES=0.0, EARLIER=0.0, HEADED=0.0):
        with patch.multiple(lineindex, SPEAKER=0.0, OWN_WORDS=0.0), patch.multiple(retrieval, OTHERS_WORDS=0.0):
            yield "words alone", made(seeds, slides=slides, parts="words")
        yield "and who", made(seeds, slides=slides, parts="who")
    yield "and the line before or above", made(seeds, slides=slides)


def opened(seeds: Iterable[int], around: int) -> list[Asked]:
    """As `made`, each question the first one to a session that was opened just now: no line is embedded."""
    encoder, reader = readers()
    others = list(other_lines(around))
    out = []
    for seed in seeds:
        meeting = make("test", seed)
        lines = lines_of(meeting)
        for q in meeting.questions:
            index = Index(encoder, reader)
            for line in (*others, *lines):
                index.replace(line.line_id, [line], embed=False)
            out.append(ask(index, meeting.speakers, q.text, q.kind, {lines[i].line_id for i in q.gold}, ""))
    return out


def fill_with_others(index: Index, count: int) -> None:
    """Put lines of meetings of the training kinds into an index."""
    for line in other_lines(count):
        index.replace(line.source_id, [line])


def other_lines(count: int) -> Iterator[Line]:
    """Lines of meetings of the training kinds, said by other people an hour later and after."""
    seed, left = 5000, count
    while left:
        lines = lines_of(make("train", seed))[:left]
        left -= len(lines)
        for line in lines:
            later = (seed - 4999) * 3600 * SAMPLE_RATE
            name = f"other-{seed}-{line.source_id}"
            moved = replace(
                line, line_id=name, source_id=name, speaker=line.speaker and f"other-{line.speaker}",
                start_sample=line.start_sample + later, end_sample=line.end_sample + later,
            )  # fmt: skip
            yield moved
        seed += 1


def written_meetings(split: str) -> Iterator[tuple[list[Line], dict[str, Any]]]:
    """Lines and record of the meetings written by hand, of one split."""
    for path in (_HERE / "answers_by_hand.json", _HERE.parent / "tests" / "unit" / "decoder" / "meetings.json"):
        for meeting in json.loads(path.read_text("utf-8")):
            if meeting["split"] == split:
                yield written_lines(meeting), meeting


def written(split: str) -> list[Asked]:
    """Meetings written by hand."""
    encoder, reader = readers()
    out = []
    for lines, meeting in written_meetings(split):
        index = Index(encoder, reader)
        for line in lines:
            index.replace(f"{line.kind}:{line.source_id}", [line])
        names = meeting["speakers"]
        out += [ask(index, names, question, "answer", set(), part) for question, part in meeting["questions"]]
        out += [ask(index, names, question, "no answer", set(), "") for question in meeting["unanswerable"]]
    return out


def minds() -> dict[str, list[Asked]]:
    """Meetings written by hand in which people changed their mind, or only seem to have."""
    encoder, reader = readers()
    parts: dict[str, list[Asked]] = {"minds changed": [], "minds not changed": []}
    for record in (_HERE / "answers_changed.jsonl").read_text("utf-8").splitlines():
        meeting = meeting_of(json.loads(record), "held out")
        index, lines = filled(Index(encoder, reader), meeting), lines_of(meeting)
        for q in meeting.questions:
            asked = ask(index, meeting.speakers, q.text, q.kind, {lines[i].line_id for i in q.gold}, "")
            parts["minds changed" if q.outdated else "minds not changed"].append(asked)
    return parts


def summary(asked: Sequence[Asked]) -> dict[str, float]:
    """The numbers of the table."""
    answerable = [each for each in asked if each.has_answer]
    others = [each for each in asked if not each.has_answer]
    return {
        "questions": len(asked),
        "right line first": _share(each.is_right for each in answerable),
        "answer contained": _share(each.is_contained for each in answerable),
        "answered and right": _share(each.is_right and not each.is_refused for each in answerable),
        "wrongly refused": _share(each.is_refused for each in answerable),
        "rightly refused": _share(each.is_refused for each in others),
        "calibration error": calibration_error([e.probability for e in asked], [e.is_right for e in asked]),
        "CPU ms, median": float(np.median([each.cpu_ms for each in asked])),
        "CPU ms, 95 %": float(np.percentile([each.cpu_ms for each in asked], 95)),
    }


def calibration_error(probabilities: Sequence[float], right: Sequence[bool]) -> float:
    """Expected calibration error over ten bins of equal width."""
    p, r = np.array(probabilities), np.array(right, float)
    bins = np.minimum((p * _BINS).astype(int), _BINS - 1)
    return float(sum(abs(p[bins == b].sum() - r[bins == b].sum()) for b in range(_BINS)) / len(p))


def _plain(text: str) -> str:
    return " ".join(text.lower().replace("-", " ").split())


def _share(of: Iterable[bool]) -> float:
    values = list(of)
    return sum(values) / max(1, len(values))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.answers", description=__doc__)
    parser.add_argument("--day", action="store_true", help="also among 20 000 lines, 8 hours or more (minutes)")
    parser.add_argument("--opened", action="store_true", help="only: before and after the lines are embedded")
    parser.add_argument("--ablate", action="store_true", help="only what each part adds, on made meetings")
    parser.add_argument("--kinds", action="store_true", help="also by kind of question")
    flags = parser.parse_args()
    fetch(["minilm", "reader"])
    if flags.ablate:
        for slides in (False, True):
            for name, asked in ablated(range(MADE_MEETINGS), slides=slides):
                print(
                    "slides:" if slides else "made:",
                    name,
                    {key: round(value, 3) for key, value in summary(asked).items()},
                )
        return
    if flags.opened:
        seeds = range(0, MADE_MEETINGS, 4)
        for name, asked in (("not embedded", opened(seeds, 2_000)), ("embedded", made(seeds, 2_000))):
            print(name, {key: round(value, 3) for key, value in summary(asked).items()})
        return
    parts = {
        "made": made(range(MADE_MEETINGS)),
        "made, slides": made(range(MADE_MEETINGS), slides=True),
        "by hand": written("held out"),
        **minds(),
        "made, among 2 000 lines": made(range(0, MADE_MEETINGS, 4), 2_000),
    }
    if flags.day:
        parts["made, among 20 000 lines"] = made(range(0, MADE_MEETINGS, 4), 20_000)
    for name, asked in parts.items():
        print(name, {key: round(value, 3) for key, value in summary(asked).items()})
        for kind in sorted({each.kind for each in asked}) if flags.kinds else ():
            of = [each for each in asked if each.kind == kind]
            right = _share(each.is_right for each in of)
            print(f"  {kind:20} {len(of):4} right {right:.2f} refused {_share(each.is_refused for each in of):.2f}")


if __name__ == "__main__":
    main()
