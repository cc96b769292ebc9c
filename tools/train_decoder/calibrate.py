"""How sure the index is of a line: the weights of services/decoder/retrieval.py, fitted on meetings for development."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.answers import written_meetings
from services.decoder import retrieval
from services.decoder.lineindex import LineIndex
from services.decoder.reader import Reader
from tools.train_decoder.groups import filled, readers
from tools.train_decoder.meetings import make
from tools.train_decoder.slides import make_with_slides

# Dev meetings beyond those that the training was watched on.
_SEEDS = range(16, 28)
_BY_WORDS = (0.0, 0.5, 1.0, 2.0, 4.0)
_THRESHOLDS = (0.35, 0.4, 0.45, 0.5, 0.55, 0.6)

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """One question: for every line read the reader's logit, the first step's score, and whether it is right."""

    logits: Float
    fits: Float
    right: NDArray[np.bool_]
    has_answer: bool


def calibrate() -> None:
    """Print weights for every BY_WORDS; the best keeps the most right lines first and answers best at its threshold."""
    parts = {"made": list(_made()), "slides": list(_made(slides=True)), "by hand": list(_written())}
    for by_words in _BY_WORDS:
        features, right, weights = [], [], []
        firsts = []
        for cases in parts.values():
            for case in cases:
                row, is_right = best_line(case, by_words)
                features.append(row)
                right.append(is_right)
                # every part counts as much as the others, also the few meetings by hand
                weights.append(1 / len(cases))
            said = [best_line(case, by_words)[1] for case in cases if case.has_answer]
            firsts.append(np.mean(said))
        fitted = logistic(np.array(features), np.array(right, float), np.array(weights))
        sure = 1 / (1 + np.exp(-(np.array(features) @ fitted[:-1] + fitted[-1])))
        loss = -np.average(np.log(np.where(right, sure, 1 - sure)), weights=weights)
        names = ("BY_SCORE", "BY_LEAD", "BY_FIT", "BIAS")
        print(f"BY_WORDS {by_words}: loss {loss:.4f};", end=" ")
        print(", ".join(f"{name} = {value:.2f}" for name, value in zip(names, fitted, strict=True)))
        start = 0
        for (part, cases), first in zip(parts.items(), firsts, strict=True):
            here, start = slice(start, start + len(cases)), start + len(cases)
            has, good = np.array([case.has_answer for case in cases]), np.array(right[here])
            print(f"    {part}: right line first {first:.3f}")
            for least in _THRESHOLDS:
                refused = sure[here] < least
                print(
                    f"        least {least}: wrongly refused {refused[has].mean():.3f}, rightly refused "
                    f"{refused[~has].mean():.3f}, offered and right {(good & ~refused)[has].mean():.3f}"
                )


def best_line(case: Case, by_words: float) -> tuple[list[float], bool]:
    """The features of the best line, as services/decoder/retrieval.py computes them, and whether it is right."""
    scores = case.logits + by_words * case.fits
    best = int(scores.argmax())
    second = max([*np.delete(scores, best), retrieval.LEAST_SCORE])
    lead = min(float(scores[best]) - second, retrieval.MOST_LEAD)
    return [max(float(scores[best]), retrieval.LEAST_SCORE), lead, float(case.fits[best])], bool(case.right[best])


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
    found = index.candidates(question, names)[: retrieval.READ]
    readings = retrieval.read(reader, question, names, found)
    right = [each.line.line_id in gold or bool(part) and part.lower() in each.line.text.lower() for each in found]
    return Case(
        np.array([reading.logit for reading in readings]), np.array([each.score for each in found]), np.array(right),
        bool(gold or part),
    )  # fmt: skip


def _made(*, slides: bool = False) -> Iterator[Case]:
    encoder, reader = readers()
    for seed in _SEEDS:
        meeting = make("dev", seed)
        questions = meeting.questions
        if slides:
            meeting = make_with_slides("dev", seed)
            questions = meeting.questions[len(questions) :]
        index = filled(LineIndex(encoder), meeting)
        for question in questions:
            gold = {f"{'screen' if meeting.lines[i].who == 'screen' else 'speech'}:{i}" for i in question.gold}
            yield _case(index, reader, question.text, meeting.speakers, gold, "")


def _written() -> Iterator[Case]:
    encoder, reader = readers()
    for lines, meeting in written_meetings("development"):
        index = LineIndex(encoder)
        for line in lines:
            index.replace(f"{line.kind}:{line.source_id}", [line])
        for question, part in meeting["questions"]:
            yield _case(index, reader, question, meeting["speakers"], set(), part)
        for question in meeting["unanswerable"]:
            yield _case(index, reader, question, meeting["speakers"], set(), "")
