"""What was said by whom and what the screen showed, on one media clock. Pure: no clock, no I/O.

The timeline is the same whatever the order in which different utterances, turns and screens
arrive; a repeated percept changes nothing. An utterance with a higher revision replaces a lower
one; a turn is replaced by the next one of the same id, a final one only by a final one.

Memory for a day: at most MAX_UTTERANCES, MAX_TURNS and MAX_SCREEN_LINES are kept and the oldest
go first. Utterances are kept packed, since their words as objects take ten times the memory; a line
on the screen is kept once with its first and last sighting, however often it was seen.
"""

import heapq
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from protos.media.v1 import media_pb2
from services.runtime import wire
from services.runtime.percept import SAMPLE_RATE, BoxXyxy, ScreenState, SpeakerTurn, Transcript, Word

MAX_UTTERANCES = 20_000
MAX_TURNS = 40_000
MAX_SCREEN_LINES = 20_000
MAX_NAMES = 1_000
# Finding the oldest costs a walk over all: many go at once.
_FORGOTTEN_AT_ONCE = 500
# A word beside every turn belongs to the nearest one, when that is no further away than this.
NEAREST_TURN_SAMPLES = SAMPLE_RATE // 2
# A turn that is less sure of its speaker than this gives a word none (docs/diarization.md).
MIN_TURN_CONFIDENCE = 0.6
# Turns and utterances are found by the ten-second slots that they touch.
_SLOT_SAMPLES = 10 * SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class ScreenLine:
    """One line of text on the screen with its first and last sighting; `frame_id` is the first's."""

    line_id: str
    text: str
    box: BoxXyxy
    first_sample: int
    last_sample: int
    frame_id: str
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class _Kept:
    """An utterance as it came, packed, and what tells whether its words have the speakers that they had."""

    start_sample: int
    end_sample: int
    said: bytes
    speakers: int


def _packed(said: Transcript) -> bytes:
    return wire.transcript_to_proto(said).SerializeToString()


def _unpacked(packed: bytes) -> Transcript:
    return wire.transcript_from_proto(media_pb2.Transcript.FromString(packed))


class _Slots:
    """Ids by the slots of time that their spans touch."""

    def __init__(self) -> None:
        self._ids: dict[int, list[str]] = {}

    def add(self, name: str, start: int, end: int) -> None:
        for slot in _slots(start, end):
            self._ids.setdefault(slot, []).append(name)

    def remove(self, name: str, start: int, end: int) -> None:
        for slot in _slots(start, end):
            self._ids[slot].remove(name)
            if not self._ids[slot]:
                del self._ids[slot]

    def near(self, start: int, end: int) -> set[str]:
        found: set[str] = set()
        # one more: a gap of exactly NEAREST_TURN_SAMPLES still counts, seen from either side
        for slot in _slots(start - NEAREST_TURN_SAMPLES - 1, end + NEAREST_TURN_SAMPLES + 1):
            found.update(self._ids.get(slot, ()))
        return found


