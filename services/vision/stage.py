"""Pictures of a screen in, what the screen shows out."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from itertools import compress
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from services.runtime.percept import (
    BoxXyxy,
    Checkpoint,
    Coverage,
    DetectedObject,
    Percept,
    QueryAnswer,
    QueryMatch,
    ScreenState,
    TextRegion,
    UiElement,
)
from services.runtime.queries import parse_queries
from services.runtime.stage import Frame, MediaError, StageConfig
from services.vision.adapter import VisionAdapter
from services.vision.change import Change, ReferenceFrame
from services.vision.control_states import ControlStates
from services.vision.gui import GuiDetector
from services.vision.objects import ObjectDetector
from services.vision.ocr import SMALL, TINY, TextLine, are_shown
from services.vision.open_vocabulary import OpenVocabulary, Wish, tasks_of
from services.vision.outlines import outlined
from services.vision.screen_changes import JITTER_PX, changes_between, is_same_slide
from services.vision.screen_elements import ScreenElements
from services.vision.screen_text import ScreenLine, ScreenText
from services.vision.text_detection import TextBox, TextDetector
from services.vision.text_recognition import LineReader
from services.vision.tracking import ObjectTracks, Track

TASKS = ("ocr", "gui", "objects")
# fast: the live recogniser alone; accurate: every line is read again by the larger one while the
# screen rests and when the stream ends.
QUALITIES = ("fast", "accurate")
OPTIONS = ("quality", "queries", "embeddings")
# Lines read again at a time: so long a new picture may wait (a line over the whole screen takes 50 to 100 ms).
_LINES_PER_REST = 1
_OBJECT_JITTER_PX = 4


class Models(Protocol):
    """Where a stage gets its models from; each is opened when it is first asked for."""

    def detector(self) -> TextDetector:
        """Finds lines."""

    def recognizer(self, model: str) -> LineReader:
        """Reads lines."""

    def objects(self) -> ObjectDetector:
        """Finds things."""

    def gui(self) -> GuiDetector:
        """Finds controls."""

    def control_states(self) -> ControlStates:
        """Tells which of them are disabled and which is focused."""

    def vocabulary(self) -> OpenVocabulary:
        """Finds what queries ask for among the rest."""

    def wishes(self, queries: Sequence[str]) -> tuple[Wish, ...]:
        """Understands queries. Raises MediaError."""


class VisionStage:
    """State of one stream of pictures: what was read, and of which pixels.

    A state comes whenever what the screen shows is another than before, and a checkpoint after it. The
    checkpoint's state holds the lines, not the pixels: a stage made with it takes the first picture, if
    it is the very one of the checkpoint, for read.
    """

    def __init__(
        self,
        models: Models,
        tasks: Sequence[str],
        quality: str,
        config: StageConfig,
        wishes: Sequence[Wish] = (),
        adapter: VisionAdapter | None = None,
    ) -> None:
        """`tasks` run whatever `wishes` ask for; an `adapter` tells what controls without words look like.

        Raises MediaError for a resume state that is not ours.
        """
        self.tasks: tuple[str, ...] = ()
        self._models = models
        self._own_tasks = tuple(tasks)
        self._is_accurate = quality == "accurate"
        self._wishes: tuple[Wish, ...] = ()
        self._is_asked_anew = False
        self._adapter = adapter
        # Detectors that have not seen the picture shown.
        self._blind: set[str] = set()
        self._reference = ReferenceFrame()
        self._text = ScreenText()
        self._elements = ScreenElements()
        self._objects: tuple[DetectedObject, ...] = ()
        self._outlined: tuple[BoxXyxy, ...] = ()
        self._tracks = ObjectTracks()
        self._frame: Frame | None = None
        self._shown: ScreenState | None = None
        # What changes are told against: the state shown, with what a rest bettered in it since.
        self._told: ScreenState | None = None
        self._is_still = False
        self._slides = 0
        self._resumed: int | None = None
        if config.resume_state:
            self._resume(config.resume_state)
        self._ask(wishes)

    def update(self, options: Mapping[str, str]) -> None:
        """Find other things from the next picture on, also if it is the same. Raises MediaError."""
        if fixed := sorted(set(options) - {"queries"}):
            raise MediaError(f"option {fixed[0]!r} cannot change in the middle of a stream; of vision's queries can")
        if (queries := options.get("queries")) is not None:
            self._ask(self._models.wishes(parse_queries(queries)))

    def _ask(self, wishes: Sequence[Wish]) -> None:
        """Take wishes, and run the tasks that they need beside the stream's own."""
        self._wishes = tuple(wishes)
        asked = [] if self._shown is None else [answer.query for answer in self._shown.answers]
        self._is_asked_anew = asked != [wish.query for wish in wishes]
        before, self.tasks = self.tasks, tuple(dict.fromkeys((*self._own_tasks, *tasks_of(wishes)))) or ("ocr",)
        self._blind = (self._blind | set(self.tasks) - set(before)) & set(self.tasks)
        if "objects" not in self.tasks:
            self._objects = ()
            self._tracks = ObjectTracks((), self._tracks.next_number)
        if "gui" not in self.tasks:
            self._elements = ScreenElements((), self._elements.next_number)
        if "ocr" not in self.tasks:
            self._text = ScreenText((), self._text.next_number)
            self._outlined = ()
        elif "ocr" in self._blind:
            self._reference = ReferenceFrame()

    def push_audio(self, samples: NDArray[np.float32]) -> Sequence[Percept]:
        """Refused: raises MediaError."""
        raise MediaError("vision takes frames, not audio: send frames")

    def push_frame(self, frame: Frame) -> Sequence[Percept]:
        """Take the next picture: a state and a checkpoint when something is new, else nothing."""
        *_, said = self._push(frame, in_pieces=False)
        return said

    def push_frame_in_pieces(self, frame: Frame) -> Iterator[Sequence[Percept]]:
        """The same; before it partial states with the lines read so far, where there are many to read."""
        return self._push(frame, in_pieces=True)

    def _push(self, frame: Frame, *, in_pieces: bool) -> Iterator[Sequence[Percept]]:
        resumed, self._resumed = self._resumed, None
        self._frame = frame
        change = self._reference.compare(frame.pixels)
        is_known = resumed == frame.start_sample and self._has_shown_size(frame) and "ocr" not in self._blind
        if is_known and not self._is_asked_anew:
            self._is_still = True
            yield []
        elif change is not None and not is_known:
            if in_pieces and "ocr" in self.tasks and (first := self._first(frame, change)):
                yield first
            for _ in self._read(frame, change):
                yield self._so_far(frame, self._text.lines)
            self._is_still = self._text.is_still
            yield self._news(frame, is_changed=True)
        else:
            self._is_still = True
            self._detect(frame, self._blind)
            yield self._news(frame, is_changed=False)

    @property
    def is_still(self) -> bool:
        """True when nothing had to be read of the last picture: it shows what one before it showed."""
        return self._is_still

    def rest(self, *, is_long: bool) -> Sequence[Percept] | None:
        """Look at the whole picture again or read a line accurately; what that says anew comes when all is done."""
        if self._frame is None or "ocr" not in self.tasks:
            return None
        pixels = self._frame.pixels
        if (
            is_long and (self._text.unchecked_px or self._text.compare_once(pixels))
        ) or self._text.unchecked_px >= pixels.shape[0] * pixels.shape[1]:
            self._check(pixels)
        elif self._reads_again and not self._text.is_accurate:
            self._text.read_again(pixels, self._accurate, _LINES_PER_REST)
        else:
            return None
        self._told = self._kept()
        if self._reads_again and not self._text.is_accurate:
            return []
        # Boxes that are a little better are no news, but what is read next begins with them.
        return self._news(self._frame, is_changed=False) or [self._checkpoint(self._frame)]

    def flush(self) -> Sequence[Percept]:
        """End of media: the last picture looked at as a whole and read accurately, if that says anything new."""
        if self._frame is None:
            return []
        if self._text.unchecked_px or self._text.compare_once(self._frame.pixels):
            self._check(self._frame.pixels)
        if self._reads_again:
            self._text.read_again(self._frame.pixels, self._accurate)
        return self._news(self._frame, is_changed=False)

    def _check(self, pixels: NDArray[np.uint8]) -> None:
        self._text.check(pixels, self._models.detector(), self._models.recognizer(TINY))

    def _kept(self) -> ScreenState | None:
        """The last state, with the lines as they are kept now."""
        return self._shown and replace(self._shown, regions=tuple(map(_region, _shown(self._text.lines))))

    @property
    def _reads_again(self) -> bool:
        return self._is_accurate and "ocr" in self.tasks

    def _has_shown_size(self, frame: Frame) -> bool:
        shown = self._shown
        return shown is not None and (shown.height_px, shown.width_px) == frame.pixels.shape[:2]

    def _accurate(self) -> LineReader:
        return self._models.recognizer(SMALL)

    def _read(self, frame: Frame, change: Change) -> Iterator[None]:
        """Look at what changed, at its text first; at each step more of that is known."""
        if "ocr" in self.tasks:
            reading = self._text.update(frame.pixels, change, self._models.detector(), self._models.recognizer(TINY))
            for area, kept in (yield from reading):
                self._reference.accept(area, kept)
            self._outlined = outlined(frame.pixels)
        else:
            self._reference.accept((0, 0, frame.pixels.shape[1], frame.pixels.shape[0]))
        if change.scroll is not None:
            self._elements.scroll(change.scroll)
        self._detect(frame, self.tasks)

    def _detect(self, frame: Frame, tasks: Collection[str]) -> None:
        if "objects" in tasks:
            self._objects = self._tracks.update(self._models.objects().detect(frame.pixels))
        if "gui" in tasks:
            found = self._models.gui().detect(frame.pixels)
            self._elements.update(self._models.control_states().add(frame.pixels, found))
        self._blind = set()

    def _first(self, frame: Frame, change: Change) -> list[Percept]:
        """A partial state with the first lines of another page, before all of it is looked at."""
        detector, recognizer = self._models.detector(), self._models.recognizer(TINY)
        return self._so_far(frame, self._text.first_lines(frame.pixels, change, detector, recognizer))

    def _so_far(self, frame: Frame, lines: Sequence[ScreenLine]) -> list[Percept]:
        """A partial state if one of its lines is not in the last state: then the whole one will be news too."""
        height, width = frame.pixels.shape[:2]
        regions = tuple(map(_region, _shown(lines)))
        known = set() if self._shown is None else {region.text for region in self._shown.regions}
        if known.issuperset(region.text for region in regions):
            return []
        return [ScreenState(frame.start_sample, width, height, frame.frame_id, regions, is_partial=True)]

    def _news(self, frame: Frame, *, is_changed: bool) -> list[Percept]:
        is_asked_anew, self._is_asked_anew = self._is_asked_anew, False
        height, width = frame.pixels.shape[:2]
        lines = _shown(self._text.lines)
        state = ScreenState(
            frame.start_sample,
            width,
            height,
            frame.frame_id,
            tuple(_region(line) for line in lines),
            self._elements.with_text([line.line for line in lines]),
            self._objects,
            outlined=self._outlined,
        )
        is_same = self._shown is not None and _shows_the_same(self._shown, state)
        # Another icon in the same place changes answers alone.
        if is_same and not is_asked_anew and not (self._wishes and is_changed):
            return []
        if self._wishes:
            state = replace(state, answers=self._models.vocabulary().answers(self._wishes, state, frame.pixels))
        if is_same and self._shown is not None and _found(self._shown) == _found(state):
            return []
        if self._shown is None or not is_same_slide(self._shown, state):
            self._slides += 1
        state = replace(
            state,
            changes=changes_between(self._told, state) if is_changed else (),
            slide_id=f"s{self._slides}",
        )
        self._shown = self._told = state
        spans = [] if self._adapter is None else self._adapter.spans(state, frame.pixels)
        return [state, *spans, self._checkpoint(frame)]

    def _checkpoint(self, frame: Frame) -> Checkpoint:
        assert self._shown is not None
        return Checkpoint(frame.start_sample, self._state(frame, self._shown))

    def _state(self, frame: Frame, shown: ScreenState) -> bytes:
        document = {
            "start_sample": frame.start_sample,
            "width_px": shown.width_px,
            "height_px": shown.height_px,
            "frame_id": frame.frame_id,
            "next_number": self._text.next_number,
            "unchecked_px": self._text.unchecked_px,
            "lines": self._text.lines,
            "next_element": self._elements.next_number,
            "elements": shown.elements,
            "objects": shown.objects,
            "next_object": self._tracks.next_number,
            "tracks": self._tracks.tracks,
            "slides": self._slides,
            "tasks": self.tasks,
            "answers": shown.answers,
            "outlined": shown.outlined,
        }
        return json.dumps(document, default=_plain, ensure_ascii=False, separators=(",", ":")).encode()

    def _resume(self, state: bytes) -> None:
        try:
            document = json.loads(state)
            lines = [_line(entry) for entry in document["lines"]]
            self._objects = tuple(map(_object, document["objects"]))
            tracks = [Track(_object(entry["thing"]), int(entry["missed"])) for entry in document["tracks"]]
            self._tracks = ObjectTracks(tracks, int(document["next_object"]))
            elements = tuple(
                UiElement(**(entry | {"box": tuple(entry["box"]), "states": tuple(entry["states"])}))
                for entry in document["elements"]
            )
            self._elements = ScreenElements(elements, int(document["next_element"]))
            self._text = ScreenText(lines, int(document["next_number"]), int(document["unchecked_px"]))
            self._slides = int(document["slides"])
            self._outlined = tuple((x0, y0, x1, y1) for x0, y0, x1, y1 in document["outlined"])
            self.tasks = tuple(map(str, document["tasks"]))
            self._shown = ScreenState(
                int(document["start_sample"]),
                int(document["width_px"]),
                int(document["height_px"]),
                str(document["frame_id"]),
                tuple(map(_region, _shown(lines))),
                elements=elements,
                objects=self._objects,
                slide_id=f"s{self._slides}",
                answers=tuple(map(_answer, document["answers"])),
                outlined=self._outlined,
            )
        except (ValueError, KeyError, TypeError) as error:
            raise MediaError(f"resume state of {len(state)} bytes is not one of vision's: open without it") from error
        self._told = self._shown
        self._resumed = self._shown.start_sample


