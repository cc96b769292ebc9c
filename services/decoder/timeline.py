"""What was said by whom and what the screen showed, on one media clock. Pure: no clock, no I/O.

The timeline is the same whatever the order in which different utterances, turns and screens
arrive; a repeated percept changes nothing. An utterance with a higher revision replaces a lower
one; a turn is replaced by the next one of the same id, a final one only by a final one.

Memory for a day: at most MAX_UTTERANCES, MAX_TURNS and MAX_SCREEN_LINES are kept and the oldest
go first. All of them lie packed in a file (services/decoder/kept.py); a line on the screen is kept
once with its first and last sighting, however often it was seen.
"""

import marshal
import sys
from array import array
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from protos.media.v1 import media_pb2
from services.decoder.kept import File, Records, oldest, put
from services.runtime import wire
from services.runtime.percept import SAMPLE_RATE, BoxXyxy, ScreenState, SpeakerTurn, Transcript, Word

Int = NDArray[np.int64]
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


def _packed(said: Transcript) -> bytes:
    return wire.transcript_to_proto(said).SerializeToString()


def _unpacked(packed: bytes) -> Transcript:
    return wire.transcript_from_proto(media_pb2.Transcript.FromString(packed))


class _Spans:
    """Rows by the slots of time that their spans touch."""

    def __init__(self) -> None:
        self._first, self._last = array("q"), array("q")

    def put(self, row: int, start: int, end: int) -> None:
        slots = _slots(start, end)
        put(self._first, row, slots[0])
        put(self._last, row, slots[-1])

    def remove(self, row: int) -> None:
        # near no span
        self._first[row], self._last[row] = 0, -sys.maxsize

    def near(self, start: int, end: int) -> set[int]:
        # one more: a gap of exactly NEAREST_TURN_SAMPLES still counts, seen from either side
        slots = _slots(start - NEAREST_TURN_SAMPLES - 1, end + NEAREST_TURN_SAMPLES + 1)
        touched = (np.asarray(self._first) <= slots[-1]) & (np.asarray(self._last) >= slots[0])
        return set(np.flatnonzero(touched).tolist())


