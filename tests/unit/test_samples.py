"""The sample meeting and the small test media are what their truth files say."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tools.make_sample import MEETING, SLIDES, SPEECH, TWO_SPEAKERS, draw

REPOSITORY = Path(__file__).parent.parent.parent
SAMPLES = REPOSITORY / "samples"
DATA = REPOSITORY / "tests" / "data"
SAMPLE_RATE = 16_000


def decode_audio(path: Path) -> NDArray[np.float32]:
    resampler = av.AudioResampler("flt", "mono", SAMPLE_RATE)
    with av.open(str(path)) as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def loudness_dbfs(audio: NDArray[np.float32], start_s: float, end_s: float) -> float:
    part = audio[round(start_s * SAMPLE_RATE) : round(end_s * SAMPLE_RATE)]
    return float(10 * np.log10(np.square(part).mean() + 1e-12))


@pytest.fixture(scope="module")
def meeting() -> dict[str, Any]:
    truth: dict[str, Any] = json.loads((SAMPLES / "meeting.json").read_text())
    return truth


@pytest.fixture(scope="module")
def test_media() -> dict[str, Any]:
    truth: dict[str, Any] = json.loads((DATA / "truth.json").read_text())
    return truth


def test_the_sample_is_small_and_a_minute_or_two_long(meeting: dict[str, Any]) -> None:
    assert (SAMPLES / "meeting.mkv").stat().st_size < 4_000_000
    assert 60 <= meeting["duration_s"] <= 120
    assert len(decode_audio(SAMPLES / "meeting.mkv")) / SAMPLE_RATE == pytest.approx(meeting["duration_s"], abs=0.02)


def test_speech_is_where_the_truth_says(meeting: dict[str, Any]) -> None:
    audio = decode_audio(SAMPLES / "meeting.mkv")
    utterances = meeting["utterances"]
    for utterance in utterances:
        assert loudness_dbfs(audio, utterance["start_s"], utterance["end_s"]) == pytest.approx(-23, abs=3)
    for before, after in pairwise(utterances):
        assert 0.3 < after["start_s"] - before["end_s"] < 0.9
        # the middle of a pause holds only what was laid under it
        middle_s = (before["end_s"] + after["start_s"]) / 2
        assert loudness_dbfs(audio, middle_s - 0.05, middle_s + 0.05) < -45


def test_four_people_take_turns_and_the_transcripts_are_the_plan(meeting: dict[str, Any]) -> None:
    assert len({utterance["speaker"] for utterance in meeting["utterances"]}) == 4
    assert [(u["id"], u["text"]) for u in meeting["utterances"]] == [(s.clip, s.text) for s in MEETING]


def test_every_frame_shows_the_slide_that_the_truth_names(meeting: dict[str, Any]) -> None:
    pictures = {slide.slide_id: draw(slide)[0].astype(np.int16) for slide in SLIDES}
    frames = 0
    with av.open(str(SAMPLES / "meeting.mkv")) as container:
        for frame in container.decode(video=0):
            frames += 1
            slide = next(s for s in meeting["slides"] if s["start_s"] - 0.001 <= frame.time < s["end_s"] - 0.001)
            wrong = np.abs(frame.to_ndarray(format="bgr24") - pictures[slide["id"]]) > 60
            # the two states of one slide differ by 0.5 % of the picture, the codec changes far less
            assert wrong.mean() < 0.001, (frame.time, slide["id"])
    assert frames == round(meeting["duration_s"] * 5)


def test_slide_truth_is_what_is_drawn(meeting: dict[str, Any]) -> None:
    drawn = {slide.slide_id: draw(slide)[1] for slide in SLIDES}
    for slide in meeting["slides"]:
        assert [(line["text"], tuple(line["box"])) for line in slide["lines"]] == [
            (line.text, line.box) for line in drawn[slide["id"]]
        ]


def test_each_question_is_answered_by_its_utterance_and_its_slide(meeting: dict[str, Any]) -> None:
    utterances = {utterance["id"]: utterance for utterance in meeting["utterances"]}
    slides = {slide["id"]: slide for slide in meeting["slides"]}
    for question in meeting["questions"]:
        utterance, slide = utterances[question["utterance"]], slides[question["slide"]]
        written = " ".join(line["text"] for line in slide["lines"])
        assert any(words in utterance["text"] for words in question["expected_any"])
        assert any(words in written for words in question["expected_any"])
        # shown while it is said
        assert slide["start_s"] <= utterance["start_s"] and utterance["end_s"] <= slide["end_s"]


def test_every_voice_is_attributed() -> None:
    sample = (SAMPLES / "ATTRIBUTION.md").read_text()
    assert [spoken.clip for spoken in MEETING if spoken.clip not in sample] == []
    data = (DATA / "README.md").read_text()
    assert [spoken.clip for spoken in (SPEECH, *TWO_SPEAKERS) if spoken.clip not in data] == []
    for text in (sample, data):
        assert "CC BY 4.0" in text and "creativecommons.org/licenses/by/4.0" in text


def test_test_media_are_small_and_as_described(test_media: dict[str, Any]) -> None:
    assert sum(path.stat().st_size for path in DATA.iterdir()) < 1_500_000
    for name in ("speech.wav", "two_speakers.flac"):
        with av.open(str(DATA / name)) as container:
            stream = container.streams.audio[0]
            assert (stream.rate, stream.channels) == (SAMPLE_RATE, 1)
        assert len(decode_audio(DATA / name)) / SAMPLE_RATE == pytest.approx(test_media[name]["duration_s"], abs=0.001)
    slide = test_media["slide.png"]
    picture = cv2.imread(str(DATA / "slide.png"))
    assert picture is not None and picture.shape == (slide["height_px"], slide["width_px"], 3)


def test_rttm_and_truth_agree(test_media: dict[str, Any]) -> None:
    rows = [line.split() for line in (DATA / "two_speakers.rttm").read_text().splitlines()]
    for row, utterance in zip(rows, test_media["two_speakers.flac"]["utterances"], strict=True):
        assert row[:3] == ["SPEAKER", "two_speakers", "1"] and row[7] == utterance["speaker"]
        assert float(row[3]) == pytest.approx(utterance["start_s"])
        assert float(row[3]) + float(row[4]) == pytest.approx(utterance["end_s"], abs=0.001)
