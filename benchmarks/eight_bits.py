"""What eight-bit products cost and save: `python -m benchmarks.eight_bits --media DIR [MODEL...]`.

For each graph of tools/calibrate.py, on the odd rows of DIR's manifests, one thread: the error of the service with the
graph as it is, with the eight-bit one for TensorRT (run here on ONNX Runtime) and with ONNX Runtime's own static
quantisation (unsigned activations with zero points, weights by channel); and the least processor milliseconds of a run
of each. Ranges are of the even rows, or those that are kept. Prints entries for the manifests. Needs pyannote.metrics,
whisper-normalizer.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import jiwer
import numpy as np
import onnx
from tokenizers import Tokenizer

from benchmarks.diarization import errors, spans_of
from benchmarks.vision import average_precision, lines_of, missed_characters, objects_precision
from engines import models
from engines.backends.onnxruntime import OnnxRuntimeEngine
from engines.export import eight_bits
from engines.export.qdq import in_eight_bits
from engines.fetch import fetch
from engines.manifest import manifest
from engines.plain_graphs import Feeds, in_float_of, plain_graph, profile_of, ranges_file, spans_file
from services.diarization.service import new_expert as new_diarization
from services.runtime.percept import BoxXyxy, ScreenState, SpeakerTurn
from services.runtime.stage import Frame, StageConfig
from services.vision.scripts import ScriptClassifier
from tools.calibrate import (
    CALIBRATED_PART,
    GRAPHS,
    REPORTED_PART,
    asr,
    feeds_of,
    icons,
    lines,
    meetings,
    pictures,
    speech,
    vision,
)

# Clips of speech that are read.
MAX_CLIPS = 16
TIMED_RUNS = 5


@dataclass(frozen=True, slots=True)
class Measure:
    """`observe` runs the service on the reported part; `error` of what it saw, and of what the graph as it is saw."""

    metric: str
    data: str
    observe: Callable[[Path], Any]
    error: Callable[[Any, Any], float] = lambda observed, as_it_is: float(observed)


def diarization_error(media: Path) -> float:
    """Diarization error rate after all corrections, %, overlap counted."""
    wrong_s = said_s = 0.0
    expert = new_diarization(1)
    for row, samples in meetings(media, REPORTED_PART):
        fields = [line.split() for line in (media / "audio" / row["rttm"]).read_text().splitlines()]
        truth = tuple((float(f[3]), float(f[3]) + float(f[4]), f[7]) for f in fields)
        stage = expert.open_stage(StageConfig())
        percepts = [*stage.push_audio(samples), *stage.flush()]
        turns = {turn.turn_id: turn for turn in percepts if isinstance(turn, SpeakerTurn)}
        wrong, said = errors(truth, spans_of([turn for turn in turns.values() if turn.is_final]), row["kind"])
        wrong_s, said_s = wrong_s + wrong, said_s + said
    return 100 * wrong_s / said_s


def word_errors(media: Path) -> float:
    """Moonshine's word error rate, %."""
    from whisper_normalizer.english import EnglishTextNormalizer

    normal, recogniser = EnglishTextNormalizer(), asr().moonshine
    clips = [clip for _, clip in zip(range(MAX_CLIPS), speech(media, REPORTED_PART, english=True), strict=False)]
    tokenizer = Tokenizer.from_file(str(models.model_file("moonshine-tiny-en", "tokenizer.json")))
    said = [normal(tokenizer.decode(list(recogniser.transcribe(samples).tokens))) for _, samples in clips]
    return 100 * jiwer.wer([normal(row["text"]) for row, _ in clips], said)


def character_errors(media: Path) -> float:
    """Whisper's mean character error rate in other languages, the language given, %."""
    from whisper_normalizer.basic import BasicTextNormalizer

    normal, recogniser, rates = BasicTextNormalizer(), asr().whisper, []
    tokenizer = Tokenizer.from_file(str(models.model_file("whisper-base", "tokenizer.json")))
    for row, samples in speech(media, REPORTED_PART, english=False):
        language = row["language"][:2]
        if language != "zh" and recogniser is not None:
            said = tokenizer.decode(list(recogniser.transcribe(recogniser.encode(samples), language).tokens))
            rates.append(jiwer.cer(normal(row["text"]), normal(said) or "-"))
    return 100 * float(np.mean(rates))


def page_errors(media: Path, *, accurate: bool) -> float:
    """Bag-of-words character error of the live or of the accurate reading, %."""
    total = missed = 0
    for row, pixels in pictures(media, REPORTED_PART, "ocr_dom+gui"):
        stage = vision().open_stage(StageConfig(tasks=("ocr",)))
        percepts = list(stage.push_frame(Frame(pixels, 0)))
        if accurate:
            percepts += stage.flush()
        words = [word for entry in row["gt"]["words"] for word in entry[0].split()]
        state = [percept for percept in percepts if isinstance(percept, ScreenState)][-1]
        total, missed = total + sum(map(len, words)), missed + missed_characters(words, lines_of(state))
    return 100 * missed / total


def missed_objects(media: Path) -> float:
    """100 - mAP at IoU .5, %."""
    return 100 - 100 * objects_precision(vision(), pictures(media, REPORTED_PART, "coco_det"))


def missed_controls(media: Path) -> float:
    """100 - AP at IoU .5, classes left aside, %."""
    truths: dict[str, list[BoxXyxy]] = {}
    found: list[tuple[str, float, BoxXyxy]] = []
    for row, pixels in pictures(media, REPORTED_PART, "gui"):
        truths[row["image"]] = [tuple(each[1:5]) for each in row["gt"]["els"]]
        found += [(row["image"], each.confidence, each.box) for each in vision().gui().detect(pixels)]
    return 100 - 100 * average_precision(found, truths)


