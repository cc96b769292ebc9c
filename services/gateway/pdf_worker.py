"""`python -m services.gateway.pdf_worker FILE MOST_PAGES`: a PDF's pages on stdout, within bounds no file can leave.

For each page one line of JSON, {"page", "pages", "width_px", "height_px", "lines": [[text, [x0, y0, x1, y1]], …],
"image_bytes"}, then so many bytes of PNG: none where the page holds its own text. An unreadable file is one line
{"error"}.
"""

import ctypes
import json
import math
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

MEMORY_BYTES = 2 << 30
CPU_S = 240
_DPI = 150
_POINTS_PER_INCH = 72
MAX_PAGE_PX = 6_000_000
MAX_SIDE_PX = 8000
MIN_SIDE_PX = 8
MAX_CHARS = 200_000
# A page whose own text is shorter and which is mostly a picture is a scan with a stamp.
_FEW_CHARS = 100
_MOSTLY = 0.5
# So large a part of characters that stand for nothing makes a text of no use: the font has no Unicode table.
_MAX_NONSENSE = 0.1
# A gap as wide as this part of the line's height parts two cells of a table, or two columns.
_CELL_GAP = 1.2

Line = tuple[str, list[float]]
Box = tuple[float, float, float, float]


def main(path: Path, most_pages: int, out: BinaryIO) -> None:
    """Write the pages, one after the other."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    try:
        document = pdfium.PdfDocument(path)
        count = len(document)
        for index in range(min(count, most_pages)):
            _write(document, index, count, out)
    except pdfium.PdfiumError as error:
        _say(out, {"error": _reason(error)})
    except MemoryError:
        _say(out, {"error": f"takes more than {MEMORY_BYTES >> 20} MiB to read"})


def _reason(error: pdfium.PdfiumError) -> str:
    if getattr(error, "err_code", None) == pdfium_c.FPDF_ERR_PASSWORD:
        return "is encrypted with a password: save a copy without one"
    return f"is damaged or no PDF ({error})"


def _write(document: Any, index: int, count: int, out: BinaryIO) -> None:
    page = document[index]
    width_pt, height_pt = page.get_size()
    if not 0 < min(width_pt, height_pt) <= max(width_pt, height_pt) < math.inf:
        raise pdfium.PdfiumError(f"page {index + 1} is {width_pt} x {height_pt} points")
    scale = min(
        _DPI / _POINTS_PER_INCH, math.sqrt(MAX_PAGE_PX / (width_pt * height_pt)), MAX_SIDE_PX / max(width_pt, height_pt)
    )
    width, height = max(1, round(width_pt * scale)), max(1, round(height_pt * scale))
    lines = list(_own_lines(page, scale, width, height))
    if _is_scan(page, lines, width_pt * height_pt):
        lines = []
    image = b""
    if not lines and min(width, height) >= MIN_SIDE_PX:
        pixels = page.render(scale=scale, rev_byteorder=False).to_numpy()
        image = cv2.imencode(".png", pixels[..., :3] if pixels.ndim == 3 else pixels)[1].tobytes()
    head = {"page": index + 1, "pages": count, "width_px": width, "height_px": height, "lines": lines}
    _say(out, head | {"image_bytes": len(image)})
    out.write(image)
    out.flush()
    page.close()


def _say(out: BinaryIO, head: dict[str, Any]) -> None:
    out.write(json.dumps(head).encode() + b"\n")
    out.flush()


def _is_scan(page: Any, lines: list[Line], area: float) -> bool:
    """True for a page without text of its own that is of use."""
    text = "".join(text for text, _ in lines)
    nonsense = sum(char == "\ufffd" or "\ue000" <= char <= "\uf8ff" or char < " " for char in text)
    if not text or nonsense > _MAX_NONSENSE * len(text):
        return True
    if len(text) >= _FEW_CHARS:
        return False
    covered = 0.0
    for thing in page.get_objects(filter=(pdfium_c.FPDF_PAGEOBJ_IMAGE,), max_depth=2):
        left, bottom, right, top = thing.get_bounds()
        covered += max(0.0, right - left) * max(0.0, top - bottom)
    return covered >= _MOSTLY * area


def _own_lines(page: Any, scale: float, width: int, height: int) -> Iterator[Line]:
    """The page's own text in runs that no wide gap parts; boxes in pixels from the page's upper left."""
    textpage = page.get_textpage()
    run: list[tuple[str, Box]] = []
    for index in range(min(textpage.count_chars(), MAX_CHARS)):
        char = chr(pdfium_c.FPDFText_GetUnicode(textpage, index) or 0xFFFD)
        if char in "\r\n":
            yield from _joined(run)
            run = []
            continue
        box = _char_box(page, textpage, index, scale, width, height)
        if run and not char.isspace() and box is not None and _is_apart(run, box):
            yield from _joined(run)
            run = []
        if box is not None or run:
            run.append((char, box or run[-1][1]))
    yield from _joined(run)


def _char_box(page: Any, textpage: Any, index: int, scale: float, width: int, height: int) -> Box | None:
    rect = pdfium_c.FS_RECTF()
    if not pdfium_c.FPDFText_GetLooseCharBox(textpage, index, rect) or rect.right <= rect.left:
        return None
    corners = []
    for x, y in ((rect.left, rect.top), (rect.right, rect.bottom)):
        across, down = ctypes.c_int(), ctypes.c_int()
        # In sixteenths of a pixel; the page's own turn is in it.
        pdfium_c.FPDF_PageToDevice(page, 0, 0, 16 * width, 16 * height, 0, x, y, across, down)
        corners.append((across.value / 16, down.value / 16))
    (ax, ay), (bx, by) = corners
    return min(ax, bx), min(ay, by), max(ax, bx), max(ay, by)


def _is_apart(run: list[tuple[str, Box]], box: Box) -> bool:
    x0, y0, x1, y1 = next((at for char, at in reversed(run) if not char.isspace()), run[-1][1])
    high = max(y1 - y0, box[3] - box[1])
    gap = max(box[0] - x1, x0 - box[2])
    return gap > _CELL_GAP * high or min(y1, box[3]) - max(y0, box[1]) < 0


def _joined(run: list[tuple[str, Box]]) -> Iterator[Line]:
    text = " ".join("".join(char for char, _ in run).split())
    inked = [box for char, box in run if not char.isspace()]
    if text and inked:
        edges = np.array(inked)
        box = (*edges[:, :2].min(axis=0), *edges[:, 2:].max(axis=0))
        yield text, [round(float(edge), 2) for edge in box]


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.stdout.buffer)
