"""A session as a document: its durable events folded into who said what, and what the screen showed.

Pure: no clock, no I/O. Positions are samples at 16 000 Hz on the media clock, spans half-open.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from protos.decoder.v1 import decoder_pb2
from protos.session.v1 import session_pb2
from services.runtime import wire
from services.runtime.percept import SAMPLE_RATE, BoxXyxy, ScreenState, SpeakerTurn, TextRegion, Transcript, Word

# What is on the screen for a shorter time is a transition, not something that was shown.
MIN_SCREEN_SAMPLES = 3 * SAMPLE_RATE // 10
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Segment:
    """What one person said in one go. `speaker` is a name or a session-local id; "" means not known."""

    utterance_id: str
    start_sample: int
    end_sample: int
    speaker: str
    words: tuple[Word, ...]
    language: str
    confidence: float | None

    @property
    def text(self) -> str:
        """The words joined as the language does it."""
        return Transcript(
            self.utterance_id, True, self.start_sample, self.end_sample, self.words, language=self.language
        ).text


@dataclass(frozen=True, slots=True)
class Screen:
    """What the screen showed for a while; boxes are pixels of a frame of `width_px` x `height_px`."""

    start_sample: int
    end_sample: int
    width_px: int
    height_px: int
    frame_id: str
    regions: tuple[TextRegion, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """The texts that say something, in reading order."""
        return tuple(region.text for region in self.regions if region.text)


@dataclass(frozen=True, slots=True)
class Slide:
    """How long the screen showed one slide, document or page; its text may have grown or scrolled meanwhile."""

    slide_id: str
    start_sample: int
    end_sample: int


@dataclass(frozen=True, slots=True)
class ScreenEvent:
    """What happened to lines of text at a moment; `kind` is "appeared", "changed", "scrolled" or "gone".

    `texts`: what they say now, or said last. Scrolled lines moved by `dx_px` to the right and `dy_px` down.
    """

    at_sample: int
    kind: str
    texts: tuple[str, ...]
    box: BoxXyxy
    dx_px: int
    dy_px: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """One line that an answer stands on; `kind` is "speech" or "screen"."""

    kind: str
    text: str
    speaker: str
    start_sample: int
    end_sample: int
    box: BoxXyxy | None
    frame_id: str
    source_id: str
    score: float


@dataclass(frozen=True, slots=True)
class Answer:
    """A question and what was answered."""

    question_id: str
    question: str
    text: str
    abstained: bool
    confidence: float | None
    evidence: tuple[Evidence, ...]
    tier: str


@dataclass(frozen=True, slots=True)
class Missing:
    """A stretch that `expert` was away for: what it would have told of it is missing, or is not whole."""

    expert: str
    start_sample: int
    end_sample: int


@dataclass(frozen=True, slots=True)
class Document:
    """All that is known of one session. Lists are in order of time; `language` is that of most words."""

    session_id: str = ""
    title: str = ""
    language: str = ""
    end_sample: int = 0
    segments: tuple[Segment, ...] = ()
    screens: tuple[Screen, ...] = ()
    turns: tuple[SpeakerTurn, ...] = ()
    answers: tuple[Answer, ...] = ()
    slides: tuple[Slide, ...] = ()
    screen_events: tuple[ScreenEvent, ...] = ()
    missing: tuple[Missing, ...] = ()

    @property
    def speakers(self) -> tuple[str, ...]:
        """Everybody who spoke, in order of first appearance."""
        return tuple(dict.fromkeys(segment.speaker for segment in self.segments if segment.speaker))


def fold(events: Iterable[session_pb2.Event], *, session_id: str = "", title: str = "") -> Document:
    """Build the document of a session from its events in order of arrival; ephemeral ones are ignored.

    Later finals of an utterance, turn or screen replace earlier ones; one without words retracts it.
    """
    utterances: dict[str, Transcript] = {}
    turns: dict[str, SpeakerTurn] = {}
    screens: dict[int, ScreenState] = {}
    screen_events: list[ScreenEvent] = []
    texts: dict[str, str] = {}
    answers: dict[str, Answer] = {}
    names: dict[str, str] = {}
    end_sample = 0
    missing: tuple[Missing, ...] = ()
    for event in events:
        match event.WhichOneof("event"):
            case "utterance":
                # The newest event counts, not the highest revision: the gateway keeps them in the right order.
                utterances[event.utterance.utterance_id] = wire.transcript_from_proto(event.utterance)
            case "turn" if event.turn.is_final:
                turns[event.turn.turn_id] = wire.turn_from_proto(event.turn)
            case "screen" if not event.screen.is_partial:
                state = wire.screen_from_proto(event.screen)
                screens[state.start_sample] = state
                texts |= {region.region_id: plain(region.text) for region in state.regions}
                screen_events += _screen_events(state, texts)
            case "answer" if event.answer.part.WhichOneof("part") == "answer":
                answers[event.answer.question_id or f"#{event.seq}"] = _answer(event.answer)
            case "speaker_name":
                names[event.speaker_name.speaker] = event.speaker_name.name
            case "ended":
                end_sample = event.ended.end_sample
                missing = tuple(Missing(m.expert, m.start_sample, m.end_sample) for m in event.ended.missing)
    said = [transcript for transcript in utterances.values() if transcript.words]
    heard = [turn for turn in turns.values() if turn.end_sample > turn.start_sample]
    end_sample = max([end_sample, *(t.end_sample for t in said), *(t.end_sample for t in heard), *screens])

    def named(speaker: str) -> str:
        return plain(names.get(speaker) or speaker)

    segments = [segment for transcript in said for segment in segments_of(transcript, named)]
    return Document(
        session_id=session_id,
        title=plain(title),
        language=_majority(said),
        end_sample=end_sample,
        segments=tuple(sorted(segments, key=lambda s: (s.start_sample, s.end_sample))),
        screens=_screens([screens[start] for start in sorted(screens)], end_sample),
        turns=tuple(
            sorted(
                (replace(turn, speaker=named(turn.speaker)) for turn in heard),
                key=lambda t: (t.start_sample, t.end_sample, t.speaker),
            )
        ),
        answers=tuple(_with_names(answer, names) for answer in answers.values()),
        slides=_slides([screens[start] for start in sorted(screens)], end_sample),
        screen_events=tuple(screen_events),
        missing=missing,
    )


def plain(text: str) -> str:
    """The text in one line without control characters: it may end up on somebody's terminal."""
    return " ".join(_CONTROL.sub(" ", text).split())


