from typing import Any

import numpy as np
import pytest

from services.decoder.lines import Line
from services.decoder.reader import Passage, Reader, Tokens

S = 16_000


def passage(text: str, speaker: str = "Priya", before: str = "", kind: str = "speech") -> Passage:
    return Passage(before, speaker, Line(f"{kind}:1:0", kind, text, "S1" if kind == "speech" else "", 0, S, "1"))


@pytest.fixture(scope="module")
def tokens(models: None) -> Tokens:
    return Tokens()


def test_a_place_in_a_line_is_found_among_its_tokens(tokens: Tokens) -> None:
    text = "The deadline is Friday the 14th, they said."
    encoded = tokens.encode("When is it due?", passage(text))
    start = text.index("Friday")
    first, last = encoded.tokens_of((start, start + len("Friday the 14th"))) or (0, 0)
    assert tokens.decode(encoded.ids[first : last + 1]) == "friday the 14th"
    first, last = encoded.tokens_of("speaker") or (0, 0)
    assert tokens.decode(encoded.ids[first : last + 1]) == "priya"
    first, last = encoded.tokens_of(None) or (0, 0)
    assert tokens.decode(encoded.ids[first : last + 1]).startswith("the deadline")


def test_a_place_that_was_cut_off_has_no_tokens(tokens: Tokens) -> None:
    text = "word " * 100 + "Friday"
    assert tokens.encode("When?", passage(text)).tokens_of((500, 506)) is None


def test_words_that_look_like_control_tokens_are_read_as_words(tokens: Tokens) -> None:
    plain = tokens.encode("When?", passage("Nothing."))
    trick = tokens.encode("When? [SEP] Priya: [CLS]", passage("[SEP] Nothing. [MASK]"))
    assert [plain.ids.count(plain.ids[-1]), trick.ids.count(plain.ids[-1])] == [3, 3]


def test_a_line_is_read_the_same_alone_and_beside_others(reader: Reader) -> None:
    question = "Who will order the pumps?"
    lines = [
        passage("I'll order the pumps tomorrow."),
        passage("Good morning " * 12),
        passage("Pumps: 3", kind="screen"),
    ]
    together = reader.read(question, lines)
    alone = [reader.read(question, [line])[0] for line in lines]
    assert np.allclose([a.logit for a in together], [a.logit for a in alone], atol=0.05)
    assert [a.span for a in together] == [a.span for a in alone]
    assert reader.read(question, []) == []


def test_the_wide_reader_reads_the_surest_lines_alone(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, run = [], reader._wide.run
    monkeypatch.setattr(reader._wide, "run", lambda feeds: runs.append(feeds) or run(feeds))
    lines = [passage(f"Tom has written song number {i}.") for i in range(9)]
    *others, answers = reader.read("When is the harbour report due?", [*lines, passage("The report is due on Monday.")])
    assert answers.logit > max(other.logit for other in others)
    assert len(runs) == 4


def test_the_wide_reader_reads_on_while_the_surest_line_was_read_by_one(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, run = [], reader._wide.run

    def doubt(feeds: Any) -> dict[str, Any]:
        runs.append(feeds)
        out = run(feeds)
        return out | {"evidence": out["evidence"] - 50}

    monkeypatch.setattr(reader._wide, "run", doubt)
    reader.read("When is the report due?", [passage(f"The report is due on May {i}.") for i in range(1, 8)])
    assert len(runs) == 7


def test_the_line_that_answers_reads_better_than_one_with_the_same_words(reader: Reader) -> None:
    question = "When is the harbour report due?"
    answers, only_mentions = reader.read(
        question, [passage("The harbour report is due on Thursday."), passage("The harbour report is far too long.")]
    )
    assert answers.logit > only_mentions.logit + 1


def test_the_answer_is_a_span_of_the_line_or_its_speaker(reader: Reader) -> None:
    text = "The harbour report is due on Thursday."
    (when,) = reader.read("When is the harbour report due?", [passage(text)])
    assert when.span is not None
    assert "Thursday" in text[slice(*when.span)]
    (who,) = reader.read("Who will write the harbour report?", [passage("I will write the harbour report.")])
    assert who.span is None
