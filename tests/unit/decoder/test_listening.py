"""Words that nobody wrote down are found in the spelled sound of utterances."""

import numpy as np
import pytest
from numpy.typing import NDArray

from services.decoder.lineindex import Candidate
from services.decoder.lines import Line
from services.decoder.listening import MOST_LETTERS, Listener, likelihood_ratio
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


def test_what_is_too_long_for_a_word_is_not_listened_for(listener: Listener) -> None:
    longest = "abcd" * (MOST_LETTERS // 4)
    listener.hear("c", rows_of(longest))
    listener.hear("d", rows_of(longest + "a"))
    assert "c" in listener.find(longest)
    assert listener.find(longest + "a") == {}


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


def doubtful(text: str, letters: str, log_probability: float) -> NDArray[np.float32]:
    """Rows in which these letters of the text are less likely than another one."""
    rows = rows_of(text)
    for letter in letters:
        place = 2 * text.index(letter)
        rows[place] = -12.0
        rows[place, [LETTERS.index("z"), LETTERS.index(letter)]] = 0.0, log_probability
    return rows


def test_the_likelihood_of_a_word_grows_with_its_letters_their_clearness_and_what_was_recognised() -> None:
    kind = likelihood_ratio("kubernetes", -0.3, "the cooper netties are moving")
    assert kind > likelihood_ratio("kubernetes", -0.6, "the cooper netties are moving")
    assert kind > likelihood_ratio("cube", -0.3, "the cooper netties are moving")
    assert kind > likelihood_ratio("kubernetes", -0.3, "lunch is at noon")


def test_a_word_that_was_perhaps_said_moves_its_line_forward_and_makes_it_no_surer(encoder: SentenceEncoder) -> None:
    index = Index(encoder)
    for i in range(20):
        text = "The office there opens again." if i == 7 else f"Invoice {chr(65 + i)} is still open."
        index.replace(f"speech:u{i}", [Line(f"speech:u{i}:0", "speech", text, "S1", i * S, i * S + S, f"u{i}")])
        index.listener.hear(f"u{i}", rows_of("invoice is still open"))
    question = "When did they mention Kiev?"

    def of_that_line() -> tuple[int, Candidate]:
        found = index.candidates(question, {})
        return next((place, each) for place, each in enumerate(found) if each.line.source_id == "u7")

    before, unheard = of_that_line()
    index.listener.hear("u7", doubtful("the office in kiev opens again", "kv", -2.7))
    after, perhaps = of_that_line()
    assert after < before
    assert (perhaps.heard, perhaps.score, perhaps.lexical) == ((), unheard.score, unheard.lexical)
    index.listener.hear("u7", rows_of("the office in kiev opens again"))
    _, said = of_that_line()
    assert said.heard == ("kiev",)
    assert said.score > unheard.score


def test_words_about_the_talk_are_not_listened_for(encoder: SentenceEncoder) -> None:
    index = Index(encoder)
    index.replace("speech:u0", [Line("speech:u0:0", "speech", "Lunch is at noon.", "S1", 0, S, "u0")])
    index.listener.hear("u0", rows_of("did anybody mention lunch"))
    assert index.candidates("Did anybody mention tea?", {})[0].heard == ()


def test_a_pasted_page_is_not_listened_for_word_by_word(
    encoder: SentenceEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, asked = Index(encoder), list[str]()
    index.replace("speech:u0", [Line("speech:u0:0", "speech", "Lunch is at noon.", "S1", 0, S, "u0")])
    index.listener.hear("u0", rows_of("lunch is at noon"))
    find = index.listener.find
    monkeypatch.setattr(index.listener, "find", lambda word: asked.append(word) or find(word))
    letters = "abcdefghijklmnopqrst"
    index.candidates(" ".join(f"kettle{one}{other}" for one in letters for other in letters), {})
    assert 0 < len(asked) <= 20


def test_an_utterance_that_was_taken_back_takes_no_likelihood_from_the_others(encoder: SentenceEncoder) -> None:
    index = Index(encoder)
    for i in range(2):
        index.replace(f"speech:u{i}", [Line(f"speech:u{i}:0", "speech", "The cooper nettle.", "S1", 0, S, f"u{i}")])
        index.listener.hear(f"u{i}", rows_of("the kubernetes"))
    index.replace("speech:u0", [])
    assert index.candidates("Who runs Kubernetes?", {})[0].heard == ("kubernetes",)
