"""What a recogniser makes of words and what an OCR makes of letters: the errors of made meetings."""

import random
import re

# Heard for one another; either way round.
_ALIKE = (
    "their there",
    "to two",
    "for four",
    "by buy",
    "its it's",
    "than then",
    "we're were",
    "our are",
    "write right",
    "week weak",
    "new knew",
    "know no",
    "hear here",
    "where wear",
    "whole hole",
    "meet meat",
    "one won",
    "wait weight",
    "break brake",
    "mail male",
    "sale sail",
    "sent cent",
    "site sight",
    "price prize",
    "cost coast",
    "bill build",
    "fill feel",
    "ship chip",
    "bed bad",
    "pen pan",
    "cap cup",
    "desk disk",
    "test text",
    "send sand",
    "last lost",
    "live leave",
    "still steel",
    "will wheel",
    "full fool",
    "pull pool",
    "walk work",
    "first fest",
    "third turd",
    "fifth fish",
    "order older",
    "late let",
    "in and",
    "a the",
    "is as",
    "this these",
    "can can't",
    "did it",
    "of off",
    "has as",
    "and an",
    "on own",
    "at that",
    "roof rough",
    "train drain",
    "clean cream",
)
_HEARD: dict[str, list[str]] = {}
for _pair in _ALIKE:
    _one, _other = _pair.split()
    _HEARD.setdefault(_one, []).append(_other)
    _HEARD.setdefault(_other, []).append(_one)
# Sounds that are taken for one another inside a word.
_SOUNDS = (
    ("ph", "f"),
    ("ck", "k"),
    ("c", "k"),
    ("d", "t"),
    ("t", "d"),
    ("b", "p"),
    ("p", "b"),
    ("g", "k"),
    ("v", "f"),
    ("f", "v"),
    ("z", "s"),
    ("s", "z"),
    ("th", "d"),
    ("m", "n"),
    ("n", "m"),
    ("ee", "i"),
    ("i", "e"),
    ("e", "a"),
    ("a", "o"),
    ("o", "a"),
    ("u", "o"),
    ("y", "ie"),
    ("ie", "y"),
    ("ll", "l"),
    ("r", "l"),
    ("er", "a"),
    ("ou", "ow"),
)
_LOOKS = (
    ("l", "1"),
    ("O", "0"),
    ("0", "O"),
    ("1", "l"),
    ("I", "l"),
    ("rn", "m"),
    ("S", "5"),
    ("5", "S"),
    ("e", "c"),
    (" ", ""),
    (":", ""),
    (".", ","),
)
_WORD = re.compile(r"[A-Za-z']+|[^A-Za-z']+")
_HESITATIONS = ("um ", "uh ", "you know ", "like ", "I mean ", "well ")


class Noise:
    """The errors of one meeting; how many, and whether there is punctuation, is drawn once."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._rate = rng.choice((0.0, 0.0, 0.02, 0.04, 0.08))
        self._hesitates = rng.choice((0.0, 0.0, 0.02, 0.05))
        # some recognisers write neither capitals nor stops
        self.is_plain = rng.random() < 0.15

    def heard(self, text: str, *, is_start: bool = True) -> str:
        """Text as it is recognised."""
        rng = self._rng
        out = ""
        for part in _WORD.findall(text):
            if part[0].isalpha():
                if rng.random() < self._rate:
                    part = self._misheard(part)
                if rng.random() < self._hesitates and not (is_start and not out):
                    part = rng.choice(_HESITATIONS) + part
            out += part
        if self.is_plain:
            return re.sub(r"[.,!?;:](?!\d)", "", out).lower()
        return out

    def _misheard(self, word: str) -> str:
        rng = self._rng
        lower = word.lower()
        if lower in _HEARD:
            return rng.choice(_HEARD[lower])
        if len(word) < 4:
            return word
        fits = [(old, new) for old, new in _SOUNDS if old in lower[1:]]
        if not fits or rng.random() < 0.15:
            cut = rng.randint(2, len(word) - 1)
            return f"{word[:cut]} {word[cut:]}" if rng.random() < 0.5 else word[:cut]
        old, new = rng.choice(fits)
        at = lower.index(old, 1)
        return word[:at] + new + word[at + len(old) :]

    def read(self, text: str) -> str:
        """Text as it is read from a screen; places in it stay true unless a letter is lost or doubled."""
        if self._rng.random() > self._rate * 3:
            return text
        same = [(old, new) for old, new in _LOOKS if old in text and len(old) == len(new)]
        if not same:
            return text
        old, new = self._rng.choice(same)
        at = self._rng.choice([found.start() for found in re.finditer(re.escape(old), text)])
        return text[:at] + new + text[at + 1 :]
