"""How sure the index is of a line: the curve of services/decoder/retrieval.py, fitted on meetings for development."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.answers import written_meetings
from services.decoder import retrieval
from services.decoder.lineindex import LineIndex
from services.decoder.reader import Reader
from services.decoder.retrieval import Curve, Scored
from tools.train_decoder.groups import filled, readers
from tools.train_decoder.meetings import Meeting, Question, make
from tools.train_decoder.slides import make_with_slides
from tools.train_decoder.talk import make_with_talk
from tools.train_decoder.written import written

# Dev meetings beyond those that the training was watched on.
_SEEDS = range(16, 28)
_THRESHOLDS = (0.4, 0.45, 0.5, 0.55, 0.6, 0.65)

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """One question: what the curve knows of the best line, (3,): score, lead, fit; and whether it is right."""

    known: Float
    is_right: bool
    has_answer: bool


def calibrate() -> None:
    """Print the curve and what it does at some thresholds; every part counts as much as the others."""
    parts = {
        "made": list(_made(make, "")),
        "slides": list(_made(make_with_slides, "slide")),
        "talk": list(_made(make_with_talk, "talk")),
        "by hand": list(_by_hand()),
        "written": list(_of(written("dev", _SEEDS.start))),
    }
    cases = [case for part in parts.values() for case in part]
    weights = np.array([1 / len(part) for part in parts.values() for _ in part])
    known, is_right = np.array([case.known for case in cases]), np.array([case.is_right for case in cases])
    curve = logistic(known, is_right.astype(float), weights)
    print(Curve(*curve.round(2).tolist()))
    sure = probabilities(curve, known)
    has = np.array([case.has_answer for case in cases])
    start = 0
    for part, members in parts.items():
        here, start = np.arange(start, start + len(members)), start + len(members)
        told, untold = here[has[here]], here[~has[here]]
        print(f"    {part}: {len(here)} questions, right line first {is_right[told].mean():.3f}")
        for least in _THRESHOLDS:
            offered = is_right[told] & (sure[told] >= least)
            print(
                f"        {least}: offered and right {offered.mean():.3f}, refused {(sure[untold] < least).mean():.3f}"
            )


def probabilities(curve: Float, features: Float) -> Float:
    """Of (n, 3) features by a curve's (4,) weights."""
    return np.asarray(1 / (1 + np.exp(-(features @ curve[:-1] + curve[-1]))))


def features(lines: list[Scored]) -> Float:
    """(3,) of the best line, cut as `Curve.probability` cuts them."""
    if not lines:
        return np.array([retrieval.LEAST_SCORE, 0.0, 0.0])
    best = lines[0]
    lead = min(max(best.lead, -retrieval.MOST_LEAD), retrieval.MOST_LEAD)
    return np.array([max(best.score, retrieval.LEAST_SCORE), lead, best.candidate.score])


def logistic(features: Float, right: Float, weights: Float) -> Float:
    """Weights and, last, bias of a logistic regression by Newton's method, with a little ridge."""
    x = np.column_stack([features, np.ones(len(features))])
    weights = weights / weights.sum() * len(weights)
    beta = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ beta))
        gradient = x.T @ (weights * (right - p)) - 0.5 * beta
        curvature = (x * (weights * p * (1 - p))[:, None]).T @ x + 0.5 * np.eye(len(beta))
        beta += np.linalg.solve(curvature, gradient)
    return beta


def _case(index: LineIndex, reader: Reader, question: str, names: dict[str, str], gold: set[str], part: str) -> Case:
    best = retrieval.scored(reader, question, names, index.candidates(question, names)[: retrieval.READ])
    return Case(features(best), bool(best) and _is_right(best[0], gold, part), bool(gold or part))


def _is_right(best: Scored, gold: set[str], part: str) -> bool:
    line = best.candidate.line
    return line.line_id in gold or bool(part) and part.lower() in line.text.lower()


def _made(made: Callable[[str, int], Meeting], kind: str) -> Iterator[Case]:
    """The questions that begin with `kind` in their kind, of made meetings for development."""
    for seed in _SEEDS:
        meeting = made("dev", seed)
        yield from _of([replace(meeting, questions=list(_new(meeting, seed, kind)))])


def _of(meetings: Iterable[Meeting]) -> Iterator[Case]:
    encoder, reader = readers()
    for meeting in meetings:
        index = filled(LineIndex(encoder), meeting)
        for question in meeting.questions:
            gold = {f"{'screen' if meeting.lines[i].who == 'screen' else 'speech'}:{i}" for i in question.gold}
            yield _case(index, reader, question.text, meeting.speakers, gold, "")


def _new(meeting: Meeting, seed: int, kind: str) -> Sequence[Question]:
    """What a kind of meeting adds to the questions of the kind before it."""
    if kind == "slide":
        return meeting.questions[len(make("dev", seed).questions) :]
    return [question for question in meeting.questions if question.kind.startswith(kind)]


def _by_hand() -> Iterator[Case]:
    encoder, reader = readers()
    for lines, meeting in written_meetings("development"):
        index = LineIndex(encoder)
        for line in lines:
            index.replace(f"{line.kind}:{line.source_id}", [line])
        for question, part in meeting["questions"]:
            yield _case(index, reader, question, meeting["speakers"], set(), part)
        for question in meeting["unanswerable"]:
            yield _case(index, reader, question, meeting["speakers"], set(), "")
