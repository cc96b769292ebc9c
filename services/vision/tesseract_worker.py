"""`python -m services.vision.tesseract_worker`: lines on stdin, what they say on stdout (services/vision/tesseract.py).

A request is two big-endian 32-bit sizes, a JSON head {"folder", "language", "is_spaced", "size": [w, h]} and w * h grey
bytes; an answer two sizes, of which the second is 0, and JSON {"text", "confidence"}. It ends with its input.
"""

import json
import resource
import struct
import sys
from collections import OrderedDict
from collections.abc import Iterator
from typing import BinaryIO

import tesserocr

_HEADER = struct.Struct("!II")
# So much the libraries, the data of the languages kept open and one line may take together.
_MEMORY_BYTES = 2 << 30
_MOST_OPEN = 4
_SURE = 0.5


def main(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer one request after the other."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    engines: OrderedDict[tuple[str, str], tesserocr.PyTessBaseAPI] = OrderedDict()
    while sizes := requests.read(_HEADER.size):
        head_size, image_size = _HEADER.unpack(sizes)
        head = json.loads(requests.read(head_size))
        image = requests.read(image_size)
        key = (head["folder"], head["language"])
        if key not in engines:
            if len(engines) == _MOST_OPEN:
                engines.popitem(last=False)[1].End()
            engines[key] = tesserocr.PyTessBaseAPI(path=key[0], lang=key[1], oem=tesserocr.OEM.LSTM_ONLY)
            # Without this, letters of scripts without spaces are parted by them; with it, the last space of a line
            # from right to left is lost.
            engines[key].SetVariable("preserve_interword_spaces", "0" if head["is_spaced"] else "1")
        engines.move_to_end(key)
        engine = engines[key]
        width, height = head["size"]
        engine.SetImageBytes(image, width, height, 1, width)
        engine.SetSourceResolution(150)
        confidence, text = max(_readings(engine))
        answer = json.dumps({"text": text, "confidence": confidence}).encode()
        answers.write(_HEADER.pack(len(answer), 0) + answer)
        answers.flush()


def _readings(engine: tesserocr.PyTessBaseAPI) -> Iterator[tuple[float, str]]:
    """The line as laid out by Tesseract, and, where that is unsure, as the network reads it in one go."""
    for mode in (tesserocr.PSM.SINGLE_LINE, tesserocr.PSM.RAW_LINE):
        engine.SetPageSegMode(mode)
        text = " ".join(engine.GetUTF8Text().split())
        confidence = engine.MeanTextConf() / 100
        yield confidence, text
        if confidence >= _SURE:
            return


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout.buffer)
