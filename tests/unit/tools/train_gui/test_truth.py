"""The boxes that the detector learns are those of the pixels that Chromium drew."""

from pathlib import Path

from playwright.sync_api import Page

from tools.train_gui.render import TRUTH

PAGE = """<!doctype html><style>
body { margin: 0 } [data-e], .at { position: absolute; box-sizing: border-box }
</style>%s"""
Found = dict[str, list[tuple[list[float], list[str]]]]


def truth(tab: Page, body: str) -> Found:
    tab.set_content(PAGE % body)
    found: Found = {}
    for name, *box, states in tab.evaluate(TRUTH):
        found.setdefault(name, []).append((box, states))
    return found


def at(x: int, y: int, w: int, h: int) -> str:
    return f"left:{x}px;top:{y}px;width:{w}px;height:{h}px"


def test_a_box_is_the_border_box_with_its_states(tab: Page) -> None:
    style = f"{at(10, 20, 80, 30)};border:3px solid;padding:5px"
    found = truth(tab, f'<button data-e="button" data-s="disabled" style="{style}">OK</button>')
    assert found == {"button": [([10, 20, 90, 50], ["disabled"])]}


def test_what_is_covered_or_off_the_screen_does_not_count(tab: Page) -> None:
    body = f'<i data-e="icon" style="{at(10, 10, 20, 20)}"></i><i data-e="icon" style="{at(60, 10, 20, 20)}"></i>'
    body += f'<i data-e="icon" style="{at(390, 10, 30, 20)}"></i><i data-e="icon" style="{at(10, 80, 4, 20)}"></i>'
    body += f'<div class="at" style="{at(0, 0, 40, 40)};background:red"></div>'
    assert truth(tab, body) == {"icon": [([60, 10, 80, 30], [])]}


def test_a_box_ends_where_a_scrolling_part_cuts_it(tab: Page) -> None:
    inside = f'<i data-e="image" style="{at(0, 60, 50, 50)}"></i><i data-e="image" style="{at(60, 80, 50, 50)}"></i>'
    body = f'<div class="at" style="{at(100, 100, 200, 100)};overflow:hidden">{inside}</div>'
    assert truth(tab, body) == {"image": [([100, 160, 150, 200], [])]}


def test_a_check_box_that_a_label_draws_has_the_drawings_box(tab: Page) -> None:
    css = "label{position:absolute;left:50px;top:40px}label::before{content:'';position:absolute;left:-20px;top:3px;"
    css += "width:12px;height:12px;border:1px solid}input{opacity:0;position:absolute;left:30px;top:40px}"
    label = '<label data-e="checkbox" data-pseudo="::before">I agree</label>'
    body = f'<style>{css}</style><div><input type="checkbox">{label}</div>'
    assert truth(tab, body) == {"checkbox": [([30, 43, 44, 57], [])]}


def test_the_element_that_has_the_focus_is_marked(tab: Page) -> None:
    tab.set_content(PAGE % f'<input data-e="input" style="{at(10, 10, 100, 30)}">')
    tab.evaluate("() => document.querySelector('input').focus()")
    assert tab.evaluate(TRUTH) == [["input", 10, 10, 110, 40, ["focused"]]]


def test_the_truth_script_is_part_of_the_package() -> None:
    import tools.train_gui

    assert (Path(tools.train_gui.__file__).parent / "truth.js").is_file()
