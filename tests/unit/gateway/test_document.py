"""Documents: their own text with boxes, columns and tables in order, pages as pictures, hostile files."""

import asyncio
import subprocess
import threading
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from services.gateway import document, openai_chat
from services.gateway.document import Page, is_document, pages
from services.gateway.layout import Placed, Table, arranged
from services.gateway.pdf_worker import MAX_PAGE_PX, MAX_SIDE_PX
from services.runtime.stage import MediaError
from tools import see_document

FONT = b"<< /Font << /F 4 0 R >> >>"


def pdf(contents: Sequence[bytes], size: str = "0 0 595 842", extra: bytes = b"", resources: bytes = FONT) -> bytes:
    """A PDF with a page for each content stream; objects 3 and 4 are the resources and Helvetica."""
    kids = " ".join(f"{5 + 2 * number} 0 R" for number in range(len(contents)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(contents)} /MediaBox [{size}] >>".encode(),
        resources,
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, content in enumerate(contents):
        objects.append(f"<< /Type /Page /Parent 2 0 R /Resources 3 0 R /Contents {6 + 2 * number} 0 R >>".encode())
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
    if extra:
        objects.append(extra)
    out, offsets = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    head = b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, table)
    return out + head + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(out))


def words(*placed: tuple[int, int, str]) -> bytes:
    """Text at 10 points, each line with its left end and baseline in points from the lower left."""
    return b"".join(b"BT /F 10 Tf %d %d Td (%s) Tj ET\n" % (x, y, text.encode()) for x, y, text in placed)


@pytest.fixture
def read(tmp_path: Path):  # type: ignore[no-untyped-def]
    def reader(data: bytes) -> list[Page]:
        path = tmp_path / "file.pdf"
        path.write_bytes(data)
        return list(pages(path))

    return reader


def said(page: Page) -> list[str]:
    return [
        "\t".join(cell.text for cell in row) if isinstance(part, Table) else part.text
        for part in arranged(page.lines)
        for row in (part.rows if isinstance(part, Table) else ((),))
    ]


def test_a_documents_own_text_comes_with_boxes(read) -> None:  # type: ignore[no-untyped-def]
    (page,) = read(pdf([words((72, 742, "Quarterly report"))]))
    (line,) = page.lines
    scale = 150 / 72
    assert line.text == "Quarterly report" and page.image is None
    assert line.box[0] == pytest.approx(72 * scale, abs=3) and line.box[3] == pytest.approx(100 * scale, abs=8)


def test_columns_are_read_one_after_the_other_and_headings_in_place(read) -> None:  # type: ignore[no-untyped-def]
    left = [(60, 700 - 14 * row, f"left {row} with words enough for it") for row in range(5)]
    right = [(320, 693 - 14 * row, f"right {row} with words enough too") for row in range(5)]
    content = words((60, 760, "A heading that goes across both of the columns of this page, from left to right"), *left)
    (page,) = read(pdf([content + words(*right, (60, 560, "A closing line below " * 4))]))
    order = [text.split(" with")[0] for text in said(page)]
    assert order[1:-1] == [f"left {row}" for row in range(5)] + [f"right {row}" for row in range(5)]
    assert order[0].startswith("A heading") and order[-1].startswith("A closing")


def test_tables_are_rows(read) -> None:  # type: ignore[no-untyped-def]
    cells = [
        (x, 700 - 16 * row, text)
        for row, texts in enumerate((("Item", "Count", "Price"), ("Apples", "3", "1.20"), ("Pears", "12", "4.80")))
        for x, text in zip((72, 200, 300), texts, strict=True)
    ]
    (page,) = read(pdf([words((72, 740, "Prices of fruit in this week, as they were told to us"), *cells)]))
    assert said(page)[1:] == ["Item\tCount\tPrice", "Apples\t3\t1.20", "Pears\t12\t4.80"]


