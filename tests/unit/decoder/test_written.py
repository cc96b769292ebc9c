import pytest

from tools.train_decoder.written import meeting_of, together, written

RECORD = {
    "name": "ferry line",
    "speakers": {"S1": "Ottilie", "S2": "Ramon"},
    "lines": [
        [3, "S1", "We wanted the first boat at half past five."],
        [9, "S2", "Six fifteen then."],
        [12, "screen", "Summer timetable", "Bikes 2.50 extra"],
    ],
    "questions": [
        ["When does the first boat leave?", 9, "Six fifteen"],
        ["What does a bicycle cost?", 12, "2.50 extra"],
        ["Who wants a later boat?", 9, "speaker"],
    ],
    "changed": {"When does the first boat leave?": [3]},
    "unanswerable": ["When does the last boat leave?"],
}


def test_a_record_becomes_a_meeting_whose_answers_stand_in_their_lines() -> None:
    meeting = meeting_of(RECORD, "train")
    assert [line.text for line in meeting.lines][2:] == ["Summer timetable", "Bikes 2.50 extra"]
    leaves, costs, who, last = meeting.questions
    assert leaves.gold == {1: (0, 11)} and leaves.outdated == {0} and leaves.kind == "changed"
    assert costs.gold == {3: (6, 16)} and who.gold == {1: "speaker"} and not last.gold


def test_words_that_do_not_stand_in_their_line_are_refused() -> None:
    with pytest.raises(ValueError, match="does not stand at 9 s"):
        meeting_of(RECORD | {"questions": [["When?", 9, "Seven"]]}, "train")


def test_written_meetings_are_whole_and_those_for_development_are_no_others() -> None:
    train, dev = written("train", 1), written("dev", 1)
    assert len(train) > 5 * len(dev) > 50
    assert not {meeting.lines[0].text for meeting in train} & {meeting.lines[0].text for meeting in dev}
    for meeting in (*train, *dev):
        for question in meeting.questions:
            for line, place in question.gold.items():
                assert place == "speaker" or meeting.lines[line].text[slice(*place)]
    assert sum(bool(q.outdated) for meeting in train for q in meeting.questions) > 200


def test_a_seed_gives_its_own_errors_of_recognition() -> None:
    def texts(seed: int) -> list[str]:
        return [line.text for meeting in written("dev", seed) for line in meeting.lines]

    assert texts(1) == texts(1) and texts(1) != texts(2)


def test_several_meetings_in_one_session_keep_their_answers_and_their_speakers_apart() -> None:
    alone, sessions = written("dev", 1), together("dev", 1)
    assert len(sessions) == -(-len(alone) // 6)
    told = {q.text: (m.lines[i].text, q.gold[i]) for m in alone for q in m.questions for i in q.gold}
    for session in sessions:
        assert [line.second for line in session.lines] == sorted(line.second for line in session.lines)
        assert {line.who for line in session.lines} - {"screen"} <= session.speakers.keys()
        for question in session.questions:
            assert [(session.lines[i].text, place) for i, place in question.gold.items()] == (
                [told[question.text]] if question.gold else []
            )
    assert sum(len(session.questions) for session in sessions) == sum(len(meeting.questions) for meeting in alone)
