from dataclasses import replace

from services.runtime.percept import ScreenChange, ScreenChangeKind, ScreenState, TextRegion
from services.vision.screen_changes import changes_between, is_same_slide


def state(*lines: tuple[str, str, float]) -> ScreenState:
    """Lines given by id, text and top."""
    regions = tuple(TextRegion(name, text, (10, top, 10 + 8 * len(text), top + 20)) for name, text, top in lines)
    return ScreenState(0, 640, 360, regions=regions)


OLD = state(("a", "Quarterly review", 20), ("b", "Revenue grew", 60), ("c", "Questions", 100))


def test_a_first_state_is_all_appeared() -> None:
    (change,) = changes_between(None, OLD)
    assert change == ScreenChange(ScreenChangeKind.APPEARED, ("a", "b", "c"), (10, 20, 138, 120))


def test_the_same_state_and_one_off_by_a_pixel_have_no_changes() -> None:
    assert changes_between(OLD, OLD) == ()
    assert changes_between(OLD, state(*((r.region_id, r.text, r.box[1] + 1) for r in OLD.regions))) == ()


def test_lines_come_change_and_go() -> None:
    new = state(("a", "Quarterly review 2", 20), ("b", "Revenue grew", 60), ("d", "New", 140))
    assert [(change.kind.value, change.region_ids) for change in changes_between(OLD, new)] == [
        ("appeared", ("d",)),
        ("changed", ("a",)),
        ("gone", ("c",)),
    ]


def test_lines_that_move_together_are_one_scroll_even_when_one_is_off_by_a_pixel() -> None:
    new = state(("a", "Quarterly review", 20), ("b", "Revenue grew", 28), ("c", "Questions", 69))
    (change,) = changes_between(OLD, new)
    assert (change.kind, change.region_ids) == (ScreenChangeKind.SCROLLED, ("b", "c"))
    assert (change.dx_px, change.dy_px) == (0, -32)


def test_a_box_that_was_measured_anew_has_not_scrolled() -> None:
    old = ScreenState(0, 640, 360, regions=(TextRegion("a", "Agenda", (10, 20, 90, 40)),))
    assert changes_between(old, replace(old, regions=(TextRegion("a", "Agenda", (10, 15, 90, 41)),))) == ()


def test_a_slide_stays_while_it_grows_scrolls_or_is_partly_covered() -> None:
    grown = state(*((r.region_id, r.text, r.box[1]) for r in OLD.regions), ("d", "One more bullet", 140))
    scrolled = state(("b", "Revenue grew", 20), ("c", "Questions", 60), ("e", "What comes next", 100))
    assert is_same_slide(OLD, grown) and is_same_slide(grown, OLD) and is_same_slide(OLD, scrolled)


def test_another_slide_with_the_same_footer_is_another_slide() -> None:
    footer = ("f", "ACME", 340)
    a = state(("a", "Quarterly review of 2026", 20), footer)
    assert not is_same_slide(a, state(("b", "Hiring plan for autumn", 20), footer))
    assert not is_same_slide(state(), a) and is_same_slide(state(), state())
