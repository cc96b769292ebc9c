"""OpenAI's own client package, unchanged, in a conversation with the real services."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import httpx2
import openai
import pytest
from pydantic import BaseModel, Field

from tests.conftest import DATA
from tests.house import House

MEETING = """WEBVTT

00:00:02.000 --> 00:00:05.000
<v Priya Nair>Good morning, everybody, let us begin.</v>

00:00:06.000 --> 00:00:10.000
<v Jan Kowalski>The supplier raised the price of the sensors to forty-two euros.</v>

00:00:11.000 --> 00:00:15.000
<v Priya Nair>I will write the release checklist by Thursday.</v>
"""
QUESTION = "Who will write the release checklist?"


class Line(BaseModel):
    """One line of evidence."""

    text: str
    speaker: str | None
    start_s: float


class Told(BaseModel):
    """An answer with what it stands on."""

    answer: str
    abstained: bool
    confidence: float
    speaker: str | None
    evidence: list[Line]


@pytest.fixture
def client(house: House) -> Iterator[openai.OpenAI]:
    """OpenAI's client at the gateway; it does not try again, so that every answer is the first."""
    with openai.OpenAI(base_url=f"{house.page}/v1", api_key="none", max_retries=0, timeout=120) as opened:
        yield opened


@pytest.fixture
def meeting(house: House) -> Iterator[str]:
    """An imported meeting; it is deleted afterwards."""
    imported = httpx2.post(f"{house.page}/api/sessions/import?title=Plan", content=MEETING.encode(), timeout=20)
    assert imported.status_code == 201
    session_id = imported.json()["session_id"]
    yield session_id
    assert httpx2.delete(f"{house.page}/api/sessions/{session_id}", timeout=20).status_code == 200


def about(text: str, *parts: dict) -> list[dict]:
    return [
        {"role": "system", "content": "You are helpful."},
        {"role": "user", "content": [{"type": "text", "text": text}, *parts]},
    ]


def picture() -> dict:
    data = base64.b64encode((DATA / "slide.png").read_bytes()).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}", "detail": "high"}}


def pdf(*lines: str) -> dict:
    """A page that holds its own text, and one without any."""
    drawn = " ".join(f"1 0 0 1 72 {720 - 30 * i} Tm ({line}) Tj" for i, line in enumerate(lines))
    text = f"BT /F 14 Tf {drawn} ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [5 0 R 6 0 R] /Count 2 /MediaBox [0 0 595 842] >>",
        b"<< /Font << /F 4 0 R >> >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Type /Page /Parent 2 0 R /Resources 3 0 R /Contents 7 0 R >>",
        b"<< /Type /Page /Parent 2 0 R >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(text), text),
    ]
    # without a table of its objects: readers make one
    body = b"".join(b"%d 0 obj\n%s\nendobj\n" % (i, thing) for i, thing in enumerate(objects, 1))
    data = b"%PDF-1.7\n" + body + b"trailer\n<< /Size 8 /Root 1 0 R >>\n%%EOF\n"
    return {"type": "file", "file": {"filename": "plan.pdf", "file_data": base64.b64encode(data).decode()}}


def recording(size: int | None = None) -> dict:
    """The sample's first `size` bytes."""
    data = base64.b64encode((DATA / "speech.wav").read_bytes()[:size]).decode()
    return {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}


def test_a_question_about_a_session_is_answered_with_its_evidence(client: openai.OpenAI, meeting: str) -> None:
    made = client.chat.completions.create(model=f"sensorium/{meeting}", messages=about(QUESTION), temperature=0)
    (choice,) = made.choices
    assert choice.finish_reason == "stop" and "checklist by Thursday" in choice.message.content
    assert made.usage.total_tokens == made.usage.prompt_tokens + made.usage.completion_tokens > 10
    (decoder,) = made.precontext
    assert decoder["name"] == "decoder" and not decoder["result"]["abstained"]
    best = decoder["result"]["evidence"][0]
    assert (best["speaker"], best["start_s"], best["end_s"]) == ("Priya Nair", 11.0, 15.0) and best["score"] > 0.5
    again = client.chat.completions.create(
        model="sensorium", metadata={"session": meeting}, messages=[{"role": "user", "content": QUESTION}]
    )
    assert again.choices[0].message.content == choice.message.content