def segments_of(transcript: Transcript, named: Callable[[str], str]) -> list[Segment]:
    """Cut one utterance where its speaker changes; its speaker has the words when none names its own.

    `named` tells a speaker's name; speakers of one name are one person.
    """
    words = _in_order(transcript)
    # Among words that name a speaker, one that does not is nobody's: who said it cannot be told.
    otherwise = "" if any(word.speaker for word in words) else transcript.speaker
    runs = [(speaker, tuple(run)) for speaker, run in groupby(words, key=lambda word: named(word.speaker or otherwise))]
    return [
        Segment(
            utterance_id=transcript.utterance_id,
            start_sample=run[0].start_sample,
            end_sample=max(word.end_sample for word in run),
            speaker=speaker,
            words=run,
            language=transcript.language,
            confidence=transcript.confidence if len(runs) == 1 else _mean(run),
        )
        for speaker, run in runs
    ]


def _in_order(transcript: Transcript) -> list[Word]:
    """The words with whitespace mended and times that never go back."""
    words: list[Word] = []
    at = 0
    for word in transcript.words:
        text = plain(word.text)
        if text:
            at = max(at, word.start_sample)
            words.append(replace(word, text=text, start_sample=at, end_sample=max(at, word.end_sample)))
    return words


def _mean(words: Sequence[Word]) -> float | None:
    known = [word.confidence for word in words if word.confidence is not None]
    return sum(known) / len(known) if known else None


def _majority(transcripts: Iterable[Transcript]) -> str:
    words: Counter[str] = Counter()
    for transcript in transcripts:
        words[transcript.language] += len(transcript.words)
    words.pop("", None)
    return max(words, key=lambda language: words[language], default="")


def _screens(states: Sequence[ScreenState], end_sample: int) -> tuple[Screen, ...]:
    ends = [*(state.start_sample for state in states), end_sample][1:]
    shown: list[Screen] = []
    pending = None  # start of transitions before the first lasting screen
    for state, end in zip(states, ends, strict=True):
        screen = Screen(
            state.start_sample, end, state.width_px, state.height_px, state.frame_id, tuple(_clean(state.regions))
        )
        if shown and (end - state.start_sample < MIN_SCREEN_SAMPLES or shown[-1].lines == screen.lines):
            shown[-1] = replace(shown[-1], end_sample=end)
        elif end - state.start_sample < MIN_SCREEN_SAMPLES and len(states) > 1:
            pending = state.start_sample if pending is None else pending
        else:
            shown.append(screen if pending is None else replace(screen, start_sample=pending))
            pending = None
    return tuple(shown)


def _slides(states: Sequence[ScreenState], end_sample: int) -> tuple[Slide, ...]:
    named = [state for state in states if state.slide_id]
    starts = [(name, next(run).start_sample) for name, run in groupby(named, key=lambda state: state.slide_id)]
    ends = [*(start for _, start in starts), end_sample][1:]
    return tuple(Slide(name, start, end) for (name, start), end in zip(starts, ends, strict=True))


def _screen_events(state: ScreenState, texts: Mapping[str, str]) -> Iterable[ScreenEvent]:
    for change in state.changes:
        said = tuple(texts[name] for name in change.region_ids if texts.get(name))
        yield ScreenEvent(state.start_sample, change.kind.value, said, change.box, change.dx_px, change.dy_px)


def _clean(regions: Iterable[TextRegion]) -> Iterable[TextRegion]:
    return (replace(region, text=plain(region.text)) for region in regions)


def _answer(part: session_pb2.AnswerPart) -> Answer:
    answer = part.part.answer
    return Answer(
        question_id=part.question_id,
        question=plain(part.question),
        text=plain(answer.text),
        abstained=answer.abstained,
        confidence=answer.confidence if answer.HasField("confidence") else None,
        evidence=tuple(evidence_from_proto(item) for item in answer.evidence),
        tier=answer.tier,
    )


def evidence_from_proto(message: decoder_pb2.Evidence) -> Evidence:
    """Message to dataclass."""
    return Evidence(
        message.kind,
        plain(message.text),
        message.speaker,
        message.start_sample,
        message.end_sample,
        wire.box_from_proto(message.box) if message.HasField("box") else None,
        message.frame_id,
        message.source_id,
        message.score,
    )


def _with_names(answer: Answer, names: dict[str, str]) -> Answer:
    evidence = tuple(replace(item, speaker=names.get(item.speaker) or item.speaker) for item in answer.evidence)
    return replace(answer, evidence=evidence)
