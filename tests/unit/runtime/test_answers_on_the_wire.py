"""Answers to queries cross the wire unchanged."""

from protos.media.v1 import media_pb2
from services.runtime.percept import Coverage, QueryAnswer, QueryMatch, ScreenState
from services.runtime.wire import screen_from_proto, screen_to_proto

BUTTON = QueryMatch((1.0, 2.0, 30.0, 40.0), 0.75, "element", "button Submit")
ANSWERS = (
    QueryAnswer("the submit button", Coverage.FOUND, (BUTTON,), tasks=("ocr", "gui")),
    QueryAnswer("person", Coverage.NOT_FOUND),
    QueryAnswer("dragon", Coverage.NOT_COVERED, reason="nothing looks for dragons"),
)


def test_answers_come_back_as_they_went() -> None:
    state = ScreenState(16_000, 1280, 720, answers=ANSWERS)
    sent = media_pb2.ScreenState.FromString(screen_to_proto(state).SerializeToString())
    assert screen_from_proto(sent) == state


def test_a_coverage_that_is_not_known_here_is_left_out() -> None:
    message = screen_to_proto(ScreenState(0, 8, 8, answers=ANSWERS))
    message.answers[1].coverage = 9  # type: ignore[assignment]
    assert [answer.query for answer in screen_from_proto(message).answers] == ["the submit button", "dragon"]
