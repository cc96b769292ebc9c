"""Draws pages with headless Chromium: pictures as PNG, boxes as JSON in pixels of the picture."""

import base64
import json
import shutil
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.train_gui.page import page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Playwright

# Held-out pages are as large as a shared screen mostly is.
HELD_OUT_SIZE = (1280, 720)
TRUTH = (Path(__file__).parent / "truth.js").read_text()
# Everything comes from files: a page that asks a network for more must not wait for it.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--allow-file-access-from-files",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
)
_FOCUS = (
    "seed => { const all = [...document.querySelectorAll('input[data-e], select[data-e], textarea[data-e], button[data-e]')];"
    " if (all.length) all[seed % all.length].focus({preventScroll: true, focusVisible: true}); }"
)

# Nothing is disabled, nothing has the focus.
_PLAIN = (
    "() => { document.activeElement?.blur();"
    " document.querySelectorAll('[disabled]').forEach(element => element.removeAttribute('disabled')); }"
)
# A state is seen where so many pixels differ by more than so many levels from the drawing without it: inside the
# control, and for the focus, which is drawn around it, so far outside too.
_LEVELS, RING_PX = 16, 8
LEAST_DISABLED_PX, LEAST_FOCUSED_PX = 16, 40


def picture(tab: "Page") -> NDArray[np.uint8]:
    """What a page shows, (h, w, 3) uint8 BGR."""
    # Chromium's own command is several times cheaper than Playwright's picture.
    session = tab.context.new_cdp_session(tab)
    taken = session.send("Page.captureScreenshot", {"format": "png", "optimizeForSpeed": True})["data"]
    session.detach()
    pixels = cv2.imdecode(np.frombuffer(base64.b64decode(taken), np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(pixels, np.uint8)


def changed(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(h, w) true where two drawings of one size are seen to differ."""
    return np.asarray(cv2.absdiff(before, after).max(axis=2) > _LEVELS, np.bool_)


def changed_px(change: NDArray[np.bool_], box: Sequence[float], scale: float, ring_px: int = 0) -> int:
    """How many pixels changed in a box xyxy of CSS pixels and so far around it."""
    x0, y0, x1, y1 = (round((edge + side * ring_px) * scale) for edge, side in zip(box, (-1, -1, 1, 1), strict=True))
    return int(change[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)].sum())


def launched(playwright: "Playwright") -> "Browser":
    """Chromium as pages are drawn with. Raises FileNotFoundError where it is missing."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise FileNotFoundError("Chromium is not installed (Debian: apt-get install chromium)")
    return playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))


def seen_states(tab: "Page", elements: list[Any], scale: float) -> list[Any]:
    """The elements of truth.js with the states disabled and focused only where they can be seen.

    The page is drawn again without them, and stays so.
    """
    if not any({"disabled", "focused"} & set(element[5]) for element in elements):
        return elements
    before = picture(tab)
    tab.evaluate(_PLAIN)
    change = changed(before, picture(tab))
    kept = []
    for name, *box, states in elements:
        inside, around = changed_px(change, box, scale), changed_px(change, box, scale, RING_PX)
        unseen = {"disabled"} if inside < LEAST_DISABLED_PX else set()
        unseen |= {"focused"} if around < LEAST_FOCUSED_PX else set()
        kept.append([name, *box, [state for state in states if state not in unseen]])
    return kept


def render(
    out: Path, seeds: Iterable[int], packages: Path, *, held_out: bool = False, size: tuple[int, int] | None = None
) -> int:
    """Draw the pages of these seeds to `out` and return how many; those that are there already are left alone.

    Raises FileNotFoundError where Chromium or a package is missing.
    """
    from playwright.sync_api import Error, Page, sync_playwright

    out.mkdir(parents=True, exist_ok=True)
    drawn, began = 0, time.monotonic()
    with sync_playwright() as playwright:
        tabs: dict[float, Page] = {}
        browser = launched(playwright)
        for seed in seeds:
            target = out / f"{seed:06d}"
            if target.with_suffix(".json").exists():
                continue
            one = page(seed, packages, held_out=held_out, size=size)
            if one.scale not in tabs:
                tabs[one.scale] = browser.new_context(device_scale_factor=one.scale).new_page()
            tab = tabs[one.scale]
            tab.set_viewport_size({"width": one.width_px, "height": one.height_px})
            source = target.with_suffix(".html")
            source.write_text(one.html)
            try:
                tab.goto(source.absolute().as_uri(), timeout=20_000)
                tab.evaluate("() => document.fonts.ready.then(() => null)")
                if one.has_focus:
                    tab.evaluate(_FOCUS, seed)
                elements = tab.evaluate(TRUTH)
                tab.screenshot(path=target.with_suffix(".png"), caret="initial", timeout=20_000)
                is_still = elements == tab.evaluate(TRUTH)
                elements = seen_states(tab, elements, one.scale)
            except Error as error:  # one page that the browser cannot draw is no reason to stop
                print(f"seed {seed}: {error.message.splitlines()[0]}", flush=True)
                continue
            finally:
                source.unlink()
            if not is_still:  # something moved while the picture was taken: its boxes would be wrong
                target.with_suffix(".png").unlink()
                continue
            scaled = [[name, *(round(edge * one.scale, 2) for edge in box), states] for name, *box, states in elements]
            target.with_suffix(".json").write_text(json.dumps(scaled))
            drawn += 1
            if drawn % 100 == 0:
                print(f"{drawn} pages, {time.monotonic() - began:.0f} s", flush=True)
        browser.close()
    return drawn
