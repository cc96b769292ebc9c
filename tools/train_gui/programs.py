"""Takes pictures of real programs of Debian 12 under Xvfb, with the boxes that they tell assistive technology.

Runs with Debian's own Python inside a session of its own (docs/gui.md has the command and the packages). What the
programs tell is not what is seen: icons are cut to what is drawn, check boxes to their marks. The rest is corrected
by hand; `programs.json` says what. For measuring alone: nothing is trained on them.
"""

# ruff: noqa: E402 - the versions must be said before anything of them is imported.
import json
import os
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gi
import numpy as np
from numpy.typing import NDArray

gi.require_version("Atspi", "2.0")
gi.require_version("Gdk", "3.0")
from gi.repository import Atspi, Gdk

SIZE_PX = (1280, 720)
# Left, top, width, height of a window's inside.
Place = tuple[int, int, int, int]
Box = tuple[int, int, int, int]
_LONGEST_START_S = 30.0
_SETTLED_S = 5.0
_LEAST_SIDE_PX = 5
# Bare icons are about as wide as they are high.
_ICON_RATIO = 1.6
_LEAST_ICON_PX, _LARGEST_ICON_PX = 16, 72
# A frame is seen along this part of a side, so near to it.
_FRAME_LEVELS, _FRAME_SHARE, _FRAME_PX = 10, 0.6, 5
_SAME_BOX = 0.9
_ROLES: Mapping[Any, str] = {
    Atspi.Role.PUSH_BUTTON: "button",
    Atspi.Role.TOGGLE_BUTTON: "button",
    Atspi.Role.CHECK_BOX: "checkbox",
    Atspi.Role.RADIO_BUTTON: "checkbox",
    Atspi.Role.TEXT: "input",
    Atspi.Role.ENTRY: "input",
    Atspi.Role.PASSWORD_TEXT: "input",
    Atspi.Role.SPIN_BUTTON: "input",
    Atspi.Role.COMBO_BOX: "select",
    Atspi.Role.PAGE_TAB: "tab",
    Atspi.Role.MENU: "menu item",
    Atspi.Role.MENU_ITEM: "menu item",
    Atspi.Role.CHECK_MENU_ITEM: "menu item",
    Atspi.Role.RADIO_MENU_ITEM: "menu item",
    Atspi.Role.LIST_ITEM: "menu item",
    Atspi.Role.TREE_ITEM: "menu item",
    Atspi.Role.SLIDER: "slider",
    Atspi.Role.LINK: "link",
    Atspi.Role.ICON: "icon",
    Atspi.Role.IMAGE: "icon",
}
# Elements whose insides are part of them.
_WHOLE = {"button", "input", "select", "menu item", "slider"}
_STATES: Mapping[Any, str] = {
    Atspi.StateType.CHECKED: "checked",
    Atspi.StateType.PRESSED: "checked",
    Atspi.StateType.SELECTED: "selected",
    Atspi.StateType.FOCUSED: "focused",
}


_NOTES = (
    "Release checklist",
    "Review the open questions of the last meeting with the design team.",
    "Ask the supplier for a new price, and for the date of the next delivery.",
    "Budget for the fourth quarter: see the table in the folder of the project.",
    "Write to the customers whose contracts end in December.",
)
_BUDGET = (
    "Item,January,February,March,Total",
    *(f"Part {i},{90 + 7 * i},{85 + 9 * i},{60 + 11 * i},{235 + 27 * i}" for i in range(1, 25)),
)
_PROGRAM = """import time


def seconds(text):
    \"\"\"How many seconds a clock's time is after midnight.\"\"\"
    hours, minutes = text.split(":")
    return 3600 * int(hours) + 60 * int(minutes)


def main():
    while True:
        print(time.strftime("%H:%M"))
        time.sleep(60)


if __name__ == "__main__":
    main()
"""


@dataclass(frozen=True, slots=True)
class Program:
    """What is started, a part of its window's title, where the window goes, and keys that are pressed then."""

    command: tuple[str, ...]
    title: str
    place: Place
    keys: tuple[str, ...] = ()


