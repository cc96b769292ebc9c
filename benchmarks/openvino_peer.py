"""What OpenVINO would cost beside ONNX Runtime, on one thread: `python -m benchmarks.openvino_peer [MODEL...]`.

Needs `pip install 'sensorium[openvino]'`. Prints a table for benchmarks/results/threads.md: the least
processor milliseconds of a run, and by how much the worst output differs from ONNX Runtime's (root mean square).
"""

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import openvino
from numpy.typing import NDArray

from engines.backends.onnxruntime import OnnxRuntimeEngine
from engines.models import model_file
from engines.plain_graphs import difference
from tools.tune import able, typical

RUNS = 7
PRECISIONS = ("f32", "bf16")


def main() -> None:
    """Measure the models (default: all that are here)."""
    print("| graph | ONNX Runtime, CPU ms | OpenVINO float32 | differs by | OpenVINO bfloat16 | differs by |")
    print("| --- | --- | --- | --- | --- | --- |")
    for model, graph in able(sys.argv[1:]):
        path, feeds = model_file(model.name, graph.file), typical(model, graph)
        engine = OnnxRuntimeEngine(path)
        wanted = engine.run(feeds)
        cells = [f"{least_cpu_ms(partial(engine.run, feeds)):.1f}"]
        for precision in PRECISIONS:
            settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": precision}
            try:
                compiled = openvino.Core().compile_model(str(path), "CPU", settings)
            except RuntimeError:
                cells += ["does not compile", ""]
                continue
            got: dict[str, NDArray[Any]] = dict(zip(wanted, compiled(feeds).to_tuple(), strict=True))
            cells += [f"{least_cpu_ms(partial(compiled, feeds)):.1f}", f"{difference(got, wanted, list(wanted)):.1g}"]
        print(f"| {model.name} {graph.file} | {' | '.join(cells)} |", flush=True)


def least_cpu_ms(run: Callable[[], object]) -> float:
    """Processor milliseconds of the cheapest of some runs; one before is not counted."""
    run()
    least = float("inf")
    for _ in range(RUNS):
        began = time.process_time()
        run()
        least = min(least, time.process_time() - began)
    return least * 1000


if __name__ == "__main__":
    main()
