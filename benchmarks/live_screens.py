"""What it costs to follow a screen on which somebody works, and whether what was kept is what a full read gives.

Pages of a style that nobody looked at while the stage was made (`benchmarks/screens.py`, STYLES[1]).
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from benchmarks.bars import bars
from benchmarks.ocr_peers import Reader
from benchmarks.screens import STYLES, Screen, new_tab, through_codec
from services.runtime.percept import Percept, ScreenState, TextRegion
from services.runtime.stage import Frame, RestingStage, Stage, StageConfig
from services.vision.change import ReferenceFrame
from services.vision.service import VisionExpert

FAST = StageConfig(tasks=("ocr",), options={"quality": "fast"})
_SAME_PLACE_PX = 3
Result = TypeVar("Result")
Step = tuple[str, Callable[[Screen], None]]

STEPS: tuple[Step, ...] = (
    ("unchanged", lambda screen: None),
    *(("blinking cursor", Screen.blink) for _ in range(8)),
    *(("typing", Screen.type) for _ in range(5)),
    *(("scrolling by 100 px", lambda screen: screen.scroll(100)) for _ in range(4)),
    ("scrolling by 53 px", lambda screen: screen.scroll(53)),
    ("scrolling by 53 px", lambda screen: screen.scroll(-53)),
    ("pop-up", Screen.popup),
    ("unchanged", lambda screen: None),
    ("pop-up", Screen.popup),
    ("another page", Screen.cut),
    ("unchanged", lambda screen: None),
)


@dataclass
class Row:
    """CPU milliseconds of one kind of frame (following; finding the change; reading in full; a rest) and agreement."""

    follow_ms: list[float] = field(default_factory=list)
    change_ms: list[float] = field(default_factory=list)
    full_ms: list[float] = field(default_factory=list)
    peer_ms: list[float] = field(default_factory=list)
    lines: int = 0
    same_lines: int = 0
    rested_lines: int = 0
    same_rested_lines: int = 0
    rest_ms: list[float] = field(default_factory=list)
    characters: int = 0
    missed: Counter[str] = field(default_factory=Counter)


def measure(expert: VisionExpert, seeds: Sequence[int], codec: str, peer: Reader | None) -> dict[str, Row]:
    """Rows by kind of frame; `codec` "" is lossless. `peer` reads the last picture of each kind."""
    rows: dict[str, Row] = {}
    with new_tab() as tab:
        for seed in seeds:
            screen = Screen(tab, seed, STYLES[1])
            kinds, pictures, words = ["first picture"], [screen.picture()], [screen.words()]
            for kind, act in STEPS:
                act(screen)
                kinds.append(kind)
                pictures.append(screen.picture())
                words.append(screen.words())
            if codec:
                pictures = through_codec(pictures, codec)
            last_of_kind = {kind: number for number, kind in enumerate(kinds)}
            stage, kept, reference = expert.open_stage(FAST), None, ReferenceFrame()
            # Another stage has quiet behind every picture.
            resting, rested = expert.open_stage(FAST), None
            for number, (kind, pixels) in enumerate(zip(kinds, pictures, strict=True)):
                row = rows.setdefault(kind, Row())
                percepts, spent_ms = _timed(lambda: stage.push_frame(Frame(pixels, number)))  # noqa: B023
                row.follow_ms.append(spent_ms)
                kept = _state(percepts) or kept
                row.change_ms.append(_timed(lambda: reference.compare(pixels))[1])  # noqa: B023
                reference.accept((0, 0, pixels.shape[1], pixels.shape[0]))
                fresh = expert.open_stage(FAST)
                percepts, spent_ms = _timed(lambda: fresh.push_frame(Frame(pixels, 0)))  # noqa: B023
                row.full_ms.append(spent_ms)
                full = _state(percepts)
                assert kept is not None and full is not None
                rested = _state(resting.push_frame(Frame(pixels, number))) or rested
                percepts, spent_ms = _timed(lambda: _rest(resting))  # noqa: B023
                row.rest_ms.append(spent_ms)
                rested = _state(percepts) or rested
                assert rested is not None
                row.rested_lines += max(len(rested.regions), len(full.regions))
                row.same_rested_lines += same_lines(rested.regions, full.regions)
                row.lines += max(len(kept.regions), len(full.regions))
                row.same_lines += same_lines(kept.regions, full.regions)
                row.characters += sum(map(len, words[number]))
                row.missed["kept"] += _missed(words[number], [region.text for region in kept.regions])
                row.missed["full"] += _missed(words[number], [region.text for region in full.regions])
                if peer is not None and number == last_of_kind[kind]:
                    row.peer_ms.append(_timed(lambda: peer(pixels))[1])  # noqa: B023
    return rows


def same_lines(kept: Sequence[TextRegion], full: Sequence[TextRegion]) -> int:
    """How many lines are in both with the same text in the same place."""
    left, same = list(kept), 0
    for line in full:
        for region in left:
            if region.text == line.text and np.abs(np.subtract(region.box, line.box)).max() <= _SAME_PLACE_PX:
                left.remove(region)
                same += 1
                break
    return same


def as_markdown(rows: dict[str, Row], codec: str) -> Iterator[str]:
    """One table; `codec` "" is lossless."""
    yield f"## {codec.upper() if codec else 'Lossless'}"
    yield ""
    yield (
        "| frame | n | CPU ms | p95 | change alone | full read | rapidocr | same lines | after quiet | its CPU ms "
        "| missed | by a full read |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|---|---|"
    for kind, row in rows.items():
        peer = f"{np.mean(row.peer_ms):.0f}" if row.peer_ms else "–"
        yield (
            f"| {kind} | {len(row.follow_ms)} | {np.mean(row.follow_ms):.1f} | {np.percentile(row.follow_ms, 95):.1f} "
            f"| {np.mean(row.change_ms):.1f} | {np.mean(row.full_ms):.0f} | {peer} "
            f"| {100 * row.same_lines / row.lines:.1f} % | {100 * row.same_rested_lines / row.rested_lines:.1f} % "
            f"| {np.mean(row.rest_ms):.0f} | {100 * row.missed['kept'] / row.characters:.1f} % "
            f"| {100 * row.missed['full'] / row.characters:.1f} % |"
        )
    yield ""


def as_svg(rows: dict[str, Row], codec: str) -> str:
    """Processor milliseconds of each kind of frame: followed, read as a whole, by rapidocr where it is installed."""
    groups = {
        kind: {
            "followed": round(float(np.mean(row.follow_ms)), 1),
            "read as a whole": round(float(np.mean(row.full_ms))),
            **({"rapidocr": round(float(np.mean(row.peer_ms)))} if row.peer_ms else {}),
        }
        for kind, row in rows.items()
    }
    return bars(f"A frame of a screen, {codec.upper() or 'lossless'}", groups, "milliseconds of a core")


def _state(percepts: Sequence[Percept]) -> ScreenState | None:
    return next((percept for percept in percepts if isinstance(percept, ScreenState)), None)


def _rest(stage: Stage) -> list[Percept]:
    """What a stage says when nothing comes for long."""
    said: list[Percept] = []
    while isinstance(stage, RestingStage) and (percepts := stage.rest(is_long=True)) is not None:
        said += percepts
    return said


def _missed(words: Sequence[str], lines: Sequence[str]) -> int:
    read = Counter(word for line in lines for word in line.split())
    return sum(len(word) * count for word, count in (Counter(words) - read).items())


def _timed(run: Callable[[], Result]) -> tuple[Result, float]:
    start = time.process_time()
    result = run()
    return result, (time.process_time() - start) * 1000