def test_a_stream_gives_the_same_text_then_what_it_stands_on_then_usage(client: openai.OpenAI, meeting: str) -> None:
    whole = client.chat.completions.create(model=f"sensorium/{meeting}", messages=about(QUESTION))
    chunks = list(
        client.chat.completions.create(
            model=f"sensorium/{meeting}",
            messages=about(QUESTION),
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-2].precontext[0]["result"]["evidence"] == whole.precontext[0]["result"]["evidence"]
    assert chunks[-1].usage == whole.usage and not chunks[-1].choices


@pytest.mark.parametrize("text", ["<task>speech_to_text</task>", "What was said?"])
def test_an_attached_recording_that_was_cut_off_is_said_to_end_early(client: openai.OpenAI, text: str) -> None:
    half = (DATA / "speech.wav").stat().st_size // 2
    request = {"model": "sensorium", "messages": about(text, recording(half))}
    early = ["messages[1].content[1]: the file ends early, 3 s of the 5 s that it says it has"]
    assert client.chat.completions.create(**request).warnings == early
    *_, last = client.chat.completions.create(**request, stream=True)
    assert last.choices[0].finish_reason == "stop" and last.warnings == early
    whole = client.chat.completions.create(model="sensorium", messages=about(text, recording()))
    assert "warnings" not in whole.model_dump()


def test_what_the_minutes_know_is_told_from_them_wherever_it_is_asked(
    client: openai.OpenAI, house: House, meeting: str
) -> None:
    line = 'Priya Nair, by Thursday (Priya Nair at 00:11: "I will write the release checklist by Thursday.")'
    made = client.chat.completions.create(model=f"sensorium/{meeting}", messages=about("What are the action items?"))
    assert made.choices[0].message.content == f"- {line}"
    (decoder,) = made.precontext
    assert [said["text"] for said in decoder["result"]["evidence"]] == [
        "I will write the release checklist by Thursday."
    ]
    url = f"{house.page}/api/sessions/{meeting}/ask"
    over_http = httpx2.post(url, json={"text": "Please summarize the meeting"}, timeout=60).json()
    assert over_http["tier"] == "minutes" and f"Action items:\n- {line}" in over_http["answer"]
    assert "Topics:" in over_http["answer"] and "Decisions:" not in over_http["answer"]
    none = httpx2.post(url, json={"text": "What was decided?"}, timeout=60).json()
    assert (none["answer"], none["abstained"], none["evidence"]) == ("I heard no decision.", True, [])
    said = house.cli("ask", meeting, "Who has to do what?")
    assert said.stdout.startswith(f"- {line}\n") and said.returncode == 0


def test_a_question_goes_on_from_the_one_before(client: openai.OpenAI, house: House, meeting: str) -> None:
    asked = [{"role": "user", "content": "What did the supplier raise?"}]
    first = client.chat.completions.create(model=f"sensorium/{meeting}", messages=asked)
    assert "forty-two" in first.choices[0].message.content
    asked += [
        {"role": "assistant", "content": first.choices[0].message.content},
        {"role": "user", "content": "And to how much?"},
    ]
    made = client.chat.completions.create(model=f"sensorium/{meeting}", messages=asked)
    assert "forty-two euros" in made.choices[0].message.content
    url = f"{house.page}/api/sessions/{meeting}/ask"
    turns = [{"question": asked[0]["content"], "answer": asked[1]["content"]}]
    over_http = httpx2.post(url, json={"text": "And to how much?", "earlier": turns}, timeout=60).json()
    assert over_http["answer"] == made.choices[0].message.content
    alone = httpx2.post(url, json={"text": "And to how much?"}, timeout=60).json()
    assert alone["answer"] != over_http["answer"] or alone["confidence"] < over_http["confidence"]
    wrong = httpx2.post(url, json={"text": "And?", "earlier": [{"question": ""}]}, timeout=20)
    assert wrong.status_code == 400 and "earlier" in wrong.text


def test_an_answer_takes_the_shape_of_a_class(client: openai.OpenAI, meeting: str) -> None:
    made = client.chat.completions.parse(model=f"sensorium/{meeting}", messages=about(QUESTION), response_format=Told)
    told = made.choices[0].message.parsed
    assert told.speaker == "Priya Nair" and not told.abstained and told.evidence[0].start_s == 11
    nothing = client.chat.completions.parse(
        model=f"sensorium/{meeting}", messages=about("What is the capital of Peru?"), response_format=Told
    )
    told = nothing.choices[0].message.parsed
    assert told.abstained and told.speaker is None and told.evidence == []


class Purchase(BaseModel):
    """What a form may ask for that no part of the answer is called."""

    price: float = Field(description="Price of the sensors")
    currency: Literal["dollars", "euros"] | None = Field(description="Currency of the sensors' price")
    reason: str | None = Field(description="Why the sensors were recalled")


class Plan(BaseModel):
    """A form about one thing, with a list."""

    owner: str = Field(description="Who will write the release checklist")
    due_date: str | None = Field(description="By when the release checklist will be written")
    purchase: Purchase
    action_items: list[str]


def test_a_form_of_your_own_is_filled_with_copied_words_and_says_where_they_stand(
    client: openai.OpenAI, meeting: str
) -> None:
    asked = about("What was planned?")
    made = client.chat.completions.parse(model=f"sensorium/{meeting}", messages=asked, response_format=Plan)
    plan = made.choices[0].message.parsed
    assert plan.owner == "Priya Nair" and "Thursday" in plan.due_date
    assert (plan.purchase.price, plan.purchase.currency, plan.purchase.reason) == (42, "euros", None)
    assert plan.action_items == ["I will write the release checklist by Thursday."]
    fields = {field["path"]: field for field in made.precontext[0]["result"]["fields"]}
    price = fields["purchase.price"]
    assert price["evidence"][0]["start_s"] == 6 and "forty-two" in price["evidence"][0]["words"]
    assert price["confidence"] > 0.5 and fields["purchase.reason"]["abstained"]
    again = client.chat.completions.parse(model=f"sensorium/{meeting}", messages=asked, response_format=Plan)
    assert again.choices[0].message.content == made.choices[0].message.content


class Invoice(BaseModel):
    """A form about what is attached."""

    total: float | None
    due_date: str | None
    action_items: list[str]


def test_a_form_is_filled_from_what_is_attached(client: openai.OpenAI) -> None:
    page = pdf("Invoice 17", "Total: 42 euros", "Due date: 3 March")
    made = client.chat.completions.parse(
        model="sensorium", messages=about("Extract the invoice.", page), response_format=Invoice
    )
    invoice = made.choices[0].message.parsed
    assert (invoice.total, invoice.due_date, invoice.action_items) == (42, "3 March", [])
    told = {field["path"]: field for field in made.precontext[-1]["result"]["fields"]}
    assert told["total"]["evidence"][0]["kind"] == "screen" and told["total"]["evidence"][0]["box"]


def test_the_same_form_is_filled_over_http_and_by_the_command_line(house: House, meeting: str, tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"price": {"type": "number", "description": "Price of the sensors"}}}
    body = {"text": "What was planned?", "schema": schema}
    answer = httpx2.post(f"{house.page}/api/sessions/{meeting}/ask", json=body, timeout=60).json()
    assert json.loads(answer["answer"]) == {"price": 42}
    assert answer["fields"][0]["evidence"][0]["speaker"] == "Jan Kowalski"
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    said = house.cli("ask", meeting, "What was planned?", "--schema", str(tmp_path / "schema.json"))
    assert json.loads(said.stdout) == {"price": 42}
    refused = httpx2.post(f"{house.page}/api/sessions/{meeting}/ask", json={**body, "schema": {}}, timeout=60)
    assert refused.status_code == 400 and "its type must be object" in refused.text


