"""Icons and buttons without words are found by what they look like, and only when an icon or a button is asked for."""

import numpy as np
import pytest

from services.decoder.lines import Line
from services.decoder.pictures import MAX_PICTURES, Pictures, picture_asked
from services.decoder.retrieval import Index
from services.runtime.sentence import SentenceEncoder


def picture(name: str, sample: int = 0) -> Line:
    return Line(f"picture:{name}", "screen", "", "", sample, sample, name, (1.0, 2.0, 3.0, 4.0), "f")


@pytest.mark.parametrize(
    ("question", "content"),
    [
        ("Where was the trash icon?", "trash"),
        ("Where was the    trash\n icon?", "trash"),
        ("Where was the trash icon" + " a" * 300, None),
        ("Is there a button to download the file", "download file"),
        ("When was the shopping cart symbol shown?", "shopping cart"),
        ("What did Priya say about the icons?", "priya say about"),
        ("Where is the button?", None),
        ("What did Priya say?", None),
    ],
)
def test_what_is_asked_for_stands_beside_the_word_for_it(question: str, content: str | None) -> None:
    assert picture_asked(question) == content


def test_the_nearest_picture_comes_first_and_says_what_it_was_taken_for(encoder: SentenceEncoder) -> None:
    index = Index(encoder)
    index.replace("speech:u", [Line("speech:u:0", "speech", "Lunch is at noon.", "S1", 0, 1, "u")])
    for name in ("waste bin", "rocket", "envelope"):
        index.pictures.show(picture(name), encoder.encode([name])[0])
    hit = index.search("Where was the waste bin icon?", {})[0]
    assert (hit.line.source_id, hit.line.text, hit.line.box) == (
        "waste bin",
        "a picture like: waste bin",
        (1.0, 2.0, 3.0, 4.0),
    )
    assert hit.probability > 0.9
    assert not any(hit.line.line_id.startswith("picture:") for hit in index.search("When is lunch?", {}))


def test_pictures_are_replaced_by_their_id_and_the_oldest_go() -> None:
    pictures, vector = Pictures(), np.eye(1, 384, dtype=np.float32)[0]
    for i in range(MAX_PICTURES + 1):
        pictures.show(picture(str(i)), vector)
    pictures.show(picture("7", 5), vector)
    assert len(pictures) == MAX_PICTURES
    found = {line.source_id: line for line, _ in pictures.find("x", vector, MAX_PICTURES)}
    assert "0" not in found and found["7"].start_sample == 5