def told_scripts(media: Path) -> list[int]:
    """The most probable script of each line."""
    classifier = ScriptClassifier()
    return [int(i) for images in line_pictures(media) for i in classifier.probabilities(images).argmax(axis=1)]


@cache
def line_pictures(media: Path) -> list[Any]:
    """Lines of text of the reported part."""
    return [images for images in lines(vision(), media, REPORTED_PART) if images]


def changed(observed: Sequence[int], as_it_is: Sequence[int]) -> float:
    """Decisions that are not the same, %."""
    return 100 * float(np.mean(np.array(observed) != np.array(as_it_is)))


def icon_vectors(media: Path) -> Any:
    """A unit vector for each icon."""
    return np.concatenate([vision().icons().encode(images) for images in icons(media, REPORTED_PART) if images])


def turned(observed: Any, as_it_is: Any) -> float:
    """Mean of 1 - cosine, %."""
    drawn = np.linalg.norm(as_it_is, axis=1) > 0
    return 100 * float(np.mean(1 - (observed * as_it_is).sum(axis=1)[drawn]))


_MEETINGS = Measure("diarization error rate, %", "recordings of several speakers", diarization_error)
_LIVE = Measure("characters missed, live reading, %", "rendered pages", partial(page_errors, accurate=False))
MEASURES = {
    "segmentation-3.0/segmentation.onnx": _MEETINGS,
    "campplus/campplus.onnx": _MEETINGS,
    "ppocrv6-tiny/det.onnx": _LIVE,
    "ppocrv6-tiny/rec.onnx": _LIVE,
    "ppocrv6-small/rec.onnx": Measure("characters missed, %", "rendered pages", partial(page_errors, accurate=True)),
    "nanodet-g/nanodet.onnx": Measure("100 - mAP at IoU .5, %", "photographs", missed_objects),
    "gui-elements/gui-elements.onnx": Measure("100 - AP at IoU .5, %", "rendered pages", missed_controls),
    "line-script/line-script.onnx": Measure("scripts not as before, %", "lines of pages", told_scripts, changed),
    "icon-encoder/icon-encoder.onnx": Measure("mean 1 - cosine, %", "icons of pages", icon_vectors, turned),
    "moonshine-tiny-en/encoder.onnx": Measure("word error rate, %", f"{MAX_CLIPS} English clips", word_errors),
    "whisper-base/encoder.onnx": Measure("mean CER, language given, %", "clips in other languages", character_errors),
}


@contextmanager
def replaced(graph: str, path: Path) -> Iterator[None]:
    """The services open this file as the graph MODEL/FILE."""
    as_it_is = models.model_file

    def file(name: str, asked: str) -> Path:
        return path if f"{name}/{asked}" == graph else as_it_is(name, asked)

    asr.cache_clear()
    vision.cache_clear()
    with patch.object(models, "model_file", file), patch.object(models, "file_on_cpu", lambda name, asked: asked):
        yield
    asr.cache_clear()
    vision.cache_clear()


def least_cpu_ms(engines: Sequence[OnnxRuntimeEngine], feeds: Sequence[Feeds]) -> list[float]:
    """Processor milliseconds of each engine's cheapest run over all the feeds, in turns."""
    least = [float("inf")] * len(engines)
    for _ in range(TIMED_RUNS):
        for index, engine in enumerate(engines):
            began = time.process_time()
            for one in feeds:
                engine.run(one)
            least[index] = min(least[index], time.process_time() - began)
    return [1000 * seconds / len(feeds) for seconds in least]


def measure(graph: str, media: Path) -> None:
    """Print the manifest's entry of one graph, without `most`, which is decided before."""
    name, file = graph.split("/")
    fixed, measured = profile_of(manifest(name), file).fixed, MEASURES[graph]
    source = models.model_file(name, file)
    floats = plain_graph(name, file).path
    with tempfile.TemporaryDirectory() as folder:
        tensorrt, own = Path(folder) / "tensorrt.onnx", Path(folder) / "onnxruntime.onnx"
        onnx.save(in_eight_bits(onnx.load(floats), json.loads(ranges_file(name, file).read_text())), tensorrt)
        calibrating = [
            {key: value for key, value in one.items() if key not in fixed}
            for one in feeds_of([graph], media, CALIBRATED_PART)[graph]
        ]
        in_float, kept = in_float_of(manifest(name), file), spans_file(name, file)
        spans = json.loads(kept.read_text()) if kept.exists() else eight_bits.spans(floats, calibrating)
        onnx.save(eight_bits.in_eight_bits(onnx.load(floats), spans, in_float), own)
        files = (source, tensorrt, own)
        ms = least_cpu_ms([OnnxRuntimeEngine(path) for path in files], calibrating[:2])
        found = []
        for path in files:
            with replaced(graph, path):
                found.append(measured.observe(media))
    as_is, eight, own_eight = (measured.error(each, found[0]) for each in found)
    print(
        f'# {name}\n[[eight_bits]]\ngraph = "{file}"\nmetric = "{measured.metric}"\ndata = "{measured.data}"\n'
        f"float32 = {as_is:.2f}\ntensorrt = {eight:.2f}\nonnxruntime = {own_eight:.2f}\n"
        f"cpu_ms = [{ms[0]:.1f}, {ms[2]:.1f}]\n"
        f"in_float = {json.dumps(in_float)}\n",
        flush=True,
    )


def main() -> None:
    """Measure the chosen models."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.eight_bits", description=__doc__)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="default: all that were calibrated")
    parser.add_argument("--media", type=Path, required=True)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    graphs = [graph for graph in GRAPHS if not options.models or graph.split("/")[0] in options.models]
    fetch(graph.split("/")[0] for graph in graphs)
    for graph in graphs:
        measure(graph, options.media)


if __name__ == "__main__":
    main()
