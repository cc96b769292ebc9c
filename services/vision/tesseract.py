"""Lines in scripts that PP-OCR cannot read: Tesseract (Apache-2.0) in a process of its own."""

import json
import os
import select
import struct
import subprocess
import sys
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.manifest import manifest
from engines.models import folder, is_fetched

# ISO 15924 code -> the name of Tesseract's data for the whole script, and languages that do in its place.
DATA: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "Cyrl": ("Cyrillic", ("rus", "ukr", "bul", "srp", "bel", "mkd", "kaz")),
    "Grek": ("Greek", ("ell",)),
    "Hang": ("Hangul", ("kor",)),
    "Arab": ("Arabic", ("ara", "fas", "urd")),
    "Hebr": ("Hebrew", ("heb",)),
    "Deva": ("Devanagari", ("hin", "mar", "nep")),
    "Thai": ("Thai", ("tha",)),
    "Taml": ("Tamil", ("tam",)),
    "Telu": ("Telugu", ("tel",)),
    "Beng": ("Bengali", ("ben", "asm")),
    "Guru": ("Gurmukhi", ("pan",)),
    "Gujr": ("Gujarati", ("guj",)),
    "Orya": ("Oriya", ("ori",)),
    "Knda": ("Kannada", ("kan",)),
    "Mlym": ("Malayalam", ("mal",)),
    "Sinh": ("Sinhala", ("sin",)),
    "Laoo": ("Lao", ("lao",)),
    "Khmr": ("Khmer", ("khm",)),
    "Mymr": ("Myanmar", ("mya",)),
    "Tibt": ("Tibetan", ("bod",)),
    "Ethi": ("Ethiopic", ("amh", "tir")),
    "Geor": ("Georgian", ("kat",)),
    "Armn": ("Armenian", ("hye",)),
    "Cher": ("Cherokee", ("chr",)),
}
# Scripts that put no spaces between words.
_UNSPACED = frozenset({"Thai", "Laoo", "Khmr", "Mymr", "Tibt"})
# Lines read with less confidence are wrong by half on drawn lines of all scripts, those just above by a fifth.
LEAST_SURE = 0.3
_SYSTEM = Path("/usr/share/tesseract-ocr")
# Tesseract is trained on letters of about this height, with paper around them.
_HEIGHT_PX = 48
_MARGIN_PX = 12
_MAX_WIDTH_PX = 3200
# A line takes about 50 ms; what takes longer than this hangs.
_LONGEST_S = 20.0
_HEADER = struct.Struct("!II")


@dataclass(frozen=True, slots=True)
class LanguageData:
    """Where Tesseract finds `language`.traineddata; several languages are joined by +. `is_spaced`: words are."""

    folder: Path
    language: str
    is_spaced: bool


def model_of(script: str) -> str:
    """Name of the model with the data of a script."""
    return f"tesseract-{script.lower()}"


def language_data(script: str) -> LanguageData | None:
    """Data of the script: fetched, or installed by the system; None where there is none."""
    if script not in DATA:
        return None
    whole, languages = DATA[script]
    if is_fetched(model_of(script)):
        return LanguageData(folder(manifest(model_of(script))), whole, script not in _UNSPACED)
    for place in sorted(_SYSTEM.glob("*/tessdata"), reverse=True):
        for root, names in ((place, (whole,)), (place / "script", (whole,)), (place, languages)):
            if there := [name for name in names if (root / f"{name}.traineddata").is_file()]:
                return LanguageData(root, "+".join(there), script not in _UNSPACED)
    return None


def installed_models() -> list[str]:
    """Names of the models whose data were fetched."""
    return [model_of(script) for script in DATA if is_fetched(model_of(script))]


class TesseractReader:
    """Reads one line at a time in a worker process, which is started anew when it dies or hangs.

    Safe for several threads: they wait for one another, so that no more lines wait than there are streams.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._worker: _Worker | None = None
        self.used: set[str] = set()  # names of the models that lines were read with

    def read(self, line: NDArray[np.uint8], script: str) -> tuple[str, float] | None:
        """(h, w, 3) uint8 BGR of one level line -> its text and mean confidence in [0, 1].

        None where there is no data for the script, or no Tesseract; a line that it dies of twice says nothing.
        """
        data = language_data(script)
        if data is None:
            return None
        image = _prepared(line)
        with self._lock:
            for _ in range(2):
                if self._worker is None:
                    self._worker = _Worker()
                try:
                    read = self._worker.read(image, data)
                    self.used.add(model_of(script))
                    return read
                except _WorkerLost:
                    self._worker = None
        return None


class _WorkerLost(Exception):
    """The worker died, or said nothing in time and was ended."""


class _Worker:
    def __init__(self) -> None:
        command = [sys.executable, "-m", "services.vision.tesseract_worker"]
        environment = os.environ | {"OMP_THREAD_LIMIT": "1"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
        self._end = weakref.finalize(self, _end, self._process)

    def read(self, image: NDArray[np.uint8], data: LanguageData) -> tuple[str, float]:
        head = {
            "folder": str(data.folder),
            "language": data.language,
            "is_spaced": data.is_spaced,
            "size": image.shape[::-1],
        }
        packed = json.dumps(head).encode()
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(_HEADER.pack(len(packed), image.size) + packed + image.tobytes())
            self._process.stdin.flush()
            deadline = time.monotonic() + _LONGEST_S
            size, _ = _HEADER.unpack(self._take(_HEADER.size, deadline))
            answer = json.loads(self._take(size, deadline))
        except (OSError, _WorkerLost) as error:
            self._end()
            raise _WorkerLost from error
        # Tesseract writes the Greek letter as the sign for a millionth.
        return str(answer["text"]).replace("\u00b5", "\u03bc"), float(answer["confidence"])

    def _take(self, count: int, deadline: float) -> bytes:
        assert self._process.stdout is not None
        file = self._process.stdout.fileno()
        taken = b""
        while len(taken) < count:
            ready, _, _ = select.select([file], [], [], max(0.0, deadline - time.monotonic()))
            part = os.read(file, count - len(taken)) if ready else b""
            if not part:
                raise _WorkerLost
            taken += part
        return taken


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except BrokenPipeError:  # what was not sent yet
                continue


def _prepared(line: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Dark on light, of the height that Tesseract knows, with paper around: (h, w) uint8."""
    grey = np.asarray(cv2.cvtColor(line, cv2.COLOR_BGR2GRAY), np.uint8)
    if np.median(grey) < (int(grey.min()) + int(grey.max())) / 2:
        grey = 255 - grey
    height, width = grey.shape
    wide = min(_MAX_WIDTH_PX, max(1, round(width * _HEIGHT_PX / height)))
    how = cv2.INTER_AREA if height > _HEIGHT_PX else cv2.INTER_CUBIC
    scaled = cv2.resize(grey, (wide, _HEIGHT_PX), interpolation=how)
    paper = float(np.median(scaled))
    sides = (_MARGIN_PX,) * 4
    return np.asarray(cv2.copyMakeBorder(scaled, *sides, cv2.BORDER_CONSTANT, value=paper), np.uint8)
