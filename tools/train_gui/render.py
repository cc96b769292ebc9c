"""Draws pages with headless Chromium: pictures as PNG, boxes as JSON in pixels of the picture."""

import json
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from tools.train_gui.page import page

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


def render(
    out: Path, seeds: Iterable[int], packages: Path, *, held_out: bool = False, size: tuple[int, int] | None = None
) -> int:
    """Draw the pages of these seeds to `out` and return how many; those that are there already are left alone.

    Raises FileNotFoundError where Chromium or a package is missing.
    """
    from playwright.sync_api import Error, Page, sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise FileNotFoundError("Chromium is not installed (Debian: apt-get install chromium)")
    out.mkdir(parents=True, exist_ok=True)
    drawn, began = 0, time.monotonic()
    with sync_playwright() as playwright:
        tabs: dict[float, Page] = {}
        browser = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
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
