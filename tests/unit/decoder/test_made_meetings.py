import tomllib
from pathlib import Path

import pytest

import tools.train_decoder as package
from tools.train_decoder.meetings import SPLITS, domains, make, wordings

WORDING = tomllib.loads((Path(package.__file__).parent / "wording.toml").read_text())


@pytest.mark.parametrize("split", SPLITS)
def test_a_seed_gives_the_same_meeting_and_another_seed_another(split: str) -> None:
    assert make(split, 3) == make(split, 3)
    assert make(split, 3).lines != make(split, 4).lines


def test_splits_share_no_kind_of_meeting_no_person_and_of_long_lists_no_wording() -> None:
    kinds = [set(domains(split)) for split in SPLITS]
    people = [
        {name for seed in range(20) for name in make(split, seed).speakers.values() if len(name) > 2}
        for split in SPLITS
    ]
    asked = [{form for form in wordings(WORDING["due"]["ask"]["date"], split)} for split in SPLITS]
    for parts in (kinds, people, asked):
        assert all(parts)
        assert sum(len(part) for part in parts) == len(set.union(*parts))


@pytest.mark.parametrize("split", SPLITS)
def test_every_answer_stands_in_its_line(split: str) -> None:
    """With errors of recognition it stands there as it was recognised: at least half of them are as they were made."""
    exact = total = 0
    for seed in range(30):
        meeting = make(split, seed)
        for question in meeting.questions:
            for index, place in question.gold.items():
                assert 0 <= index < len(meeting.lines)
                if isinstance(place, tuple):
                    said = meeting.lines[index].text[place[0] : place[1]]
                    assert said.strip()
                    total += 1
                    exact += question.answer.lower() in said.lower()
    assert exact > total / 2


def test_a_third_or_more_of_the_questions_have_no_answer() -> None:
    questions = [question for seed in range(30) for question in make("test", seed).questions]
    assert 0.25 < sum(not question.gold for question in questions) / len(questions) < 0.6