# By the pictures' names, windows from the lowest to the uppermost. `{home}` holds made up files.
PICTURES: Mapping[str, tuple[Program, ...]] = {
    "thunar": (Program(("thunar", "{home}/Projects"), "Projects", (60, 60, 900, 520)),),
    "mousepad-menu": (Program(("mousepad", "{home}/notes.txt"), "notes", (180, 80, 820, 500), ("alt+e",)),),
    "galculator": (
        Program(("mousepad", "{home}/Projects/budget.csv"), "budget", (40, 60, 620, 460)),
        Program(("galculator",), "galculator", (700, 120, 460, 420)),
    ),
    "xfce-settings": (
        Program(("xfce4-keyboard-settings",), "Keyboard", (60, 70, 560, 470)),
        Program(("xfce4-appearance-settings",), "Appearance", (560, 130, 600, 460)),
    ),
    "evince": (Program(("evince", "{home}/report.pdf"), "report", (60, 50, 1100, 600)),),
    "file-roller": (Program(("file-roller", "{home}/archive.tar.gz"), "archive", (150, 90, 900, 480)),),
    "gnumeric": (Program(("gnumeric", "{home}/Projects/budget.csv"), "budget", (40, 50, 1160, 600)),),
    "geany": (Program(("geany", "{home}/Projects/clock.py"), "clock", (40, 50, 1160, 600)),),
    "transmission": (Program(("transmission-gtk",), "Transmission", (140, 80, 620, 480), ("alt+e", "Up", "Return")),),
    "dolphin": (Program(("dolphin", "{home}/Projects"), "Projects", (60, 60, 980, 540)),),
    "featherpad": (Program(("featherpad", "{home}/Projects/clock.py"), "clock", (90, 70, 900, 540), ("ctrl+f",)),),
    "keepassxc": (Program(("keepassxc",), "KeePassXC", (160, 70, 880, 560)),),
    "mousepad-thunar": (
        Program(("thunar", "{home}"), "anna", (40, 60, 700, 480)),
        Program(("mousepad", "{home}/notes.txt"), "notes", (420, 180, 740, 420), ("ctrl+h",)),
    ),
}


def take(out: Path, names: Iterable[str] = ()) -> int:
    """Take the pictures of these names, or all; returns how many. Raises TimeoutError where a window does not come."""
    out.mkdir(parents=True, exist_ok=True)
    by_hand = json.loads(Path(__file__).with_suffix(".json").read_text())
    home = Path.home()
    _furnish(home)
    running = [_run(("xfwm4", "--compositor=off")), _run(("xfce4-panel", "--disable-wm-check"))]
    time.sleep(_SETTLED_S)
    subprocess.run(("xsetroot", "-solid", "#3b6ea5"), check=True)
    count = 0
    for name in names or PICTURES:
        started = [_start(program, home) for program in PICTURES[name]]
        time.sleep(_SETTLED_S)
        shown = Gdk.pixbuf_get_from_window(Gdk.get_default_root_window(), 0, 0, *SIZE_PX)
        elements = _corrected(list(_elements(_pixels(shown))), by_hand.get(name, {}))
        shown.savev(str(out / f"{name}.png"), "png", ["compression"], ["9"])
        (out / f"{name}.json").write_text("[" + ",\n ".join(map(json.dumps, elements)) + "]\n")
        for process in started:
            _end(process)
        count += 1
    for process in running:
        _end(process)
    return count


def _furnish(home: Path) -> None:
    """Files for the programs to show."""
    projects = home / "Projects"
    projects.mkdir(exist_ok=True)
    (home / "notes.txt").write_text("\n".join(_NOTES))
    (projects / "budget.csv").write_text("\n".join(_BUDGET))
    (projects / "clock.py").write_text(_PROGRAM)
    for name in ("drafts", "invoices", "photos", "reports"):
        (projects / name).mkdir(exist_ok=True)
    page = home / "report.html"
    page.write_text("<h1>Report</h1>" + "".join(f"<h2>{line}</h2><p>{' '.join(_NOTES)}</p>" for line in _NOTES))
    pdf, archive = home / "report.pdf", home / "archive.tar.gz"
    printed = ("chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--print-to-pdf={pdf}", page.as_uri())
    subprocess.run(printed, check=True, capture_output=True)
    subprocess.run(("tar", "czf", str(archive), "-C", str(home), "Projects", "notes.txt"), check=True)


