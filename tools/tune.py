"""`sensorium engines tune`: what each graph costs on this machine with one, two, four … threads."""

import importlib.util
import os
import time
from collections.abc import Iterator, Sequence

import numpy as np

from engines import models
from engines.backends.onnxruntime import OnnxRuntimeEngine
from engines.backends.openvino import has_bfloat16
from engines.engine import Engine
from engines.fetch import GOLDEN
from engines.lanes import cores
from engines.manifest import Graph, Manifest, manifest, manifests
from engines.plain_graphs import Feeds, noise
from engines.preference import openvino_engine
from engines.tuning import ONNX_RUNTIME, OPENVINO, Cost, saves
from tools.errors import InputError

# Each number of threads is tried this often, in turns, so that what else runs disturbs all alike.
ROUNDS = 7
# No further round begins after this many seconds of processor time for a graph.
MAX_CPU_S = 8.0


def able(names: Sequence[str]) -> list[tuple[Manifest, Graph]]:
    """The graphs of the models, default: all that are here. Raises InputError, ManifestError."""
    chosen = [manifest(name) for name in names] or [m for name, m in manifests().items() if models.is_fetched(name)]
    for model in chosen:
        if not models.is_fetched(model.name):
            raise InputError(f"model {model.name!r} is not here; {models.how_to_get(model)}")
    return [(model, graph) for model in chosen for graph in model.graph]


def typical(model: Manifest, graph: Graph) -> Feeds:
    """Noise of the usual sizes; where no profile of this very graph tells them, its recorded run. Raises InputError."""
    for profile in model.profile:
        if profile.graph == graph.file and not profile.exporter:
            return noise(graph, profile)
    for parity in model.parity:
        if parity.graph == graph.file:
            folder = models.folder(model) if model.checkpoint else GOLDEN
            with np.load(folder / parity.golden) as recorded:
                return {key.removeprefix("in:"): recorded[key] for key in recorded.files if key.startswith("in:")}
    raise InputError(
        f"{model.name}/{graph.file} cannot be measured: its manifest has neither a profile nor a recorded run"
    )


def thread_counts() -> list[int]:
    """1, 2, 4 … and all cores."""
    counts = [1]
    while counts[-1] * 2 < cores():
        counts.append(counts[-1] * 2)
    return counts + [cores()] * (cores() > 1)


def measure(model: Manifest, graph: Graph) -> list[Cost]:
    """The least time of some runs with each number of threads, and of one on OpenVINO if that is here and allowed.

    The first run of each is not counted.
    """
    path = models.model_file(model.name, models.file_on_cpu(model.name, graph.file))
    feeds = typical(model, graph)
    engines: dict[tuple[int, str], Engine] = {
        (threads, ONNX_RUNTIME): OnnxRuntimeEngine(path, threads=threads) for threads in thread_counts()
    }
    if any(known.graph == graph.file and known.is_allowed for known in model.bfloat16) and may_use_openvino():
        engines[1, OPENVINO] = openvino_engine(model.name, graph.file)
    for engine in engines.values():
        engine.run(feeds)
    least = dict.fromkeys(engines, (float("inf"), float("inf")))
    began = time.process_time()
    for turn in range(ROUNDS):
        if turn and time.process_time() - began > MAX_CPU_S:
            break
        for kind, engine in engines.items():
            wall, cpu = time.perf_counter(), time.process_time()
            engine.run(feeds)
            taken = time.perf_counter() - wall, time.process_time() - cpu
            least[kind] = (min(least[kind][0], taken[0]), min(least[kind][1], taken[1]))
    return [Cost(threads, wall * 1000, cpu * 1000, name) for (threads, name), (wall, cpu) in least.items()]


def may_use_openvino() -> bool:
    """Whether it is installed and this processor multiplies bfloat16."""
    return importlib.util.find_spec("openvino") is not None and has_bfloat16()


def rows(model: Manifest, graph: Graph, costs: Sequence[Cost], chosen: int) -> Iterator[str]:
    """Lines of a table: graph, threads, milliseconds of the clock and of the processor, and what was chosen."""
    for cost in costs:
        mark = "chosen" if cost.threads == chosen else ""
        if cost.runtime == OPENVINO:
            mark = "OpenVINO, " + ("worth it" if saves(costs[0].cpu_ms, cost.cpu_ms) else "not worth it")
        what = f"{model.name}/{graph.file}" if cost is costs[0] else ""
        yield f"{what:40} {cost.threads:7} {cost.wall_ms:9.2f} {cost.cpu_ms:9.2f}  {mark}".rstrip()


def busy() -> str:
    """A warning when other programs disturb the measurement; empty when they do not."""
    load = os.getloadavg()[0]
    if load < cores() / 2:
        return ""
    return f"this machine is busy (load {load:.1f} on {cores()} cores): milliseconds of the clock say little now"
