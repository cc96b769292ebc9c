from tools.train_decoder.changes import make_with_changes
from tools.train_decoder.meetings import Question


def _asked() -> list[tuple[list[str], Question]]:
    meetings = [make_with_changes("train", seed) for seed in range(6)]
    return [([line.text for line in meeting.lines], q) for meeting in meetings for q in meeting.questions]


def test_the_same_seed_gives_the_same_meeting() -> None:
    assert make_with_changes("dev", 3) == make_with_changes("dev", 3)


def test_what_was_told_anew_is_answered_by_the_later_line_with_the_new_words() -> None:
    changed = [(lines, q) for lines, q in _asked() if q.outdated]
    assert len(changed) > 15
    for lines, question in changed:
        ((line, place),) = question.gold.items()
        assert isinstance(place, tuple) and max(question.outdated) < line
        told = lines[line][slice(*place)]
        # "on the ninth" is the ninth, and the beginning of a line is written large
        assert told and told.lower() not in lines[max(question.outdated)].lower()


def test_what_only_seems_to_be_told_anew_changes_no_answer() -> None:
    told = [q for _, q in _asked() if q.kind.startswith("talk.")]
    assert len(told) > 15 and not any(question.outdated for question in told)
