"""What was asked for in words, found among what was read and detected: never guessed (docs/open-vocabulary.md)."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from services.runtime.percept import BoxXyxy, Coverage, QueryAnswer, QueryMatch, ScreenState, UiElement
from services.vision.brought_detector import BroughtDetector
from services.vision.icons import IconEncoder
from services.vision.objects import CLASS_NAMES

Vector = NDArray[np.float32]
_MAX_MATCHES = 20
# Less probable than this is not answered. Pictures of icons are seldom sure; on the pages that scores were fitted on
# 44 of 66 answers from .3 on were right.
LEAST_SCORES = {"text": 0.5, "element": 0.5, "icon": 0.3, "class": 0.5, "object": 0.5}
# Nearer than this in MiniLM's space is another word for the same class of COCO ("sofa"); chosen on the development
# words of tools/train_icon/coverage.py.
_SAME_THING = 0.75
# What people call the detector's classes; plurals too.
_KINDS = {
    "button": "button",
    "link": "link",
    "hyperlink": "link",
    "input": "input",
    "input field": "input",
    "field": "input",
    "text field": "input",
    "text box": "input",
    "textbox": "input",
    "search field": "input",
    "search box": "input",
    "checkbox": "checkbox",
    "check box": "checkbox",
    "radio button": "checkbox",
    "switch": "checkbox",
    "toggle": "checkbox",
    "select": "select",
    "select box": "select",
    "dropdown": "select",
    "drop-down": "select",
    "combo box": "select",
    "combobox": "select",
    "tab": "tab",
    "icon": "icon",
    "symbol": "icon",
    "image": "image",
    "picture": "image",
    "photo": "image",
    "menu item": "menu item",
    "menu entry": "menu item",
    "slider": "slider",
    "text": "text",
    "word": "text",
    "line": "text",
    "heading": "text",
}
# Names that most icon sets have: a picture must be nearer to what is asked for than to these.
_USUAL_ICONS = tuple(
    (
        "archive;arrow down;arrow left;arrow right;arrow up;balloon;battery charging;bed;bell;bluetooth;book;"
        "bookmark;briefcase;bug;calculator;calendar;camera;check;check circle;chevron down;chevron left;"
        "chevron right;chevron up;circle;clipboard;clock;cloud;code;compass;copy;credit card;crop;database;"
        "diamond;disc;download;eye;fast forward;file;filter;fingerprint;flag;folder;folder open;gift;globe;"
        "headphones;headset;heart;hexagon;home;hourglass;image;key;keyboard;laptop;link;list;lock;lock open;map;"
        "moon;pause;pause circle;pencil;phone;pin;play;play circle;power;radio;receipt;repeat;rocket;rss;search;"
        "send;server;share;shield;shuffle;square;star;star half;stop;stop circle;table;tag;terminal;trash;"
        "triangle;trophy;umbrella;upload;usb;video;voicemail;wallet;watch;wifi"
    ).split(";")
)
# In natural logarithms for each unit of nearness: less than the encoder was trained with (54), since the names of a
# page are not those of its training; of 20, 40 and 60 the likeliest on the pages that scores were fitted on.
_SHARPNESS = 20.0
# Nearer than this to what is asked for is another name for it, not another icon.
_SAME_NAME = 0.7
_LONGEST_FIRST = "|".join(sorted(map(re.escape, _KINDS), key=len, reverse=True))
_ENDS = re.compile(rf"(?:(?P<content>.*\S)\s+)?(?P<kind>{_LONGEST_FIRST})(?:e?s)?")
_BEGINS = re.compile(
    rf"(?P<kind>{_LONGEST_FIRST})(?:e?s)?\s+(?:(?:that|which)\s+)?"
    r"(?:labell?ed|called|named|saying|says|reads|reading|with the text|with text|for|of)\s+(?P<content>.*\S)"
)
_LITERAL = re.compile(r"(?P<kind>text|word|line|heading)\s+(?P<content>.*\S)")
_DETERMINERS = re.compile(r"^(?:(?:find|show|where is|where are|the|a|an|any|all|every)\s+)+")
_WORD = re.compile(r"\w+")
# Logistic weights: bias, nearness in MiniLM's space, words shared (icons: log-probability of the name beside the usual
# ones), the detector's own confidence. Fitted by
# `python -m tools.train_icon calibrate` on drawn pages of other seeds than those reported.
_WEIGHTS = {
    "text": (-6.42, 6.94, 7.18, -1.19),
    "element": (-9.43, 3.94, 5.27, 4.86),
    "icon": (0.79, 1.22, 1.56, 2.75),
    "class": (-6.17, 0.0, 0.0, 12.57),
}


class SentenceSpace(Protocol):
    """Puts sentences into a space in which near means alike."""

    def encode(self, sentences: Sequence[str]) -> Vector:
        """(n,) -> (n, 384) of length 1."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A query understood: `kind` is a class of controls, "text", or "" for a bare thing; `content` what it is or says.

    `object_class` is the class of COCO that a bare thing names, where there is one. `missing` says which model would
    have to be there to find it.
    """

    query: str
    kind: str = ""
    content: str = ""
    object_class: str = ""
    missing: str = ""

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that could find it."""
        if self.missing:
            return ()
        if self.object_class:
            return ("objects",)
        if self.kind in ("", "text"):
            return ("ocr",)
        return ("gui",) if self.kind == "icon" or not self.content else ("ocr", "gui")

    @property
    def is_bare(self) -> bool:
        """True for a thing that no detector of the product knows."""
        return not (self.kind or self.object_class or self.missing)

    @property
    def needs_sentences(self) -> bool:
        """False where classes alone are compared."""
        return bool(self.content) and not self.object_class

    @property
    def needs_icons(self) -> bool:
        """True where a picture may be what is asked for."""
        return bool(self.content) and self.kind in ("icon", "button")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place that might be meant: `weights` names the logistic that judges its features."""

    box: BoxXyxy
    source: str
    name: str
    weights: str
    features: tuple[float, float, float]


class OpenVocabulary:
    """Answers queries about screens. Safe to share between streams where its models are."""

    def __init__(
        self,
        sentences: Callable[[], SentenceSpace],
        icons: Callable[[], IconEncoder],
        detector: Callable[[], BroughtDetector] | None = None,
    ) -> None:
        """The models are opened when a query first needs them; `detector` is the user's, where there is one."""
        self._sentences = sentences
        self._icons = icons
        self._detector = detector
        self._vector = lru_cache(maxsize=4096)(self._encode)

    def understand(self, query: str) -> Wish:
        """What is asked for. Raises ModelMissingError where the words' encoder is needed and missing."""
        plain = _DETERMINERS.sub("", " ".join(query.lower().strip(" .?!").split()))
        for pattern in (_BEGINS, _ENDS, _LITERAL):
            if match := pattern.fullmatch(plain):
                content = _DETERMINERS.sub("", (match["content"] or "").strip("\"'“”‘’«» "))
                kind = _KINDS[match["kind"]]
                if kind == "text" and not content:
                    break  # which text is not said
                # A photograph of a thing is the thing: nothing tells what else images show.
                if kind == "image" and content:
                    return self._bare(query, content)
                return Wish(query, kind, content)
        return self._bare(query, plain.strip("\"'“”‘’«» "))

    def _bare(self, query: str, content: str) -> Wish:
        known = [name for name in CLASS_NAMES if content in _forms(name)]
        if known:
            return Wish(query, "", content, known[0])
        near = _vectors(self._vector, CLASS_NAMES) @ self._vector(content)
        best = int(near.argmax())
        # More words than the class has narrow it ("red car") or mean something else ("bus stop"): nobody can tell.
        is_narrower = set(_WORD.findall(CLASS_NAMES[best])) < set(_WORD.findall(content))
        is_same = near[best] >= _SAME_THING and not is_narrower
        return Wish(query, "", content, CLASS_NAMES[best] if is_same else "")

    def answers(self, wishes: Sequence[Wish], state: ScreenState, pixels: NDArray[np.uint8]) -> tuple[QueryAnswer, ...]:
        """One answer for each wish, about the picture (h, w, 3) uint8 BGR that `state` was read from."""
        looks = Looks(self._icons, pixels)
        bare = [wish.content for wish in wishes if wish.is_bare]
        found = dict(zip(bare, self._detector().find(pixels, bare), strict=True)) if self._detector and bare else {}
        return tuple(
            self._answer(wish, state, looks, found.get(wish.content) if wish.is_bare else None) for wish in wishes
        )

    def _answer(
        self, wish: Wish, state: ScreenState, looks: "Looks", detected: tuple[QueryMatch, ...] | None
    ) -> QueryAnswer:
        """`detected`: what the user's detector found of a bare thing, None where it was not asked."""
        if wish.missing:
            return QueryAnswer(wish.query, Coverage.NOT_COVERED, (), wish.missing)
        matches = list(detected or ())
        matches += [
            QueryMatch(candidate.box, score, candidate.source, candidate.name)
            for candidate in self.candidates(wish, state, looks)
            if (score := score_of(candidate)) >= LEAST_SCORES[candidate.weights]
        ]
        if matches:
            surest = sorted(matches, key=lambda match: -match.score)[:_MAX_MATCHES]
            return QueryAnswer(wish.query, Coverage.FOUND, tuple(surest), tasks=wish.tasks)
        if wish.kind or wish.object_class or detected is not None:
            return QueryAnswer(wish.query, Coverage.NOT_FOUND, tasks=wish.tasks)
        reason = (
            f"no detector looks for {wish.content!r}, and no line says it: ask for one of the 80 things of COCO, "
            "for a control or an icon ('... button', '... icon'), or for a text ('text ...')"
        )
        return QueryAnswer(wish.query, Coverage.NOT_COVERED, (), reason, wish.tasks)

    def candidates(self, wish: Wish, state: ScreenState, looks: "Looks") -> list[Candidate]:
        """All places of the kind that is asked for, with what speaks for each."""
        if wish.object_class:
            return [
                Candidate(thing.box, "object", thing.class_name, "object", (1.0, 1.0, thing.confidence or 0.0))
                for thing in state.objects
                if thing.class_name == wish.object_class
            ]
        if wish.kind in ("", "text"):
            return [
                Candidate(
                    region.box, "text", region.text, "text", (*self._alike(wish, region.text), region.confidence or 0.0)
                )
                for region in state.regions
                if region.text and (wish.kind or _says(region.text, wish.content))
            ]
        if not wish.content:
            return [
                Candidate(element.box, "element", _name(element), "class", (1.0, 1.0, element.confidence or 0.0))
                for element in state.elements
                if element.class_name == wish.kind
            ]
        return [candidate for element in state.elements if (candidate := self._control(wish, element, looks))]

    def _control(self, wish: Wish, element: UiElement, looks: "Looks") -> Candidate | None:
        # A button without words is told by its picture, and the detector may call it an icon.
        is_drawn = wish.kind in ("icon", "button") and element.class_name in ("icon", "button") and not element.text
        if is_drawn and (wish.kind == element.class_name or wish.kind == "button"):
            features = (*self._looks_like(wish, looks.vector(element.box)), element.confidence or 0.0)
            return Candidate(element.box, "icon", _name(element), "icon", features)
        if element.class_name != wish.kind or not element.text:
            return None
        features = (*self._alike(wish, element.text), element.confidence or 0.0)
        return Candidate(element.box, "element", _name(element), "element", features)

    def _looks_like(self, wish: Wish, look: Vector) -> tuple[float, float]:
        """Nearness of a picture to what is asked for, and how probable that name is beside the usual ones."""
        asked, usual = self._vector(wish.content), _vectors(self._vector, _USUAL_ICONS)
        near = float(look @ asked)
        others = _SHARPNESS * (usual[usual @ asked < _SAME_NAME] @ look - near)
        return near, -math.log1p(float(np.exp(np.minimum(others, 50.0)).sum()))

    def _alike(self, wish: Wish, text: str) -> tuple[float, float]:
        """Nearness in meaning, and the part of all words of both that they share."""
        asked, said = set(_WORD.findall(wish.content.lower())), set(_WORD.findall(text.lower()))
        shared = len(asked & said) / max(1, len(asked | said))
        near = 1.0 if wish.content == text.lower() else float(self._vector(text) @ self._vector(wish.content))
        return near, shared

    def _encode(self, text: str) -> Vector:
        vector: Vector = self._sentences().encode([text])[0]
        return vector


