"""Draws pages and windows as they are and again with controls disabled and focused; only what is seen is said."""

import json
import random
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.train_gui.page import page
from tools.train_gui.render import HELD_OUT_SIZE, RING_PX, TRUTH, changed, changed_px, launched, picture

_SIZES = ((1280, 720), (1024, 768), (960, 720), (960, 640))
SCRIPT = (Path(__file__).parent / "states.js").read_text()
CAN_DISABLE = ("button", "input", "select", "checkbox", "slider", "tab", "menu item")
CAN_FOCUS = ("button", "button", "input", "input", "input", "select", "checkbox", "slider", "tab", "link", "menu item")
DRAWINGS = 3
_TRIES = 20

# A class, a box xyxy before scaling, states.
Element = tuple[str, list[float], list[str]]


class Drawable(Protocol):
    """A page or a window whose controls can be put into states; each keeps its number."""

    def elements(self) -> dict[int, Element]:
        """What is to be seen of it now."""

    def picture(self) -> NDArray[np.uint8]:
        """(h, w, 3) uint8 BGR."""

    def disable(self, numbers: list[int]) -> list[int]:
        """Disable these controls and return those that can be."""

    def focus(self, number: int) -> bool:
        """Give this control the focus; false where it takes none."""

    def undo(self) -> None:
        """Enable all that was disabled, take the focus away."""


def style(rng: random.Random) -> str:
    """Rules for the looks of our own, which say nothing of these states, and now and then for all of them."""
    pale = rng.choice(
        (
            f"opacity:{rng.uniform(0.3, 0.65):.2f}",
            "color:#888a!important",
            "background:#8882!important;color:#888c!important;border-color:#8885!important",
            "background:#ccc!important;color:#777!important;border-color:#bbb!important",
            "filter:grayscale(1) opacity(.6)",
            f"color:#888!important;opacity:{rng.uniform(0.5, 0.85):.2f}",
        )
    )
    colour = rng.choice(
        ("#1a73e8", "#0d6efd", "#3b82f6", "#e67e22", "#c026d3", "#16a34a", "#000", "#fff", "currentColor")
    )
    ring = rng.choice(
        (
            "",
            "",
            f"outline:{rng.choice((1, 2, 2, 3))}px solid {colour}!important;outline-offset:{rng.choice((-2, 0, 0, 1, 2, 3))}px",
            f"outline:0!important;box-shadow:0 0 0 {rng.choice((2, 3, 4))}px color-mix(in srgb,{colour} {rng.choice((25, 40, 60, 100))}%,transparent)!important",
            f"outline:0!important;border-color:{colour}!important",
            f"outline:0!important;border:{rng.choice((1, 2))}px solid {colour}!important",
            f"outline:1px dotted {colour}!important;outline-offset:-3px",
            f"outline:0!important;box-shadow:0 0 6px {colour}!important;border-color:{colour}!important",
        )
    )
    own = ".t-tab,.t-item,.t-switch,.t-slider,.t-select,.t-strip>*,.h0,.h1,.h2,.h3,.h4,.hi,.hs"
    pick = f":is({own})" if rng.random() < 0.85 else ":is(button,input,select,textarea,a,span)"
    return f"<style>{pick}.t-off{{{pale}}}{pick}:focus-visible{{{ring}}}</style>"


