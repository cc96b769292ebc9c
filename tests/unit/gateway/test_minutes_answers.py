"""What the minutes are asked for, and what is left to the search."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from services.gateway.minutes import Topic, minutes_of, sentences
from services.gateway.minutes_answers import MAX_TOLD, SUMMARY, Wanted, answer, wanted
from tests.unit.gateway.test_minutes import LINE_S, RATE, a_document, made

ASKED = {
    SUMMARY: (
        "Summarize the meeting",
        "Please summarise this meeting.",
        "Can you summarize the meeting for me?",
        "Summarize what was discussed",
        "Summary",
        "TL;DR",
        "Give me a short summary of the call.",
        "Could you give me a quick recap?",
        "What happened in the meeting?",
        "What did I miss?",
        "What have I missed so far?",
        "What was this meeting about?",
        "What's the meeting about?",
        "What are the key takeaways?",
        "Show me the minutes",
        "Write the meeting minutes, please",
        "I'd like to get an overview of the discussion",
        "Catch me up",
    ),
    ("decisions",): (
        "What was decided?",
        "What was decided in the meeting?",
        "What has been decided so far?",
        "What did we decide?",
        "What did the team agree on?",
        "What have we agreed upon?",
        "Which decisions were made?",
        "What are the decisions?",
        "List all decisions",
        "Were any decisions made?",
        "Was anything decided today?",
        "Please list the main decisions of this meeting",
    ),
    ("actions",): (
        "What are the action items?",
        "List the action items",
        "Are there any action items?",
        "Action items please",
        "Who has to do what?",
        "Who does what by when?",
        "What are the next steps?",
        "What are our to-dos?",
        "Give me all tasks from this call",
        "What has to be done?",
        "What do we have to do next?",
        "And what are the follow-ups?",
    ),
    ("questions",): (
        "Which questions are open?",
        "What are the open questions?",
        "Which questions are still open?",
        "What is still open?",
        "What remains unresolved?",
        "Which issues were left open?",
        "Any open points?",
        "What questions remain unanswered?",
    ),
    ("topics",): (
        "What topics came up?",
        "Which topics were discussed?",
        "What did they talk about?",
        "What did we discuss?",
        "What was discussed?",
        "List the topics",
        "What things were discussed in the session?",
    ),
    ("people",): (
        "Who took part?",
        "Who was in the meeting?",
        "Who attended the meeting?",
        "Who are the participants?",
        "List the speakers",
        "Who spoke?",
    ),
    ("decisions", "actions"): ("What was decided, and who has to do what?", "List the decisions and action items"),
}  # fmt: skip
LEFT = (
    "What did Priya decide about the budget?",
    "What was decided about the budget?",
    "What was decided on the price?",
    "What did Priya decide?",
    "Who decided that?",
    "Who made the decision?",
    "Why was it decided?",
    "When was it decided?",
    "When will it be decided?",
    "What will we decide?",
    "What should be decided?",
    "What was not decided?",
    "Is the venue decided?",
    "Did we decide on the venue?",
    "Which supplier did we agree on?",
    "Did Tom agree?",
    "Who agreed to write the summary?",
    "Who writes the minutes?",
    "Where are the minutes kept?",
    "Summarize the budget",
    "Summarize what Tom said about the roof",
    "What did Tom summarize?",
    "Is there a summary on the screen?",
    "How many action items does Tom have?",
    "When are the action items due?",
    "Which task is the hardest?",
    "Who owns the checklist?",
    "Who has to call the supplier?",
    "What does Tom have to do by Friday?",
    "What is the next step for the pilot in Leeds?",
    "What are the next steps after the launch?",
    "Which shops are open?",
    "Is the window open?",
    "When does the museum open?",
    "What question did Priya ask?",
    "Which questions did the customer have?",
    "What questions are in the survey?",
    "Who answered the question?",
    "What topics does the course cover?",
    "Which topic did Tom bring up?",
    "What did they say about the topics?",
    "When was the roof discussed?",
    "What was discussed about the roof?",
    "What did Tom and Priya talk about?",
    "Did we discuss this?",
    "Did the recording come up?",
    "What are Anna's tasks?",
    "What does the committee have to do by May?",
    "Who took part in the survey?",
    "Who took part in the pilot?",
    "Who joined the company in May?",
    "Who attended the conference?",
    "Who was at the fair?",
    "Who spoke about the roof?",
    "Who is the speaker at the conference?",
    "How many participants does the course have?",
    "When is the next meeting?",
    "What happened to the server?",
    "What happened in the last five minutes?",
    "What did I miss since minute 20?",
    "What happened yesterday?",
    "What is the meeting for?",
    "How long is the meeting?",
    "What is this about?",
    "What was said around 2:40?",
    "What is on the screen?",
    "Who has what?",
    "What is the agreement with the landlord?",
    "What are the main points of the contract?",
    "Was wurde entschieden?",
    "",
    "?",
)  # fmt: skip
REPOSITORY = Path(__file__).parents[3]


@pytest.mark.parametrize(("kinds", "question"), [(kinds, q) for kinds, asked in ASKED.items() for q in asked])
def test_a_request_for_the_minutes_is_known_in_many_wordings(kinds: tuple[str, ...], question: str) -> None:
    assert wanted(question) == Wanted(kinds)


@pytest.mark.parametrize("question", LEFT)
def test_a_question_about_something_is_left_to_the_search(question: str) -> None:
    assert (asked := wanted(question)) is None or answer(asked, made(a_document(TALK))) is None


def test_no_question_of_the_meetings_written_by_hand_asks_for_the_minutes() -> None:
    """Nothing of the vocabulary was chosen on them."""
    files = ("tests/unit/decoder/meetings.json", "benchmarks/answers_by_hand.json")
    asked = [
        question
        for name in files
        for meeting in json.loads((REPOSITORY / name).read_text())
        for question in (*(asked for asked, _ in meeting["questions"]), *meeting["unanswerable"])
    ]
    assert len(asked) > 200 and [question for question in asked if wanted(question) is not None] == []


TALK = [
    ("Priya Nair", "Good morning, let us start with the roof."),
    ("Tom", "So we agreed to order two hundred sensors."),
    ("Priya Nair", "Tom, could you write the release checklist by Friday?"),
    ("Tom", "Sure, will do."),
    ("Priya Nair", "I'll call the landlord tomorrow."),
    ("Tom", "Does the warehouse have room for them?"),
    ("Priya Nair", "I have no idea."),
]


def told(question: str) -> tuple[str, list[str]]:
    document = a_document(TALK)
    said = sentences(document)
    topics = [Topic("release checklist", 0, len(TALK) * LINE_S * RATE, said[2])]
    asked = wanted(question)
    assert asked is not None
    made = answer(asked, minutes_of(document, said, topics))
    assert made is not None and not made.abstained and made.tier == "minutes" and not made.HasField("confidence")
    return made.text, [line.text for line in made.evidence]


def test_every_line_is_told_with_who_and_when_and_stands_on_what_was_said() -> None:
    text, evidence = told("What was decided?")
    assert text == '- Tom at 00:06: "So we agreed to order two hundred sensors."'
    assert evidence == ["So we agreed to order two hundred sensors."]
    text, evidence = told("Which questions are open?")
    assert text == '- Tom at 00:30: "Does the warehouse have room for them?" Priya Nair: "I have no idea."'
    assert evidence == ["Does the warehouse have room for them?", "I have no idea."]
    text, _ = told("Who took part?")
    assert text == "- Priya Nair (first at 00:00)\n- Tom (first at 00:06)"


def test_a_summary_has_every_part_of_which_something_was_said() -> None:
    text, evidence = told("Summarize the meeting")
    headings = [line for line in text.split("\n") if line.endswith(":")]
    assert headings == ["Topics:", "Decisions:", "Action items:", "Open questions:"]
    assert 'Tom, by Friday (Priya Nair at 00:12: "Tom, could you write the release checklist by Friday?" Tom:' in text
    assert len(evidence) == 7 and set(evidence) < {words for _, words in TALK}


@pytest.mark.parametrize("question", ["What are Priya's action items?", "List the tasks for Priya Nair"])
def test_somebodys_action_items_are_those_alone(question: str) -> None:
    text, evidence = told(question)
    assert evidence == ["I'll call the landlord tomorrow."] and text.startswith("- Priya Nair, tomorrow (")


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("What was decided?", "I heard no decision."),
        ("What are the action items?", "I heard no action item."),
        ("Which questions are open?", "I heard no question that stayed open."),
        ("What topics came up?", "I heard no topic."),
        ("Summarize the meeting", "I heard nothing to sum up."),
    ],
)
def test_what_the_minutes_do_not_have_is_not_told(question: str, text: str) -> None:
    asked = wanted(question)
    assert asked is not None
    made_answer = answer(asked, made(a_document([("Tom", "It rained all day in Leeds.")])))
    assert made_answer is not None
    assert (made_answer.text, made_answer.abstained, list(made_answer.evidence)) == (text, True, [])


def test_of_a_meeting_in_another_language_it_says_so() -> None:
    document = replace(a_document([("Tom", "Wir haben beschlossen, zwei zu kaufen.")]), language="de")
    made_answer = answer(Wanted(("decisions",)), made(document))
    assert made_answer is not None and made_answer.abstained and "English meetings only" in made_answer.text


def test_a_long_list_is_cut_and_counted() -> None:
    document = a_document([("Tom", f"So we agreed to order {n} sensors.") for n in range(MAX_TOLD + 3)])
    made_answer = answer(Wanted(("decisions",)), made(document))
    assert made_answer is not None and len(made_answer.evidence) == MAX_TOLD
    assert made_answer.text.endswith("- and 3 more, which the minutes have")
