"""Which words of a screen are worth listening for, and for how long."""

import pytest

from services.decoder.terms import HALF_LIFE_S, MAX_TERMS, ContextTerms
from services.runtime.percept import SAMPLE_RATE, ScreenState, TextRegion
from services.runtime.sentence import SentenceEncoder


def _state(at_s: float, *texts: str, confidence: float | None = 0.99) -> ScreenState:
    regions = tuple(
        TextRegion(f"r{i}", text, (0.0, 20.0 * i, 90.0, 20.0 * i + 18), confidence) for i, text in enumerate(texts)
    )
    return ScreenState(round(at_s * SAMPLE_RATE), 1280, 720, f"f{at_s}", regions)


@pytest.fixture
def terms(encoder: SentenceEncoder) -> ContextTerms:
    return ContextTerms(encoder.is_common)


def _texts(terms: ContextTerms, at_s: float) -> list[str] | None:
    found = terms.at(round(at_s * SAMPLE_RATE))
    return None if found is None else [term.text for term in found]


def test_names_and_identifiers_are_rare_and_everyday_words_in_any_form_are_not(terms: ContextTerms) -> None:
    terms.show(_state(0, "The next meetings: Halcyon's changes, planning", "KubeScheduler and max_points, 42%"))
    assert _texts(terms, 0) == ["Halcyon", "KubeScheduler"]


def test_what_is_hardly_read_is_not_listened_for(terms: ContextTerms) -> None:
    terms.show(_state(0, "Halcyon", confidence=0.6))
    assert _texts(terms, 0) is None


def test_terms_say_where_they_stand(terms: ContextTerms) -> None:
    terms.show(_state(1, "Meeting", "Zau al-Makan"))
    found = terms.at(SAMPLE_RATE)
    assert found is not None
    assert [(t.text, t.source_id, t.frame_id, t.box) for t in found] == [
        ("al-Makan", "r1", "f1", (0.0, 20.0, 90.0, 38.0))
    ]


def test_the_same_screen_again_is_no_news(terms: ContextTerms) -> None:
    terms.show(_state(0, "Halcyon"))
    assert _texts(terms, 0) == ["Halcyon"]
    terms.show(_state(5, "Halcyon", "Meeting"))
    assert _texts(terms, 5) is None


def test_what_is_gone_stands_behind_what_is_shown_fades_and_comes_back(terms: ContextTerms) -> None:
    terms.show(_state(0, "Zephyrine"))
    terms.show(_state(10, "Halcyon"))
    assert _texts(terms, 10 + HALF_LIFE_S) == ["Halcyon", "Zephyrine"]
    assert _texts(terms, 10 + 4 * HALF_LIFE_S) == ["Halcyon"]
    terms.show(_state(300, "Zephyrine"))
    assert _texts(terms, 300 + HALF_LIFE_S) == ["Zephyrine", "Halcyon"]


def test_a_log_that_scrolls_by_does_not_fill_the_memory(terms: ContextTerms) -> None:
    letters = "bcdfghjklm"
    for number in range(3 * MAX_TERMS):
        name = "".join(letters[int(digit)] for digit in f"{number:03d}")
        terms.show(_state(number / 10, f"Xo{name}ax"))
        found = terms.at(round(number / 10 * SAMPLE_RATE))
    assert found is not None and len(found) == MAX_TERMS and found[0].text == f"Xo{name}ax"
