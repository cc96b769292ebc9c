"""A state is learnt where it is seen: two drawings, with it and without, differ."""

import json
import random
from pathlib import Path

from playwright.sync_api import Page

from tools.train_gui.render import TRUTH, seen_states
from tools.train_gui.states import SCRIPT, one_page

STYLE = """<!doctype html><style>body { margin: 0 }
button { position: absolute; outline: none; color: #000; background: #eee; border: 1px solid #000 }
.pale:disabled { opacity: .4; pointer-events: none } .same:disabled { color: #000 }
.ring:focus { outline: 2px solid #06f }</style>"""


def button(y: int, name: str, off: bool = False) -> str:
    held = ' data-s="disabled" disabled' if off else ""
    style = f"left:20px;top:{y}px;width:120px;height:30px"
    return f'<button data-e="button" class="{name}" style="{style}"{held}>Send it</button>'


def states(tab: Page) -> list[list[str]]:
    return [element[5] for element in seen_states(tab, tab.evaluate(TRUTH), 1.0)]


def test_what_lets_clicks_through_is_seen_all_the_same(tab: Page) -> None:
    tab.set_content(STYLE + button(10, "pale", True) + button(60, "pale"))
    assert [element[5] for element in tab.evaluate(TRUTH)] == [["disabled"], []]


def test_a_disabled_control_that_looks_like_any_other_is_not_said_to_be_disabled(tab: Page) -> None:
    tab.set_content(STYLE + button(10, "pale", True) + button(60, "same", True) + button(110, "same"))
    assert states(tab) == [["disabled"], [], []]


def test_a_focus_counts_where_it_is_drawn(tab: Page) -> None:
    for name, wanted in (("ring", ["focused"]), ("same", [])):
        tab.set_content(STYLE + button(10, "same") + button(60, name))
        tab.evaluate("() => document.querySelectorAll('button')[1].focus()")
        assert states(tab) == [[], wanted]


def test_drawings_tell_what_was_done_and_how_much_of_it_is_seen(tab: Page, tmp_path: Path) -> None:
    tab.set_content(STYLE + "".join(button(10 + 40 * n, "pale ring") for n in range(6)))
    tab.evaluate(SCRIPT)
    one_page(tab, random.Random(3), tmp_path / "p", 1.0)
    told = [row[6] for path in sorted(tmp_path.glob("*.json")) for row in json.loads(path.read_text())]
    assert len(told) == 18 and {each["disabled"] for each in told} == {True, False}
    for each in told:
        assert (each["inside"] >= 16) == each["disabled"] or each["focused"]
        assert (each["around"] >= 40) == (each["disabled"] or each["focused"])
