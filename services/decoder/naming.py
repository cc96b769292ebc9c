"""What speakers are called, from what is said: "I'm Priya", and who answers when Priya is spoken to; and from whose
tile of a video call is outlined while they speak. Pure.

A name is never a guess: it stands on the utterance in which it was said, or on the tiles that were outlined again and
again, and goes when these turn out to be somebody else's. What is said is read in English only.
"""

import itertools
import marshal
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter

from services.decoder.kept import File, Order, Records
from services.decoder.tiles import Framing, Framings
from services.runtime.percept import SAMPLE_RATE, ScreenState, Transcript

# Who introduces himself is believed at once; being spoken to and answering must happen so often, and agree so far.
INTRODUCED = 0.9
LEAST_ANSWERS, LEAST_AGREEMENT = 2, 0.75
# An answer begins at most so long after the question, thanks come at most so long after what they are for.
ANSWER_SAMPLES, THANKS_SAMPLES = 4 * SAMPLE_RATE, 6 * SAMPLE_RATE
MAX_UTTERANCES = 20_000
# A tile is outlined so long after its person began to speak, and a picture may come so long after the words.
FRAMED_LATE, SEEN_LATE = SAMPLE_RATE * 4 // 5, 5 * SAMPLE_RATE
# A speaker's tile must be outlined in so many turns, each for so long. Of all his time beside outlined tiles a share is
# beside that one, and of all speech beside it a share his: the lesser of both, times n / (n + 1) for n turns, must be
# so much. Chosen on calls of the split "dev" (benchmarks/calls.py).
LEAST_FRAMED, LEAST_BESIDE, LEAST_SURE = 2, SAMPLE_RATE, 0.5
# Tiles that are told with a name.
MAX_SEEN = 8

_NAME = r"(?P<name>[A-Z][a-zà-ÿ]+(?:[-' ][A-Z][a-zà-ÿ]+){0,2})"
_INTRODUCED = (
    re.compile(rf"\b(?:I'm|I am|[Mm]y name is|[Mm]y name's) {_NAME}(?=[,.!?]|$| and\b| from\b| here\b| with\b| I\b)"),
    re.compile(rf"\b[Tt]his is {_NAME} (?:here|speaking|calling)\b"),
    re.compile(rf"^(?:Hi|Hello|Hey)?,? ?{_NAME} here[,.]"),
)
_ADDRESSED = (
    re.compile(rf"^(?:(?:So|And|Okay|OK|Right|Now|Hey|Hi|Hello|But|Yes|No|Well),? )?{_NAME},(?= .*\?$)"),
    # "What do you think, Priya?", not "When do we start in Rotterdam?"
    re.compile(rf"(?:,|\b(?:you|please|think|okay|right|now|too|yet)) {_NAME}\?$"),
    re.compile(rf"^{_NAME}\?$"),
)
_THANKED = (re.compile(rf"\b[Tt]hank(?:s| you)(?: very much| so much)?,? {_NAME}\b"),)
# Capitalised, but nobody's name.
_NOT_NAMES = frozenset(
    "I OK Okay Yes No Well So Now Then Right Sorry Sure Fine Good Great Actually Basically Also However Maybe Perhaps "
    "Anyway Please Thanks Thank Again First Second Third Finally Next Everybody Everyone Guys Folks Team All Both Sir "
    "Madam Ma Doctor Professor Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March April "
    "May June July August September October November December Today Tomorrow Yesterday English American British German "
    "French Spanish Italian Indian Chinese Japanese Dutch Polish Russian Irish Scottish Canadian Australian European "
    "African Asian Christian Muslim Jewish Catholic What Why When Where Who How Which God Google Microsoft Zoom Teams "
    "Slack Here There This That The And But If".split()
)


@dataclass(frozen=True, slots=True)
class _Line:
    """Who said an utterance when, and the names in it: the speaker's own, who is spoken to, who is thanked."""

    utterance_id: str
    speaker: str
    start_sample: int
    end_sample: int
    introduced: tuple[str, ...]
    addressed: tuple[str, ...]
    thanked: tuple[str, ...]

    @property
    def named(self) -> tuple[tuple[str, ...], ...]:
        """All names."""
        return self.introduced, self.addressed, self.thanked

    @property
    def names(self) -> bool:
        """Whether there is any."""
        return any(self.named)


