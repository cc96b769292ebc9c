from tools.train_decoder.meetings import make
from tools.train_decoder.slides import make_with_slides


def test_slides_leave_the_meeting_and_its_questions_as_they_are() -> None:
    spoken, shown = make("test", 2), make_with_slides("test", 2)
    assert shown.lines[: len(spoken.lines)] == spoken.lines
    assert shown.questions[: len(spoken.questions)] == spoken.questions
    assert shown == make_with_slides("test", 2)


def test_what_stands_under_a_heading_does_not_name_what_the_question_names() -> None:
    named = total = 0
    for seed in range(20):
        meeting = make_with_slides("dev", seed)
        for question in meeting.questions:
            if question.kind.startswith("heading."):
                ((line, place),) = question.gold.items()
                assert isinstance(place, tuple)
                total += 1
                fact = next(fact for fact in meeting.facts if line in fact.lines)
                named += fact.slots[fact.key].removeprefix("the ") in meeting.lines[line].text.lower()
    assert total > 50
    assert not named


def test_a_question_about_a_matter_is_answered_by_its_lines_and_by_none_where_it_never_came_up() -> None:
    for seed in range(20):
        for question in make_with_slides("train", seed).questions:
            if question.kind in ("about", "about nothing", "close", "shares a word"):
                assert bool(question.gold) == (question.kind == "about")
