"""Questions for the fields of a form, and values out of words."""

import pytest

from protos.decoder.v1 import decoder_pb2 as pb
from services.gateway.field_questions import question_of, sought, topic_of
from services.gateway.field_values import Leaf, date_of, is_denied, text_of
from services.gateway.spelled_numbers import numbers


@pytest.mark.parametrize(
    ("heading", "topic"),
    [
        ("Extract the details of the crane.", "the crane"),
        ("What do we know about the crane?", "the crane"),
        ("The crane", "The crane"),
        ("Extract the action item: archive the diaries.", "archive the diaries"),
        ("The task is to tow the old plane.", "tow the old plane"),
        ("Who owns the checklist and when is it due?", ""),
        ("Please extract the information from the meeting as JSON.", ""),
    ],
)
def test_a_heading_that_names_one_thing_alone_says_what_the_form_is_about(heading: str, topic: str) -> None:
    assert topic_of(heading) == topic


@pytest.mark.parametrize(
    ("name", "description", "kind", "about", "question"),
    [
        ("dueDate", "", "string", "Fill in the form for the crane.", "When is the due date of the crane?"),
        ("place", "Where it is kept", "string", "the crane", "Where the crane is kept?"),
        ("id", "Its number", "string", "the crane", "What is the crane's number?"),
        ("owner", "", "string", "Extract the action item: sign the permit.", "Who will sign the permit?"),
        ("owner", "", "string", "The crane", "Who is responsible for The crane?"),
        ("signed", "Whether the permit is signed", "boolean", "Extract the data.", "Is the permit signed?"),
        ("is_broken", "", "boolean", "the crane", "Is the crane broken?"),
        ("approved", "", "boolean", "the crane", "Is the crane approved?"),
        ("cost", "", "number", "What was decided?", "How much is the cost? What was decided?"),
        ("guests", "Number of guests", "integer", "Extract the data.", "How many guests are there?"),
    ],
)
def test_a_field_is_asked_for_as_people_ask(name: str, description: str, kind: str, about: str, question: str) -> None:
    assert question_of(name, (), description, kind, about) == question


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1,200 euros", [1200]),
        ("$18k", [18_000]),
        ("1.2 million", [1_200_000]),
        ("forty-two thousand five hundred", [42_500]),
        ("a hundred and five", [105]),
        ("-5 degrees, then 3.5", [-5, 3.5]),
        ("LX-208 at 10:30 on the 3rd, version 2.1.3", []),
        ("9" * 400, []),
    ],
)
def test_numbers_in_digits_and_in_words(text: str, found: list[float]) -> None:
    assert numbers(text) == found


@pytest.mark.parametrize(
    ("name", "words", "fits"),
    [
        ("due_date", "Friday the 26th", True),
        ("due_date", "C-200", False),
        ("due_date", "$586", False),
        ("ticket", "A-12", True),
        ("ticket", "the archive", False),
        ("supplier", "Skycater", True),
        ("supplier", "seven francs", False),
        ("frequency", "every Monday", True),
        ("frequency", "Skycater", False),
    ],
)
def test_words_that_cannot_be_what_a_field_seeks_do_not_fill_it(name: str, words: str, fits: bool) -> None:
    read = Leaf("string", sought=sought(name, "")).read([pb.Evidence(text=words, words=words, score=0.9)])
    assert read.value == (words if fits else None)


def test_a_denial_is_one_of_what_the_field_is_about() -> None:
    about = "decided Whether the venue was decided"
    assert is_denied("Not yet.", about) and is_denied("We haven't decided on that.", about)
    assert is_denied("It was postponed.", about) and not is_denied("It was postponed.", "postponed")
    assert not is_denied("The gate does not close.", "has problem")


def test_who_says_that_somebody_should_is_not_who_does() -> None:
    owner = Leaf("string", sought=sought("owner", ""))
    for text, name in (("Somebody should clean the tank.", None), ("Let me clean the tank.", "Priya")):
        line = pb.Evidence(text=text, words="Priya", speaker="S1", speaker_name="Priya", score=0.9)
        assert owner.read([line]).value == name


def test_who_says_i_is_meant_and_a_day_needs_its_year() -> None:
    assert text_of(pb.Evidence(text="I'll do it.", words="I'll", speaker="S1", speaker_name="Priya")) == "Priya"
    assert (
        date_of(pb.Evidence(words="the 3rd of May, 2027")) == date_of(pb.Evidence(words="2027-05-03")) == "2027-05-03"
    )
    assert date_of(pb.Evidence(words="May 3")) is date_of(pb.Evidence(words="31 February 2027")) is None
