"""Names from the tiles of drawn video calls: who is named right, wrongly, or not at all.

`python -m benchmarks.calls` draws calls of 2 to 9 people (gallery and speaker view, light and dark, lines and labels of
several kinds; `--split dev` draws those on which numbers were chosen), reads every picture with the vision stage, and
tells the decoder's naming who speaks when, one utterance in ten under a wrong speaker. The outline follows the voice
late, sometimes stays where it was, and sometimes goes around who only coughed.
"""

import argparse
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.fetch import fetch
from services.decoder.naming import Naming
from services.runtime.percept import SAMPLE_RATE, ScreenState, Transcript, Word
from services.runtime.stage import Frame, Stage, StageConfig
from services.vision.service import new_expert

Pixels = NDArray[np.uint8]
WIDTH, HEIGHT = 1280, 720
CALLS, TURNS = 24, 24
_FIRST = (
    "Priya Jonas Amara Lukas Mei Tomasz Chloe Ravi Ingrid Omar Sofia Daniel Hannah Mateo Yuki Nadia Felix Leila "
    "Oliver Petra Kwame Elena Victor Zara"
).split()
_LAST = "Nair Becker Okafor Meyer Chen Nowak Dubois Patel Larsen Haddad Rossi Cohen Weber Silva Tanaka Kim".split()
# BGR of the line around the tile; of the dev calls those at even places, of the test calls those at odd ones.
_LINES = ((60, 200, 60), (0, 190, 240), (235, 120, 40), (220, 80, 150), (100, 230, 160), (30, 120, 250))
_BUTTONS = ("Mute", "Stop Video", "Participants", "Chat", "Share Screen", "Leave")


@dataclass(frozen=True)
class Call:
    """How one call looks: tiles (x0, y0, x1, y1) by person, in gallery view; in speaker view the first is the stage."""

    names: tuple[str, ...]
    tiles: tuple[tuple[int, int, int, int], ...]
    is_stage: bool
    is_dark: bool
    line: tuple[int, int, int]
    line_px: int
    has_pill: bool
    seed: int


def call(split: str, seed: int) -> Call:
    """One call. The same split and seed draw the same."""
    rng = random.Random(f"call-{split}-{seed}")  # noqa: S311  # not for secrets
    count = 2 + seed % 8
    firsts, lasts = rng.sample(_FIRST, count), rng.sample(_LAST, count)
    has_last = rng.random() < 0.7
    names = tuple(f"{a} {b}" if has_last else a for a, b in zip(firsts, lasts, strict=True))
    is_stage = seed % 3 == 2
    gap = rng.choice((6, 10, 16))
    tiles = _strip(count, gap) if is_stage else _grid(count, gap)
    lines = _LINES[split == "test" :: 2]
    return Call(
        names, tiles, is_stage, seed % 2 == 0, rng.choice(lines), rng.choice((3, 4, 6)), rng.random() < 0.6, seed
    )


