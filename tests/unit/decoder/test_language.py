import json
from pathlib import Path

import pytest

from services.decoder.language import can_answer, foreign

REPOSITORY = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("Was wurde entschieden?", "German"),
        ("Wer hat die Checkliste?", "German"),
        ("Wann ist die Messe in Leeds?", "German"),
        ("Qui a la liste?", "French"),
        ("Quand est-ce que le pilote commence?", "French"),
        ("¿Quién tiene la lista?", "Spanish"),
        ("Quando è la fiera?", "Italian"),
        ("Quem tem a lista?", "Portuguese"),
        ("Wie heeft de lijst?", "Dutch"),
        ("Кто отвечает за список?", ""),
        ("谁负责清单?", ""),
    ],
)
def test_a_question_in_another_language_is_told_by_its_small_words(question: str, name: str) -> None:
    found = foreign(question)
    assert found is not None and found[0] == name


@pytest.mark.parametrize(
    "question", ["", "?", "42", "Budget?", "Who met Herr von der Heide?", "What does das Auto cost?", "Was Tom there?"]
)
def test_english_and_what_is_too_short_to_tell_is_left_alone(question: str) -> None:
    assert foreign(question) is None


def test_no_question_of_the_meetings_written_by_hand_is_taken_for_another_language() -> None:
    files = ("tests/unit/decoder/meetings.json", "benchmarks/answers_by_hand.json")
    asked = [
        question
        for name in files
        for meeting in json.loads((REPOSITORY / name).read_text())
        for question in (*(asked for asked, _ in meeting["questions"]), *meeting["unanswerable"])
    ]
    assert [question for question in asked if foreign(question) is not None] == []


@pytest.mark.parametrize(
    ("question", "line", "expected"),
    [
        ("When is it?", "The opening is in May.", True),
        ("???", "The opening is in May.", False),
        ("\U0001f642", "The opening is in May.", False),
        ("\x00\x01", "The opening is in May.", False),
        ("42?", "The opening is in May.", True),
        ("你好吗", "The opening is in May.", False),
        ("Кто такой Kowalski?", "Ask Kowalski.", True),
        ("谁负责清单?", "清单由小王负责。", True),
    ],
)
def test_no_english_line_answers_a_question_without_a_word_that_it_could_stand_for(
    question: str, line: str, expected: bool
) -> None:
    assert can_answer(question, line) is expected
