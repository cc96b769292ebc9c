"""Lists of expected phrases: what is accepted, and that writing and reading are each other's inverse."""

import pytest

from services.runtime.phrases import MAX_CHARS, MAX_PHRASES, Phrase, parse_phrases, phrase_lines
from services.runtime.stage import MediaError


def test_a_line_is_a_phrase_and_after_a_tab_its_weight() -> None:
    text = "Kubernetes\n\n  Priya   Raman \t2.5\nkubernetes\t9\n---\n"
    assert parse_phrases(text) == (Phrase("Kubernetes", 1.0), Phrase("Priya Raman", 2.5))
    assert parse_phrases("") == ()


@pytest.mark.parametrize(
    "text,sentence",
    [
        ("x" * (MAX_CHARS + 1), "phrase 1 has 101 characters, may have 100"),
        ("\n".join(f"word{i}" for i in range(MAX_PHRASES + 1)), "more than 1000 phrases"),
        ("fine\nbad\tvery", "phrase 2 has the weight 'very'; must be above 0 and at most 100"),
        ("bad\t-1", "must be above 0"),
        ("bad\tnan", "must be above 0"),
        ("bad\tinf", "must be above 0"),
    ],
)
def test_phrases_out_of_bounds_are_refused(text: str, sentence: str) -> None:
    with pytest.raises(MediaError, match=sentence):
        parse_phrases(text)


def test_as_many_phrases_as_allowed_are_taken() -> None:
    assert len(parse_phrases("\n".join(f"word{i:096d}" for i in range(MAX_PHRASES)))) == MAX_PHRASES


def test_what_is_written_is_read_again() -> None:
    lines = phrase_lines([("Kubernetes", 0.0), ("Priya Raman", 2.5)])
    assert parse_phrases(lines) == (Phrase("Kubernetes"), Phrase("Priya Raman", 2.5))
