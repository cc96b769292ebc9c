"""Hiding who and what before words leave the machine, and putting it back into what returns. Pure.

Hidden: known speaker names, capitalised words that no sentence begin explains, mail addresses, links, card and phone
numbers, every other word with a digit, numbers in two or more words ("four one five"), and words of scripts without
capitals. The same thing has the same placeholder ("[NAME_1]") all through one `Redaction`. It hides too much rather
than too little: a hidden word comes back on the way home.
"""

import re
import unicodedata
from collections.abc import Iterable

_MAIL = r"[\w.+-]+\s?@\s?[\w-]+(?:\.[\w-]+)+|\b[\w.+-]+ at [\w-]+ dot (?:com|org|net|edu|io|de|eu|co|uk)\b"
_LINK = r"\b(?:https?://|www\.)\S+|\b[a-z0-9][\w-]*(?:\.[\w-]+)*\.(?:[a-z]{2,})(?:/\S*)?\b"
_CARD = r"\b(?:\d[ -]?){12,18}\d\b"
_PHONE = r"(?<![\w])\+?\(?\d[\d ().-]{6,}\d\b"
_SPELT = (
    r"(?:zero|oh|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|"
    r"seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million|"
    r"billion|double|triple|point|half)"
)
_NUMBER = rf"\b{_SPELT}(?:(?:[ -]| and ){_SPELT})+\b|[^\s\"'“”(),;:!?\[\]]*\d(?:[^\s\"'“”();!?\[\]]*[\w%€$£])?[%€$£]?"
_PLACEHOLDER = re.compile(r"\[?\b(NAME|MAIL|LINK|CARD|PHONE|NUMBER|TEXT)_(\d+)\b\]?")
_PATTERNS = tuple(
    (kind, re.compile(pattern, re.IGNORECASE))
    for kind, pattern in (
        ("MAIL", _MAIL),
        ("LINK", _LINK),
        ("CARD", _CARD),
        ("PHONE", _PHONE),
        ("NUMBER", _NUMBER),
    )
)
_CAPITALISED = re.compile(r"[^\W\d_][\w'’.-]*[^\W_]|[^\W\d_]")
_SENTENCE_BEGINS = re.compile(r"(?:^|[.?!:…]\s+|[\"“(|-]\s*)$")
# Capitalised in the middle of a sentence and nobody's name.
_COMMON_INSIDE = frozenset(
    "i i'm i'll i'd i've ok okay monday tuesday wednesday thursday friday saturday sunday january february march april "
    "may june july august september october november december english".split()
)
# Words that begin sentences; any other capitalised word there is taken for a name.
_COMMON_FIRST = _COMMON_INSIDE | frozenset(
    """a about actually after again all alright also although always am an and another any anybody anyone
    anything are around as ask at because before besides between both but by call can can't check could
    did didn't do does doesn't don't done during each either even every everybody everyone everything
    exactly fine finally first for from further get give go good great had half has have he he's hello
    help her here here's hey hi his hopefully how however if in instead is isn't it it's its just last
    later least let let's like look make many maybe meanwhile more most much my need neither never next
    no nobody none nor not nothing now of oh on once one only open or other our out over perhaps please
    plus point quite rather read really reply right same say second see send seriously set several she
    she's should since so some somebody someone something sometimes soon sorry stop still such sure take
    talk tell than thank thanks that that's the their them then there there's these they they'll they're
    they've third this those three through to today together tomorrow tonight too two under unless until
    up us use very wait was wasn't we we'll we're we've welcome well were what what's when where where's
    which while who who's whose why will with without won't would write yeah yep yes yesterday yet you
    you'll you're you've your agenda answer budget customer customers data date deadline decision draft
    email error file goal history invoice item items line list mail meeting minutes name new note number
    open order owner page people plan price project question release report result results review risk
    room sales screen slide status step summary system table target task team test ticket time title
    total update user users version week work""".split()
)


class Redaction:
    """The placeholders of one request; `names` are what speakers are called, hidden in any case of letters."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._placeholders: dict[tuple[str, str], str] = {}
        self._hidden: dict[str, str] = {}
        words = {part for name in names for part in (name, *name.split()) if len(part) > 1}
        self._names = _any_of(words) if words else None

    def hide(self, text: str) -> str:
        """The text with placeholders."""
        # Words that look like a placeholder would come back as something else.
        pieces = _split([(text, "")], _PLACEHOLDER, "TEXT")
        for kind, pattern in _PATTERNS:
            pieces = _split(pieces, pattern, kind)
        if self._names is not None:
            pieces = _split(pieces, self._names, "NAME")
        done, before = [], ""
        for piece, kind in pieces:
            done.append(self._placeholder(kind, piece) if kind else self._hide_capitals(piece, before))
            before += piece
        return "".join(done)

    def restore(self, text: str) -> str:
        """The text with what was hidden; a placeholder that was never given stays."""
        return _PLACEHOLDER.sub(lambda found: self._hidden.get(f"{found[1]}_{found[2]}", found[0]), text)

    def _hide_capitals(self, text: str, before: str) -> str:
        def hidden(found: re.Match[str]) -> str:
            word = found[0]
            if any(unicodedata.category(letter) == "Lo" for letter in word):
                return self._placeholder("TEXT", word)
            if not any(letter.isupper() for letter in word):
                return word
            is_first = _SENTENCE_BEGINS.search(before + text[: found.start()]) is not None
            bare = word.lower().replace("’", "'")
            if bare in (_COMMON_FIRST if is_first else _COMMON_INSIDE):
                return word
            return self._placeholder("NAME", word)

        return _CAPITALISED.sub(hidden, text)

    def _placeholder(self, kind: str, hidden: str) -> str:
        key = (kind, hidden.casefold())
        if key not in self._placeholders:
            name = f"{kind}_{sum(known == kind for known, _ in self._placeholders) + 1}"
            self._placeholders[key] = name
            self._hidden[name] = hidden
        return f"[{self._placeholders[key]}]"


def _any_of(words: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted(words, key=lambda word: (-len(word), word))
    return re.compile(rf"\b(?:{'|'.join(re.escape(word) for word in longest_first)})\b", re.IGNORECASE)


def _split(pieces: list[tuple[str, str]], pattern: re.Pattern[str], kind: str) -> list[tuple[str, str]]:
    """Cut the pieces that have no kind yet at every match, which gets this kind."""
    cut: list[tuple[str, str]] = []
    for text, known in pieces:
        if known:
            cut.append((text, known))
            continue
        at = 0
        for found in pattern.finditer(text):
            if found.start() > at:
                cut.append((text[at : found.start()], ""))
            cut.append((found[0], kind))
            at = found.end()
        if at < len(text):
            cut.append((text[at:], ""))
    return cut
