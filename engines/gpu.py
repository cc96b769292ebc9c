"""Which runtime runs the graphs: SENSORIUM_BACKEND names one or several, the first that has the graph runs it.

    onnxruntime               the default: on the CPU
    tensorrt, tensorrt_rtx    plans of `sensorium engines build` on the first NVIDIA card, and nothing else
    tensorrt,onnxruntime      the same, and the CPU for graphs without a plan

`Engine.backend` says which one it became.
"""

import os
from functools import cache

from engines import plans
from engines.backends import tensorrt_build
from engines.backends.tensorrt import TensorRTEngine
from engines.engine import EngineError
from engines.kernels import heads, letterbox, past, spectrum
from engines.kernels.build import fatbin
from engines.kernels.device import CudaDevice
from engines.manifest import manifest
from engines.plain_graphs import PlainGraphMissingError, profile_of
from engines.plans import PlanMissingError, Target

VARIABLE = "SENSORIUM_BACKEND"
ONNX_RUNTIME = "onnxruntime"


class BackendError(EngineError):
    """The setting names no runtime."""


def backends() -> tuple[str, ...]:
    """The runtimes in the order of preference. Raises BackendError."""
    chosen = tuple(part.strip() for part in os.environ.get(VARIABLE, ONNX_RUNTIME).split(","))
    known = (ONNX_RUNTIME, *tensorrt_build.MODULES)
    if wrong := [name for name in chosen if name not in known]:
        raise BackendError(f"{VARIABLE} names {wrong[0]!r}, must be of {', '.join(known)}; several with commas")
    return chosen


@cache
def first_card() -> CudaDevice:
    """The card of this process, with the kernels around networks. Raises DeviceError, KernelBuildError."""
    card = CudaDevice()
    for kernels in (letterbox.KERNELS, spectrum.KERNELS, heads.KERNELS, past.KERNELS):
        card.load(fatbin(kernels[0].source), [kernel.name for kernel in kernels])
    return card


def open_preferred(name: str, graph: str) -> TensorRTEngine | None:
    """The engine that the setting prefers for a graph; None: ONNX Runtime's. Raises as `open_plan`, BackendError."""
    chosen = backends()
    for backend in chosen:
        if backend == ONNX_RUNTIME:
            break
        try:
            return open_plan(name, graph, backend)
        except (PlanMissingError, PlainGraphMissingError):
            if backend == chosen[-1]:
                raise
    return None


def open_plan(name: str, graph: str, module: str, precision: str = "", *, workers: int = 2) -> TensorRTEngine:
    """Load the plan of one graph onto the card; `precision` as in `plans.find`.

    Raises TensorRTMissingError, DeviceError, KernelBuildError, PlanMissingError, PlanCorruptError,
    PlainGraphMissingError, ManifestError.
    """
    profile = profile_of(manifest(name), graph)
    trt = tensorrt_build.load(module)
    card = first_card()
    plan = plans.find(name, graph, module, trt.__version__, Target((card.compute_capability,), card.name), precision)
    plans.verify(plan)
    data = plan.path.read_bytes()
    return TensorRTEngine(trt, card, data, precision=plan.precision, fixed=profile.fixed, workers=workers)