@dataclass(frozen=True, slots=True)
class FoundName:
    """A speaker's name ("" when what it stood on is gone), how it was found, where, and how sure that is.

    `seen` are the outlined tiles that it stands on, if it was read there.
    """

    speaker: str
    name: str
    how: str = ""
    source_id: str = ""
    confidence: float = 0.0
    seen: tuple[Framing, ...] = ()


class Naming:
    """The names that one session's own words give its speakers."""

    def __init__(self) -> None:
        # All utterances in order, of which only those with names in them are kept as objects.
        self._lines = Records(File())
        self._order = Order(self._lines.name)
        self._named: dict[str, _Line] = {}
        self._found: dict[str, FoundName] = {}
        self._framings = Framings()
        self._waiting: dict[str, Transcript] = {}
        self._laid: dict[str, tuple[str, tuple[tuple[Framing, int], ...]]] = {}
        # Samples that a speaker speaks while a name is framed, for each framing.
        self._beside: dict[str, dict[str, Counter[Framing]]] = defaultdict(lambda: defaultdict(Counter))
        self._of_tiles: dict[str, FoundName] = {}

    def see(self, state: ScreenState) -> None:
        """Take a screen."""
        self._framings.see(state)

    def at(self, sample: int) -> list[FoundName]:
        """The media has come so far: what was said long enough before is laid beside the tiles; returns the changes."""
        due = [said for said in self._waiting.values() if said.end_sample + SEEN_LATE <= sample]
        for said in due:
            del self._waiting[said.utterance_id]
            self._lay(said.utterance_id, -1)
            beside = tuple(self._framings.between(said.start_sample + FRAMED_LATE, said.end_sample))
            if said.speaker and beside:
                self._laid[said.utterance_id] = (said.speaker, beside)
                self._lay(said.utterance_id, 1)
        framed = self._framed() if due else self._of_tiles
        is_news = {who: one.name for who, one in framed.items()} != {w: one.name for w, one in self._of_tiles.items()}
        self._of_tiles = framed
        return self._changes() if is_news else []

    def _lay(self, utterance_id: str, sign: int) -> None:
        """Count what one utterance lies beside; with a sign of -1 forget it."""
        if utterance_id not in self._laid:
            return
        speaker, beside = self._laid[utterance_id]
        for framing, shared in beside:
            self._beside[speaker][framing.name][framing] += sign * shared
        if sign < 0:
            del self._laid[utterance_id]

    def hear(self, utterances: Iterable[Transcript]) -> list[FoundName]:
        """Take new or changed utterances with their speakers; returns the names that come, change or go."""
        is_news = False
        for said in utterances:
            row = self._lines.row(said.utterance_id)
            line = self._line(row) if row is not None else None
            if row is not None and line is not None:
                self._order.remove(line.start_sample, row)
            new = _line(said)
            row = self._lines.put(new.utterance_id, marshal.dumps((new.speaker, new.start_sample, new.end_sample)))
            self._named.pop(new.utterance_id, None)
            if new.names:
                self._named[new.utterance_id] = new
            self._waiting[said.utterance_id] = said
            place = self._order.insert(said.start_sample, row)
            if line is None or (line.speaker, line.named) != (new.speaker, new.named):
                is_news = is_news or self._matters(place) or (line is not None and line.names)
        while len(self._order) > MAX_UTTERANCES:
            oldest = self._lines.name(self._order.rows[0])
            self._order.remove(self._order.samples[0], self._lines.remove(oldest))
            self._named.pop(oldest, None)
            self._lay(oldest, -1)
        return self._changes() if is_news else []

    def _matters(self, place: int) -> bool:
        """Whether the utterance at a place holds a name, or answers to one or is thanked for: most do not."""
        before, line, after = (self._named_at(place + step) for step in (-1, 0, 1))
        return line is not None or bool(before and before.addressed) or bool(after and after.thanked)

    def _named_at(self, place: int) -> _Line | None:
        """The utterance at a place of the order, if there is one and it has names in it."""
        if not 0 <= place < len(self._order):
            return None
        return self._named.get(self._lines.name(self._order.rows[place]))

    def _line(self, row: int) -> _Line:
        utterance_id, rest = self._lines.item(row)
        speaker, start_sample, end_sample = marshal.loads(rest)
        return self._named.get(utterance_id) or _Line(utterance_id, speaker, start_sample, end_sample, (), (), ())

    def _changes(self) -> list[FoundName]:
        found = self._introduced()
        taken = {one.name for one in found.values()}
        for speaker, one in self._of_tiles.items():
            if one.name not in taken:
                found.setdefault(speaker, one)
        taken = {one.name for one in found.values()}
        for speaker, one in self._answering(taken).items():
            found.setdefault(speaker, one)
        gone = [FoundName(speaker, "") for speaker in self._found if speaker not in found]
        new = [one for speaker, one in found.items() if self._name(speaker) != one.name]
        self._found = found
        return [*gone, *new]

    def _name(self, speaker: str) -> str:
        return self._found[speaker].name if speaker in self._found else ""

    def _introduced(self) -> dict[str, FoundName]:
        """The first name that each speaker gave himself."""
        found: dict[str, FoundName] = {}
        for _, line in self._with_names():
            if line.speaker and line.introduced and line.speaker not in found:
                name = line.introduced[0]
                found[line.speaker] = FoundName(line.speaker, name, "introduced", line.utterance_id, INTRODUCED)
        return found

    def _framed(self) -> dict[str, FoundName]:
        """Whose tile is outlined again and again while they speak, and nobody else's."""
        samples = {
            speaker: {name: beside.total() for name, beside in names.items()} for speaker, names in self._beside.items()
        }
        found: dict[str, FoundName] = {}
        for speaker, names in samples.items():
            name = max(names, key=lambda name: (names[name], name))
            everybodys = sum(theirs.get(name, 0) for theirs in samples.values())
            share, own = names[name] / max(1, sum(names.values())), names[name] / max(1, everybodys)
            if min(share, own) < LEAST_SURE:
                continue
            long = (each for each, shared in self._beside[speaker][name].items() if shared >= LEAST_BESIDE)
            seen = tuple(itertools.islice(long, MAX_SEEN))
            sure = min(share, own) * len(seen) / (len(seen) + 1)
            if len(seen) >= LEAST_FRAMED and sure >= LEAST_SURE:
                found[speaker] = FoundName(speaker, name, "framed", seen[0].source_id, sure, seen)
        return found

    def _answering(self, taken: set[str]) -> dict[str, FoundName]:
        """Who answers to a name again and again, and to no other."""
        votes: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        # from one with names to the next, and from the one before it
        firsts = sorted({first for place, _ in self._with_names() for first in (place - 1, place)})
        for first in firsts:
            if not 0 <= first < len(self._order) - 1:
                continue
            before, said = map(self._line, self._order.rows[first : first + 2])
            if not (before.speaker and said.speaker) or before.speaker == said.speaker:
                continue
            if said.start_sample - before.end_sample <= ANSWER_SAMPLES:
                for name in before.addressed:
                    votes[said.speaker][name].append(before.utterance_id)
            if said.start_sample - before.end_sample <= THANKS_SAMPLES:
                for name in said.thanked:
                    votes[before.speaker][name].append(said.utterance_id)
        found: dict[str, FoundName] = {}
        for speaker, names in votes.items():
            name = max(names, key=lambda name: (len(names[name]), name))
            share = len(names[name]) / sum(map(len, names.values()))
            others = [len(theirs[name]) for who, theirs in votes.items() if who != speaker and name in theirs]
            if (
                name not in taken
                and len(names[name]) >= max(LEAST_ANSWERS, max(others, default=0) + 1)
                and share >= LEAST_AGREEMENT
            ):
                sure = share * (1 - 1 / (1 + len(names[name])))
                found[speaker] = FoundName(speaker, name, "addressed", names[name][0], sure)
        return found

    def _with_names(self) -> list[tuple[int, _Line]]:
        """The utterances with names in them and their places, in order."""
        return sorted(
            ((self._order.place(line.start_sample, line.utterance_id), line) for line in self._named.values()),
            key=itemgetter(0),
        )


def _line(said: Transcript) -> _Line:
    names = (tuple(_names(patterns, said.text)) for patterns in (_INTRODUCED, _ADDRESSED, _THANKED))
    return _Line(said.utterance_id, said.speaker, said.start_sample, said.end_sample, *names)


def _names(patterns: Iterable[re.Pattern[str]], text: str) -> Iterator[str]:
    """Names in a text, sentence by sentence."""
    for sentence in re.split(r"(?<=[.?!]) ", text):
        for pattern in patterns:
            for match in pattern.finditer(sentence):
                if not _NOT_NAMES.intersection(match["name"].split()):
                    yield match["name"]
