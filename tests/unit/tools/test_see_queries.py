"""`sensorium see --query`: which tasks run, what is fetched, and how answers are shown."""

from pathlib import Path

import pytest

from protos.session.v1 import session_pb2
from services.gateway.seen import seen_json
from services.runtime.percept import Coverage, QueryAnswer, QueryMatch, ScreenState
from services.runtime.wire import screen_to_proto
from tools.errors import InputError
from tools.models import for_tasks
from tools.see import as_text, look, parse_tasks

BUTTON = QueryMatch((1.0, 2.0, 30.0, 40.0), 0.75, "element", "button Submit")
SEEN = session_pb2.SeeResponse(
    screen=screen_to_proto(
        ScreenState(
            0,
            64,
            64,
            answers=(
                QueryAnswer("the submit button", Coverage.FOUND, (BUTTON,)),
                QueryAnswer("person", Coverage.NOT_FOUND),
                QueryAnswer("dragon", Coverage.NOT_COVERED, reason="nothing looks for it"),
            ),
        )
    )
)


def test_queries_choose_the_tasks_unless_tasks_are_named() -> None:
    assert parse_tasks("", ["person"]) == () and parse_tasks("") == ("ocr",)
    assert parse_tasks("gui", ["person"]) == ("gui",)


def test_everything_that_queries_may_need_is_fetched() -> None:
    needed = set(for_tasks(["queries"]))
    assert {"minilm", "icon-encoder", "gui-elements", "ppocrv6-tiny"} <= needed
    assert "minilm" not in for_tasks(["ocr", "gui", "objects"])


def test_every_query_has_its_line() -> None:
    assert as_text(SEEN).splitlines() == [
        "the submit button: button Submit at 1,2 to 30,40, 0.75",
        "person: not found",
        "dragon: not covered: nothing looks for it",
    ]


def test_the_json_tells_found_not_found_and_not_covered() -> None:
    found, missing, unknown = seen_json(SEEN)["queries"]
    assert found["matches"] == [
        {"box": [1.0, 2.0, 30.0, 40.0], "score": 0.75, "source": "element", "name": "button Submit"}
    ]
    assert (missing["coverage"], unknown["coverage"]) == ("not_found", "not_covered")
    assert unknown["reason"] and missing["reason"] is None


def test_queries_about_a_document_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.pdf"
    file.write_bytes(b"%PDF-1.4\n")
    with pytest.raises(InputError, match="send a page as a picture"):
        look(file, (), ["person"], as_json=False)
