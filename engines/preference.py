"""Which runtime runs the graphs: SENSORIUM_BACKEND names one or several, the first that has the graph runs it.

    onnxruntime               the default: on the CPU
    openvino                  on the CPU in bfloat16, the graphs that are worth it (`[[bfloat16]]` in their manifests)
    tensorrt, tensorrt_rtx    plans of `sensorium engines build` on the first NVIDIA card
    tensorrt,onnxruntime      the same, and the CPU for graphs without a plan

`Engine.backend` says which one it became.
"""

import os
from functools import partial

import onnx

from engines import gpu, tuning
from engines.backends import openvino, tensorrt_build
from engines.backends.openvino import OpenVinoEngine
from engines.backends.tensorrt import TensorRTEngine
from engines.engine import SetupError
from engines.manifest import manifest
from engines.models import RunsAs, file_key, file_on_cpu, graph_of, model_file, threads_for
from engines.plain_graphs import PlainGraphMissingError, as_plain, profile_of
from engines.plans import PlanMissingError
from engines.residency import ResidentEngine
from engines.tuning import ONNX_RUNTIME, OPENVINO

VARIABLE = "SENSORIUM_BACKEND"
IN_BFLOAT16 = RunsAs(OpenVinoEngine.backend, OpenVinoEngine.precision)


class BackendError(SetupError):
    """The setting names no runtime."""


class NotWorthError(SetupError):
    """OpenVINO may not run the graph, or not on this processor."""


def backends() -> tuple[str, ...]:
    """The runtimes in the order of preference. Raises BackendError."""
    chosen = tuple(part.strip() for part in os.environ.get(VARIABLE, ONNX_RUNTIME).split(","))
    known = (ONNX_RUNTIME, OPENVINO, *tensorrt_build.MODULES)
    if wrong := [name for name in chosen if name not in known]:
        raise BackendError(f"{VARIABLE} names {wrong[0]!r}, must be of {', '.join(known)}; several with commas")
    return chosen


def open_preferred(name: str, graph: str, threads: int = 0) -> TensorRTEngine | ResidentEngine | None:
    """The engine that the setting prefers for a graph; None: ONNX Runtime's. `threads` as in `threads_for`.

    Raises as `gpu.open_plan`, BackendError, NotWorthError, OpenVinoMissingError, TuningError.
    """
    chosen = backends()
    for backend in chosen:
        if backend == ONNX_RUNTIME:
            break
        try:
            if backend == OPENVINO:
                return open_in_bfloat16(name, graph, threads)
            return gpu.open_plan(name, graph, backend)
        except (PlanMissingError, PlainGraphMissingError, NotWorthError):
            if backend == chosen[-1]:
                raise
    return None


def is_worth(name: str, graph: str) -> bool:
    """Whether bfloat16 on OpenVINO costs a graph little and saves much: on this machine, if `sensorium engines tune`
    has measured it, else where the manifest's figures were measured. Raises ManifestError, TuningError.
    """
    for measured in manifest(name).bfloat16:
        if measured.graph == graph and measured.is_allowed:
            here = tuning.openvino_saves(file_key(manifest(name), graph))
            # Where ONNX Runtime has eight bits, bfloat16 saves nothing.
            return file_on_cpu(name, graph) == graph and tuning.saves(*measured.cpu_ms) if here is None else here
    return False


def is_possible(name: str, graph: str) -> bool:
    """Whether the graph would be run in bfloat16 on OpenVINO here. Raises as `is_worth`, OpenVinoMissingError."""
    return is_worth(name, graph) and openvino.has_bfloat16()


def open_in_bfloat16(name: str, graph: str, threads: int = 0) -> ResidentEngine:
    """A graph on OpenVINO, opened at its first use.

    Raises NotWorthError, OpenVinoMissingError, ModelMissingError, ManifestError, TuningError.
    """
    instead = f"set {VARIABLE}={OPENVINO},{ONNX_RUNTIME} to run it on ONNX Runtime"
    if not is_worth(name, graph):
        raise NotWorthError(f"{name}/{graph} is not worth running in bfloat16 on OpenVINO; {instead}")
    if not openvino.has_bfloat16():
        raise NotWorthError(f"this processor multiplies no bfloat16, for which OpenVINO is used; {instead}")
    opener = partial(openvino_engine, name, graph, threads_for(name, graph, threads))
    return ResidentEngine(f"{name}/{graph}", model_file(name, graph).stat().st_size, opener, *IN_BFLOAT16)


def openvino_engine(name: str, graph: str, threads: int = 1) -> OpenVinoEngine:
    """A graph opened by OpenVINO, whether that is worth it or not.

    Raises OpenVinoMissingError, ModelMissingError, ManifestError, PlainGraphError.
    """
    # whole: with the weights that lie in files of their own
    model = onnx.load(model_file(name, graph))
    if any(measured.graph == graph and measured.plain for measured in manifest(name).bfloat16):
        model = as_plain(name, model, profile_of(manifest(name), graph))
    return OpenVinoEngine(model.SerializeToString(), graph_of(name, graph), threads=threads)
