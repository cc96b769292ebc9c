"""`sensorium see FILE.pdf`: a document's pages, by their own text or read like pictures, in reading order."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from services.gateway.document import MAX_PAGES, Page, pages
from services.gateway.layout import Box, Placed, Table, arranged
from services.gateway.passing import in_thread
from services.gateway.transcript import plain
from services.runtime.settings import service_address
from services.runtime.stage import MediaError
from tools import models
from tools.client import gateway
from tools.errors import InputError
from tools.output import say
from tools.see import look_at
from tools.services import gateway_for, is_local


@dataclass(frozen=True, slots=True)
class Region:
    """A line of a page; `confidence` is None for the document's own text."""

    text: str
    box: Box
    confidence: float | None
    script: str


@dataclass(frozen=True, slots=True)
class SeenPage:
    """A page with its regions in no order of their own; `is_read` tells that its picture was read."""

    page: Page
    regions: tuple[Region, ...]
    is_read: bool

    def arranged(self) -> list[Placed | Table]:
        """Lines and tables in reading order; their indices are those of the regions."""
        return arranged([Placed(region.text, region.box, index) for index, region in enumerate(self.regions)])


def see_document(path: Path, tasks: Sequence[str]) -> list[SeenPage]:
    """Read all pages. Raises InputError, GatewayError, ServicesError, EngineError."""
    if tuple(tasks) != ("ocr",):
        raise InputError(f"--tasks: documents are read with ocr alone, not {','.join(tasks)}: send a page as a picture")
    try:
        return asyncio.run(_see(path))
    except MediaError as error:
        raise InputError(f"{path}: {error}") from error


async def _see(path: Path) -> list[SeenPage]:
    seen: list[SeenPage] = []
    stub = None
    async with AsyncExitStack() as stack:
        found = pages(path)
        stack.callback(found.close)
        while (page := await in_thread(partial(next, found, None))) is not None:
            if page.image is None:
                regions = tuple(Region(line.text, line.box, None, "") for line in page.lines)
            else:
                # A document with text of its own needs no service.
                if stub is None:
                    if is_local(service_address("gateway")):
                        await asyncio.to_thread(models.fetch, models.for_tasks(("ocr",)))
                    stub = await stack.enter_async_context(
                        gateway(await stack.enter_async_context(gateway_for(["vision"], say)))
                    )
                screen = (await look_at(stub, page.image, ("ocr",))).screen
                regions = tuple(
                    Region(r.text, (r.box.x0, r.box.y0, r.box.x1, r.box.y1), r.confidence, r.script)
                    for r in screen.regions
                )
            seen.append(SeenPage(page, regions, page.image is not None))
            if page.count > MAX_PAGES == page.number:
                say(f"{path} has {page.count} pages: the first {MAX_PAGES} were read")
    return seen


def as_json_text(seen: Sequence[SeenPage]) -> str:
    """The pages as JSON: regions in reading order, tables as rows of texts."""
    document = {"page_count": seen[0].page.count if seen else 0, "pages": [_page(page) for page in seen]}
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def _page(seen: SeenPage) -> dict[str, Any]:
    arrangement = seen.arranged()
    regions = [seen.regions[line.index] for line in _lines(arrangement)]
    return {
        "page": seen.page.number,
        "width_px": seen.page.width_px,
        "height_px": seen.page.height_px,
        "source": "picture" if seen.is_read else "text",
        "regions": [
            {
                "text": region.text,
                "box": [round(edge, 2) for edge in region.box],
                "confidence": None if region.confidence is None else round(region.confidence, 4),
                "script": region.script or None,
            }
            for region in regions
        ],
        "tables": [
            [[cell.text for cell in row] for row in part.rows] for part in arrangement if isinstance(part, Table)
        ],
    }


def _lines(arrangement: Sequence[Placed | Table]) -> Iterator[Placed]:
    for part in arrangement:
        if isinstance(part, Table):
            for row in part.rows:
                yield from row
        else:
            yield part


def as_text(seen: Sequence[SeenPage]) -> str:
    """One line for each line, the cells of a table's row with tabs between; a form feed ends a page."""
    out = []
    for page in seen:
        for part in page.arranged():
            if isinstance(part, Table):
                out += ["\t".join(plain(cell.text) for cell in row) + "\n" for row in part.rows]
            elif part.text:
                out.append(plain(part.text) + "\n")
        out.append("\f")
    return "".join(out)
