"""Routes: what a question needs, and what that does to the order of lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.decoder.answer import is_answerable
from services.decoder.asking import SHOWN, ordered
from services.decoder.lines import Line
from services.decoder.retrieval import Hit
from services.decoder.router import Route, Router, preferred
from services.decoder.times import named_span
from services.runtime.sentence import SentenceEncoder
from tools.train_router.questions import SPLITS, questions

S = 16_000
HOUR = 3600 * S


@pytest.fixture(scope="module")
def router(encoder: SentenceEncoder) -> Router:
    return Router(encoder)


def hit(number: int, probability: float, kind: str = "speech", start_s: int = 0, speaker: str = "") -> Hit:
    line = Line(f"{kind}:{number}", kind, "words", speaker, start_s * S, (start_s + 3) * S, str(number))
    return Hit(line, probability, probability)


def route(scope: str = "both", span: tuple[int, int] | None = None, speaker: str = "") -> Route:
    return Route(("asr",), scope, 0.95, "between" if span else "any", 1.0, "extract", span, speaker)


@pytest.mark.parametrize(
    ("question", "span_s"),
    [
        ("What was decided in the last five minutes?", (3300, 3600)),
        ("what did she say in the past 90 seconds", (3510, 3600)),
        ("Who spoke in the last hour?", (0, 3600)),
        ("What came up in the last half an hour?", (1800, 3600)),
        ("What was the topic of the first ten minutes?", (0, 600)),
        ("What was shown between 12:30 and 10:00?", (600, 750)),
        ("What happened around 0:50:00?", (2970, 3030)),
        ("What was said in the last minutes?", None),
        ("What was said at minute 20?", (1200, 1260)),
        ("What was shown from 10:00 to 12:30?", (600, 750)),
        ("What was said at 61:00?", None),
        ("What must be done before 9:00?", None),
        ("Does the train leave at 9:15 am?", None),
        ("Who lost the last two matches?", None),
        ("When is the deadline?", None),
    ],
)
def test_times_in_numbers_are_exact(question: str, span_s: tuple[int, int] | None) -> None:
    span = named_span(question, HOUR)
    assert span == (None if span_s is None else (span_s[0] * S, span_s[1] * S))


def test_a_question_about_the_screen_needs_its_text_and_no_ears(router: Router) -> None:
    found = router.route("What does the slide say about the budget?", {}, HOUR)
    assert (found.scope, found.experts, found.tier) == ("screen", ("ocr",), "extract")
    found = router.route("Is the Save button greyed out?", {}, HOUR)
    assert found.scope == "screen" and "gui" in found.experts and "asr" not in found.experts


def test_a_question_about_a_speaker_needs_who_speaks(router: Router) -> None:
    found = router.route("What did Priya say about the budget?", {"S1": "Priya", "S2": "Tom"}, HOUR)
    assert (found.scope, found.speaker) == ("speech", "S1") and {"asr", "diarization"} <= set(found.experts)


def test_a_cue_of_time_becomes_a_span(router: Router) -> None:
    found = router.route("What was said about the budget at the beginning of the meeting?", {}, HOUR)
    assert found.period == "beginning" and found.span is not None and found.span[0] == 0
    assert router.route("How much is the budget?", {}, HOUR).span is None


def test_what_is_spread_over_lines_is_composed(router: Router) -> None:
    assert router.route("Summarise the meeting.", {}, HOUR).tier == "compose"
    assert router.route("How much is the budget?", {}, HOUR).tier == "extract"


def test_phrasings_that_were_not_trained_on_are_routed(router: Router) -> None:
    asked = questions("test", 80, seed=3)
    found = [router.route(a.text, {}, HOUR) for a in asked]
    assert sum(f.scope == a.scope for f, a in zip(found, asked, strict=True)) >= 0.8 * len(asked)
    assert sum(f.tier == a.tier for f, a in zip(found, asked, strict=True)) >= 0.8 * len(asked)


def test_splits_share_no_question() -> None:
    made = [{a.text.lower() for a in questions(split, 300, seed=1)} for split in SPLITS]
    assert not made[0] & made[1] and not made[0] & made[2] and not made[1] & made[2]
    assert questions("dev", 50, seed=1) == questions("dev", 50, seed=1)


def test_lines_of_the_route_come_first() -> None:
    said, shown = hit(1, 0.8), hit(2, 0.6, "screen", start_s=100)
    assert preferred([said, shown], route()) == [said, shown]
    assert preferred([said, shown], route("screen")) == [shown, said]
    assert preferred([said, shown], route(span=(90 * S, 110 * S))) == [shown, said]
    assert preferred([hit(1, 0.7), hit(2, 0.65, speaker="S2")], route(speaker="S2"))[0].line.speaker == "S2"


def test_a_sure_line_stands_before_a_poor_one_that_fits_the_route() -> None:
    said, shown = hit(1, 0.95), hit(2, 0.3, "screen")
    assert preferred([said, shown], route("screen"))[0] is said


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.sampled_from(["speech", "screen"]), st.integers(0, 3600)), min_size=1, max_size=20
    ),
    st.sampled_from(["speech", "screen", "both"]),
    st.sampled_from([None, (0, 600 * S), (3000 * S, HOUR)]),
)
def test_a_route_never_takes_the_best_line_or_an_answer_away(
    lines: list[tuple[float, str, int]], scope: str, span: tuple[int, int] | None
) -> None:
    found = sorted((hit(i, p, k, s) for i, (p, k, s) in enumerate(lines)), key=lambda h: -h.probability)
    hits = ordered(found, route(scope, span))
    assert found[0] in hits and len(hits) == min(SHOWN, len(found)) and len({h.line.line_id for h in hits}) == len(hits)
    assert is_answerable(hits) == is_answerable(found)
