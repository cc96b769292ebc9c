"""The command line as programs see it: exit codes, stdout, stderr."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engines.manifest import manifests
from protos.decoder.v1 import decoder_pb2
from protos.media.v1 import media_pb2
from protos.session.v1 import session_pb2
from services.decoder.audit import AuditLog
from services.gateway.answers import answer_json
from services.gateway.seen import seen_json
from tools import models, sessions
from tools.cli import app
from tools.errors import BAD_INPUT, FAILED, InputError
from tools.see import as_text, parse_tasks
from tools.sessions import session_json
from tools.supervisor import SERVICES, free_addresses
from tools.transcribe import parse_options, read_phrases
from tools.up import parse_names

DATA = Path(__file__).resolve().parents[2] / "data"


@pytest.fixture
def environment(tmp_path):
    """A place of its own: nothing runs there."""
    *addresses, http = free_addresses(len(SERVICES) + 1)
    return {
        **os.environ,
        **{f"SENSORIUM_{name.upper()}_ADDRESS": at for name, at in zip(SERVICES, addresses, strict=True)},
        "SENSORIUM_HTTP_ADDRESS": http,
        "SENSORIUM_STATE": str(tmp_path / "state"),
        "SENSORIUM_DATA": str(tmp_path / "data"),
        "SENSORIUM_MODELS": str(tmp_path / "models"),
        "COLUMNS": "200",
    }


def _run(environment, *arguments):
    command = [sys.executable, "-m", "tools.cli", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_help_imports_nothing_heavy():
    code = "import sys, tools.cli\nprint([m for m in ('grpc', 'av', 'numpy', 'onnxruntime') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


def test_help_names_every_command(environment):
    text = _run(environment, "--help").stdout
    for command in "up down status transcribe see sessions show delete ask audit models".split():
        assert f" {command} " in text


def test_the_audit_shows_every_byte_that_left_and_what_came_of_it(environment):
    assert json.loads(_run(environment, "audit", "--format", "json").stdout) == {"sent": []}
    log = AuditLog(Path(environment["SENSORIUM_STATE"]) / "escalations.jsonl")
    body = b'{"q": "[NAME_1]\\n"}\x1b[0m'
    entry = log.sent(session="s", url="https://x/v1", model="m", policy="allowed", why="unsure", body=body)
    (sent,) = json.loads(_run(environment, "audit", "--format", "json").stdout)["sent"]
    assert sent["body"].encode() == body and sent["bytes"] == len(body) and sent["outcome"] is None
    log.done(entry, outcome="answered", bytes_received=9, tokens=7, ms=1.0)
    shown = _run(environment, "audit").stdout
    assert "to https://x/v1 (m): answered; unsure" in shown and "[NAME_1]" in shown and "\x1b" not in shown


def test_status_of_nothing_is_five_stopped_services(environment):
    answer = _run(environment, "status", "--format", "json")
    services = json.loads(answer.stdout)["services"]
    assert [service["name"] for service in services] == list(SERVICES)
    assert all(service["state"] == "stopped" and service["pid"] is None for service in services)
    assert services[0]["address"] == environment["SENSORIUM_ASR_ADDRESS"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["transcribe", __file__], "is not sound or video"),
        (["transcribe", "/nowhere.wav"], "there is no file /nowhere.wav"),
        (["transcribe", DATA / "speech.wav", "-o", "/nowhere/at/all.txt"], "there is no folder /nowhere/at"),
        (["transcribe", DATA / "speech.wav", "--phrases", "/nowhere.txt"], "/nowhere.txt cannot be read"),
        (["transcribe", DATA / "speech.wav", "--option", "latency"], "is not EXPERT.OPTION=VALUE"),
        (["transcribe", DATA / "speech.wav", "--format", "docx"], "docx"),
        (["see", DATA / "slide.png", "--tasks", "taste"], "no task 'taste'; tasks are ocr, gui, objects"),
        (["see", "/nowhere.png"], "/nowhere.png cannot be read"),
        (["up", "--only", "smell"], "no service 'smell'; services are asr, diarization"),
        (["models", "fetch"], "name models, or use --all"),
        (["models", "fetch", "--set", "klingon"], "no set 'klingon'"),
    ],
)
def test_bad_input_is_refused_in_one_sentence_with_exit_code_2(environment, arguments, sentence):
    answer = _run(environment, *arguments)
    assert answer.returncode == BAD_INPUT
    assert answer.stdout == ""
    assert sentence in answer.stderr
    assert "Traceback" not in answer.stderr


def test_an_unknown_model_is_an_error_that_names_the_known_ones(environment):
    answer = _run(environment, "models", "fetch", "gpt-9000")
    assert answer.returncode == FAILED
    assert "no model 'gpt-9000'; known are" in answer.stderr and "silero-vad" in answer.stderr


def test_verifying_what_was_not_fetched_says_how_to_fetch(environment):
    answer = _run(environment, "models", "verify", "silero-vad")
    assert answer.returncode == FAILED
    assert "run `sensorium models fetch silero-vad`" in answer.stderr


def test_models_are_listed_with_licence_and_whether_they_are_here(environment):
    listed = json.loads(_run(environment, "models", "list", "--format", "json").stdout)["models"]
    vad = next(model for model in listed if model["name"] == "silero-vad")
    assert vad["licence"] == "MIT" and vad["is_fetched"] is False
    assert vad["packages"] == ["pypi:silero-vad==6.2.3"]


def test_up_holds_services_until_down_and_only_once(environment):
    up = _run(environment, "up", "--detach", "--only", "gateway")
    assert up.returncode == 0, up.stderr
    try:
        states = {s["name"]: s for s in json.loads(_run(environment, "status", "--format", "json").stdout)["services"]}
        assert states["gateway"]["state"] == "serving" and states["asr"]["state"] == "stopped"
        again = _run(environment, "up", "--only", "gateway")
        assert again.returncode == FAILED and "already up" in again.stderr
        sessions = _run(environment, "sessions", "--format", "json")
        assert json.loads(sessions.stdout) == {"sessions": []}
        for command in (["show", "nope"], ["delete", "nope"]):
            missing = _run(environment, *command)
            assert missing.returncode == FAILED and "nope" in missing.stderr
            assert missing.stdout == ""
    finally:
        down = _run(environment, "down")
    assert down.returncode == 0 and "stopped" in down.stderr
    with pytest.raises(ProcessLookupError):
        os.kill(states["gateway"]["pid"], 0)
    assert "nothing to stop" in _run(environment, "down").stderr


def test_sigterm_stops_up_and_its_services(environment):
    command = [sys.executable, "-m", "tools.cli", "up", "--only", "gateway"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as up:
        while not up.stderr.readline().startswith("up after"):
            assert up.poll() is None
        pid = json.loads(_run(environment, "status", "--format", "json").stdout)["services"][-1]["pid"]
        up.send_signal(signal.SIGTERM)
        assert up.wait(30) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_port_that_something_else_uses_is_told(environment):
    (Path(environment["SENSORIUM_STATE"])).mkdir()
    host, port = environment["SENSORIUM_GATEWAY_ADDRESS"].split(":")
    code = f"import socket\ns = socket.create_server(({host!r}, {port}))\nprint(1, flush=True)\ninput()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        other.stdout.readline()
        for detach in ([], ["--detach"]):
            answer = _run(environment, "up", "--only", "gateway", *detach)
            assert answer.returncode == FAILED
            assert f"{host}:{port} (gateway) cannot be used: Address already in use" in answer.stderr
        other.kill()


def test_services_that_are_not_up_are_started_for_the_call_and_stopped_after_it(environment, tmp_path):
    answer = _run(environment, "sessions", "--format", "json")
    assert json.loads(answer.stdout) == {"sessions": []}
    assert "waiting for gateway" in answer.stderr
    assert list((tmp_path / "state").iterdir()) == []


def test_a_gateway_on_another_machine_is_not_started_here(environment):
    answer = _run({**environment, "SENSORIUM_GATEWAY_ADDRESS": "192.0.2.1:50050"}, "sessions")
    assert answer.returncode == FAILED
    assert "no gateway serves at 192.0.2.1:50050" in answer.stderr


def test_every_set_and_service_names_models_that_exist():
    named = {name for group in (*models.SETS.values(), *models.BY_SERVICE.values()) for name in group}
    assert named | set(models.OTHER_LANGUAGES) <= set(manifests())


def test_english_needs_no_multilingual_model_and_other_languages_do():
    assert models.for_speech("en-GB") == models.BY_SERVICE["asr"]
    assert set(models.OTHER_LANGUAGES) < set(models.for_speech("de"))
    assert set(models.OTHER_LANGUAGES) < set(models.for_speech(""))


def test_looking_for_text_needs_no_object_detector():
    assert models.for_tasks(["ocr"]) == models.BY_SERVICE["vision"]
    assert set(models.for_tasks(["objects"])).isdisjoint(models.BY_SERVICE["vision"])


def test_phrases_are_lines_with_weights_after_a_tab(tmp_path):
    path = tmp_path / "phrases.txt"
    path.write_text("Sensorium\n\nPriya Raman\t2.5\n  spaced \t\n")
    assert read_phrases(path) == [("Sensorium", 0.0), ("Priya Raman", 2.5), ("spaced", 0.0)]


def test_a_weight_that_is_no_number_is_named_with_its_line(tmp_path):
    path = tmp_path / "phrases.txt"
    path.write_text("one\ntwo\theavy\n")
    with pytest.raises(InputError, match="line 2: the weight is 'heavy'"):
        read_phrases(path)


def test_options_tasks_and_services_are_parsed():
    assert parse_options(["diarization.latency_s=2", "asr.x=a=b"]) == {"diarization.latency_s": "2", "asr.x": "a=b"}
    assert parse_tasks("objects, ocr,objects") == ("objects", "ocr")
    assert parse_names("gateway,asr") == ("asr", "gateway")
    assert parse_names("") == SERVICES


def test_what_was_seen_has_the_promised_shape():
    box = media_pb2.Box(x0=1, y0=2, x1=3, y1=4)
    screen = media_pb2.ScreenState(
        width_px=640,
        height_px=480,
        regions=[media_pb2.TextRegion(text="Hi", box=box, confidence=0.5, script="Latn")],
        elements=[media_pb2.UiElement(class_name="button", box=box, text="OK", states=["disabled"])],
        objects=[media_pb2.DetectedObject(class_name="cat", class_id=15, box=box, confidence=0.25)],
        unavailable={"gui": "no model yet"},
    )
    activation = session_pb2.ExpertActivation(
        expert="vision", tasks=["ocr", "gui"], parameters=7, milliseconds=12.5, bytes_read=9
    )
    response = session_pb2.SeeResponse(screen=screen, activation=[activation])
    assert seen_json(response) == {
        "width_px": 640,
        "height_px": 480,
        "regions": [{"text": "Hi", "box": [1, 2, 3, 4], "confidence": 0.5, "script": "Latn"}],
        "elements": [
            {"class": "button", "box": [1, 2, 3, 4], "confidence": None, "text": "OK", "states": ["disabled"]}
        ],
        "objects": [{"class": "cat", "class_id": 15, "box": [1, 2, 3, 4], "confidence": 0.25}],
        "activation": {
            "experts": ["vision"],
            "tasks": ["ocr", "gui"],
            "parameters": 7,
            "bytes_read": 9,
            "total_ms": 12.5,
        },
        "unavailable": {"gui": "no model yet"},
    }
    assert as_text(response).splitlines() == [
        "Hi",
        "[button, disabled] OK at 1,2 to 3,4",
        "(cat) at 1,2 to 3,4",
        "no gui: no model yet",
    ]


def test_an_answer_has_the_promised_shape():
    evidence = decoder_pb2.Evidence(
        kind="speech", text="on Friday", speaker="Priya", start_sample=16_000, end_sample=24_000
    )
    answer = decoder_pb2.Answer(
        text="Friday", evidence=[evidence], tier="extract", activation=decoder_pb2.Activation(first_token_ms=40.0)
    )
    made = answer_json(answer)
    assert list(made) == [
        *("answer", "abstained", "confidence", "evidence", "tier"),
        *("activation", "first_evidence_ms", "first_token_ms"),
    ]
    assert made["confidence"] is None and made["first_token_ms"] == 40
    assert made["evidence"] == [
        {"kind": "speech", "text": "on Friday", "speaker": "Priya", "start_s": 1, "end_s": 1.5, "box": None}
    ]


def test_a_session_is_listed_with_its_times():
    summary = session_pb2.SessionSummary(session_id="s", title="t", started_unix_ms=0, end_sample=8_000, language="en")
    assert session_json(summary) == {
        "session": "s",
        "title": "t",
        "started": "1970-01-01T00:00:00Z",
        "duration_s": 0.5,
        "language": "en",
        "utterances": 0,
        "is_live": False,
    }


def test_a_question_with_a_schema_escalates_when_it_may_in_every_format(monkeypatch, tmp_path):
    asked = []

    def ask(session, question, on_text, *, escalate=False, schema=""):
        asked.append((escalate, schema))
        return decoder_pb2.Answer(text="{}")

    monkeypatch.setattr(sessions, "ask", ask)
    schema = tmp_path / "schema.json"
    schema.write_text("{}")
    for format in ("txt", "json"):
        command = ["ask", "ID", "Who?", "--schema", str(schema), "--escalate", "--format", format]
        assert CliRunner().invoke(app, command).exit_code == 0
    assert asked == [(True, "{}")] * 2


def test_a_state_folder_that_cannot_be_made_is_told_with_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("SENSORIUM_STATE", str(tmp_path / "file" / "state"))
    done = CliRunner().invoke(app, ["up", "--no-fetch", "--only", "decoder"])
    assert done.exit_code == 1
    assert done.stderr == f"error: {tmp_path}/file/state: Not a directory\n"