def test_a_task_runs_one_expert_and_gives_its_json(client: openai.OpenAI) -> None:
    made = client.chat.completions.create(model="sensorium", messages=about("<task>ocr</task>", picture()))
    read = json.loads(made.choices[0].message.content)
    assert read["task"] == "ocr" and len(read["results"]) == 1
    assert read["results"][0]["regions"] and not read["results"][0]["elements"]
    assert read["results"][0]["activation"]["tasks"] == ["ocr"]
    assert [used["name"] for used in made.precontext] == ["vision"]
    made = client.chat.completions.create(model="sensorium", messages=about("<task>speech_to_text</task>", recording()))
    heard = json.loads(made.choices[0].message.content)
    assert heard["results"][0]["segments"][0]["words"][0]["end_s"] > 0
    assert [used["name"] for used in made.precontext] == ["asr"]


def test_a_question_about_a_picture_is_answered_from_what_is_on_it(client: openai.OpenAI, house: House) -> None:
    slide = client.chat.completions.create(model="sensorium", messages=about("<task>ocr</task>", picture()))
    texts = [region["text"] for region in slide.precontext[0]["result"]["regions"]]
    before = httpx2.get(f"{house.page}/api/sessions", timeout=20).json()
    made = client.chat.completions.create(
        model="sensorium", messages=about("What happens on Monday?", picture(), recording())
    )
    assert [used["name"] for used in made.precontext] == ["vision", "asr", "decoder"]
    best = made.precontext[-1]["result"]["evidence"][0]
    assert best["kind"] == "screen" and best["frame_id"] == "image 1" and best["box"] and best["text"] in texts
    assert "reading circle" in best["text"] and best["text"] in made.choices[0].message.content
    assert httpx2.get(f"{house.page}/api/sessions", timeout=20).json() == before


def test_a_damaged_picture_or_recording_is_a_bad_request(client: openai.OpenAI) -> None:
    broken = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}}
    noise = {"type": "input_audio", "input_audio": {"data": "aGVsbG8=", "format": "mp3"}}
    for part, text in ((broken, "<task>ocr</task>"), (noise, "<task>speech_to_text</task>"), (broken, "What is it?")):
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(model="sensorium", messages=about(text, part))
        assert " " in caught.value.message


def test_a_pdf_is_read_page_by_page_and_answers_questions(client: openai.OpenAI) -> None:
    attached = pdf("Rollout plan", "The deadline is 14 March.")
    read = client.chat.completions.create(model="sensorium", messages=about("<task>ocr</task>", attached))
    pages = json.loads(read.choices[0].message.content or "")["results"]
    assert [[r["text"] for r in page["regions"]] for page in pages] == [
        ["Rollout plan", "The deadline is 14 March."],
        [],
    ]
    told = client.chat.completions.create(model="sensorium", messages=about("When is the deadline?", attached))
    assert "14 March" in (told.choices[0].message.content or "")
    assert told.model_extra and told.model_extra["precontext"][-1]["result"]["evidence"][0]["frame_id"].endswith(
        "page 1"
    )