def _slots(start: int, end: int) -> range:
    return range(start // _SLOT_SAMPLES, max(start, end - 1) // _SLOT_SAMPLES + 1)


class Timeline:
    """Everything final of one session."""

    def __init__(self) -> None:
        self.names: OrderedDict[str, str] = OrderedDict()
        # how far the media is known to have come, by any percept, also a superseded one
        self.last_sample = 0
        file = File()
        # By id; of every row of what was said its end, and what tells whether its words have the speakers they had.
        self._said, self._said_spans = Records(file), _Spans()
        self._said_ends, self._said_by = array("q"), array("q")
        self._turns, self._turn_spans, self._turn_ends = Records(file), _Spans(), array("q")
        self._screen, self._first_seen, self._last_seen = Records(file), array("q"), array("q")

    def utterances(self) -> list[Transcript]:
        """All utterances with the speakers that the turns give them, in order of time."""
        return self._in_order(self._said)

    def utterances_in(self, start_sample: int, end_sample: int) -> list[Transcript]:
        """The utterances of a span of time, with their speakers, in order of time."""
        near = self._in_order(self._said_spans.near(start_sample, end_sample))
        return [said for said in near if said.start_sample < end_sample and said.end_sample > start_sample]

    def _in_order(self, rows: Iterable[int]) -> list[Transcript]:
        fused = (self._fused(_unpacked(self._said.get(row))) for row in rows)
        return sorted(fused, key=lambda said: (said.start_sample, said.utterance_id))

    def screen_lines(self) -> list[ScreenLine]:
        """All lines the screen showed, in order of first sighting."""
        return self._by_sighting(self._screen)

    def shown_in(self, start_sample: int, end_sample: int) -> list[ScreenLine]:
        """The lines that came after a sample, until another, in order of first sighting."""
        rows, first, _ = self._sightings()
        return self._by_sighting(rows[(first > start_sample) & (first <= end_sample)].tolist())

    def _by_sighting(self, rows: Iterable[int]) -> list[ScreenLine]:
        return sorted(map(self._screen_line, rows), key=lambda line: (line.first_sample, line.line_id))

    def utterance(self, utterance_id: str) -> Transcript | None:
        """One utterance with the speakers that the turns give it."""
        row = self._said.row(utterance_id)
        return self._fused(_unpacked(self._said.get(row))) if row is not None else None

    def screen_line(self, line_id: str) -> ScreenLine | None:
        """One line of the screen."""
        row = self._screen.row(line_id)
        return self._screen_line(row) if row is not None else None

    def shown_at(self, sample: int) -> list[ScreenLine]:
        """The lines of the picture that came at a sample, also those that stood there before, in reading order."""
        rows, first, last = self._sightings()
        seen = map(self._screen_line, rows[(first <= sample) & (sample <= last)].tolist())
        return sorted(seen, key=lambda line: (line.box[1], line.box[0], line.line_id))

    def picture_at(self, sample: int) -> list[ScreenLine]:
        """The lines that stood on the screen at any sample: those of the last picture by then, in reading order."""
        seen = np.concatenate(self._sightings()[1:])
        seen = seen[seen <= sample]
        return self.shown_at(int(seen.max())) if len(seen) else []

    def _sightings(self) -> tuple[Int, Int, Int]:
        """The rows of all lines of the screen, and their first and last samples."""
        rows = self._screen.taken()
        return rows, np.asarray(self._first_seen)[rows], np.asarray(self._last_seen)[rows]

    def _screen_line(self, row: int) -> ScreenLine:
        line_id, rest = self._screen.item(row)
        return ScreenLine(line_id, *marshal.loads(rest))

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
        row = self._said.row(said.utterance_id)
        if row is not None and _rank(said) <= _rank(_unpacked(self._said.get(row))):
            return None
        fused = self._take(said)
        if len(self._said) > MAX_UTTERANCES:
            self._forget_utterances()
        return fused

    def add_turn(self, turn: SpeakerTurn) -> list[Transcript]:
        """Take a turn; returns the utterances whose speakers it changed, in order of time."""
        self.last_sample = max(self.last_sample, turn.end_sample)
        row = self._turns.row(turn.turn_id)
        known = self._turn(row) if row is not None else None
        if known == turn or (known is not None and known.is_final and not turn.is_final):
            return []
        touched = self._said_spans.near(turn.start_sample, turn.end_sample)
        if known is not None:
            touched |= self._said_spans.near(known.start_sample, known.end_sample)
        row = self._turns.put(turn.turn_id, _fields(turn))
        self._turn_spans.put(row, turn.start_sample, turn.end_sample)
        put(self._turn_ends, row, turn.end_sample)
        if len(self._turns) > MAX_TURNS:
            self._forget_turns()
        changed = [fused for row in touched if (fused := self._take(_unpacked(self._said.get(row)))) is not None]
        return sorted(changed, key=lambda said: (said.start_sample, said.utterance_id))

    def _turn(self, row: int) -> SpeakerTurn:
        turn_id, rest = self._turns.item(row)
        return SpeakerTurn(turn_id, *marshal.loads(rest))

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
            known = self.screen_line(name)
            merged = _merge(known, seen) if known is not None else seen
            row = self._screen.put(name, _fields(merged))
            put(self._first_seen, row, merged.first_sample)
            put(self._last_seen, row, merged.last_sample)
            if known is None or known.text != merged.text:
                changed.append(merged)
        if len(self._screen) > MAX_SCREEN_LINES:
            self._forget_screen_lines()
        return changed

    def _forget_utterances(self) -> None:
        rows = self._said.taken()
        for row, name in oldest(rows, np.asarray(self._said_ends)[rows], _FORGOTTEN_AT_ONCE, self._said.name):
            self._said.remove(name)
            self._said_spans.remove(row)

    def _forget_turns(self) -> None:
        rows = self._turns.taken()
        for row, name in oldest(rows, np.asarray(self._turn_ends)[rows], _FORGOTTEN_AT_ONCE, self._turns.name):
            self._turns.remove(name)
            self._turn_spans.remove(row)

    def _forget_screen_lines(self) -> None:
        rows, _, last = self._sightings()
        for _, name in oldest(rows, last, _FORGOTTEN_AT_ONCE, self._screen.name):
            self._screen.remove(name)

    def _take(self, said: Transcript) -> Transcript | None:
        """Keep an utterance; it with its speakers, or None when it is what it was."""
        fused, packed = self._fused(said), _packed(said)
        speakers, row = hash(tuple(word.speaker for word in fused.words)), self._said.row(said.utterance_id)
        if row is not None and self._said_by[row] == speakers and self._said.get(row) == packed:
            return None
        row = self._said.put(said.utterance_id, packed)
        self._said_spans.put(row, said.start_sample, said.end_sample)
        put(self._said_ends, row, said.end_sample)
        put(self._said_by, row, speakers)
        return fused

    def _fused(self, said: Transcript) -> Transcript:
        return fuse(said, map(self._turn, self._turn_spans.near(said.start_sample, said.end_sample)))


def _fields(item: SpeakerTurn | ScreenLine) -> bytes:
    """All fields but the first, which is the id."""
    return marshal.dumps([getattr(item, field) for field in item.__slots__[1:]])


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
