"""The command line against five real processes, as a user types it."""

import json
import subprocess
import sys
import wave
from collections import Counter
from pathlib import Path

import av
import cv2
import httpx2
import jiwer
import numpy as np
import pytest

from tests.conftest import DATA, ROOT
from tests.house import House

TRUTH = json.loads((ROOT / "samples" / "meeting.json").read_text())


@pytest.fixture(scope="module")
def meeting(house: House) -> dict[str, object]:
    """The sample meeting as JSON."""
    ran = house.cli("transcribe", str(ROOT / "samples" / "meeting.mkv"), "--language", "en", "--format", "json")
    assert ran.returncode == 0, ran.stderr
    found: dict[str, object] = json.loads(ran.stdout)
    return found


def _words(text: str) -> str:
    return "".join(c for c in text.lower().replace("-", " ") if c.isalnum() or c == " ")


def test_the_sample_meeting_becomes_words_speakers_and_screens(meeting: dict) -> None:
    assert set(meeting) == {
        "session",
        "duration_s",
        "language",
        "segments",
        "screen",
        "slides",
        "screen_events",
        "missing",
    }
    assert meeting["language"] == "en"
    assert abs(meeting["duration_s"] - TRUTH["duration_s"]) < 2.0
    heard = " ".join(segment["text"] for segment in meeting["segments"])
    spoken = " ".join(utterance["text"] for utterance in TRUTH["utterances"])
    assert jiwer.wer(_words(spoken), _words(heard)) < 0.25
    assert _words_of_the_wrong_speaker(meeting) < 0.25
    for segment in meeting["segments"]:
        times = [(word["start_s"], word["end_s"]) for word in segment["words"]]
        assert all(0 <= start <= end for start, end in times) and times == sorted(times)
        assert all(0 <= word["confidence"] <= 1 for word in segment["words"])
    shown = {region["text"] for screen in meeting["screen"] for region in screen["regions"]}
    truth = {line["text"] for slide in TRUTH["slides"] for line in slide["lines"]}
    assert len(shown & truth) / len(truth) > 0.9
    for screen in meeting["screen"]:
        assert screen["start_s"] < screen["end_s"]
        for region in screen["regions"]:
            x0, y0, x1, y1 = region["box"]
            assert 0 <= x0 < x1 <= 1280 and 0 <= y0 < y1 <= 720
            assert region["kind"] == "text" and 0 <= region["confidence"] <= 1


def _words_of_the_wrong_speaker(meeting: dict) -> float:
    """Share of words whose speaker, mapped to the person he mostly is, is not who spoke then."""
    pairs: Counter[tuple[str, str]] = Counter()
    for segment in meeting["segments"]:
        for word in segment["words"]:
            middle = (word["start_s"] + word["end_s"]) / 2
            for truth in TRUTH["utterances"]:
                if truth["start_s"] <= middle < truth["end_s"]:
                    pairs[segment["speaker"], truth["speaker"]] += 1
    right = {found: max(n for (speaker, _), n in pairs.items() if speaker == found) for found, _ in pairs}
    return 1 - sum(right.values()) / pairs.total()


def test_a_kept_session_is_shown_asked_and_deleted(house: House, meeting: dict) -> None:
    session = str(meeting["session"])
    assert session in house.cli("sessions").stdout
    for form in ("txt", "json", "jsonl", "srt", "vtt", "rttm", "ctm", "md"):
        shown = house.cli("show", session, "--format", form)
        assert shown.returncode == 0 and len(shown.stdout) > 500, (form, shown.stderr)
    answer = json.loads(house.cli("ask", session, "Who had been a shop boy?", "--format", "json").stdout)
    assert list(answer) == [
        *("answer", "abstained", "confidence", "evidence", "tier"),
        *("activation", "first_evidence_ms", "first_token_ms"),
    ]
    over_http = httpx2.post(
        f"{house.page}/api/sessions/{session}/ask", json={"text": "Who had been a shop boy?"}, timeout=60
    ).json()
    assert {key: over_http[key] for key in ("answer", "confidence", "evidence", "tier")} == {
        key: answer[key] for key in ("answer", "confidence", "evidence", "tier")
    }
    assert list(over_http) == list(answer) and list(over_http["activation"]) == list(answer["activation"])
    assert answer["evidence"] and {e["kind"] for e in answer["evidence"]} <= {"speech", "screen"}
    assert house.cli("delete", session).returncode == 0
    gone = house.cli("show", session)
    assert gone.returncode != 0 and session in gone.stderr and not gone.stdout


