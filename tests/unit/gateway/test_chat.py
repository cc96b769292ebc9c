"""OpenAI's chat call: what is refused and how."""

from typing import Any

import openai
import pytest

from tests.unit.gateway.conftest import Gateway

ABOUT = {"model": "sensorium", "metadata": {"session": "kept"}}
ASK = [{"role": "user", "content": "Who liked it?"}]
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}


@pytest.fixture
async def client(gateway: Gateway) -> Any:
    """OpenAI's own client, which does not try again."""
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0) as opened:
        yield opened


async def test_the_list_of_models_has_one(client: openai.AsyncOpenAI) -> None:
    assert [model.id async for model in client.models.list()] == ["sensorium"]
    assert (await client.models.retrieve("sensorium")).owned_by == "sensorium"
    with pytest.raises(openai.NotFoundError) as caught:
        await client.models.retrieve("gpt-4o")
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("changes", "param", "code"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools", "unsupported_parameter"),
        ({"n": 2}, "n", "unsupported_parameter"),
        ({"logprobs": True}, "logprobs", "unsupported_parameter"),
        ({"stop": ["x"]}, "stop", "unsupported_parameter"),
        ({"modalities": ["text", "audio"]}, "modalities", "unsupported_parameter"),
        ({"extra_body": {"best_of": 3}}, "best_of", "unknown_parameter"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "invalid_type"),
        ({"response_format": {"type": "xml"}}, "response_format", "invalid_value"),
        ({"messages": []}, "messages", "invalid_type"),
        ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "1"}]}, "messages[0].role", None),
        ({"messages": [*ASK, {"role": "assistant", "content": "x"}]}, "messages[1].role", "invalid_value"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages", None),
        ({"messages": [{"role": "user", "content": "x" * 2001}]}, "messages", None),
        ({"messages": [{"role": "user", "content": "<task>" + " " * 200_000}]}, "messages", None),
        ({"messages": [{"role": "user", "content": [PICTURE]}]}, "messages", None),
        ({"messages": [{"role": "user", "content": "<task>ocr</task>"}]}, "messages", None),
        ({"metadata": {}}, "messages", None),
    ],
)
async def test_what_is_not_served_gets_openais_error(
    client: openai.AsyncOpenAI, kept: str, changes: dict[str, Any], param: str, code: str | None
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(**{**ABOUT, "messages": ASK, **changes})
    assert (caught.value.param, caught.value.code, caught.value.type) == (param, code, "invalid_request_error")
    assert " " in caught.value.message


@pytest.mark.parametrize(
    ("part", "param", "code"),
    [
        (
            {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
            "image_url.url",
            "invalid_image_url",
        ),
        ({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}, "image_url.url", "invalid_image_url"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,%%%"}}, "image_url.url", "invalid_base64"),
        (
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "flac"}},
            "input_audio.format",
            "invalid_value",
        ),
        ({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}, "input_audio.data", "invalid_base64"),
        ({"type": "file", "file": {"file_id": "file-1"}}, "file.file_data", "unsupported_file"),
        ({"type": "file", "file": {"file_data": "data:text/plain;base64,AAAA"}}, "file.file_data", "unsupported_file"),
        ({"type": "file", "file": {"file_data": "JVBERi0xLjcK"}}, None, "invalid_value"),
        ({"type": "video", "video": {}}, None, "invalid_value"),
    ],
)
async def test_what_is_attached_must_be_readable_here(
    client: openai.AsyncOpenAI, part: dict[str, Any], param: str | None, code: str
) -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, part]}]
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(model="sensorium", messages=messages)
    where = "messages[0].content[1]" + (f".{param}" if param else "")
    assert (caught.value.param, caught.value.code) == (where, code)


async def test_tasks_need_something_of_their_kind(client: openai.AsyncOpenAI) -> None:
    for text, says in (
        ("<task>taste</task>", "there is no task 'taste'; tasks are ocr, gui_detection"),
        ("<task>ocr</task> <task>speech_to_text</task>", "ask for one at a time"),
        ("<task>speech_to_text</task>", "speech_to_text is for audio, this is image"),
    ):
        content = [{"type": "text", "text": text}, PICTURE]
        with pytest.raises(openai.BadRequestError, match=says):
            await client.chat.completions.create(model="sensorium", messages=[{"role": "user", "content": content}])


async def test_other_models_unknown_sessions_and_lost_services_have_their_status(
    client: openai.AsyncOpenAI, kept: str
) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await client.chat.completions.create(model="gpt-4o", messages=ASK)
    assert (caught.value.param, caught.value.code) == ("model", "model_not_found")
    with pytest.raises(openai.NotFoundError, match="no session 'nobody'"):
        await client.chat.completions.create(model="sensorium/nobody", messages=ASK)
    content = [{"type": "text", "text": "<task>ocr</task>"}, PICTURE]
    with pytest.raises(openai.InternalServerError) as lost:
        await client.chat.completions.create(model="sensorium", messages=[{"role": "user", "content": content}])
    assert lost.value.status_code == 503


async def test_a_body_that_is_no_json_object_is_refused(gateway: Gateway) -> None:
    for body in (b"", b"[]", b"{", b"[" * 100_000):
        headers = {"content-type": "application/json"}
        answer = await gateway.client.post("/v1/chat/completions", content=body, headers=headers)
        assert answer.status_code == 400 and answer.json()["error"]["type"] == "invalid_request_error"
