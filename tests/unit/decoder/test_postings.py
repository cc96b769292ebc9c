"""Rows by words, against a plain dictionary."""

import random
import tracemalloc
from collections import Counter

from services.decoder.postings import Postings

WORDS = [f"word{number}" for number in range(30)]


def test_it_holds_what_a_dictionary_would_whatever_comes_and_goes() -> None:
    chance, postings, known = random.Random(0), Postings(), dict[int, Counter[str]]()
    for _ in range(2_000):
        row = chance.randrange(40_000)
        if row in known or (known and chance.random() < 0.4):
            row = row if row in known else chance.choice(sorted(known))
            postings.remove(row, known.pop(row))
        else:
            known[row] = Counter(chance.choices(WORDS, k=chance.randrange(60)))
            postings.add(row, known[row])
    for word in WORDS:
        rows, times = postings.of(word)
        assert dict(zip(rows.tolist(), times.tolist(), strict=True)) == {
            row: counts[word] for row, counts in known.items() if word in counts
        }
        assert rows.tolist() == sorted(rows.tolist())


def test_a_word_that_is_nowhere_any_more_leaves_nothing() -> None:
    postings = Postings()
    postings.add(3, {"code": 1})
    postings.remove(3, ["code"])
    assert [part.tolist() for part in postings.of("code")] == [[], []]


def test_a_word_that_fills_a_line_counts_as_often_as_can_be_told() -> None:
    postings = Postings()
    postings.add(39_999, {"na": 1_000})
    postings.add(2, {"na": 255})
    assert [part.tolist() for part in postings.of("na")] == [[2, 39_999], [255, 255]]


def test_a_line_more_takes_a_few_bytes_for_each_of_its_words() -> None:
    postings, lines = Postings(), [Counter(WORDS)] * 2_000
    tracemalloc.start()
    try:
        for row, counts in enumerate(lines):
            postings.add(row, counts)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # four, and what an array keeps free to grow
    assert taken < 8 * sum(map(len, lines))
