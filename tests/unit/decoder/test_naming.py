"""A name is taken from words that say whose it is, and from no others."""

import pytest

from services.decoder.naming import FoundName, Naming
from services.runtime.percept import SAMPLE_RATE, Transcript, Word


def _said(at_s: int, speaker: str, text: str, name: str = "") -> Transcript:
    begin = at_s * SAMPLE_RATE
    words = tuple(
        Word(word, begin + i * 4_000, begin + (i + 1) * 4_000, speaker=speaker) for i, word in enumerate(text.split())
    )
    return Transcript(name or f"u{at_s}", True, begin, words[-1].end_sample, words, speaker=speaker)


def _names(*lines: tuple[int, str, str]) -> dict[str, str]:
    naming, names = Naming(), dict[str, str]()
    for line in lines:
        for found in naming.hear([_said(*line)]):
            names[found.speaker] = found.name
    return {speaker: name for speaker, name in names.items() if name}


@pytest.mark.parametrize(
    "text,name",
    [
        ("Hi everybody, I'm Priya and I lead the platform team.", "Priya"),
        ("Good morning. My name is Anna-Lena Fischer.", "Anna-Lena Fischer"),
        ("Hello, this is Tom speaking.", "Tom"),
        ("Marek here, can you hear me?", "Marek"),
        ("I am Zoë, from finance.", "Zoë"),
    ],
)
def test_who_introduces_himself_has_that_name(text: str, name: str) -> None:
    assert Naming().hear([_said(3, "S1", text)]) == [FoundName("S1", name, "introduced", "u3", 0.9)]


@pytest.mark.parametrize(
    "text",
    [
        "I'm Sorry, that was my fault.",
        "I'm German, so I am on time.",
        "I'm Fine, thanks.",
        "This is Monday.",
        "This is Priya's idea.",
        "I'm going to Paris.",
        "I am sure Priya knows.",
        "She said her name is Priya.",
        "Here is the plan.",
    ],
)
def test_other_words_name_nobody(text: str) -> None:
    assert Naming().hear([_said(3, "S1", text)]) == []


def test_who_answers_to_a_name_twice_has_it_and_once_is_not_enough() -> None:
    once = [(0, "S1", "Priya, could you take the rollout?"), (4, "S2", "Yes, by Friday.")]
    assert _names(*once) == {}
    thanked = [*once, (7, "S1", "Thank you, Priya.")]
    assert _names(*thanked) == {"S2": "Priya"}


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("What do you think, Priya?", {"S2": "Priya"}),
        ("What do you think Priya?", {"S2": "Priya"}),
        ("Priya?", {"S2": "Priya"}),
        ("When do we start in Rotterdam?", {}),
        ("What about Priya?", {}),
    ],
)
def test_a_name_that_a_question_is_about_is_not_that_of_who_answers(question: str, names: dict[str, str]) -> None:
    lines = []
    for i in (1, 2):
        lines += [(10 * i, "S1", question), (10 * i + 3, "S2", "In May.")]
    assert _names(*lines) == names


def test_a_name_that_two_people_answer_to_is_nobodys() -> None:
    lines = []
    for i, answering in enumerate(["S2", "S3", "S2", "S3"]):
        lines += [(10 * i, "S1", "What do you think, Priya?"), (10 * i + 3, answering, "I think so too.")]
    assert _names(*lines) == {}


def test_a_name_that_somebody_gave_himself_is_not_given_to_another() -> None:
    lines = [(0, "S3", "I'm Priya.")]
    for i in (1, 2):
        lines += [(10 * i, "S1", "Okay Priya, is it done?"), (10 * i + 3, "S2", "It is.")]
    assert _names(*lines) == {"S3": "Priya"}


def test_a_late_answer_is_none() -> None:
    lines = []
    for i in (1, 2):
        lines += [(60 * i, "S1", "Priya, is it done?"), (60 * i + 30, "S2", "Let us go on.")]
    assert _names(*lines) == {}


def test_a_name_goes_when_its_utterance_turns_out_to_be_another_speakers() -> None:
    naming = Naming()
    naming.hear([_said(0, "S1", "I'm Priya.")])
    moved = naming.hear([_said(0, "S2", "I'm Priya.")])
    assert moved == [FoundName("S1", ""), FoundName("S2", "Priya", "introduced", "u0", 0.9)]
    assert naming.hear([_said(0, "S2", "I'm Priya.")]) == []
