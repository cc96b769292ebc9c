"""Character errors on lines of every script in words and fonts that the network never saw, through the whole stage."""

import random
import time
import unicodedata
from collections import Counter

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from services.runtime.percept import ScreenState
from services.runtime.stage import Frame, StageConfig
from services.vision.ocr import SMALL, open_detector, open_recognizer
from services.vision.scripts import SCRIPTS, script_of
from services.vision.service import new_expert
from tools.train_script.fonts import font
from tools.train_script.material import UNSPACED, words

_INVISIBLE = dict.fromkeys((0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x00AD))


def sample(script: str, seed: str) -> tuple[NDArray[np.uint8], str]:
    """(h, w, 3) uint8 BGR of one line on paper of one colour and what it says, all in the one script."""
    chance = random.Random(seed)
    joint = "" if script in UNSPACED else " "
    said = joint.join(chance.choices(words(script)[1], k=chance.randint(2, 5)))
    path, face = font(script, chance, held_out=True)
    pen = ImageFont.truetype(str(path), chance.randint(14, 32), index=face, layout_engine=ImageFont.Layout.RAQM)
    dark, light = (chance.randint(0, 60),) * 3, (chance.randint(225, 255),) * 3
    paper, ink = (dark, light) if chance.random() < 0.3 else (light, dark)
    x0, y0, x1, y1 = (round(side) for side in pen.getbbox(said))
    image = Image.new("RGB", (x1 - x0 + 80, y1 - y0 + 60), paper)
    ImageDraw.Draw(image).text((40 - x0, 30 - y0), said, fill=ink, font=pen)
    return np.asarray(image, np.uint8)[..., ::-1].copy(), said


def measure(each: int, first: int) -> None:
    """Print, for every script, the error of PP-OCR alone (its larger recogniser) and of the product, and the script."""
    cv2.setNumThreads(1)
    expert, detector, alone = new_expert(), open_detector(), open_recognizer(SMALL)
    for script in (script for script in SCRIPTS if script != "Zyyy"):
        errors: Counter[str] = Counter()
        length, right, spent_s = 0, 0, 0.0
        for number in range(first, first + each):
            pixels, said = sample(script, f"{script}-{number}")
            boxes = sorted(detector.detect(pixels), key=lambda box: box.center_x)
            errors["before"] += distance(said, "".join(line.text for line in alone.read(pixels, boxes)))
            started = time.process_time()
            stage = expert.open_stage(StageConfig(tasks=("ocr",)))
            percepts = (*stage.push_frame(Frame(pixels, 0)), *stage.flush())
            states = [percept for percept in percepts if isinstance(percept, ScreenState)]
            spent_s += time.process_time() - started
            regions = states[-1].regions
            errors["live"] += distance(said, "".join(region.text for region in states[0].regions))
            errors["after"] += distance(said, "".join(region.text for region in regions))
            right += any(region.script == script_of(said) for region in regions)
            length += len(plain(said))
        shares = {name: count / length for name, count in errors.items()}
        print(
            f"{script} lines {each} script {right / each:.2f} CER ppocr {shares['before']:.3f} "
            f"live {shares['live']:.3f} after {shares['after']:.3f} cpu_ms {spent_s / each * 1000:.0f}",
            flush=True,
        )


def plain(text: str) -> str:
    """Composed, without spaces and invisible joiners: what is compared."""
    return "".join(unicodedata.normalize("NFC", text).translate(_INVISIBLE).split())


def distance(said: str, read: str) -> int:
    """Levenshtein distance of the two, spaces left aside."""
    said, read = plain(said), plain(read)
    row = list(range(len(read) + 1))
    for i, a in enumerate(said, 1):
        above, row = row, [i]
        for j, b in enumerate(read, 1):
            row.append(min(row[-1] + 1, above[j] + 1, above[j - 1] + (a != b)))
    return row[-1]