def _slots(start: int, end: int) -> range:
    return range(start // _SLOT_SAMPLES, max(start, end - 1) // _SLOT_SAMPLES + 1)


class Timeline:
    """Everything final of one session."""

    def __init__(self) -> None:
        self.names: OrderedDict[str, str] = OrderedDict()
        # how far the media is known to have come, by any percept, also a superseded one
        self.last_sample = 0
        self._said: dict[str, _Kept] = {}
        self._turns: dict[str, SpeakerTurn] = {}
        self._screen: dict[str, ScreenLine] = {}
        self._said_slots = _Slots()
        self._turn_slots = _Slots()

    def utterances(self) -> list[Transcript]:
        """All utterances with the speakers that the turns give them, in order of time."""
        fused = (self._fused(_unpacked(kept.said)) for kept in self._said.values())
        return sorted(fused, key=lambda said: (said.start_sample, said.utterance_id))

    def utterances_in(self, start_sample: int, end_sample: int) -> list[Transcript]:
        """The utterances of a span of time, with their speakers, in order of time."""
        near = [self._said[name] for name in self._said_slots.near(start_sample, end_sample)]
        there = [kept for kept in near if kept.start_sample < end_sample and kept.end_sample > start_sample]
        fused = (self._fused(_unpacked(kept.said)) for kept in there)
        return sorted(fused, key=lambda said: (said.start_sample, said.utterance_id))

    def screen_lines(self) -> list[ScreenLine]:
        """All lines the screen showed, in order of first sighting."""
        return sorted(self._screen.values(), key=lambda line: (line.first_sample, line.line_id))

    def utterance(self, utterance_id: str) -> Transcript | None:
        """One utterance with the speakers that the turns give it."""
        kept = self._said.get(utterance_id)
        return self._fused(_unpacked(kept.said)) if kept is not None else None

    def screen_line(self, line_id: str) -> ScreenLine | None:
        """One line of the screen."""
        return self._screen.get(line_id)

    def shown_at(self, sample: int) -> list[ScreenLine]:
        """The lines of the picture that came at a sample, also those that stood there before, in reading order."""
        seen = [line for line in self._screen.values() if line.first_sample <= sample <= line.last_sample]
        return sorted(seen, key=lambda line: (line.box[1], line.box[0], line.line_id))

    def picture_at(self, sample: int) -> list[ScreenLine]:
        """The lines that stood on the screen at any sample: those of the last picture by then, in reading order."""
        seen = (at for line in self._screen.values() for at in (line.first_sample, line.last_sample) if at <= sample)
        newest = max(seen, default=None)
        return [] if newest is None else self.shown_at(newest)

    def add_name(self, speaker: str, name: str) -> bool:
        """Name a speaker, or take the name back with an empty one; True when that is new."""
        if self.names.get(speaker, "") == name:
            return False
        if not name:
            del self.names[speaker]
            return True
        self.names[speaker] = name
        if len(self.names) > MAX_NAMES:
            self.names.popitem(last=False)
        return True

    def add_transcript(self, said: Transcript) -> Transcript | None:
        """Take a final; returns the fused utterance when it is new or changed."""
        self.last_sample = max(self.last_sample, said.end_sample)
        name = said.utterance_id
        known = self._said.get(name)
        if known is not None:
            if _rank(said) <= _rank(_unpacked(known.said)):
                return None
            self._said_slots.remove(name, known.start_sample, known.end_sample)
        self._said_slots.add(name, said.start_sample, said.end_sample)
        fused = self._take(said)
        if len(self._said) > MAX_UTTERANCES:
            self._forget_utterances()
        return fused

    def add_turn(self, turn: SpeakerTurn) -> list[Transcript]:
        """Take a turn; returns the utterances whose speakers it changed, in order of time."""
        self.last_sample = max(self.last_sample, turn.end_sample)
        known = self._turns.get(turn.turn_id)
        if known == turn or (known is not None and known.is_final and not turn.is_final):
            return []
        touched = self._said_slots.near(turn.start_sample, turn.end_sample)
        if known is not None:
            touched |= self._said_slots.near(known.start_sample, known.end_sample)
            self._turn_slots.remove(turn.turn_id, known.start_sample, known.end_sample)
        self._turns[turn.turn_id] = turn
        self._turn_slots.add(turn.turn_id, turn.start_sample, turn.end_sample)
        if len(self._turns) > MAX_TURNS:
            self._forget_turns()
        changed = [fused for name in touched if (fused := self._take(_unpacked(self._said[name].said))) is not None]
        return sorted(changed, key=lambda said: (said.start_sample, said.utterance_id))

    def add_screen(self, state: ScreenState) -> list[ScreenLine]:
        """Take a state; returns the lines that are new or say something else, in reading order."""
        self.last_sample = max(self.last_sample, state.start_sample)
        changed = []
        for region in state.regions:
            if not region.text.strip():
                continue
            name = region.region_id or f"{region.text}@{','.join(str(round(v)) for v in region.box)}"
            seen = ScreenLine(
                name,
                region.text,
                region.box,
                state.start_sample,
                state.start_sample,
                state.frame_id,
                region.confidence,
            )
            known = self._screen.get(name)
            merged = _merge(known, seen) if known is not None else seen
            self._screen[name] = merged
            if known is None or known.text != merged.text:
                changed.append(merged)
        if len(self._screen) > MAX_SCREEN_LINES:
            self._forget_screen_lines()
        return changed

    def _forget_utterances(self) -> None:
        def age(name: str) -> tuple[int, str]:
            return (self._said[name].end_sample, name)

        for name in heapq.nsmallest(_FORGOTTEN_AT_ONCE, self._said, key=age):
            old = self._said.pop(name)
            self._said_slots.remove(name, old.start_sample, old.end_sample)

    def _forget_turns(self) -> None:
        for old in heapq.nsmallest(_FORGOTTEN_AT_ONCE, self._turns.values(), key=lambda t: (t.end_sample, t.turn_id)):
            self._turn_slots.remove(old.turn_id, old.start_sample, old.end_sample)
            del self._turns[old.turn_id]

    def _forget_screen_lines(self) -> None:
        def age(line: ScreenLine) -> tuple[int, str]:
            return (line.last_sample, line.line_id)

        for old in heapq.nsmallest(_FORGOTTEN_AT_ONCE, self._screen.values(), key=age):
            del self._screen[old.line_id]

    def _take(self, said: Transcript) -> Transcript | None:
        """Keep an utterance; it with its speakers, or None when it is what it was."""
        fused, kept = self._fused(said), self._said.get(said.utterance_id)
        new = _Kept(
            said.start_sample, said.end_sample, _packed(said), hash(tuple(word.speaker for word in fused.words))
        )
        if kept == new:
            return None
        self._said[said.utterance_id] = new
        return fused

    def _fused(self, said: Transcript) -> Transcript:
        near = self._turn_slots.near(said.start_sample, said.end_sample)
        return fuse(said, [self._turns[turn] for turn in near])


def fuse(said: Transcript, turns: Iterable[SpeakerTurn]) -> Transcript:
    """Each word goes to the speaker whose turns cover most of it, else to the nearest within 0.5 s.

    A tie goes to who has more of the whole utterance. Where these turns are not sure of their speaker the word has
    none. Words beside all turns keep what they had, else they go to the utterance's speaker, who is the one with most
    of its speech.
    """
    by_speaker: dict[str, list[SpeakerTurn]] = {}
    for turn in turns:
        by_speaker.setdefault(turn.speaker, []).append(turn)
    share = {
        speaker: sum(_overlap(said.start_sample, said.end_sample, turn) for turn in theirs)
        for speaker, theirs in by_speaker.items()
    }
    # the most of the utterance first; the name last, so that a tie has one outcome
    order = sorted(by_speaker, key=lambda speaker: (-share[speaker], speaker))
    found = [_speaker_of(word, order, by_speaker) for word in said.words]
    words = [w if f is None else replace(w, speaker=f) for w, f in zip(said.words, found, strict=True)]
    majority = _majority(words)
    for index, speaker in enumerate(found):
        if speaker is None and not words[index].speaker:
            words[index] = replace(words[index], speaker=majority)
    return replace(said, words=tuple(words), speaker=majority or ("" if words else said.speaker))


def _speaker_of(word: Word, order: list[str], turns: dict[str, list[SpeakerTurn]]) -> str | None:
    """Who says a word: None beside all turns, "" where nobody can tell."""
    # a word without length still has a place
    start, end = word.start_sample, max(word.end_sample, word.start_sample + 1)
    best, most = None, 0
    nearest, gap = None, NEAREST_TURN_SAMPLES + 1
    for speaker in order:
        covered = sum(_overlap(start, end, turn) for turn in turns[speaker])
        if covered > most:
            best, most = speaker, covered
        away = min(_gap(start, end, turn) for turn in turns[speaker])
        if away < gap:
            nearest, gap = speaker, away
    found = best or nearest
    if found is None:
        return None
    # the words of a turn are as sure as the surest of this speaker's turns that is closest
    closest = min(_gap(start, end, turn) for turn in turns[found])
    theirs = [turn.confidence for turn in turns[found] if _gap(start, end, turn) == closest]
    return found if any(sure is None or sure >= MIN_TURN_CONFIDENCE for sure in theirs) else ""


def _gap(start: int, end: int, turn: SpeakerTurn) -> int:
    return max(turn.start_sample - end, start - turn.end_sample, 0)


def _overlap(start: int, end: int, turn: SpeakerTurn) -> int:
    return max(0, min(end, turn.end_sample) - max(start, turn.start_sample))


def _majority(words: Iterable[Word]) -> str:
    spoken: dict[str, int] = {}
    for word in words:
        if word.speaker:
            length = max(1, word.end_sample - word.start_sample)
            spoken[word.speaker] = spoken.get(word.speaker, 0) + length
    return min(spoken, key=lambda speaker: (-spoken[speaker], speaker), default="")


def _rank(said: Transcript) -> tuple[int, int, int, tuple[tuple[str, int, int], ...]]:
    """Which of two versions stands; speakers do not count, they are found here."""
    words = tuple((word.text, word.start_sample, word.end_sample) for word in said.words)
    return (said.revision, said.end_sample, len(words), words)


def _merge(a: ScreenLine, b: ScreenLine) -> ScreenLine:
    """Two sightings of one line: the later text and place, the span of both."""

    def later(line: ScreenLine) -> tuple[int, float, str, BoxXyxy]:
        return (line.last_sample, line.confidence or 0.0, line.text, line.box)

    newest, first = max(a, b, key=later), min(a, b, key=lambda line: (line.first_sample, line.frame_id))
    return replace(
        newest,
        first_sample=first.first_sample,
        frame_id=first.frame_id,
        last_sample=max(a.last_sample, b.last_sample),
    )
