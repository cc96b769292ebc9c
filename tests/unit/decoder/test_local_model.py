"""The user's own model on this machine, over real HTTP."""

import json

import pytest

from services.decoder.escalation import EscalationError
from services.decoder.local_model import LocalModel, LocalSettings
from tests.unit.decoder.chat_server import chat_server
from tests.unit.decoder.test_escalation import NAMES, hits


async def _say(text: str) -> str:
    return text


async def test_it_is_given_the_lines_as_they_are_and_answers_with_their_words() -> None:
    async with chat_server(lambda messages: _say("Lena will own the release checklist by the 14th.")) as server:
        model = LocalModel(LocalSettings(server.url, "my-gguf"))
        reply = await model.ask("Who owns the checklist?", hits(), NAMES)
    assert reply.text == "Lena will own the release checklist by the 14th." and reply.lines[0] == 0
    asked = json.loads(server.bodies[0])
    assert asked["model"] == "my-gguf" and asked["temperature"] == 0
    assert "1. (Priya said) Okay. Lena, can you own" in asked["messages"][1]["content"]


@pytest.mark.parametrize(
    ("text", "says"), [("Klaus owns it.", "do not back what the local model said"), ("unknown", "does not know")]
)
async def test_what_the_lines_do_not_back_is_no_answer(text: str, says: str) -> None:
    async with chat_server(lambda messages: _say(text)) as server:
        with pytest.raises(EscalationError, match=says):
            await LocalModel(LocalSettings(server.url)).ask("Who owns the checklist?", hits(), NAMES)


async def test_a_model_that_is_away_is_no_answer() -> None:
    async with chat_server(lambda messages: _say("")) as server:
        url = server.url
    with pytest.raises(EscalationError, match="cannot be reached"):
        await LocalModel(LocalSettings(url)).ask("Who owns the checklist?", hits(), NAMES)


@pytest.mark.parametrize("url", ["http://example.com/v1", "https://127.0.0.1/v1", "http://192.168.0.7:8081/v1", "here"])
def test_only_this_machine_is_local(url: str) -> None:
    with pytest.raises(ValueError, match="must be http on this machine"):
        LocalModel(LocalSettings(url))
    assert not LocalModel(LocalSettings()).is_configured
