import pytest

from services.decoder.moments import (
    NOW,
    Window,
    asks_when_said,
    mention,
    moment_sample,
    on_screen_when,
    speaker_asked,
    window_asked,
)
from services.decoder.times import named_span

S = 16_000


@pytest.mark.parametrize(
    ("question", "moment"),
    [
        ("What was on the screen when Priya talked about the budget?", "Priya talked about the budget"),
        ("What did the slide show while they discussed the roof?", "they discussed the roof"),
        ("Which page was shared as Tom spoke?", "Tom spoke"),
        ("What was on the screen at 12:30?", "12:30"),
        ("What is on the screen?", NOW),
        ("What's on the screen right now?", NOW),
        ("What does the slide show?", NOW),
        ("What is on the agenda?", None),
        ("When is the screen repaired?", None),
        ("What did Tom say when he came?", None),
        ("What was on the slide as the team discussed the roof?", "the team discussed the roof"),
        ("What did the screen show at minute 12?", "minute 12"),
        ("What does the slide say about when the pilot starts?", None),
        ("What was presented as the error rate in Leeds?", None),
        ("Which prices were shown at the fair?", None),
        ("What was on\n the   screen at\t12:30?", "12:30"),
        # what looks for a moment in this takes time with the cube of its length
        ("screen " * 150 + "say " * 230 + "when Tom spoke", None),
    ],
)
def test_a_question_about_the_screen_at_a_moment_is_told_from_others(question: str, moment: str | None) -> None:
    assert on_screen_when(question) == moment


@pytest.mark.parametrize(
    ("question", "asks"),
    [
        ("When did Tom mention the outage?", True),
        ("At what point was the budget discussed?", True),
        ("When is the launch?", False),
        ("What did Tom say about the time?", False),
    ],
)
def test_a_question_for_the_moment_of_talk_is_told_from_one_for_a_date(question: str, asks: bool) -> None:
    assert asks_when_said(question) is asks


@pytest.mark.parametrize(
    ("words", "sample"), [("12:30", 750 * S), ("1:00:05", 3605 * S), ("minute 7", 420 * S), ("noon", None)]
)
def test_a_moment_can_be_named_by_the_clock(words: str, sample: int | None) -> None:
    assert moment_sample(words) == sample


@pytest.mark.parametrize(
    ("question", "who"),
    [
        ("What did Priya say about Tom?", "S1"),
        ("According to tom, what is late?", "S2"),
        ("Who said that Priya is late?", None),
        ("What will Priya do?", None),
        ("What did Lena say?", None),
    ],
)
def test_whose_words_are_asked_for(question: str, who: str | None) -> None:
    assert speaker_asked(question, {"S1": "Priya", "S2": "Tom", "S3": ""}) == who


@pytest.mark.parametrize(
    ("question", "name", "place"),
    [
        ("When will the scanners come?", "Will", -1),
        ("Will the scanners come?", "Will", -1),
        ("What did Will promise?", "Will", 9),
        ("what did priya promise?", "Priya", 9),
        ("What did Priya promise?", "Priya Nair", 9),
        ("What did the speaker promise?", "Speaker 2", -1),
        ("What did the chair promise?", "The chair", 9),
        ("What did the room promise?", "The chair", -1),
        ("What is late?", "", -1),
    ],
)
def test_a_person_is_named_by_a_whole_or_a_first_name_and_not_by_a_word(question: str, name: str, place: int) -> None:
    assert mention(question, name) == place


def test_a_first_name_of_two_people_tells_nobodys_words() -> None:
    names = {"S1": "Anna Berg", "S2": "Anna Lund"}
    assert speaker_asked("What did Anna say about it?", names) is None
    assert speaker_asked("What did Anna Lund say about it?", names) == "S2"


@pytest.mark.parametrize(
    ("question", "start_s", "end_s", "kind", "speaker"),
    [
        ("What was said around 2:40?", 160, 160, "speech", ""),
        ("What was said at about 2:40?", 160, 160, "speech", ""),
        ("what did they talk about at 1:02:03", 3723, 3723, "speech", ""),
        ("What were people talking about near 12:05?", 725, 725, "speech", ""),
        ("What was said in minute 20?", 1200, 1260, "speech", ""),
        ("What was discussed between 1:10 and 2:00?", 70, 120, "speech", ""),
        ("What was discussed from 1:10 to 2:00?", 70, 120, "speech", ""),
        ("What happened in the last five minutes?", 3300, 3600, "speech", ""),
        ("In the last 5 minutes, what was said?", 3300, 3600, "speech", ""),
        ("What was said during the first two minutes?", 0, 120, "speech", ""),
        ("What did I miss since minute 20?", 1200, 3600, "speech", ""),
        ("What have I missed since 20:00?", 1200, 3600, "speech", ""),
        ("Summarize what happened in the last ten minutes", 3000, 3600, "speech", ""),
        ("Catch me up on the last ten minutes.", 3000, 3600, "speech", ""),
        ("What was said five minutes ago?", 3300, 3300, "speech", ""),
        ("What did Priya say in the last five minutes?", 3300, 3600, "speech", "S1"),
        ("Who was speaking at 2:40?", 160, 160, "speech", ""),
        ("What was on the screen at 12:05?", 725, 725, "screen", ""),
        ("What was on the screen around 12:05?", 725, 725, "screen", ""),
        ("What did the slide show at minute 12?", 720, 720, "screen", ""),
        ("What was on the screen five minutes ago?", 3300, 3300, "screen", ""),
        ("What was on the screen in the last two minutes?", 3480, 3600, "screen", ""),
        ("What was said at 75:00?", 4500, 4500, "speech", ""),
    ],
)
def test_who_asks_for_all_of_a_time_names_it_in_many_ways(
    question: str, start_s: int, end_s: int, kind: str, speaker: str
) -> None:
    window = window_asked(question, {"S1": "Priya", "S2": "Tom"}, 3600 * S)
    assert window == Window(start_s * S, end_s * S, kind, speaker)


@pytest.mark.parametrize(
    "question",
    [
        "What did Priya say about the budget at 12:05?",
        "What did Lena say at 12:05?",
        "What is planned for 12:05?",
        "What must be done before 9:00?",
        "What happens at 9:30 am?",
        "What was said about the last five minutes of the match?",
        "What did we decide in the last five minutes?",
        "What was said?",
        "What happened?",
        "What happened at 75:00?",
        "How many minutes were left at 2:40?",
        "Who was speaking at the fair?",
        "When does the train at 12:05 leave?",
        "What is on the screen?",
    ],
)
def test_a_question_about_more_than_a_time_is_searched(question: str) -> None:
    assert window_asked(question, {"S1": "Priya", "S2": "Tom"}, 3600 * S) is None


def test_a_length_of_time_that_no_session_has_is_none() -> None:
    """A float of 400 digits is infinite, and an int of 20 is more than the wire carries."""
    for digits in (20, 400):
        question = f"What was said in the first {'9' * digits} minutes?"
        assert named_span(question, S) is None and window_asked(question, {}, S) is None