def _plain(value: Any) -> Any:
    """What json does not know: an enumeration's value, a dataclass's fields (`asdict` takes ten times as long)."""
    return value.value if isinstance(value, Coverage) else {f.name: getattr(value, f.name) for f in fields(value)}


def _object(entry: dict[str, Any]) -> DetectedObject:
    return DetectedObject(**(entry | {"box": tuple(entry["box"])}))


def _shows_the_same(a: ScreenState, b: ScreenState) -> bool:
    """True where only confidences differ, or boxes by a few pixels: no news to anybody."""
    if (a.width_px, a.height_px, len(a.regions), len(a.objects), len(a.outlined)) != (
        b.width_px,
        b.height_px,
        len(b.regions),
        len(b.objects),
        len(b.outlined),
    ):
        return False
    if any(_moved_px(old, new) > JITTER_PX for old, new in zip(a.outlined, b.outlined, strict=True)):
        return False
    # Elements keep their boxes while they stay (screen_elements.py).
    if [replace(element, confidence=None) for element in a.elements] != [
        replace(element, confidence=None) for element in b.elements
    ]:
        return False
    return all(
        (old.region_id, old.text) == (new.region_id, new.text) and _moved_px(old.box, new.box) <= JITTER_PX
        for old, new in zip(a.regions, b.regions, strict=True)
    ) and all(
        old.class_id == new.class_id and _moved_px(old.box, new.box) <= _OBJECT_JITTER_PX
        for old, new in zip(_in_place(a.objects), _in_place(b.objects), strict=True)
    )


