"""Ranges for eight-bit graphs, found on recordings: `python -m tools.calibrate --media DIR [MODEL...]`.

The services run on the even rows of DIR/audio/manifest.jsonl and DIR/vision/manifest.jsonl; what their graphs are fed
runs through the float graphs for TensorRT again, and for every value that is quantised the range with the least mean
square error is written to engines/export/ranges; with `--spans` also both ends of every value's range, which a graph
needs that ONNX Runtime is to run in eight bits (before its manifest says so). No recording goes in there.
benchmarks/eight_bits.py measures on the odd rows.
"""

import argparse
import json
import random
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from engines.backends.onnxruntime import OnnxRuntimeEngine
from engines.engine import Raw
from engines.export.eight_bits import spans
from engines.export.qdq import LARGEST, quantised_inputs
from engines.fetch import fetch
from engines.manifest import manifest
from engines.plain_graphs import Feeds, plain_graph, profile_of, ranges_file, spans_file
from engines.residency import ResidentEngine
from services.asr.service import AsrExpert
from services.asr.service import new_expert as new_asr
from services.diarization.service import new_expert as new_diarization
from services.runtime.image import decode_image
from services.runtime.percept import SAMPLE_RATE
from services.runtime.stage import Frame, StageConfig
from services.vision.line_image import line_image
from services.vision.scripts import ScriptClassifier
from services.vision.service import VisionExpert
from services.vision.service import new_expert as new_vision
from tools.media import Audio, read

Row = dict[str, Any]
CALIBRATED_PART, REPORTED_PART = 0, 1
# So many runs of a graph are looked at, evenly out of all, and so many values of a tensor in each.
MAX_RUNS = 12
MAX_VALUES = 20_000
# Parts of the largest magnitude that a range is chosen from.
SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2)
# Of longer speech the beginning, and so many photographs and pages of a kind.
MAX_SPEECH = 25 * SAMPLE_RATE
MAX_PICTURES = 24


def rows(media: Path, kind: str, part: int) -> list[Row]:
    """Every other row of a manifest, "audio" or "vision"."""
    return [json.loads(line) for line in (media / kind / "manifest.jsonl").open()][part::2]


def samples_of(path: Path) -> NDArray[np.float32]:
    """16 kHz mono sound of a file in [-1, 1]."""
    pcm = b"".join(item.pcm for item in read(path) if isinstance(item, Audio))
    return np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32_768)


def meetings(media: Path, part: int) -> Iterator[tuple[Row, NDArray[np.float32]]]:
    """Recordings of several speakers."""
    for row in rows(media, "audio", part):
        if row["kind"].startswith("diar"):
            yield row, samples_of(media / "audio" / row["audio"])


def speech(media: Path, part: int, *, english: bool) -> Iterator[tuple[Row, NDArray[np.float32]]]:
    """Clips with a text, in English or in other languages."""
    for row in rows(media, "audio", part):
        if row.get("text") and not row["kind"].startswith("diar") and (row["language"] == "en") == english:
            yield row, samples_of(media / "audio" / row["audio"])[:MAX_SPEECH]


def pictures(media: Path, part: int, task: str) -> Iterator[tuple[Row, NDArray[np.uint8]]]:
    """Pictures of one kind."""
    for row in [row for row in rows(media, "vision", part) if row["task"] == task][:MAX_PICTURES]:
        yield row, decode_image((media / "vision" / row["image"]).read_bytes())


def icons(media: Path, part: int) -> Iterator[list[NDArray[np.uint8]]]:
    """The icons of each page."""
    for row, pixels in pictures(media, part, "gui"):
        boxes = [[round(x) for x in found[1:5]] for found in row["gt"]["els"] if found[0] == "icon"]
        yield [pixels[y0:y1, x0:x1] for x0, y0, x1, y1 in boxes if x1 - x0 > 4 and y1 - y0 > 4]


def lines(expert: VisionExpert, media: Path, part: int) -> Iterator[list[NDArray[np.uint8]]]:
    """Pictures of the lines of each page, and of those in other scripts."""
    for task in ("ocr_dom+gui", "ocr_line", "ocr_lines", "ocr_words"):
        for _, pixels in pictures(media, part, task):
            yield [line_image(pixels, box) for box in expert.detector().detect(pixels)]


@cache
def asr() -> AsrExpert:
    """The recognisers, opened once."""
    return new_asr(1)


@cache
def vision() -> VisionExpert:
    """The detectors and readers, opened once."""
    return new_vision(1)


def _meetings(media: Path, part: int) -> None:
    expert = new_diarization(1)
    for _, samples in meetings(media, part):
        stage = expert.open_stage(StageConfig())
        stage.push_audio(samples)
        stage.flush()


def _english(media: Path, part: int) -> None:
    for _, samples in speech(media, part, english=True):
        asr().moonshine.transcribe(samples)


def _languages(media: Path, part: int) -> None:
    for english in (True, False):
        for index, (_, samples) in enumerate(speech(media, part, english=english)):
            if (whisper := asr().whisper) is not None and index < MAX_RUNS // 2:
                whisper.encode(samples)


def _pages(media: Path, part: int) -> None:
    for task in ("ocr_dom+gui", "ocr_line", "ocr_lines"):
        for _, pixels in pictures(media, part, task):
            stage = vision().open_stage(StageConfig(tasks=("ocr",)))
            stage.push_frame(Frame(pixels, 0))
            stage.flush()


