"""What is kept of screens tells slides and events."""

import json
from dataclasses import replace

from protos.session.v1 import session_pb2
from services.gateway.formats import render
from services.gateway.transcript import Document, ScreenEvent, Slide, fold
from services.runtime import wire
from services.runtime.percept import ScreenChange, ScreenChangeKind, ScreenState, TextRegion

RATE = 16_000
BOX = (10.0, 20.0, 90.0, 40.0)


def _state(at_s: float, slide_id: str, texts: dict[str, str], *changes: ScreenChange) -> ScreenState:
    regions = tuple(TextRegion(name, text, BOX) for name, text in texts.items())
    return ScreenState(round(at_s * RATE), 640, 360, regions=regions, changes=changes, slide_id=slide_id)


def _folded(*states: ScreenState) -> Document:
    events = [session_pb2.Event(screen=wire.screen_to_proto(state)) for state in states]
    return fold([*events, session_pb2.Event(ended=session_pb2.Ended(end_sample=20 * RATE))])


DOCUMENT = _folded(
    _state(0, "s1", {"a": "Agenda"}, ScreenChange(ScreenChangeKind.APPEARED, ("a",), BOX)),
    _state(4, "s1", {"a": "Agenda"}, ScreenChange(ScreenChangeKind.SCROLLED, ("a",), BOX, 0, -40)),
    _state(9, "s2", {"b": "Budget"}, ScreenChange(ScreenChangeKind.GONE, ("a",), BOX)),
    _state(9, "s2", {"b": "The budget"}),
)


def test_a_state_comes_through_the_wire_as_it_was() -> None:
    state = _state(1, "s1", {"a": "Agenda"}, ScreenChange(ScreenChangeKind.SCROLLED, ("a",), BOX, 3, -40))
    assert wire.screen_from_proto(wire.screen_to_proto(state)) == state


def test_a_state_that_is_still_being_read_comes_through_the_wire_and_is_no_part_of_the_document() -> None:
    partial = replace(_state(9, "", {"b": "Bud"}), is_partial=True)
    assert wire.screen_from_proto(wire.screen_to_proto(partial)) == partial
    assert _folded(_state(0, "s1", {"a": "Agenda"}), partial) == _folded(_state(0, "s1", {"a": "Agenda"}))


def test_a_kind_of_change_that_is_not_known_is_left_out() -> None:
    message = wire.screen_to_proto(_state(1, "s1", {}))
    message.changes.add(kind=99)
    assert wire.screen_from_proto(message).changes == ()


def test_a_slide_lasts_until_the_next_and_the_last_until_the_end() -> None:
    assert DOCUMENT.slides == (Slide("s1", 0, 9 * RATE), Slide("s2", 9 * RATE, 20 * RATE))


def test_events_tell_when_and_what_also_of_lines_that_went_and_survive_a_corrected_reading() -> None:
    assert DOCUMENT.screen_events == (
        ScreenEvent(0, "appeared", ("Agenda",), BOX, 0, 0),
        ScreenEvent(4 * RATE, "scrolled", ("Agenda",), BOX, 0, -40),
        ScreenEvent(9 * RATE, "gone", ("Agenda",), BOX, 0, 0),
    )


def test_json_tells_slides_and_events_in_seconds() -> None:
    made = json.loads(render(DOCUMENT, "json"))
    assert made["slides"][1] == {"slide": "s2", "start_s": 9, "end_s": 20}
    assert made["screen_events"][1] == {
        "at_s": 4,
        "event": "scrolled",
        "lines": ["Agenda"],
        "box": [10, 20, 90, 40],
        "dx_px": 0,
        "dy_px": -40,
    }


def test_a_session_without_slides_has_none() -> None:
    assert _folded(_state(0, "", {"a": "Agenda"})).slides == ()
