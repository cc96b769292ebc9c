"""`python -m tools.gpu_selftest`: the whole GPU path on a machine with a card, with a report that says pass or fail.

Builds every plan, runs every model and every kernel against golden outputs, makes what networks are fed and what is
taken of their outputs and compares it with the processor's, reads on behind what a decoder keeps on the card, measures
models beside ONNX Runtime on the CPU (and on CUDA, where it is installed), and looks for memory that is not given back.

`--simulate` does without a card what can be done: the kernels on the CPU simulator, the plans by TensorRT-RTX ahead of
time, the very graphs of the plans on ONNX Runtime. It measures nothing of a card, and the report says "simulated".
"""

import argparse
import json
import math
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from engines import fetch, gpu, plain_graphs, plans
from engines.backends.onnxruntime import OnnxRuntimeEngine
from engines.backends.staging import Staging
from engines.backends.tensorrt import TensorRTEngine
from engines.engine import Engine, EngineError, Raw, Reduced
from engines.fetch import GOLDEN
from engines.kernels.build import FATBIN_SUFFIX, FOLDER, SOURCES, build
from engines.kernels.cases import Case, cases
from engines.kernels.device import CudaDevice
from engines.kernels.launch import Buffer, Launch
from engines.kernels.simulator import Runner, SimulatedPlace
from engines.manifest import Profile, manifest, manifests
from engines.models import model_file
from engines.pictures import Picture
from engines.plain_graphs import Feeds
from engines.plans import Target
from services.asr.mel import LogMel
from services.decoder.cache import CardCache
from services.decoder.choice import Likeliest
from services.diarization.embedding import Features, Voiced
from services.vision.candidates import Candidates
from services.vision.text_recognition import BestPath

# TF32 rounds what goes into a product to 11 bits; beside the tolerance of the graph itself.
CARD_TOLERANCE = 0.02
MAX_LEAK_BYTES = 32 << 20
RUNS, WORKERS = 20, 2
LEAK_MODEL = ("silero-vad", "silero_vad.onnx")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; `error` says why it did not pass."""

    what: str
    passed: bool
    error: str = ""
    figures: dict[str, Any] = field(default_factory=dict)


def main() -> None:
    """Run, write the report, exit with 1 unless all passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="default: all that have a profile")
    parser.add_argument("--simulate", action="store_true", help="without a card")
    parser.add_argument("--module", default="tensorrt", help="tensorrt or tensorrt_rtx (simulated: always the latter)")
    precision = parser.add_mutually_exclusive_group()
    precision.add_argument("--half", action="store_true", help="plans in half precision (SM75 needs it)")
    precision.add_argument("--int8", action="store_true", help="plans in eight bits, of the models that may")
    parser.add_argument("--iterations", type=int, default=1000, help="of the check for leaks")
    parser.add_argument("--report", type=Path, default=Path("gpu_selftest.json"))
    flags = parser.parse_args()
    names = flags.models or [name for name, model in manifests().items() if model.profile]
    try:
        fetch.fetch([*names, LEAK_MODEL[0]])
        tested = Simulated() if flags.simulate else Card(flags.module)
        chosen = "float16" if flags.half else "int8" if flags.int8 else "float32"
        report = run(tested, names, precision=chosen, iterations=flags.iterations)
    except EngineError as error:
        sys.exit(f"self-test cannot start: {error}")
    flags.report.write_text(json.dumps(report, indent=1))
    print(f"{'PASSED' if report['passed'] else 'FAILED'} ({report['mode']}); report: {flags.report}")
    sys.exit(not report["passed"])


