"""Draws held-out pages of tools/train_gui once more, with what each control says and which icon it shows."""

import json
from collections.abc import Iterable
from pathlib import Path

from tools.train_gui.page import page
from tools.train_gui.render import ARGUMENTS, HELD_OUT_SIZE, TRUTH
from tools.train_icon.draw import chromium
from tools.train_icon.material import HELD_OUT, name

# Beside each element of truth.js: its words, and the file of its icon.
_SAID = """() => [...document.querySelectorAll("[data-e]")].map((element) => {
  const box = element.getBoundingClientRect();
  const icons = element.matches("svg") ? [element] : [...element.querySelectorAll("svg[data-icon]")];
  const icon = icons.length === 1 ? icons[0].dataset.icon : "";
  return [element.dataset.e, box.left, box.top, (element.innerText ?? "").trim(), icon];
})"""


def draw(packages: Path, out: Path, seeds: Iterable[int]) -> int:
    """Write SEED.png and SEED.json ([class, x0, y0, x1, y1, words, icon's name]); returns how many.

    Raises FileNotFoundError where Chromium or a package is missing.
    """
    from playwright.sync_api import sync_playwright

    out.mkdir(parents=True, exist_ok=True)
    drawn = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
        tab = browser.new_page()
        for seed in seeds:
            one = page(seed, packages, held_out=True, size=HELD_OUT_SIZE)
            tab.set_viewport_size({"width": one.width_px, "height": one.height_px})
            source = out / f"{seed}.html"
            source.write_text(one.html)
            tab.goto(source.absolute().as_uri(), timeout=60_000)
            tab.evaluate("() => document.fonts.ready.then(() => null)")
            said = {(kind, x, y): (words, icon) for kind, x, y, words, icon in tab.evaluate(_SAID)}
            truth = []
            for kind, x0, y0, x1, y1, _ in tab.evaluate(TRUTH):
                words, icon = said.get((kind, x0, y0), ("", ""))
                truth.append([kind, x0, y0, x1, y1, " ".join(words.split()), name(icon, HELD_OUT[0]) if icon else ""])
            tab.screenshot(path=out / f"{seed}.png", timeout=60_000)
            source.unlink()
            (out / f"{seed}.json").write_text(json.dumps(truth, ensure_ascii=False))
            drawn += 1
        browser.close()
    return drawn
