"""Which questions go on from an earlier one, and what they take from it."""

import json
from pathlib import Path

import pytest

from services.gateway.follow_ups import MAX_CHARS, Turn, is_follow_up, resolved

REPOSITORY = Path(__file__).parents[3]
OWNER = Turn("Who owns the release checklist?", 'Priya said at 00:25: "Lena, can you own it? I need it by Friday."')


@pytest.mark.parametrize(
    ("question", "whole"),
    [
        ("And who takes that?", "who takes the owns release checklist? Lena own need Friday"),
        ("And when is it due?", "when is the owns release checklist due? Lena own need Friday"),
        ("Why?", "Why of the owns release checklist? Lena own need Friday"),
        ("And the rollback?", "the rollback of the owns release checklist? Lena own need Friday"),
    ],
)
def test_a_question_without_words_of_its_own_takes_those_of_the_earlier_one(question: str, whole: str) -> None:
    assert resolved(question, [OWNER]) == whole


@pytest.mark.parametrize(
    "question",
    [
        "Who said that the budget is late?",
        "What did they say about the roof?",
        "Is it true that the pilot starts in May?",
        "Are there tickets left?",
        "How many people are there?",
        "What about the budget?",
        "And what was said at 2:40?",
        "And what was decided?",
        "What did Priya say about her budget?",
        "What does it say about the recording?",
        "Whose job is it to take notes?",
        "Will it rain tomorrow?",
        "What is the plan for the fair?",
        "What is on the screen?",
        "",
    ],
)
def test_a_whole_question_is_asked_as_it_is(question: str) -> None:
    assert resolved(question, [OWNER]) == question


def test_hardly_a_whole_question_of_the_meetings_is_taken_for_one_that_goes_on() -> None:
    files = ("tests/unit/decoder/meetings.json", "benchmarks/answers_by_hand.json")
    whole = [
        question
        for name in files
        for meeting in json.loads((REPOSITORY / name).read_text())
        for question in (*(asked for asked, _ in meeting["questions"]), *meeting["unanswerable"])
    ]
    assert len(whole) > 200 and sum(map(is_follow_up, whole)) <= 0.02 * len(whole)


def test_the_last_whole_question_counts_also_some_turns_ago() -> None:
    turns = [Turn("Who painted the fence?"), OWNER, Turn("And when?", "I did not hear that."), Turn("Why then?")]
    assert resolved("And who checks it?", turns) == "who checks the owns release checklist?"


def test_without_an_earlier_whole_question_nothing_is_added() -> None:
    assert resolved("And when?", []) == resolved("And when?", [Turn("Why?")]) == "And when?"


@pytest.mark.parametrize("answer", ["", "I did not hear that.", '{"answer": "Lena"}', "A text: with 'quotes'"])
def test_an_answer_that_quotes_no_line_adds_nothing(answer: str) -> None:
    assert resolved("And when?", [Turn("Who owns the checklist?", answer)]) == "when of the owns checklist?"


def test_what_would_be_too_long_is_asked_as_it_is() -> None:
    question = "And when?" + " " * (MAX_CHARS - 20) + "Why?"
    assert resolved(question, [OWNER]) == question