def _run(command: Iterable[str]) -> "subprocess.Popen[bytes]":
    # Qt tells assistive technology nothing unless it is told to; the panel asks no question with this.
    told = {"QT_LINUX_ACCESSIBILITY_ALWAYS_ON": "1", "XFCE_PANEL_MIGRATE_DEFAULT": "1"}
    return subprocess.Popen(tuple(command), env=os.environ | told, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _start(program: Program, home: Path) -> "subprocess.Popen[bytes]":
    command = [part.format(home=home) for part in program.command]
    process = _run(command)
    deadline = time.monotonic() + _LONGEST_START_S
    while not (windows := _windows(program.title)):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{command[0]} showed no window called {program.title!r}")
        time.sleep(0.2)
    time.sleep(_SETTLED_S)
    left, top, width, height = map(str, program.place)
    move = ("windowsize", windows[-1], width, height, "windowmove", windows[-1], left, top)
    subprocess.run(("xdotool", *move, "windowactivate", windows[-1]), check=True)
    for key in program.keys:
        time.sleep(0.5)
        subprocess.run(("xdotool", "key", key), check=True)
    return process


def _windows(title: str) -> list[str]:
    found = subprocess.run(("xdotool", "search", "--onlyvisible", "--name", title), capture_output=True, text=True)
    return found.stdout.split()


def _pixels(shown: Any) -> NDArray[np.uint8]:
    """What Xvfb shows: (h, w, 3) uint8 RGB."""
    rows = np.frombuffer(shown.get_pixels(), np.uint8)
    step, channels = shown.get_rowstride(), shown.get_n_channels()
    rows = np.pad(rows, (0, step * SIZE_PX[1] - len(rows))).reshape(SIZE_PX[1], step)
    pixels = rows[:, : SIZE_PX[0] * channels].reshape(SIZE_PX[1], SIZE_PX[0], channels)
    return np.ascontiguousarray(pixels[..., :3])


def _elements(pixels: NDArray[np.uint8]) -> Iterator[list[Any]]:
    """(class, four edges in pixels, states) of everything that the programs say they show."""
    desktop = Atspi.get_desktop(0)
    for index in range(desktop.get_child_count()):
        yield from _below(desktop.get_child_at_index(index), (0, 0, *SIZE_PX), pixels)


def _below(node: Any, port: Box, pixels: NDArray[np.uint8]) -> Iterator[list[Any]]:
    if node is None:
        return
    held, role, around = node.get_state_set(), node.get_role(), port
    box = _extents(node)
    if role not in (Atspi.Role.APPLICATION,):
        if not held.contains(Atspi.StateType.SHOWING) or box is None:
            return
        if role not in (Atspi.Role.MENU, Atspi.Role.MENU_ITEM):  # an open menu lies outside of its entry
            port = _common(port, box)
    kind = _ROLES.get(role)
    if kind is not None and box is not None:
        shown = _common(box, port)
        drawn = _drawn(kind, shown, pixels)
        if drawn is not None:
            kind, shown = drawn
            states = {name for state, name in _STATES.items() if held.contains(state)}
            if not held.contains(Atspi.StateType.SENSITIVE):
                states.add("disabled")
            yield [kind, *shown, sorted(states)]
    if kind in _WHOLE and role != Atspi.Role.MENU:
        return
    # What an open menu and a chosen tab hold lies outside of them.
    inner = (0, 0, *SIZE_PX) if role == Atspi.Role.MENU else around if role == Atspi.Role.PAGE_TAB else port
    for index in range(min(node.get_child_count(), 400)):
        yield from _below(node.get_child_at_index(index), inner, pixels)


def _extents(node: Any) -> Box | None:
    place = node.get_component_iface()
    if place is None:
        return None
    at = place.get_extents(Atspi.CoordType.SCREEN)
    return at.x, at.y, at.x + at.width, at.y + at.height


def _common(a: Box, b: Box) -> Box:
    return max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])


def _drawn(kind: str, box: Box, pixels: NDArray[np.uint8]) -> tuple[str, Box] | None:
    """The class and the box of what is seen of an element; None for nothing."""
    x0, y0, x1, y1 = box
    if min(x1 - x0, y1 - y0) < _LEAST_SIDE_PX:
        return None
    if kind == "button" and x1 - x0 < _ICON_RATIO * (y1 - y0) and not _has_frame(box, pixels):
        return "icon", _square(_ink(box, pixels))
    if kind == "icon":
        return ("image" if max(x1 - x0, y1 - y0) > _LARGEST_ICON_PX else "icon"), box
    if kind == "checkbox":
        return kind, _ink((x0, y0, min(x1, x0 + (y1 - y0)), y1), pixels)
    return kind, box


def _has_frame(box: Box, pixels: NDArray[np.uint8]) -> bool:
    """True where lines run along the upper and the left side."""
    x0, y0, x1, y1 = box
    part = pixels[y0:y1, x0:x1].astype(np.int16)
    off = np.abs(part - np.median(part.reshape(-1, 3), axis=0)).max(axis=2) > _FRAME_LEVELS
    sides = (off[:_FRAME_PX].mean(axis=1).max(), off[:, :_FRAME_PX].mean(axis=0).max())
    return bool(min(sides) > _FRAME_SHARE)


def _square(box: Box) -> Box:
    """Icons have room around what is drawn: a square, of the usual least size."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    half = max(_LEAST_ICON_PX, box[2] - box[0], box[3] - box[1]) / 2
    return round(x - half), round(y - half), round(x + half), round(y + half)


def _ink(box: Box, pixels: NDArray[np.uint8]) -> Box:
    """Around what differs from the most usual colour in the box, its rim left aside."""
    x0, y0, x1, y1 = box
    part = pixels[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2].astype(np.int16)
    off = np.abs(part - np.median(part.reshape(-1, 3), axis=0)).max(axis=2) > 24
    rows, columns = np.flatnonzero(off.any(axis=1)), np.flatnonzero(off.any(axis=0))
    if not len(rows):
        return box
    left, top = x0 + 2, y0 + 2
    return left + int(columns[0]), top + int(rows[0]), left + int(columns[-1]) + 1, top + int(rows[-1]) + 1


def _corrected(elements: list[list[Any]], by_hand: Mapping[str, Any]) -> list[list[Any]]:
    """Without the boxes that a hand took out, with the elements that it put in."""
    gone = by_hand.get("remove", [])
    kept = [each for each in elements if not any(_likeness(each[1:5], box) > _SAME_BOX for box in gone)]
    return [*kept, *by_hand.get("add", [])]


def _likeness(a: Any, b: Any) -> float:
    x0, y0, x1, y1 = _common(tuple(a), tuple(b))
    both = max(0, x1 - x0) * max(0, y1 - y0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return float(both / max(1, sum(areas) - both))
