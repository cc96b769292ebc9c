"""What bfloat16 on OpenVINO costs and saves: `python -m benchmarks.bfloat16 --media DIR [MODEL...]`.

For each float graph that benchmarks/eight_bits.py has an error for, on the same half of DIR, one thread: the service's
error with the graph as it is on ONNX Runtime and in bfloat16 on OpenVINO, and the least processor milliseconds of a run
of each at the usual sizes. Prints entries for the manifests. Needs `pip install openvino`, pyannote.metrics.
"""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

import cv2

from benchmarks.eight_bits import MEASURES
from benchmarks.openvino_peer import least_cpu_ms
from engines import preference
from engines.backends.onnxruntime import OnnxRuntimeEngine
from engines.backends.openvino import OpenVinoEngine, has_bfloat16
from engines.fetch import fetch
from engines.manifest import manifest
from engines.models import graph_of, model_file
from engines.preference import openvino_engine
from engines.tuning import OPENVINO
from tools.calibrate import asr, vision
from tools.tune import typical


@contextmanager
def on_openvino(graph: str) -> Iterator[None]:
    """The services run the graph MODEL/FILE in bfloat16, the others on ONNX Runtime."""

    def chosen(name: str, file: str, threads: int) -> OpenVinoEngine | None:
        return openvino_engine(name, file) if f"{name}/{file}" == graph else None

    asr.cache_clear()
    vision.cache_clear()
    with patch.dict(os.environ, {preference.VARIABLE: OPENVINO}):
        with patch.object(preference, "open_preferred", chosen):
            yield
    asr.cache_clear()
    vision.cache_clear()


def measure(name: str, file: str, media: Path) -> None:
    """Print the manifest's entry of one graph, without `most`, which is decided before."""
    measured, feeds = MEASURES[f"{name}/{file}"], typical(manifest(name), graph_of(name, file))
    engines = OnnxRuntimeEngine(model_file(name, file)), openvino_engine(name, file)
    ms = [least_cpu_ms(partial(engine.run, feeds)) for engine in engines]
    as_it_is = measured.observe(media)
    with on_openvino(f"{name}/{file}"):
        narrow = measured.observe(media)
    print(
        f'# {name}\n[[bfloat16]]\ngraph = "{file}"\nmetric = "{measured.metric}"\ndata = "{measured.data}"\n'
        f"float32 = {measured.error(as_it_is, as_it_is):.2f}\nbfloat16 = {measured.error(narrow, as_it_is):.2f}\n"
        f"cpu_ms = [{ms[0]:.1f}, {ms[1]:.1f}]\n",
        flush=True,
    )


def main() -> None:
    """Measure the chosen models."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bfloat16", description=__doc__)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="default: all float graphs that can be measured")
    parser.add_argument("--media", type=Path, required=True)
    options = parser.parse_args()
    if not has_bfloat16():
        raise SystemExit("this processor multiplies no bfloat16: there is nothing to measure")
    cv2.setNumThreads(1)
    for graph in MEASURES:
        name, file = graph.split("/")
        fetch([name])
        if (not options.models or name in options.models) and graph_of(name, file).precision == "float32":
            measure(name, file, options.media)


if __name__ == "__main__":
    main()