class Looks:
    """What the icons of one picture look like, each encoded once."""

    def __init__(self, icons: Callable[[], IconEncoder], pixels: NDArray[np.uint8]) -> None:
        self._icons = icons
        self._pixels = pixels
        self._known: dict[BoxXyxy, Vector] = {}

    def vector(self, box: BoxXyxy) -> Vector:
        """(384,) of what is drawn in a box; zeros for nothing."""
        if box not in self._known:
            height, width = self._pixels.shape[:2]
            x0, y0 = max(0, math.floor(box[0])), max(0, math.floor(box[1]))
            x1, y1 = min(width, math.ceil(box[2])), min(height, math.ceil(box[3]))
            crop = self._pixels[y0 : max(y0 + 1, y1), x0 : max(x0 + 1, x1)]
            self._known[box] = self._icons().encode([crop])[0]
        return self._known[box]


def score_of(candidate: Candidate) -> float:
    """Probability that the candidate is what was asked for."""
    if candidate.source == "object":
        return candidate.features[-1]  # the detector's own: no pages of ours show things with known truth
    bias, *weights = _WEIGHTS[candidate.weights]
    return 1 / (1 + math.exp(-bias - math.fsum(w * f for w, f in zip(weights, candidate.features, strict=True))))


def tasks_of(wishes: Sequence[Wish]) -> tuple[str, ...]:
    """The tasks that the wishes need, each once."""
    return tuple(dict.fromkeys(task for wish in wishes for task in wish.tasks))


def _forms(name: str) -> set[str]:
    return {name, f"{name}s", f"{name}es", "people" if name == "person" else name, "mice" if name == "mouse" else name}


def _says(text: str, content: str) -> bool:
    asked = _WORD.findall(content)
    said = _WORD.findall(text.lower())
    return any(said[at : at + len(asked)] == asked for at in range(len(said) - len(asked) + 1)) if asked else False


def _name(element: UiElement) -> str:
    return f"{element.class_name} {element.text}".rstrip()


def _vectors(vector: Callable[[str], Vector], names: Sequence[str]) -> Vector:
    return np.stack([vector(name) for name in names])
