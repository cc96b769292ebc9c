"""Lines in every script: who reads them, what is shown where nobody can, icons that are no ideographs."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.fetch import fetch
from services.runtime.percept import ScreenState, TextRegion
from services.runtime.stage import Frame, StageConfig
from services.vision import tesseract
from services.vision.ocr import TextLine, are_shown
from services.vision.script_router import is_doubtful
from services.vision.scripts import SCRIPTS, ScriptClassifier, script_of
from services.vision.service import VisionExpert, new_expert
from services.vision.tesseract import DATA, TesseractReader, language_data, model_of
from services.vision.text_detection import TextBox
from services.vision.text_recognition import ReadLine
from tests.conftest import DATA as MEDIA

Pixels = NDArray[np.uint8]
FONT = cv2.FontFace("sans")


def written(text: str, height: int = 24) -> Pixels:
    """One line in OpenCV's own font, which has Latin, Greek and Cyrillic letters."""
    pixels = np.full((80, 640, 3), 255, np.uint8)
    cv2.putText(pixels, text, (40, 50), (0, 0, 0), FONT, height, 500)
    return pixels


def drawn(script: str) -> Pixels:
    """A line drawn in one of Debian's fonts (tests/data/README.md)."""
    pixels = cv2.imread(str(MEDIA / "scripts" / f"{script}.png"))
    assert pixels is not None
    return np.asarray(pixels, np.uint8)


def regions(expert: VisionExpert, pixels: Pixels) -> Sequence[TextRegion]:
    stage = expert.open_stage(StageConfig(tasks=("ocr",)))
    percepts = [*stage.push_frame(Frame(pixels, 0)), *stage.flush()]
    return [percept for percept in percepts if isinstance(percept, ScreenState)][-1].regions


def line(text: str, script: str, confidence: float = 0.95) -> TextLine:
    box = TextBox(50, 20, 60, 20, 0.0, 0.9)
    return TextLine(text, box.xyxy, box, confidence, script)


@pytest.fixture(scope="module")
def data() -> None:
    fetch([model_of("Grek"), model_of("Cyrl"), model_of("Thai"), model_of("Hebr")])


@pytest.mark.parametrize(
    ("script", "text"),
    [("Cyrl", "Дневник наблюдений"), ("Grek", "Καλημέρα σε όλους"), ("Grek", "Εισερχόμενα μηνύματα")],
)
def test_cyrillic_and_greek_are_read(expert: VisionExpert, data: None, script: str, text: str) -> None:
    (region,) = regions(expert, written(text))
    assert (region.text, region.script) == (text, script)


@pytest.mark.parametrize(
    ("lines", "word", "alone"),
    [
        (("Дневник наблюдений", "Входящие сообщения"), "Тест", "Tect"),
        (("Καλημέρα σε όλους", "Ρυθμίσεις και προβολή"), "Ναι", "Nal"),
    ],
)
def test_a_short_word_is_read_in_the_script_of_its_page(
    expert: VisionExpert, data: None, lines: tuple[str, str], word: str, alone: str
) -> None:
    (region,) = regions(expert, written(word))
    assert region.text == alone
    page = np.vstack([*map(written, lines), written("Weekly report"), written(word)])
    assert [region.text for region in regions(expert, page)] == [*lines, "Weekly report", word]


@pytest.mark.parametrize("word", ["HOME", "CHAT", "PAY", "Two"])
def test_words_that_look_alike_in_several_scripts_are_latin_on_a_latin_page(
    expert: VisionExpert, data: None, word: str
) -> None:
    page = np.vstack([written("Quarterly review"), written("Questions to Priya"), written(word)])
    assert [region.text for region in regions(expert, page)] == ["Quarterly review", "Questions to Priya", word]


def test_a_word_that_comes_later_is_read_in_the_script_of_what_is_there(expert: VisionExpert, data: None) -> None:
    stage = expert.open_stage(StageConfig(tasks=("ocr",)))
    before = np.vstack([written("Дневник наблюдений"), written("Входящие сообщения"), written("")])
    stage.push_frame(Frame(before, 0))
    after = np.vstack([before[:160], written("Тест")])
    states = [percept for percept in stage.push_frame(Frame(after, 1600)) if isinstance(percept, ScreenState)]
    assert states[-1].regions[-1].text == "Тест"


def test_thai_is_read_without_spaces_between_its_letters(expert: VisionExpert, data: None) -> None:
    (region,) = regions(expert, drawn("Thai"))
    assert (region.text, region.script) == ("ภาษาไทยกรุงเทพ", "Thai")


def test_a_line_from_right_to_left_keeps_its_spaces(expert: VisionExpert, data: None) -> None:
    (region,) = regions(expert, drawn("Hebr"))
    assert (region.text, region.script) == ("הודעה חדשה מצוות העיצוב", "Hebr")