def test_one_picture_touches_only_the_named_experts(house: House) -> None:
    slide = str(DATA / "slide.png")
    ran = house.cli("see", slide, "--tasks", "ocr", "--format", "json")
    assert ran.returncode == 0, ran.stderr
    seen = json.loads(ran.stdout)
    assert (seen["width_px"], seen["height_px"]) == (1280, 720)
    assert seen["regions"] and not seen["objects"] and not seen["elements"]
    assert seen["activation"]["tasks"] == ["ocr"]
    objects = json.loads(house.cli("see", slide, "--tasks", "objects,gui", "--format", "json").stdout)
    assert not objects["regions"] and objects["activation"]["tasks"] == ["objects", "gui"]
    assert "unavailable" not in objects
    assert objects["activation"]["parameters"] != seen["activation"]["parameters"]


@pytest.mark.parametrize(("codec", "container", "rate"), [("pcm_f32le", "wav", 44_100), ("libopus", "webm", 48_000)])
def test_sound_of_any_kind_is_heard(house: House, tmp_path: Path, codec: str, container: str, rate: int) -> None:
    path = tmp_path / f"speech.{container}"
    with wave.open(str(DATA / "speech.wav")) as source:
        mono = np.frombuffer(source.readframes(source.getnframes()), np.int16)
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=rate, layout="stereo")
        frame = av.AudioFrame.from_ndarray(np.repeat(mono, 2)[None], format="s16", layout="stereo")
        frame.rate = 16_000
        resampler = av.AudioResampler(format=stream.format, layout="stereo", rate=rate)
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            piece.pts = None
            for start in _frames(piece, stream.frame_size):
                out.mux(stream.encode(start))
        out.mux(stream.encode(None))
    ran = house.cli("transcribe", str(path), "--language", "en", "--format", "json")
    assert ran.returncode == 0, ran.stderr
    assert len(" ".join(segment["text"] for segment in json.loads(ran.stdout)["segments"]).split()) > 5


def _frames(frame: av.AudioFrame, size: int) -> list[av.AudioFrame]:
    if not size:
        return [frame]
    fifo = av.AudioFifo()
    fifo.write(frame)
    return [*fifo.read_many(size), *([fifo.read()] if fifo.samples else [])]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("empty.wav", b"", "empty"),
        ("text.mp3", b"This is not sound at all. " * 100, "text.mp3"),
        ("missing.wav", None, "missing.wav"),
    ],
)
def test_what_is_no_media_gets_a_sentence_and_an_exit_code(
    house: House, tmp_path: Path, name: str, content: bytes | None, sentence: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    ran = house.cli("transcribe", str(path), "--format", "json")
    assert ran.returncode not in (0, 1) and not ran.stdout
    assert sentence in ran.stderr and "Traceback" not in ran.stderr


def test_settings_that_a_service_refuses_are_an_error(house: House, tmp_path: Path) -> None:
    phrases = tmp_path / "phrases.txt"
    phrases.write_text("x" * 101)
    for more in (("--phrases", str(phrases)), ("--option", "asr.no_such_option=1")):
        ran = house.cli("transcribe", str(DATA / "speech.wav"), "--language", "en", "--format", "json", *more)
        assert ran.returncode == 1 and "Traceback" not in ran.stderr
        assert "101 characters" in ran.stderr or "no_such_option" in ran.stderr


def test_pictures_that_cannot_be_read_get_a_sentence(house: House, tmp_path: Path) -> None:
    tiny, text = tmp_path / "tiny.png", tmp_path / "text.png"
    cv2.imwrite(str(tiny), np.zeros((1, 1, 3), np.uint8))
    text.write_text("not a picture")
    for path in (tiny, text):
        ran = house.cli("see", str(path), "--tasks", "ocr", "--format", "json")
        assert ran.returncode != 0 and not ran.stdout
        assert len(ran.stderr) > 15 and "Traceback" not in ran.stderr


def test_a_call_without_running_services_starts_them_for_itself(tmp_path: Path, models: None) -> None:
    state = {"XDG_STATE_HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path), "SENSORIUM_DATA": str(tmp_path)}
    house = House({**_plain_environment(), **state, "SENSORIUM_GATEWAY_ADDRESS": "127.0.0.1:1"}, tmp_path)
    ran = house.cli("see", str(DATA / "slide.png"), "--tasks", "ocr", "--format", "json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["regions"]


def _plain_environment() -> dict[str, str]:
    command = [sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"]
    found: dict[str, str] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return found