def test_a_page_without_text_of_its_own_is_a_picture(read) -> None:  # type: ignore[no-untyped-def]
    (page,) = read(pdf([b"1 0 0 rg 72 72 200 200 re f"], size="0 0 300 300"))
    pixels = cv2.imdecode(np.frombuffer(page.image or b"", np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None and pixels.shape == (625, 625, 3) and page.lines == ()
    assert tuple(pixels[300, 300]) == (0, 0, 255)


def test_text_of_no_known_characters_is_read_from_the_picture(read) -> None:  # type: ignore[no-untyped-def]
    private = b"/Encoding << /Differences [65 /uniE001 /uniE002] >>"
    font = b"<< /Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Own " + private + b" >> >> >>"
    (page,) = read(pdf([b"BT /F 20 Tf 72 72 Td (ABAB) Tj ET"], resources=font))
    assert page.image is not None


def test_very_large_pages_are_rendered_small(read) -> None:  # type: ignore[no-untyped-def]
    for size in ("0 0 14400 14400", "0 0 200000 200000", "0 0 100000 20"):
        (page,) = read(pdf([b"0 0 100 100 re f"], size=size))
        assert (
            page.width_px * page.height_px <= MAX_PAGE_PX * 1.01 and max(page.width_px, page.height_px) <= MAX_SIDE_PX
        )


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"%PDF-1.7\n", "is damaged or no PDF"),
        (b"%PDF-1.7\n" + bytes(range(256)) * 40, "is damaged or no PDF"),
        (pdf([words((72, 700, "x"))])[:200], "damaged"),
    ],
)
def test_damaged_documents_are_refused_with_a_sentence(read, data: bytes, sentence: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(MediaError, match=sentence):
        read(data)


def test_an_encrypted_document_is_refused_with_what_to_do(read) -> None:  # type: ignore[no-untyped-def]
    lock = b"/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <%s> /U <%s> >> /ID [<00> <00>]" % (
        b"41" * 32,
        b"42" * 32,
    )
    data = pdf([words((72, 700, "secret"))]).replace(b"/Root 1 0 R", b"/Root 1 0 R " + lock)
    with pytest.raises(MediaError, match="encrypted with a password: save a copy without one"):
        read(data)


def test_a_picture_that_would_fill_the_memory_ends_the_worker_not_us(read) -> None:  # type: ignore[no-untyped-def]
    # 60 000 x 60 000 pixels of 3 bytes, 10 GB, in 10 MB of zlib that hold far less than they promise.
    packed = zlib.compress(bytes(20_000_000), 9)
    bomb = (
        b"<< /Type /XObject /Subtype /Image /Width 60000 /Height 60000 /BitsPerComponent 8 /ColorSpace /DeviceRGB "
        b"/Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream" % (len(packed), packed)
    )
    resources = b"<< /XObject << /I 7 0 R >> >>"
    data = pdf([b"500 0 0 500 0 0 cm /I Do"], extra=bomb, resources=resources)
    try:
        (page,) = read(data)
    except MediaError as error:
        assert "page 1" in str(error)
    else:
        assert page.image is not None


def test_a_page_tree_that_bites_its_tail_ends(read) -> None:  # type: ignore[no-untyped-def]
    data = pdf([words((72, 700, "x"))]).replace(b"/Kids [5 0 R]", b"/Kids [2 0 R]")
    try:
        read(data)
    except MediaError:
        pass


def test_the_kind_of_a_file_is_told_by_its_first_bytes() -> None:
    assert is_document(b"%PDF-1.4") and not is_document(b"\x89PNG\r\n\x1a\n%PDF-1.4")


def test_a_page_of_very_many_lines_is_arranged_soon() -> None:
    lines = [Placed("x", (10 * (n % 7), 3 * n, 10 * (n % 7) + 9, 3 * n + 2), n) for n in range(30_000)]
    assert len(arranged(lines)) == len(lines)


@pytest.mark.parametrize("caller", ["of the gateway", "of the command line"])
async def test_a_caller_that_goes_away_while_a_page_is_read_leaves_no_worker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caller: str
) -> None:
    has_begun, workers = threading.Event(), []

    class Watched(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            workers.append(self)
            has_begun.set()

    monkeypatch.setattr(document.subprocess, "Popen", Watched)
    file = pdf([b"BT /F 24 Tf 72 700 Td (A page) Tj ET"])
    if caller == "of the gateway":
        seen = openai_chat._see(None, openai_chat.Attachment("document", file, "messages"), "ocr")
        reading = asyncio.create_task(anext(seen))
    else:
        (tmp_path / "a.pdf").write_bytes(file)
        reading = asyncio.create_task(see_document._see(tmp_path / "a.pdf"))
    await asyncio.to_thread(has_begun.wait)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert workers[0].returncode is not None
