"""What experts emit, as plain values; `wire.py` turns them into protobuf and back.

Positions are samples at 16 000 Hz on the session's media clock, spans half-open. Boxes are
xyxy float pixels of the original frame. Confidences lie in [0, 1]; None means not known.
"""

from dataclasses import dataclass, field
from enum import Enum

SAMPLE_RATE = 16_000

BoxXyxy = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Correction:
    """A listed phrase took the place of what was `heard`; its further words have `heard` empty.

    `source_id`, `box` and `frame_id`: where on the screen the phrase was read; empty for one that a caller listed.
    """

    heard: str
    source_id: str = ""
    box: BoxXyxy | None = None
    frame_id: str = ""


@dataclass(frozen=True, slots=True)
class Word:
    """One spoken word, as written with its punctuation."""

    text: str
    start_sample: int
    end_sample: int
    confidence: float | None = None
    speaker: str = ""
    correction: Correction | None = None


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was said between two pauses; the same `utterance_id` again replaces it.

    The first `stable_words` words of a partial are never taken back by a later partial.
    """

    utterance_id: str
    is_final: bool
    start_sample: int
    end_sample: int
    words: tuple[Word, ...]
    stable_words: int = 0
    language: str = ""
    confidence: float | None = None
    revision: int = 0
    speaker: str = ""

    @property
    def text(self) -> str:
        """The words joined."""
        joint = "" if self.language[:2] in ("zh", "ja", "th") else " "
        return joint.join(word.text for word in self.words)


class SpeechEvent(Enum):
    """What happened to the speech of a stream."""

    START_OF_SPEECH = "start_of_speech"
    END_OF_SPEECH = "end_of_speech"
    # It ended, and what a recogniser wrote for it was a loop, a guess or nothing.
    SUPPRESSED = "suppressed"


@dataclass(frozen=True, slots=True)
class SpeechActivity:
    """Somebody began or stopped to speak at `sample`; partials and the final of `utterance_id` lie between."""

    event: SpeechEvent
    sample: int
    utterance_id: str


@dataclass(frozen=True, slots=True)
class SpeakerTurn:
    """One stretch in which one person speaks; the same `turn_id` again replaces it."""

    turn_id: str
    speaker: str
    start_sample: int
    end_sample: int
    confidence: float | None = None
    is_final: bool = True


@dataclass(frozen=True, slots=True)
class SpeakerVoice:
    """How one person of a session sounds, over all `speech_s` seconds heard so far.

    `embedding` is a unit vector; only those of one `space_id` (model, version, weights, features) compare.
    """

    speaker: str
    speech_s: float
    embedding: tuple[float, ...]
    space_id: str


@dataclass(frozen=True, slots=True)
class TextRegion:
    """One line of text; `region_id` is stable while the line stays on the screen."""

    region_id: str
    text: str
    box: BoxXyxy
    confidence: float | None = None
    script: str = ""
    kind: str = "text"


@dataclass(frozen=True, slots=True)
class UiElement:
    """One control of a graphical user interface; `element_id` is stable while it stays where it is.

    `states`: those of "checked", "selected", "disabled", "focused" that are seen.
    """

    element_id: str
    class_name: str
    box: BoxXyxy
    confidence: float | None = None
    text: str = ""
    states: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DetectedObject:
    """One thing of the 80 COCO classes; `class_id` 0 to 79; `object_id` stays from picture to picture."""

    class_name: str
    class_id: int
    box: BoxXyxy
    confidence: float | None = None
    object_id: str = ""


class ScreenChangeKind(Enum):
    """What happened to lines of text on the screen."""

    APPEARED = "appeared"
    CHANGED = "changed"
    SCROLLED = "scrolled"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class ScreenChange:
    """What happened to these lines since the state before; `box` lies around them, or where they were.

    SCROLLED lines moved by `dx_px` to the right and `dy_px` down.
    """

    kind: ScreenChangeKind
    region_ids: tuple[str, ...]
    box: BoxXyxy
    dx_px: int = 0
    dy_px: int = 0


class Coverage(Enum):
    """What the answer to a query is worth: things found, none there, or nobody who could tell."""

    FOUND = "found"
    NOT_FOUND = "not_found"
    NOT_COVERED = "not_covered"


@dataclass(frozen=True, slots=True)
class QueryMatch:
    """One place that answers a query; `score` is the probability that it is what was asked for.

    `source` is "text", "element", "icon", "object" or, of a detector that the user brought, "detector"; `name` is the
    line, the element's class and text, the object's class, or what was asked for.
    """

    box: BoxXyxy
    score: float
    source: str
    name: str


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """What was found for one query, surest first; `reason` says why nothing can tell, and is empty otherwise.

    `tasks` are those that looked for it.
    """

    query: str
    coverage: Coverage
    matches: tuple[QueryMatch, ...] = ()
    reason: str = ""
    tasks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ScreenState:
    """All that the screen shows from `start_sample` on. `unavailable`: task -> why it has no result.

    `changes`: how it came about since the state before; none for corrected readings. `slide_id` stays while
    most of the text stays, scrolls or grows. `answers`: one for each query of the stream. `outlined`: places that a
    line of bright colour goes around, largest first. Of a partial one, `regions` are those read so far, and nothing
    else is known yet; the next state has all of the same picture.
    """

    start_sample: int
    width_px: int
    height_px: int
    frame_id: str = ""
    regions: tuple[TextRegion, ...] = ()
    elements: tuple[UiElement, ...] = ()
    objects: tuple[DetectedObject, ...] = ()
    unavailable: dict[str, str] = field(default_factory=dict)
    changes: tuple[ScreenChange, ...] = ()
    slide_id: str = ""
    answers: tuple[QueryAnswer, ...] = ()
    outlined: tuple[BoxXyxy, ...] = ()
    is_partial: bool = False


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A stage made anew with this `state`, fed from `resume_sample` on, goes on as if nothing had happened.

    No final result after a checkpoint covers media before `resume_sample`. Those of media after it that came earlier
    come again in a replay, the same under the same names: so it loses nothing, and doubles nothing for who keeps the
    newest of each name.
    """

    resume_sample: int
    state: bytes = b""


@dataclass(frozen=True, slots=True)
class TokenSpan:
    """What an adapter made of one utterance ("speech") or one place of the screen ("screen"): `source_id` names it.

    `values` are rows of `dimension` little-endian float16 in the space of `space_id`.
    """

    modality: str
    source_id: str
    start_sample: int
    end_sample: int
    space_id: str
    dimension: int
    values: bytes
    box: BoxXyxy | None = None
    frame_id: str = ""

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.values) // (2 * self.dimension)


@dataclass(frozen=True, slots=True)
class UnreadableFrame:
    """A picture that could not be decoded and was left out; `why` is a sentence for people."""

    frame_id: str
    start_sample: int
    why: str


Percept = (
    Transcript | SpeechActivity | SpeakerTurn | SpeakerVoice | ScreenState | Checkpoint | TokenSpan | UnreadableFrame
)
