from tools.train_decoder.slides import make_with_slides
from tools.train_decoder.talk import make_with_talk


def test_talk_leaves_the_meeting_as_it_is_and_keeps_some_of_its_questions() -> None:
    before, after = make_with_slides("test", 2), make_with_talk("test", 2)
    assert after.lines[: len(before.lines)] == before.lines
    others = [question for question in after.questions if not question.kind.startswith("talk")]
    assert others and all(question in before.questions for question in others)
    assert after == make_with_talk("test", 2)


def test_what_is_told_in_talk_does_not_name_its_subject() -> None:
    asked = 0
    for seed in range(8):
        meeting = make_with_talk("train", seed)
        for question in meeting.questions:
            if question.kind.startswith("talk."):
                asked += 1
                fact = next(fact for fact in meeting.facts if set(question.gold) <= set(fact.lines))
                told = meeting.lines[max(question.gold)].text.lower()
                assert fact.slots[fact.key].removeprefix("the ").lower() not in told
    assert asked > 50


def test_what_is_close_to_a_fact_in_talk_has_no_answer() -> None:
    close = [q for seed in range(8) for q in make_with_talk("dev", seed).questions if q.kind == "talk, close"]
    assert len(close) > 20 and not any(question.gold for question in close)