def _grid(count: int, gap: int) -> tuple[tuple[int, int, int, int], ...]:
    columns = 1 if count == 1 else 2 if count <= 4 else 3
    rows = -(-count // columns)
    area_h = HEIGHT - 70
    width = min((WIDTH - gap * (columns + 1)) / columns, ((area_h - gap * (rows + 1)) / rows) * 16 / 9)
    height = width * 9 / 16
    left = (WIDTH - columns * width - (columns - 1) * gap) / 2
    top = (area_h - rows * height - (rows - 1) * gap) / 2
    places = [(left + (i % columns) * (width + gap), top + (i // columns) * (height + gap)) for i in range(count)]
    return tuple((round(x), round(y), round(x + width), round(y + height)) for x, y in places)


def _strip(count: int, gap: int) -> tuple[tuple[int, int, int, int], ...]:
    """Small tiles in a row above one large one, which is not among them."""
    width = min(190, (WIDTH - gap * (count + 1)) // count)
    height = width * 9 // 16
    left = (WIDTH - count * width - (count - 1) * gap) // 2
    return tuple((left + i * (width + gap), gap, left + i * (width + gap) + width, gap + height) for i in range(count))


def draw(one: Call, speaking: int | None) -> Pixels:
    """The picture, (HEIGHT, WIDTH, 3) BGR, while the tile of a person is outlined."""
    rng = np.random.default_rng(one.seed)
    ground = 28 if one.is_dark else 244
    pixels = np.full((HEIGHT, WIDTH, 3), ground, np.uint8)
    for person, box in enumerate(one.tiles):
        _tile(pixels, one, box, one.names[person], rng)
        if person == speaking:
            half = one.line_px // 2
            corners = (box[0] - half, box[1] - half), (box[2] + half - 1, box[3] + half - 1)
            cv2.rectangle(pixels, *corners, one.line, one.line_px)
    if one.is_stage:
        top = one.tiles[0][3] + 14
        height = HEIGHT - 70 - top
        width = min(WIDTH - 20, height * 16 // 9)
        left = (WIDTH - width) // 2
        shown = speaking if speaking is not None else 0
        tile_rng = np.random.default_rng((one.seed, shown))
        _tile(pixels, one, (left, top, left + width, top + height), one.names[shown], tile_rng)
    ink = (230, 230, 230) if one.is_dark else (50, 50, 50)
    for i, button in enumerate(_BUTTONS):
        if button == "Leave":
            cv2.rectangle(pixels, (170 + 170 * i, HEIGHT - 52), (270 + 170 * i, HEIGHT - 18), (50, 50, 220), cv2.FILLED)
        cv2.putText(pixels, button, (185 + 170 * i, HEIGHT - 28), ink, cv2.FontFace("sans"), 17, 500)
    return pixels


def _tile(pixels: Pixels, one: Call, box: tuple[int, int, int, int], name: str, rng: np.random.Generator) -> None:
    """A camera's picture, or initials on a plain ground, with the name at its foot."""
    x0, y0, x1, y1 = box
    width, height = x1 - x0, y1 - y0
    colour = rng.integers(30, 200, 3)
    if rng.random() < 0.5:
        coarse = rng.integers(0, 110, (5, 8, 3)) + colour // 2
        view = cv2.resize(coarse.astype(np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
        cv2.ellipse(view, (width // 2, height), (width // 4, height // 2), 0, 0, 360, (90, 110, 150), cv2.FILLED)
        cv2.circle(view, (width // 2, height * 2 // 5), height // 6, (150, 180, 220), cv2.FILLED)
        pixels[y0:y1, x0:x1] = view
    else:
        pixels[y0:y1, x0:x1] = (55, 52, 50) if one.is_dark else (214, 216, 220)
        centre, radius = ((x0 + x1) // 2, (y0 + y1) // 2), height // 5
        cv2.circle(pixels, centre, radius, tuple(colour.tolist()), cv2.FILLED)
        initials = "".join(part[0] for part in name.split())
        place = (centre[0] - radius // 2, centre[1] + radius // 3)
        cv2.putText(pixels, initials, place, (255, 255, 255), cv2.FontFace("sans"), radius * 4 // 5, 600)
    size = max(13, min(22, height // 9))
    foot = y1 - size // 2 - 2
    if one.has_pill:
        length = round(len(name) * size * 0.56) + size
        cv2.rectangle(
            pixels, (x0 + 6, foot - size - 2), (x0 + 10 + length, foot + size // 2 - 2), (35, 35, 35), cv2.FILLED
        )
    elif not one.is_dark:
        cv2.rectangle(pixels, (x0, foot - size - 2), (x1, y1), (90, 90, 90), cv2.FILLED)
    cv2.putText(pixels, name, (x0 + 12, foot - 2), (255, 255, 255), cv2.FontFace("sans"), size, 500)


@dataclass(frozen=True)
class Turn:
    """Somebody speaks; `label` is what diarization calls him, `outlined` the tile with the line from `late_s` after."""

    person: int
    label: str
    start_s: float
    end_s: float
    outlined: int
    late_s: float


def turns(one: Call, split: str) -> Iterator[Turn]:
    """What happens in a call."""
    rng = random.Random(f"turns-{split}-{one.seed}")  # noqa: S311  # not for secrets
    at, last, outlined = 1.0, -1, 0
    for _ in range(TURNS):
        person = rng.choice([p for p in range(len(one.names)) if p != last])
        last = person
        length = rng.choice((0.8, 2.5, 4.0, 6.0, 9.0))
        # a short word moves no line; now and then it goes around somebody else
        if length > 1 and rng.random() < 0.93:
            outlined = person if rng.random() < 0.95 else rng.randrange(len(one.names))
        label = f"S{person + 1}" if rng.random() < 0.9 else f"S{rng.randrange(len(one.names)) + 1}"
        yield Turn(person, label, at, at + length, outlined, rng.uniform(0.2, 1.0))
        at += length + rng.uniform(0.2, 1.0)


def play(one: Call, split: str, stage: Stage) -> tuple[dict[str, str], Counter[str]]:
    """The names that a call's labels get, and how many turns each label has."""
    naming = Naming()
    names: dict[str, str] = {}
    spoken: Counter[str] = Counter()
    shown: int | None = None

    def look(speaking: int | None, at_s: float) -> None:
        frame = Frame(draw(one, speaking), round(at_s * SAMPLE_RATE), f"f{at_s:.1f}")
        for percept in stage.push_frame(frame):
            if isinstance(percept, ScreenState):
                naming.see(percept)

    look(None, 0.0)
    for number, turn in enumerate(turns(one, split)):
        if turn.outlined != shown:
            shown = turn.outlined
            look(shown, turn.start_s + turn.late_s)
        start, end = round(turn.start_s * SAMPLE_RATE), round(turn.end_s * SAMPLE_RATE)
        said = Transcript(
            f"u{number}", True, start, end, (Word("well", start, end, speaker=turn.label),), speaker=turn.label
        )
        spoken[f"S{turn.person + 1}"] += 1
        for found in [*naming.hear([said]), *naming.at(end)]:
            names[found.speaker] = found.name
    for found in naming.at(1 << 62):
        names[found.speaker] = found.name
    return names, spoken


def run(split: str, seeds: range) -> Counter[str]:
    """How the speakers of some calls came out."""
    expert = new_expert()
    result: Counter[str] = Counter()
    for seed in seeds:
        one = call(split, seed)
        names, spoken = play(one, split, expert.open_stage(StageConfig(options={"quality": "fast"})))
        for person, name in enumerate(one.names):
            told, often = names.get(f"S{person + 1}", ""), spoken[f"S{person + 1}"]
            outcome = "right" if told == name else "wrong" if told else "unnamed"
            result[outcome] += 1
            result[f"{outcome}, of those with {'four turns and more' if often >= 4 else 'fewer turns'}"] += 1
            if told and told != name:
                print(f"call {seed}: {name} is called {told}")
    return result


def main() -> None:
    """Print the counts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calls", description=__doc__)
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    parser.add_argument("--calls", type=int, default=CALLS)
    flags = parser.parse_args()
    fetch(["ppocrv6-tiny", "ppocrv6-small", "line-script", "line-ends"])
    print(dict(sorted(run(flags.split, range(flags.calls)).items())))


if __name__ == "__main__":
    main()
