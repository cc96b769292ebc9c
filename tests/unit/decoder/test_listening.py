"""Words that nobody wrote down are found in the spelled sound of utterances."""

import numpy as np
import pytest
from numpy.typing import NDArray

from services.decoder.lines import Line
from services.decoder.listening import Listener
from services.decoder.retrieval import Index
from services.runtime.sentence import SentenceEncoder
from services.runtime.spelling import BLANK, LETTERS, spelled

S = 16_000


def rows_of(text: str) -> NDArray[np.float32]:
    """Rows that say a text beyond doubt: each letter, then none."""
    rows = np.full((2 * len(text), len(LETTERS)), -12.0, np.float32)
    rows[1::2, BLANK] = 0.0
    rows[range(0, len(rows), 2), [LETTERS.index(letter) for letter in text]] = 0.0
    return rows


@pytest.fixture
def listener() -> Listener:
    made = Listener()
    made.hear("a", rows_of("move the kubernetes cluster"))
    made.hear("b", rows_of("canonical kettle"))
    return made


@pytest.mark.parametrize(
    ("word", "where"),
    [
        ("Kubernetes", {"a"}),
        ("cluster", {"a"}),
        ("move", {"a"}),
        ("kettle", {"b"}),
        ("canon", set()),
        ("cooper", set()),
        ("the", set()),
        ("münchen", set()),
        ("2026", set()),
    ],
)
def test_whole_words_of_four_letters_are_found_where_they_were_said(
    listener: Listener, word: str, where: set[str]
) -> None:
    assert set(listener.find(word)) == where


def test_a_doubt_costs_what_it_costs_against_the_best_letter(listener: Listener) -> None:
    doubtful = rows_of("latency")
    place = 2 * "latency".index("c")
    doubtful[place, LETTERS.index("s")] = 0.0
    doubtful[place, LETTERS.index("c")] = -3.6
    listener.hear("c", doubtful)
    score = listener.find("latency")["c"]
    # 3.6 over seven letters and the two ends of the word, in steps of a byte
    assert score == pytest.approx(-0.4, abs=0.01)
    assert listener.find("latensy")["c"] == 0


def test_a_replaced_or_forgotten_utterance_is_not_found_any_more(listener: Listener) -> None:
    listener.hear("a", rows_of("nothing of that"))
    listener.forget("b")
    assert (listener.find("cluster"), listener.find("kettle"), len(listener)) == ({}, {}, 1)


def test_many_utterances_of_many_lengths_give_what_each_gives_alone() -> None:
    rng = np.random.default_rng(0)
    together, texts = Listener(), {}
    for i in range(700):
        rows = rng.uniform(-4, 0, (int(rng.integers(1, 30)), len(LETTERS))).astype(np.float32)
        together.hear(str(i), rows)
        texts[str(i)] = rows
    found = together.find("budget", least=-1.5)
    for name in ("0", "350", "699"):
        alone = Listener()
        alone.hear(name, texts[name])
        assert alone.find("budget", least=-1.5).get(name) == found.get(name)


@pytest.mark.parametrize(
    ("text", "letters"),
    [("Don't “stop”!", ""), ("Don't stop 'em, now.", "don't stop em now"), ("at 9", ""), ("  ", "")],
)
def test_text_is_spelled_in_plain_letters_or_not_at_all(text: str, letters: str) -> None:
    assert spelled(text) == letters


def test_a_line_is_found_by_a_word_that_the_recogniser_got_wrong(encoder: SentenceEncoder) -> None:
    index = Index(encoder)
    said = ("The cooper netties are moving on Friday.", "Lunch is at noon.", "We had the wrong invoice again.")
    for i, text in enumerate(said):
        index.replace(f"speech:u{i}", [Line(f"speech:u{i}:0", "speech", text, "S1", i * S, i * S + S, f"u{i}")])
    question = "When did somebody talk about Kubernetes?"
    (without, *_) = (each for each in index.candidates(question, {}) if each.line.source_id == "u0")
    index.listener.hear("u0", rows_of("the kubernetes are moving on friday"))
    index.listener.hear("u1", rows_of("lunch is at noon"))
    best = index.candidates(question, {})[0]
    assert best.line.source_id == "u0"
    assert best.lexical > without.lexical
    index.replace("speech:u0", [])
    assert all(each.line.source_id != "u0" for each in index.candidates(question, {}))
