"""Which words of a screen are worth listening for, and for how long."""

import pytest

from services.decoder.terms import HALF_LIFE_S, MAX_EVERYDAY, MAX_RARE, ContextTerms
from services.runtime.percept import SAMPLE_RATE, ScreenState, TextRegion
from services.runtime.sentence import SentenceEncoder


def _state(at_s: float, *texts: str, confidence: float | None = 0.99) -> ScreenState:
    regions = tuple(
        TextRegion(f"r{i}", text, (0.0, 20.0 * i, 90.0, 20.0 * i + 18), confidence) for i, text in enumerate(texts)
    )
    return ScreenState(round(at_s * SAMPLE_RATE), 1280, 720, f"f{at_s}", regions)


@pytest.fixture
def terms(encoder: SentenceEncoder) -> ContextTerms:
    return ContextTerms(encoder.rank)


def _texts(terms: ContextTerms, at_s: float) -> list[str] | None:
    found = terms.at(round(at_s * SAMPLE_RATE))
    return None if found is None else [term.text for term in found if not term.is_everyday]


def _everyday(terms: ContextTerms, at_s: float) -> list[str]:
    return [term.text for term in terms.at(round(at_s * SAMPLE_RATE)) or () if term.is_everyday]


def test_names_and_identifiers_are_rare_and_everyday_words_in_any_form_are_not(terms: ContextTerms) -> None:
    terms.show(_state(0, "The next meetings: Halcyon's changes, planning", "KubeScheduler and max_points, 42%"))
    assert _texts(terms, 0) == ["Halcyon", "KubeScheduler"]


def test_everyday_words_are_told_alone_and_in_pairs_but_not_the_most_frequent(terms: ContextTerms) -> None:
    terms.show(_state(0, "Mr Thornton, once a shop boy", "This is about people"))
    assert _texts(terms, 0) == []
    terms.show(_state(1, "The lobster of Halcyon"))
    assert sorted(_everyday(terms, 1)) == ["Thornton", "lobster", "shop", "shop boy"]


def test_many_everyday_words_take_no_place_of_rare_ones(terms: ContextTerms) -> None:
    terms.show(_state(0, *(f"Lobster number{i} sherry{i}" for i in range(2 * MAX_EVERYDAY)), "Halcyon"))
    found = terms.at(0) or ()
    assert "Halcyon" in [term.text for term in found if not term.is_everyday]
    assert sum(term.is_everyday for term in found) <= MAX_EVERYDAY


def test_what_is_hardly_read_is_not_listened_for(terms: ContextTerms) -> None:
    terms.show(_state(0, "Halcyon", confidence=0.6))
    assert _texts(terms, 0) is None


def test_terms_say_where_they_stand(terms: ContextTerms) -> None:
    terms.show(_state(1, "Meeting", "Zau al-Makan"))
    found = terms.at(SAMPLE_RATE)
    assert found is not None
    assert [(t.text, t.source_id, t.frame_id, t.box) for t in found if not t.is_everyday] == [
        ("al-Makan", "r1", "f1", (0.0, 20.0, 90.0, 38.0))
    ]


def test_the_same_screen_again_is_no_news(terms: ContextTerms) -> None:
    terms.show(_state(0, "Halcyon"))
    assert _texts(terms, 0) == ["Halcyon"]
    terms.show(_state(5, "Halcyon", "Out of this"))
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
    for number in range(3 * MAX_RARE):
        name = "".join(letters[int(digit)] for digit in f"{number:03d}")
        terms.show(_state(number / 10, f"Xo{name}ax"))
        found = terms.at(round(number / 10 * SAMPLE_RATE))
    assert found is not None and len(found) == MAX_RARE and found[0].text == f"Xo{name}ax"
