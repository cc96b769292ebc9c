import numpy as np
import pytest

from services.decoder.answer import is_answerable, quoted
from services.decoder.lines import Line
from services.decoder.retrieval import Index, answer_type
from services.decoder.sentence import SentenceEncoder

S = 16_000


def meeting_lines(meeting: dict) -> list[Line]:
    lines = []
    for second, who, *texts in meeting["lines"]:
        for i, text in enumerate(texts):
            name = f"{second}-{i}"
            kind, speaker = ("screen", "") if who == "screen" else ("speech", who)
            lines.append(Line(f"{kind}:{name}", kind, text, speaker, second * S, second * S + S, name))
    return lines


def indexed(encoder: SentenceEncoder, lines: list[Line]) -> Index:
    index = Index(encoder)
    for line in lines:
        index.replace(f"{line.kind}:{line.source_id}", [line])
    return index


def test_the_line_with_the_answer_is_first_and_questions_without_one_get_none(
    encoder: SentenceEncoder, meetings: list[dict]
) -> None:
    """The rule for the meetings on which nothing was chosen; measured there: 22 of 24, and 21 of 24."""
    first = asked = refused = strange = answered = 0
    for meeting in meetings:
        if meeting["split"] != "held out":
            continue
        index = indexed(encoder, meeting_lines(meeting))
        for question, part in meeting["questions"]:
            hits = index.search(question, meeting["speakers"])
            asked += 1
            first += part.lower() in hits[0].line.text.lower()
            answered += is_answerable(hits)
        for question in meeting["unanswerable"]:
            strange += 1
            refused += not is_answerable(index.search(question, meeting["speakers"]))
    assert first / asked >= 0.85, f"{first} of {asked}"
    assert answered / asked >= 0.85, f"{answered} of {asked}"
    assert refused / strange >= 0.8, f"{refused} of {strange}"


def test_a_replaced_line_is_not_found_any_more(encoder: SentenceEncoder) -> None:
    index = Index(encoder)
    old = Line("speech:u:0", "speech", "The rocket is a bega sea.", "S1", 0, S, "u")
    index.replace("speech:u", [old, Line("speech:u:1", "speech", "And more.", "S1", S, 2 * S, "u")])
    index.replace("speech:u", [Line("speech:u:0", "speech", "The rocket is a Vega C.", "S2", 0, S, "u")])
    assert len(index) == 1
    (hit,) = index.search("Which rocket?", {})
    assert (hit.line.text, hit.line.speaker) == ("The rocket is a Vega C.", "S2")


def test_the_index_does_not_depend_on_the_order_of_its_lines(encoder: SentenceEncoder, meetings: list[dict]) -> None:
    lines = meeting_lines(meetings[0])
    one, other = indexed(encoder, lines), indexed(encoder, lines[::-1])
    for question, _ in meetings[0]["questions"]:
        a, b = one.search(question, {}), other.search(question, {})
        assert [hit.line for hit in a] == [hit.line for hit in b]
        assert np.allclose([hit.score for hit in a], [hit.score for hit in b], atol=1e-5)


def test_nothing_said_means_nothing_found(encoder: SentenceEncoder) -> None:
    assert Index(encoder).search("Who?", {}) == []
    assert not is_answerable([])


def test_words_without_letters_do_no_harm(encoder: SentenceEncoder) -> None:
    index = indexed(encoder, [Line("screen:r", "screen", "***", "", 0, 0, "r")])
    assert len(index.search("???", {})) == 1


def test_an_answer_says_who_and_when_or_where_it_stood(encoder: SentenceEncoder) -> None:
    index = Index(encoder)
    index.replace("speech:u", [Line("speech:u:0", "speech", "Lena owns it.", "S1", 83 * S, 84 * S, "u")])
    (hit,) = index.search("Who owns it?", {})
    assert quoted(hit, {"S1": "Priya"}) == 'Priya said at 01:23: "Lena owns it."'
    index.replace("speech:u", [])
    index.replace("screen:r", [Line("screen:r", "screen", "Owner: Lena", "", 83 * S, 90 * S, "r")])
    (hit,) = index.search("Who owns it?", {})
    assert quoted(hit, {}) == 'The screen showed at 01:23: "Owner: Lena"'


@pytest.mark.parametrize(
    ("question", "text", "fits"),
    [
        ("When is it due?", "By Friday.", True),
        ("How many came?", "Thirty-two did.", True),
        ("How many came?", "Nobody knows.", False),
        ("Why is it late?", "Because of the rain.", True),
        ("Who has it?", "The key is with Hannah.", True),
    ],
)
def test_a_question_word_asks_for_a_kind_of_answer(question: str, text: str, fits: bool) -> None:
    wanted = answer_type(question)
    assert wanted is not None
    assert bool(wanted.search(text)) is fits


def test_sentences_that_mean_alike_are_near(encoder: SentenceEncoder) -> None:
    a, b, c = encoder.encode(["The cat sleeps.", "A kitten is asleep.", "Interest rates rose."])
    assert a @ b > 0.6 > 0.3 > a @ c
    assert abs(float(a @ a) - 1) < 1e-5
