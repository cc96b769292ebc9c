import pytest

from services.decoder.moments import NOW, asks_when_said, mention, named_sample, on_screen_when, speaker_asked

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
    assert named_sample(words) == sample


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
