"""A transcript of another tool through the real services: imported, shown, asked, told in minutes, deleted."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.house import House
from tests.streams.test_openai_chat import MEETING, QUESTION

MORE = """
00:00:16.000 --> 00:00:19.000
<v Jan Kowalski>So we agreed to order &lt;b&gt;two&lt;/b&gt; hundred sensors.</v>

00:00:20.000 --> 00:00:22.000
<v Priya Nair>Does the warehouse have room for them?</v>

00:00:23.000 --> 00:00:25.000
<v Jan Kowalski>I have no idea.</v>
"""


@pytest.fixture
def meeting(house: House, tmp_path: Path) -> Iterator[str]:
    """A meeting that the command line imported; it is deleted afterwards."""
    file = tmp_path / "planning.vtt"
    file.write_text(MEETING + MORE)
    imported = house.cli("import", str(file))
    assert imported.returncode == 0, imported.stderr
    session_id = imported.stdout.strip()
    yield session_id
    assert house.cli("delete", session_id).returncode == 0
    assert house.cli("show", session_id).returncode == 1


def test_it_is_listed_shown_and_asked_like_one_that_was_heard(house: House, meeting: str) -> None:
    listed = json.loads(house.cli("sessions", "--format", "json").stdout)["sessions"]
    (summary,) = [session for session in listed if session["session"] == meeting]
    assert summary["title"] == "planning" and summary["duration_s"] == 25 and not summary["is_live"]
    shown = house.cli("show", meeting).stdout
    assert "[00:06] Jan Kowalski: The supplier raised the price of the sensors to forty-two euros." in shown
    asked = json.loads(house.cli("ask", meeting, QUESTION, "--format", "json").stdout)
    assert asked["evidence"][0]["speaker"] == "Priya Nair" and "Thursday" in asked["answer"]


def test_a_question_has_the_same_answer_after_a_new_name_and_from_a_decoder_that_began_anew(
    house: House, meeting: str
) -> None:
    def ask() -> dict[str, object]:
        asked = house.cli("ask", meeting, QUESTION, "--format", "json")
        assert asked.returncode == 0, asked.stderr
        told = json.loads(asked.stdout)
        return {name: told[name] for name in ("answer", "confidence", "evidence")}

    first = ask()
    assert ask() == first
    dead = house.kill("decoder")
    house.wait_until_serving()
    assert house.pid("decoder") != dead and ask() == first
    speaker = first["evidence"][0]["speaker"]  # type: ignore[index]
    names = {"speaker": "S1", "name": "Priya N."}
    assert httpx2.post(f"{house.page}/api/sessions/{meeting}/names", json=names, timeout=20).status_code == 200
    assert speaker == "Priya Nair" and "Priya N." in str(ask()["answer"])


def test_its_minutes_stand_on_its_lines(house: House, meeting: str) -> None:
    told = json.loads(house.cli("minutes", meeting, "--format", "json").stdout)
    assert told == httpx2.get(f"{house.page}/api/sessions/{meeting}/minutes", timeout=60).json()
    assert [(i["text"], i["speaker"], i["start_s"]) for i in told["decisions"]] == [
        ("So we agreed to order <b>two</b> hundred sensors.", "Jan Kowalski", 16.0)
    ]
    assert [(i["owner"], i["due"], i["evidence"][0]["utterances"]) for i in told["actions"]] == [
        ("Priya Nair", "by Thursday", ["u3"])
    ]
    assert [i["text"] for i in told["questions"]] == ["Does the warehouse have room for them?"]
    (topic,) = told["topics"]
    assert topic["title"] in topic["evidence"][0]["text"]
    text = house.cli("minutes", meeting).stdout
    assert "- **Priya Nair, by Thursday**: I will write" in text and r"\<b\>two" in text
    refused = httpx2.get(f"{house.page}/api/sessions/{meeting}/minutes?format=docx", timeout=20)
    assert refused.status_code == 400 and "must be one of md, json" in refused.json()["error"]["message"]
    assert httpx2.get(f"{house.page}/api/sessions/nobody/minutes", timeout=20).status_code == 404


def test_what_cannot_be_imported_is_told_with_its_line(house: House, tmp_path: Path) -> None:
    file = tmp_path / "standup.srt"
    file.write_text("1\n00:00:01,000 --> later\nPriya: We ship.\n")
    refused = house.cli("import", str(file))
    assert refused.returncode == 2 and refused.stderr.startswith("error: line 2: a cue's times are")
    nowhere = house.cli("import", str(tmp_path / "nowhere.vtt"))
    assert nowhere.returncode == 2 and "there is no file" in nowhere.stderr