def _found(state: ScreenState) -> list[tuple[str, Coverage, set[tuple[BoxXyxy, str, str]]]]:
    return [(each.query, each.coverage, {(m.box, m.source, m.name) for m in each.matches}) for each in state.answers]


def _answer(entry: dict[str, Any]) -> QueryAnswer:
    matches = tuple(QueryMatch(**(match | {"box": tuple(match["box"])})) for match in entry["matches"])
    return QueryAnswer(
        **(entry | {"coverage": Coverage(entry["coverage"]), "matches": matches, "tasks": tuple(entry["tasks"])})
    )


def _moved_px(a: BoxXyxy, b: BoxXyxy) -> float:
    return max(abs(p - q) for p, q in zip(a, b, strict=True))


def _in_place(things: Sequence[DetectedObject]) -> list[DetectedObject]:
    return sorted(things, key=lambda thing: (thing.class_id, thing.box))


def _shown(lines: Sequence[ScreenLine]) -> list[ScreenLine]:
    return list(compress(lines, are_shown([line.line for line in lines])))


def _region(line: ScreenLine) -> TextRegion:
    text = line.line
    return TextRegion(line.line_id, text.text, text.xyxy, text.confidence, text.script)


def _line(entry: dict[str, object]) -> ScreenLine:
    line = entry["line"]
    if not isinstance(line, dict):
        raise TypeError(f"a line is {type(line).__name__}")
    text = TextLine(**(line | {"xyxy": tuple(line["xyxy"]), "box": TextBox(**line["box"])}))
    rough, checksum = str(entry.get("rough", "")), int(str(entry.get("checksum", 0)))
    return ScreenLine(str(entry["line_id"]), text, bool(entry["is_accurate"]), rough, checksum)
