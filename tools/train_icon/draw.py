"""Draws the icons with headless Chromium, in sheets, and lists what each is called."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from tools.train_gui.render import ARGUMENTS
from tools.train_icon.material import DEVELOPMENT, HELD_OUT, TRAINED, Drawing, drawings

DRAWN_PX = 48
_COLUMNS = 30
_ROWS = 20


def draw(packages: Path, out: Path) -> int:
    """Write every set as `out`/SET.npz (grey, uint8, (n, 48, 48)) and SET.json (names and tags); returns their number.

    Raises FileNotFoundError where Chromium or a package is missing.
    """
    from playwright.sync_api import sync_playwright

    out.mkdir(parents=True, exist_ok=True)
    count = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
        tab = browser.new_page(viewport={"width": _COLUMNS * DRAWN_PX, "height": _ROWS * DRAWN_PX})
        sheet = out / "sheet.html"
        for icons in (*HELD_OUT, *DEVELOPMENT, *TRAINED):
            target = out / icons.source.folder
            if target.with_name(f"{target.name}.json").exists():
                continue
            found, pictures = drawings(icons, packages), []
            for first in range(0, len(found), _COLUMNS * _ROWS):
                part = found[first : first + _COLUMNS * _ROWS]
                sheet.write_text(_html(part))
                tab.goto(sheet.absolute().as_uri(), timeout=120_000)
                shot = tab.screenshot(timeout=120_000)
                grey = cv2.imdecode(np.frombuffer(shot, np.uint8), cv2.IMREAD_GRAYSCALE)
                assert grey is not None
                cells = grey.reshape(_ROWS, DRAWN_PX, _COLUMNS, DRAWN_PX).swapaxes(1, 2)
                pictures.append(cells.reshape(-1, DRAWN_PX, DRAWN_PX)[: len(part)])
            np.savez_compressed(target.with_name(f"{target.name}.npz"), pictures=np.concatenate(pictures))
            target.with_name(f"{target.name}.json").write_text(json.dumps([one.called for one in found]))
            count += len(found)
            print(f"{icons.source.name}: {len(found)} icons", flush=True)
        browser.close()
        sheet.unlink(missing_ok=True)
    return count


def chromium() -> str:
    """Path of the browser. Raises FileNotFoundError where there is none."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        raise FileNotFoundError("Chromium is not installed (Debian: apt-get install chromium)")
    return path


def _html(found: Sequence[Drawing]) -> str:
    # Inline: a document for each drawing would take ten times as long.
    cells = "".join(f"<i>{one.svg}</i>" for one in found)
    size = f"width:{DRAWN_PX}px;height:{DRAWN_PX}px"
    style = f"body{{margin:0;color:#000;background:#fff;line-height:0}}i{{float:left}}i,svg{{{size}}}"
    return f'<!doctype html><meta charset="utf-8"><style>{style}</style>{cells}'