def _lines(media: Path, part: int) -> None:
    classifier = ScriptClassifier()
    for images in lines(vision(), media, part):
        classifier.probabilities(images)


def _controls(media: Path, part: int) -> None:
    for _, pixels in pictures(media, part, "gui"):
        vision().gui().detect(pixels)


def _icons(media: Path, part: int) -> None:
    for images in icons(media, part):
        vision().icons().encode(images)


def _photos(media: Path, part: int) -> None:
    for _, pixels in pictures(media, part, "coco_det"):
        vision().objects().detect(pixels)


# Graphs with products that TensorRT may do in eight bits, and what runs them. Transformers' decoders are left out:
# their products are bound by reading weights, which float16 halves already.
GRAPHS: dict[str, Callable[[Path, int], None]] = {
    "segmentation-3.0/segmentation.onnx": _meetings,
    "campplus/campplus.onnx": _meetings,
    "ppocrv6-tiny/det.onnx": _pages,
    "ppocrv6-tiny/rec.onnx": _pages,
    "ppocrv6-small/rec.onnx": _pages,
    "nanodet-g/nanodet.onnx": _photos,
    "gui-elements/gui-elements.onnx": _controls,
    "line-script/line-script.onnx": _lines,
    "icon-encoder/icon-encoder.onnx": _icons,
    "moonshine-tiny-en/encoder.onnx": _english,
    "whisper-base/encoder.onnx": _languages,
}


def feeds_of(graphs: Sequence[str], media: Path, part: int) -> dict[str, list[Feeds]]:
    """What the services feed MODEL/FILE on a part of the media: at most MAX_RUNS of each, drawn from all."""
    heard: dict[str, list[Feeds]] = {graph: [] for graph in graphs}
    counts = dict.fromkeys(graphs, 0)
    draw = random.Random(0)

    def hear(name: str, feeds: Mapping[str, NDArray[Any]]) -> None:
        if name not in heard:
            return
        counts[name] += 1
        place = len(heard[name]) if len(heard[name]) < MAX_RUNS else draw.randrange(counts[name])
        if place < MAX_RUNS:
            heard[name][place : place + 1] = [
                {key: value.on_host() if isinstance(value, Raw) else np.array(value) for key, value in feeds.items()}
            ]

    with _listening(hear):
        for play in dict.fromkeys(GRAPHS[graph] for graph in graphs):
            play(media, part)
    return heard


@contextmanager
def _listening(hear: Callable[[str, Mapping[str, NDArray[Any]]], None]) -> Iterator[None]:
    run = ResidentEngine.run

    def heard(engine: ResidentEngine, feeds: Mapping[str, NDArray[Any]], outputs: Any = None) -> Any:
        hear(engine.name, feeds)
        return run(engine, feeds, outputs)

    with patch.object(ResidentEngine, "run", heard):
        yield


def ranges(model: onnx.ModelProto, feeds: Sequence[Feeds]) -> dict[str, float]:
    """The range of each of `quantised_inputs` with the least mean square error on the feeds."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    names = quantised_inputs(model)
    inputs = {given.name for given in model.graph.input}
    known = inputs | {output.name for output in model.graph.output}
    model.graph.output.extend(
        helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in names if n not in known
    )
    asked = [name for name in names if name not in inputs]
    largest = dict.fromkeys(names, 0.0)
    values: dict[str, list[NDArray[np.float32]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        onnx.save(model, Path(folder) / "graph.onnx")
        engine = OnnxRuntimeEngine(Path(folder) / "graph.onnx")
    for one in feeds:
        given = one | engine.run(one, asked)
        for name in names:
            magnitudes = np.abs(given[name]).ravel()
            largest[name] = max(largest[name], float(magnitudes.max()))
            values[name].append(magnitudes[:: max(1, magnitudes.size // MAX_VALUES)])
    return {name: _best(largest[name], np.concatenate(values[name])) for name in names}


def _best(largest: float, magnitudes: NDArray[np.float32]) -> float:
    def error(share: float) -> float:
        step = max(share * largest, 1e-9) / LARGEST
        return float(np.mean((np.clip(np.round(magnitudes / step), 0, LARGEST) * step - magnitudes) ** 2))

    return float(f"{min(SHARES, key=error) * largest:.6g}")


def main() -> None:
    """Calibrate the chosen models."""
    parser = argparse.ArgumentParser(prog="python -m tools.calibrate", description=__doc__)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="default: all that may compute in eight bits")
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--spans", action="store_true", help="also the ranges for ONNX Runtime's eight bits")
    options = parser.parse_args()
    graphs = [graph for graph in GRAPHS if not options.models or graph.split("/")[0] in options.models]
    fetch(graph.split("/")[0] for graph in graphs)
    for graph, feeds in feeds_of(graphs, options.media, CALIBRATED_PART).items():
        name, file = graph.split("/")
        fixed = profile_of(manifest(name), file).fixed
        left = [{key: value for key, value in one.items() if key not in fixed} for one in feeds]
        found = ranges(onnx.load(plain_graph(name, file).path), left)
        path = ranges_file(name, file)
        path.write_text(json.dumps(found, indent=0) + "\n")
        if options.spans:
            found_spans = spans(plain_graph(name, file).path, left)
            spans_file(name, file).write_text(json.dumps(found_spans, indent=0) + "\n")
        print(f"{graph}: {len(found)} ranges out of {len(left)} runs", flush=True)


if __name__ == "__main__":
    main()
