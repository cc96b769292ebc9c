"""Documents (PDF): pages with their own text or as pictures, out of a process with bounds (pdf_worker.py)."""

import json
import subprocess
import sys
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from services.gateway.layout import Box, Placed
from services.runtime.stage import MediaError

MAX_FILE_BYTES = 128 << 20
MAX_PAGES = 500
_MAX_HEAD_BYTES = 64 << 20
_MAX_IMAGE_BYTES = 20 << 20  # what the gateway takes
_PDF = b"%PDF-"


@dataclass(frozen=True, slots=True)
class Page:
    """One page; `image` (PNG) is there where it has no text of its own. Boxes are in its pixels."""

    number: int
    count: int
    width_px: int
    height_px: int
    lines: tuple[Placed, ...]
    image: bytes | None


def is_document(start: bytes) -> bool:
    """True for the first bytes of a PDF."""
    return start.startswith(_PDF)


def pages(path: Path) -> Generator[Page]:
    """The pages in order, MAX_PAGES at most. Raises MediaError for a file too large, encrypted, or damaged."""
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise MediaError(f"the document has {size} bytes; at most {MAX_FILE_BYTES} are taken: split it")
    command = [sys.executable, "-m", "services.gateway.pdf_worker", str(path), str(MAX_PAGES)]
    done, count = 0, 1
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as worker:
        assert worker.stdout is not None
        try:
            while done < min(count, MAX_PAGES) and (page := _next(worker.stdout)):
                done, count = page.number, page.count
                yield page
        finally:
            worker.kill()
    if done < min(count, MAX_PAGES):
        raise MediaError(f"the document's page {done + 1} takes more time or memory than a page may, or is damaged")


def _next(stream: IO[bytes]) -> Page | None:
    line = stream.readline(_MAX_HEAD_BYTES)
    if not line.endswith(b"\n"):
        return None
    head = json.loads(line)
    if "error" in head:
        raise MediaError(f"the document {head['error']}")
    image = stream.read(min(head["image_bytes"], _MAX_IMAGE_BYTES))
    if len(image) < head["image_bytes"]:
        return None
    lines = tuple(Placed(text, _box(box), index) for index, (text, box) in enumerate(head["lines"]))
    return Page(head["page"], head["pages"], head["width_px"], head["height_px"], lines, image or None)


def _box(edges: list[float]) -> Box:
    x0, y0, x1, y1 = edges
    return x0, y0, x1, y1
