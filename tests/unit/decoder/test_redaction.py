"""What leaves the machine names nobody and nothing; what returns names them again."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.decoder.redaction import Redaction

# Sentences as recognisers and screens give them, and what of each must not leave.
SECRETS: list[tuple[str, list[str]]] = [
    ("Call me at +1 (415) 555-0199 before noon.", ["415", "555", "0199"]),
    ("My number is four one five five five five oh one.", ["four", "five"]),
    ("The card is 4111 1111 1111 1111, valid till 09/28.", ["4111", "1111", "09/28"]),
    ("Mail priya.shah@example.com about it.", ["priya", "shah", "example.com"]),
    ("write to john at acme dot com please", ["john", "acme"]),
    ("It is on https://wiki.corp.example/x?token=abc and status.corp.example.", ["wiki", "token", "status.corp"]),
    ("Okay. Lena, can you own it by Friday the 14th?", ["Lena", "14"]),
    ("Giulia said we pay 48,000 euros to Müller GmbH.", ["Giulia", "48", "Müller", "GmbH"]),
    ("OPS-9 cold cache, PAY-118 Safari payment", ["OPS", "118", "Safari", "PAY"]),
    ("We met Dr. Okafor in Porto with the Acme people.", ["Okafor", "Porto", "Acme"]),
    ("IBAN DE89 3704 0044 0532 0130 00", ["DE89", "3704", "0532"]),
    ("priya said yes and PRIYA signed", ["priya", "PRIYA"]),
    ("twenty-five thousand euros for van der Berg", ["twenty", "thousand", "Berg"]),
    ("会议在北京举行", ["北京"]),
    ("O'Connor and Jean-Luc agreed.", ["Connor", "Jean", "Luc"]),
    ("password: hunter2, key sk-Ab3dE", ["hunter2", "sk-Ab3dE"]),
    ("IP 192.168.0.17 port 8443", ["192", "17", "8443"]),
    ("Born 3 May 1984, SSN 078-05-1120.", ["1984", "078", "1120"]),
]
PLAIN = [
    "Can I go now? I'm ok.",
    "We should warm up the cache after every deploy.",
    "On Friday we decide about the new logo.",
    "The main side effect is nausea, usually in the first week.",
    "Let's talk about the budget.",
    "Who owns the checklist?",
]


@pytest.mark.parametrize(("text", "secrets"), SECRETS)
def test_secrets_are_hidden_and_come_back(text: str, secrets: list[str]) -> None:
    redaction = Redaction(["Priya"])
    hidden = redaction.hide(text)
    bare = re.sub(r"\[[A-Z]+_\d+\]", "", hidden)
    assert not [secret for secret in secrets if secret in bare], hidden
    assert redaction.restore(hidden).casefold() == text.casefold()


@pytest.mark.parametrize("text", PLAIN)
def test_common_words_stay(text: str) -> None:
    assert Redaction().hide(text) == text


def test_the_same_has_the_same_placeholder() -> None:
    redaction = Redaction(["Tom"])
    assert redaction.hide("Tom asked Mia.") == "[NAME_1] asked [NAME_2]."
    assert redaction.hide("Mia told tom: 40 %") == "[NAME_2] told [NAME_1]: [NUMBER_1] %"


def test_words_that_look_like_a_placeholder_cannot_become_a_name() -> None:
    redaction = Redaction(["Tom"])
    hidden = redaction.hide("Tom read [NAME_1] and NAME_2 aloud.")
    assert hidden == "[NAME_1] read [TEXT_1] and [TEXT_2] aloud."
    assert redaction.restore(hidden) == "Tom read [NAME_1] and NAME_2 aloud."
    assert redaction.restore("[NAME_7] stays") == "[NAME_7] stays"


@given(st.text(max_size=200))
def test_any_text_comes_back_as_it_was_and_no_digit_leaves(text: str) -> None:
    redaction = Redaction(["Priya"])
    hidden = redaction.hide(text)
    assert redaction.restore(hidden).casefold() == text.casefold()
    assert not re.search(r"[0-9]", re.sub(r"\[[A-Z]+_\d+\]", "", hidden))