def run(tested: "Simulated | Card", names: Sequence[str], *, precision: str, iterations: int) -> dict[str, Any]:
    """All checks, each said on stdout as it ends; the report for JSON."""
    kinds = ("kernels", "inputs", "outputs", "plans", "models", "leaks")
    checks: dict[str, list[Check]] = {kind: [] for kind in kinds}

    def check(kind: str, what: str, do: Callable[[], dict[str, Any]]) -> None:
        try:
            made = Check(what, True, figures=do())
        except (EngineError, OSError) as error:
            made = Check(what, False, str(error))
        checks[kind].append(made)
        print(f"{'ok  ' if made.passed else 'FAIL'} {kind[:-1]} {what} {made.error or made.figures}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        tested.prepare(Path(folder))
        for case in cases():
            check("kernels", case.launch.kernel.name, partial(_kernel, tested, case))
        for what, raw, tolerance in _inputs_to_make():
            check("inputs", what, partial(_made, tested, raw, tolerance))
        for what, reduced, values, tolerance in _outputs_to_reduce():
            check("outputs", what, partial(_reduced, tested, reduced, values, tolerance))
    for name in names:
        for profile in manifest(name).profile:
            if plain_graphs.allowed_difference(profile, precision) is None:
                continue
            what = f"{name}/{profile.graph}"
            check("plans", what, partial(_plan, tested, name, profile, precision))
            check("models", what, partial(_model, tested, name, profile, precision))
    # The model of this check has no eight-bit graph.
    leak_precision = "float32" if precision == "int8" else precision
    check("leaks", f"{iterations} runs", partial(tested.leak, iterations, leak_precision))
    return {
        "mode": tested.mode,
        "note": tested.note,
        "device": tested.device,
        "machine": platform.platform(),
        "python": platform.python_version(),
        "onnxruntime": ort.__version__,
        "module": tested.module,
        "precision": precision,
        "passed": all(made.passed for kind in checks.values() for made in kind),
        **{kind: [asdict(made) for made in found] for kind, found in checks.items()},
    }


class Simulated:
    """No card: what the simulator, TensorRT-RTX's builder and ONNX Runtime can say."""

    mode = "simulated"
    note = "No card was used: nothing here is a figure of one. Models ran on ONNX Runtime, on the graphs of the plans."
    device = "none"
    module = "tensorrt_rtx"
    target = Target(("SM89",))

    def prepare(self, folder: Path) -> None:
        """Compile the kernels for the CPU. Raises KernelBuildError."""
        self._runners = {source: Runner.build(FOLDER / source, folder) for source in SOURCES}

    def launch(self, case: Case) -> tuple[Any, ...]:
        """What the kernel writes. Raises SimulationError."""
        return self._runners[case.launch.kernel.source].run(case.launch)

    def timed(self, case: Case) -> dict[str, float]:
        """Nothing: the simulator says nothing of a card."""
        return {}

    def make(self, raw: Raw) -> Any:
        """The tensor that the kernels make. Raises SimulationError."""
        place = SimulatedPlace(self._runners, {})
        raw.on_card(place)
        return place.made[""].reshape(raw.shape)

    def reduce(self, reduced: Reduced, values: Sequence[Any]) -> dict[str, Any]:
        """What the kernels make of outputs. Raises SimulationError."""
        made = reduced.on_card(values, SimulatedPlace(self._runners, {}))
        count = made.pop(reduced.counted_by, None)
        return made if count is None else {name: array[: count[0]] for name, array in made.items()}

    def open(self, name: str, graph: str, precision: str) -> Engine:
        """The graph of the plan on ONNX Runtime."""
        path = plain_graphs.plain_graph(name, graph, precision).path
        return OnnxRuntimeEngine(path, optimised=precision != "float16")

    def leak(self, iterations: int, precision: str) -> dict[str, Any]:
        """Memory of this process over many runs of one model on ONNX Runtime. Raises EngineError."""
        engine = self.open(*LEAK_MODEL, precision)
        return _leak(iterations, engine, plain_graphs.plain_example(*LEAK_MODEL), lambda: -_resident_bytes())


class Card:
    """The first card of this machine."""

    mode = "card"
    note = ""

    def __init__(self, module: str) -> None:
        """Raises DeviceError: no driver, no card."""
        self.module = module
        self._card: CudaDevice = gpu.first_card()
        self.device = f"{self._card.name} ({self._card.compute_capability})"
        self.target = Target((self._card.compute_capability,), self._card.name)

    def prepare(self, folder: Path) -> None:
        """Compile the kernels and load them. Raises KernelBuildError, DeviceError."""
        number = int(self._card.compute_capability.removeprefix("SM"))
        for source in SOURCES:
            build(source, folder, (number,))
            names = [case.launch.kernel.name for case in cases() if case.launch.kernel.source == source]
            self._card.load((folder / source).with_suffix(FATBIN_SUFFIX), names)

    def launch(self, case: Case) -> tuple[Any, ...]:
        """What the kernel writes. Raises DeviceError."""
        launch = self._uploaded(case.launch)
        self._card.run(launch)
        kept = zip(launch.kernel.parameters, launch.arguments, strict=True)
        return tuple(self._card.download(array) for part, array in kept if isinstance(part, Buffer) and part.is_written)

    def timed(self, case: Case) -> dict[str, float]:
        """What the kernel takes on the card, between two events. Raises DeviceError."""
        return {"device_ms": self._card.time_ms(self._uploaded(case.launch), RUNS)}

    def _uploaded(self, launch: Launch) -> Launch:
        parts = zip(launch.kernel.parameters, launch.arguments, strict=True)
        arguments = [self._card.upload(value) if isinstance(part, Buffer) else value for part, value in parts]
        return launch.kernel.launch(launch.grid, *arguments)

    def make(self, raw: Raw) -> Any:
        """The tensor that the kernels make in the buffers of a plan's worker. Raises DeviceError."""
        staging = Staging(self._card)
        with self._card.current():
            try:
                staging.make("input", raw)
                staging.fetch("input", math.prod(raw.shape) * raw.dtype.itemsize)
                staging.wait()
                return staging.result("input", raw.dtype, raw.shape)
            finally:
                staging.close()

    def reduce(self, reduced: Reduced, values: Sequence[Any]) -> dict[str, Any]:
        """What the kernels make of outputs. Raises DeviceError."""
        staging = Staging(self._card)
        with self._card.current():
            try:
                outputs = list(zip(reduced.outputs, values, strict=True))
                for name, whole in outputs:
                    staging.put(name, whole)
                lying = [staging.array(name, whole.shape, whole.dtype) for name, whole in outputs]
                made = staging.reduce(reduced, lying)
                for buffer, array in made.values():
                    staging.fetch(buffer, array.nbytes)
                staging.wait()
                return {
                    name: staging.result(buffer, array.dtype, array.shape) for name, (buffer, array) in made.items()
                }
            finally:
                staging.close()

    def open(self, name: str, graph: str, precision: str) -> Engine:
        """The plan on the card. Raises DeviceError, PlanMissingError."""
        return gpu.open_plan(name, graph, self.module, precision, workers=WORKERS)

    def leak(self, iterations: int, precision: str) -> dict[str, Any]:
        """The card's memory over many runs of one model, in changing shapes. Raises EngineError."""
        plans.build(*LEAK_MODEL, self.module, self.target, precision=precision)
        engine = self.open(*LEAK_MODEL, precision)
        return _leak(iterations, engine, plain_graphs.example(*LEAK_MODEL), self._card.free_bytes)


def _kernel(tested: Simulated | Card, case: Case) -> dict[str, Any]:
    error = case.error(tested.launch(case))
    if not error <= case.tolerance:
        raise EngineError(f"differs by {error:.2e} from its reference, at most {case.tolerance} is allowed")
    return {"largest_difference": error} | tested.timed(case)


def _inputs_to_make() -> list[tuple[str, Raw, float]]:
    """What services feed, and by how much a card's tensor may differ from the processor's."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (179, 321, 3), np.uint8)
    sound = (random.integers(-8_000, 8_000, 8_000) / 32_768).astype(np.float32)
    rows = np.array([*range(3, 20), *range(25, 45)])
    return [
        ("picture, linear", Picture(pixels, (281, 157), (288, 160), fill=114), 1.0),
        ("picture, by means", Picture(pixels, (160, 90), (160, 96), averages=True), 1.0),
        ("Whisper's features", LogMel(sound), 2e-3),
        ("features of a voice", Voiced(Features(), sound, rows), 0.01),
    ]


def _made(tested: Simulated | Card, raw: Raw, tolerance: float) -> dict[str, Any]:
    error = float(np.abs(tested.make(raw) - raw.on_host()).max())
    if not error <= tolerance:
        raise EngineError(f"differs by {error:.2e} from what the processor makes, at most {tolerance} is allowed")
    return {"largest_difference": error}


def _outputs_to_reduce() -> list[tuple[str, Reduced, list[Any], float]]:
    """What services take of outputs, such outputs, and by how much a card's may differ from the processor's."""
    random = np.random.default_rng(0)
    scores = random.standard_normal((2, 21, 301)).astype(np.float32)
    levels = [random.random((1, cells, n), np.float32) for cells in (7_600, 1_900, 500) for n in (14, 4)]
    return [
        ("best path through a line of text", BestPath(("scores",), 300), [scores], 0.0),
        ("candidates of a detector", Candidates(10, 0.9997), levels, 0.0),
        ("the likeliest next word", Likeliest(), [scores[:1]], 1e-5),
    ]


def _reduced(tested: Simulated | Card, reduced: Reduced, values: Sequence[Any], tolerance: float) -> dict[str, Any]:
    got, wanted = tested.reduce(reduced, values), reduced.on_host(values)
    for name, array in wanted.items():
        if got[name].shape != array.shape or not np.allclose(got[name], array, rtol=0, atol=tolerance):
            raise EngineError(f"{name} is not what the processor makes, within {tolerance}")
    sizes = [sum(array.nbytes for array in arrays) for arrays in (got.values(), values)]
    return {"bytes": sizes[0], "of_bytes": sizes[1]}


def _plan(tested: Simulated | Card, name: str, profile: Profile, precision: str) -> dict[str, Any]:
    plan = plans.build(name, profile.graph, tested.module, tested.target, precision=precision)
    plans.verify(plan)
    return {
        "size_bytes": plan.size_bytes,
        "build_cpu_s": plan.build_cpu_s,
        "built_with": f"{plan.module} {plan.version}",
    }


def _model(tested: Simulated | Card, name: str, profile: Profile, precision: str) -> dict[str, Any]:
    """Run the recorded inputs, compare with the recorded outputs or the source graph's, and time it."""
    engine = tested.open(name, profile.graph, precision)
    try:
        golden = _golden(name, profile.graph)
        feeds = _inputs(tested, name, profile)
        names = [key for key in golden if not profile.exporter or key == "logits"]
        error = plain_graphs.difference(engine.run(feeds), golden, names)
        allowed = profile.tolerance + CARD_TOLERANCE * isinstance(tested, Card)
        if precision != "float32":
            allowed += plain_graphs.allowed_difference(profile, precision) or 0.0
        if not error <= allowed:
            raise EngineError(f"differs by {error:.2e} from its golden outputs, at most {allowed:.2e} is allowed")
        figures: dict[str, Any] = {"difference": error, "allowed": allowed, "backend": engine.backend}
        path = plain_graphs.plain_graph(name, profile.graph).path
        on_cpu = plain_graphs.plain_example(name, profile.graph)
        figures["onnxruntime_cpu"] = _timed(partial(OnnxRuntimeEngine(path).run, on_cpu))
        if isinstance(engine, TensorRTEngine):
            figures["tensorrt"] = _timed(partial(engine.run, feeds)) | {"memory": asdict(engine.memory())}
            if "past.0" in feeds:
                figures["read_in_two_parts"] = in_two_parts(engine, feeds["inputs_embeds"][0], allowed)
            if "CUDAExecutionProvider" in ort.get_available_providers():
                session = ort.InferenceSession(str(path), providers=["CUDAExecutionProvider", "CPUExecutionProvider"])
                figures["onnxruntime_cuda"] = _timed(partial(session.run, None, on_cpu))
        return figures
    finally:
        if isinstance(engine, TensorRTEngine):
            engine.close()


def in_two_parts(engine: TensorRTEngine, embeddings: Any, allowed: float) -> float:
    """By how much a decoder's logits differ when it keeps what the first half of (n, D) left. Raises EngineError."""

    def logits(*parts: Any) -> Feeds:
        cache = CardCache(engine, len(embeddings))
        return [{"logits": cache.run(part, np.array([len(part) - 1]))} for part in parts][-1]

    middle = len(embeddings) // 2
    in_parts = logits(embeddings[:middle], embeddings[middle:])
    error = plain_graphs.difference(in_parts, logits(embeddings), ["logits"])
    if not error <= allowed:
        raise EngineError(f"read in two parts it differs by {error:.2e}, at most {allowed:.2e} is allowed")
    return error


def _inputs(tested: Simulated | Card, name: str, profile: Profile) -> Feeds:
    # An engine of a plan takes what the source graph takes, a bare graph what is left of it.
    if isinstance(tested, Card) and not profile.exporter:
        return plain_graphs.example(name, profile.graph)
    return plain_graphs.plain_example(name, profile.graph)


def _golden(name: str, graph: str) -> Feeds:
    for parity in manifest(name).parity:
        if parity.graph == graph:
            with np.load(GOLDEN / parity.golden) as recorded:
                return {key[4:]: recorded[key] for key in recorded.files if key.startswith("out:")}
    return OnnxRuntimeEngine(model_file(name, graph)).run(plain_graphs.example(name, graph))


def _timed(run: Callable[[], object]) -> dict[str, float]:
    """Latency of one call after another, and calls a second of WORKERS threads."""
    run()
    walls, cpu = [], time.process_time()
    for _ in range(RUNS):
        begin = time.perf_counter()
        run()
        walls.append(1e3 * (time.perf_counter() - begin))
        if sum(walls) > 5e3:
            break
    figures = {
        "median_ms": float(np.median(walls)),
        "worst_ms": max(walls),
        "cpu_ms": 1e3 * (time.process_time() - cpu) / len(walls),
    }
    begin = time.perf_counter()
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(lambda _: run(), walls))
    return figures | {"per_second": len(walls) / (time.perf_counter() - begin)}


def _leak(iterations: int, engine: Engine, feeds: Feeds, free_bytes: Callable[[], int]) -> dict[str, Any]:
    batches = [{name: _repeated(value, count) for name, value in feeds.items()} for count in (1, 3, 8)]
    for batch in batches:
        engine.run(batch)
    before = free_bytes()
    for index in range(iterations):
        engine.run(batches[index % len(batches)])
    lost = before - free_bytes()
    if lost > MAX_LEAK_BYTES:
        raise EngineError(f"{lost} bytes are gone after {iterations} runs, at most {MAX_LEAK_BYTES} are allowed")
    return {"iterations": iterations, "lost_bytes": lost}


def _repeated(value: Any, count: int) -> Any:
    """Silero's input (1, n) or state (2, 1, n), for `count` streams; its sampling rate stays one number."""
    return value if value.ndim == 0 else np.repeat(value, count, axis=value.ndim - 2)


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