def draw(out: Path, seeds: Iterable[int], packages: Path, *, held_out: bool = False) -> int:
    """Draw every page of these seeds DRAWINGS times with states and return how many pages.

    Raises FileNotFoundError where Chromium or a package is missing.
    """
    from playwright.sync_api import Error, Page, sync_playwright

    out.mkdir(parents=True, exist_ok=True)
    drawn, began = 0, time.monotonic()
    with sync_playwright() as playwright:
        tabs: dict[float, Page] = {}
        browser = launched(playwright)
        for seed in seeds:
            if (out / f"{seed:06d}-0.json").exists():
                continue
            rng = random.Random(f"states-{seed}-{held_out}")
            one = page(
                seed,
                packages,
                held_out=held_out,
                size=HELD_OUT_SIZE if held_out else rng.choice(_SIZES),
                disabled_share=0,
            )
            if one.scale not in tabs:
                tabs[one.scale] = browser.new_context(device_scale_factor=one.scale).new_page()
            tab = tabs[one.scale]
            tab.set_viewport_size({"width": one.width_px, "height": one.height_px})
            source = out / f"{seed:06d}.html"
            source.write_text(one.html.replace("</head>", ("" if held_out else style(rng)) + "</head>"))
            try:
                tab.goto(source.absolute().as_uri(), timeout=20_000)
                tab.evaluate("() => document.fonts.ready.then(() => null)")
                tab.keyboard.press("Shift")
                one_page(tab, rng, out / f"{seed:06d}", one.scale)
            except Error as error:  # one page that the browser cannot draw is no reason to stop
                print(f"seed {seed}: {error.message.splitlines()[0]}", flush=True)
                continue
            finally:
                source.unlink()
            drawn += 1
            if drawn % 50 == 0:
                print(f"{drawn} pages, {time.monotonic() - began:.0f} s", flush=True)
        browser.close()
    return drawn


class _Tab:
    """A loaded page."""

    def __init__(self, tab: Any) -> None:
        self._tab = tab
        tab.evaluate(SCRIPT)

    def elements(self) -> dict[int, Element]:
        found = {}
        for name, *box, states in self._tab.evaluate(TRUTH):
            number = next(int(state[1:]) for state in states if state[0] == "#")
            found[number] = (name, box, [state for state in states if state[0] != "#" and state != "focused"])
        return found

    def picture(self) -> NDArray[np.uint8]:
        return picture(self._tab)

    def disable(self, numbers: list[int]) -> list[int]:
        self._tab.evaluate("numbers => states.disable(numbers)", numbers)
        return numbers

    def focus(self, number: int) -> bool:
        self._tab.evaluate("i => states.focus(i)", number)
        return True

    def undo(self) -> None:
        self._tab.evaluate("() => states.undo()")


def one_page(tab: Any, rng: random.Random, target: Path, scale: float) -> None:
    """Draw a loaded page DRAWINGS times to `target`-0 and so on: PNG and JSON."""
    draw_in_states(_Tab(tab), rng, target, scale)


def draw_in_states(drawable: Drawable, rng: random.Random, target: Path, scale: float) -> None:
    """Draw it DRAWINGS times with other controls disabled and focused, to `target`-0 and so on: PNG and JSON."""
    plain, before = drawable.elements(), drawable.picture()
    for n in range(DRAWINGS):
        share = rng.choice((0, 0.05, 0.1, 0.2, 0.2, 0.35, 0.5))
        off = [i for i, (kind, *_) in plain.items() if kind in CAN_DISABLE and rng.random() < share]
        kind = rng.choice([name for name in CAN_FOCUS if name in {each[0] for each in plain.values()}] or [""])
        on = [i for i, (name, *_) in plain.items() if name == kind and i not in off]
        lit = rng.choice(on) if on and rng.random() < 0.85 else None
        off = drawable.disable(off)
        able = [i for i, (name, *_) in plain.items() if name in CAN_FOCUS and i not in off]
        for _ in range(_TRIES):
            if lit is None or drawable.focus(lit):
                break
            lit = rng.choice(able)
        else:
            lit = None
        now, after = drawable.elements(), drawable.picture()
        drawable.undo()
        if after.shape != before.shape:
            return
        change = changed(before, after)
        told: list[tuple[str, list[float], list[str], dict[str, int] | None]] = []
        for i, (name, box, states) in now.items():
            if i not in plain or np.abs(np.subtract(box, plain[i][1])).max() > 1 or "disabled" in plain[i][2]:
                told.append((name, box, states, None))  # moved, or never without the state: nothing can be compared
                continue
            inside, around = changed_px(change, box, scale), changed_px(change, box, scale, RING_PX)
            seen = {"disabled": i in off, "focused": i == lit, "inside": inside, "around": around}
            told.append((name, box, states, seen))
        rows = [[name, *(round(edge * scale, 2) for edge in box), states, seen] for name, box, states, seen in told]
        cv2.imwrite(f"{target}-{n}.png", after, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        Path(f"{target}-{n}.json").write_text(json.dumps(rows))
