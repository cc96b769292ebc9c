"""The builder half of TensorRT: a graph and the sizes that it is for become a plan. Needs no card for RTX's."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engines.engine import EngineError, SetupError

MODULES = ("tensorrt", "tensorrt_rtx")
# What the builder may take for trying out layers; our largest needs less.
WORKSPACE_BYTES = 2 << 30
# Matrix products of float32 in 19 bits on the tensor cores: TensorRT's own default, set so that the key names it.
FLAGS = ("TF32",)
# (what is being done, steps done, steps in all)
Progress = Callable[[str, int, int], None]


class TensorRTMissingError(SetupError):
    """TensorRT is not installed."""


class PlanBuildError(EngineError):
    """TensorRT refused the graph."""


def load(module: str) -> Any:
    """TensorRT, or TensorRT for RTX. Raises TensorRTMissingError."""
    if module not in MODULES:
        raise TensorRTMissingError(f"TensorRT's module is {module!r}, must be one of {', '.join(MODULES)}")
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = "tensorrt-cu13" if module == "tensorrt" else "'sensorium[aot]'"
        raise TensorRTMissingError(
            f"{module} cannot be loaded: {error}; `pip install {package}`, see docs/gpu.md"
        ) from error


def logger(trt: Any) -> Any:
    """A logger that keeps what TensorRT complains of in its list `errors` and says nothing."""

    class Kept(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.errors.append(message)

    return Kept()


def build(
    trt: Any,
    path: Path,
    sizes: Sequence[Mapping[str, Sequence[int]]],
    capabilities: Sequence[str] = (),
    on_progress: Progress = lambda what, done, total: None,
) -> bytes:
    """Compile the graph at `path`; returns the plan.

    `sizes` give each free axis its least, usual and most, once for every optimisation profile; `capabilities` such as
    SM89 are built for ahead of time, by RTX alone; none of them: for the card of this machine. Raises PlanBuildError,
    naming the node that is refused.
    """
    complaints = logger(trt)
    try:
        builder = trt.Builder(complaints)
    except TypeError as error:  # what the bindings make of a null pointer
        raise PlanBuildError(f"TensorRT {trt.__version__} does not start: {last(complaints.errors)}") from error
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, complaints)
    if not parser.parse_from_file(str(path)):
        raise PlanBuildError(f"{path.name}: " + "; ".join(_refusals(parser)))
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
    for flag in FLAGS:
        config.set_flag(getattr(trt.BuilderFlag, flag))
    if capabilities:
        _target(trt, config, capabilities)
    for axes in sizes:
        config.add_optimization_profile(_profile(builder, network, axes, path.name))
    config.progress_monitor = _monitor(trt, on_progress)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        hint = "; SM75 multiplies no float32: build with --half" if "SM75" in capabilities else ""
        raise PlanBuildError(f"{path.name} does not build: {last(complaints.errors)}{hint}")
    return bytes(plan)


def _refusals(parser: Any) -> list[str]:
    found = []
    for index in range(parser.num_errors):
        error = parser.get_error(index)
        node = error.node_name() or error.node()
        found.append(f"node {node!r} ({error.node_operator()}) is refused: {error.desc()}")
    return found


def _target(trt: Any, config: Any, capabilities: Sequence[str]) -> None:
    if not hasattr(trt, "ComputeCapability"):
        raise PlanBuildError(f"{trt.__name__} builds for the card of this machine alone; --aot needs tensorrt_rtx")
    config.num_compute_capabilities = len(capabilities)
    for index, name in enumerate(capabilities):
        capability = getattr(trt.ComputeCapability, name, None)
        if capability is None or not name.startswith("SM"):
            known = ", ".join(sorted(key for key in trt.ComputeCapability.__members__ if key.startswith("SM")))
            raise PlanBuildError(f"--aot: {name!r} is none of what TensorRT-RTX {trt.__version__} knows: {known}")
        config.set_compute_capability(capability, index)


def _profile(builder: Any, network: Any, axes: Mapping[str, Sequence[int]], file: str) -> Any:
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        lengths: list[Sequence[int]] = []
        for place, length in enumerate(tensor.shape):
            name = tensor.get_dimension_name(place)
            if length < 0 and name not in axes:
                raise PlanBuildError(f"{file}: input {tensor.name!r} has a free axis {name!r} without sizes")
            lengths.append(axes[name] if length < 0 else [length] * 3)
        if lengths:
            profile.set_shape(tensor.name, *zip(*lengths, strict=True))
    return profile


def _monitor(trt: Any, on_progress: Progress) -> Any:
    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}

        def phase_start(self, phase: str, parent: str, steps: int) -> None:
            self._steps[phase] = steps
            on_progress(phase, 0, steps)

        def step_complete(self, phase: str, step: int) -> bool:
            on_progress(phase, step + 1, self._steps.get(phase, 0))
            return True

        def phase_finish(self, phase: str) -> None:
            self._steps.pop(phase, None)

    return Monitor()


def last(errors: Sequence[str]) -> str:
    """The newest complaint."""
    return errors[-1] if errors else "TensorRT gave no reason"