def test_japanese_is_read_live_by_the_recogniser_that_knows_kana(expert: VisionExpert) -> None:
    stage = expert.open_stage(StageConfig(tasks=("ocr",), options={"quality": "fast"}))
    (state, *_) = stage.push_frame(Frame(drawn("Jpan"), 0))
    assert isinstance(state, ScreenState)
    assert [(region.text, region.script) for region in state.regions] == [("東京のカタカナ", "Jpan")]


@pytest.mark.parametrize("script", ["Thai", "Deva"])
def test_a_script_without_data_is_a_region_without_text(
    expert: VisionExpert, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setattr(tesseract, "language_data", lambda script: None)
    (region,) = regions(expert, drawn(script))
    assert (region.text, region.script) == ("", script) and region.confidence is not None


def test_the_network_knows_drawn_scripts_from_one_another(expert: VisionExpert) -> None:
    names = ("Thai", "Deva", "Jpan")
    chances = ScriptClassifier().probabilities([drawn(name)[12:-12, 30:-30] for name in names])
    assert [SCRIPTS[int(each.argmax())] for each in chances] == list(names)
    assert chances.sum(axis=1) == pytest.approx(1.0)


def test_every_script_that_tesseract_reads_is_known_to_the_network_and_has_a_model() -> None:
    from engines.manifest import manifests

    assert set(DATA) == set(SCRIPTS) - {"Latn", "Hani", "Jpan", "Zyyy"}
    assert all(model_of(script) in manifests() for script in DATA)


def test_data_that_the_system_has_will_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SENSORIUM_MODELS", str(tmp_path / "none"))
    monkeypatch.setattr(tesseract, "_SYSTEM", tmp_path)
    assert language_data("Cyrl") is None
    folder = tmp_path / "5" / "tessdata"
    folder.mkdir(parents=True)
    for name in ("rus", "srp"):
        (folder / f"{name}.traineddata").touch()
    assert language_data("Cyrl") == tesseract.LanguageData(folder, "rus+srp", is_spaced=True)
    (folder / "script").mkdir()
    (folder / "script" / "Cyrillic.traineddata").touch()
    assert language_data("Cyrl") == tesseract.LanguageData(folder / "script", "Cyrillic", is_spaced=True)


def test_a_worker_that_dies_is_started_again(data: None) -> None:
    reader, picture = TesseractReader(), written("Καλημέρα")[20:70, 30:200]
    first = reader.read(picture, "Grek")
    assert first is not None and first[0] == "Καλημέρα"
    assert reader._worker is not None
    reader._worker._process.kill()
    assert reader.read(picture, "Grek") == first


def test_a_line_that_the_worker_dies_of_says_nothing(
    data: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "Greek.traineddata").write_bytes(b"no data of Tesseract")
    monkeypatch.setattr(
        tesseract, "language_data", lambda script: tesseract.LanguageData(tmp_path, "Greek", is_spaced=True)
    )
    assert TesseractReader().read(written("Καλημέρα"), "Grek") is None


def test_sure_latin_lines_are_not_looked_at_twice() -> None:
    wide, lone = TextBox(100, 20, 120, 20, 0.0, 0.9), TextBox(20, 20, 20, 20, 0.0, 0.9)
    assert not is_doubtful(ReadLine("Weekly report", 0.97), wide)
    assert not is_doubtful(ReadLine("7", 0.99), lone)
    for read in (ReadLine("Weekly report", 0.9), ReadLine("MOCKBA", 0.99), ReadLine(".", 0.99), ReadLine("週報", 0.99)):
        assert is_doubtful(read, wide)


def test_lone_ideographs_on_a_page_in_other_letters_are_icons() -> None:
    page = [line("Inbox", "Latn"), line("口", "Hani"), line("Sent", "Latn"), line("日十", "Hani")]
    assert are_shown(page) == [True, False, True, False]
    assert are_shown([*page, line("未読メール", "Jpan")]) == [True] * 5
    assert are_shown([line("日", "Hani"), line("木", "Hani")]) == [True, True]


def test_an_expert_without_tesseract_data_still_opens(monkeypatch: pytest.MonkeyPatch, expert: VisionExpert) -> None:
    monkeypatch.setattr(tesseract, "language_data", lambda script: None)
    (region,) = regions(new_expert(), written("Weekly digest"))
    assert (region.text, region.script) == ("Weekly digest", "Latn")


def test_scripts_are_told_by_letters_too() -> None:
    samples = {"ภาษาไทย": "Thai", "हिन्दी": "Deva", "한국어": "Hang", "עברית": "Hebr", "ქართული": "Geor", "42": ""}
    assert {text: script_of(text) for text in samples} == samples
