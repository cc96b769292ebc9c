"""TensorRT's plans from the command line: build, list, verify, and whether all are there."""

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from engines import models, plans
from engines.backends import tensorrt_build
from engines.backends.tensorrt_build import Progress
from engines.engine import EngineError
from engines.kernels.device import CudaDevice
from engines.manifest import manifest, manifests
from engines.plans import Plan, PlanMissingError, Target
from tools.errors import InputError


def target(device: str, aot: str) -> Target:
    """What to build for: a card here, or compute capabilities ahead of time. Raises InputError, DeviceError."""
    if bool(device) == bool(aot):
        raise InputError(
            "say either --device cuda (a card of this machine) or --aot SM80,SM86,SM89,SM120 (any machine)"
        )
    if aot:
        return Target(tuple(sorted(part.strip().upper() for part in aot.split(","))))
    kind, _, number = device.partition(":")
    if kind != "cuda" or not (number or "0").isdecimal():
        raise InputError(f"--device is {device!r}, must be cuda, or cuda:1 for another card than the first")
    card = CudaDevice(int(number or "0"))
    try:
        return Target((card.compute_capability,), card.name)
    finally:
        card.close()


def module_for(wanted: Target) -> str:
    """RTX's builds ahead of time; the ordinary TensorRT is for the card at hand."""
    return "tensorrt" if wanted.card else "tensorrt_rtx"


def precision(*, half: bool, int8: bool) -> str:
    """One of PRECISIONS. Raises InputError."""
    if half and int8:
        raise InputError("say either --half or --int8")
    return "float16" if half else "int8" if int8 else "float32"


def chosen(names: Sequence[str], precision: str = "float32") -> list[str]:
    """The models to build: those named, else all in the cache that can be built. Raises InputError, ManifestError."""
    able = [name for name in manifests() if plans.graphs(name, precision)]
    for name in names:
        if manifest(name).name not in able:
            lack = "profile" if precision == "float32" else f"{precision} graph"
            raise InputError(f"model {name!r} has no {lack} for TensorRT; models with one are {', '.join(able)}")
    return list(names) or [name for name in able if models.is_fetched(name)]


def build(names: Sequence[str], wanted: Target, module: str, precision: str, progress: Progress) -> Iterator[Plan]:
    """Build the plans of the chosen models, one by one; what is in the cache already is not built again.

    Raises EngineError at the first that fails; those before it stay.
    """
    for name in names:
        for graph in plans.graphs(name, precision):

            def tell(what: str, done: int, total: int, where: str = f"{name}/{graph}") -> None:
                progress(f"{where}: {what}", done, total)

            yield plans.build(name, graph, module, wanted, precision=precision, on_progress=tell)


def to_stderr() -> Progress:
    """Progress as a line on a terminal that is written over, elsewhere a line for each graph."""
    is_terminal = sys.stderr.isatty()
    newest = ""

    def tell(what: str, done: int, total: int) -> None:
        nonlocal newest
        shown = what if is_terminal else what.partition(":")[0]
        if is_terminal:
            print(
                f"\r\x1b[K{shown} {done}/{total}" if total else f"\r\x1b[K{shown}", end="", file=sys.stderr, flush=True
            )
        elif shown != newest:
            print(f"building {shown}", file=sys.stderr, flush=True)
        newest = shown

    return tell


def listing() -> list[dict[str, Any]]:
    """All plans as JSON has them."""
    return [_as_json(plan) for plan in plans.plans()]


def lacking(names: Sequence[str], wanted: Target, module: str) -> list[str]:
    """A sentence for each graph of the models (default: all that are here) that has no plan for each of the cards.

    Without any model here nothing is ready either. Raises TensorRTMissingError, InputError, ManifestError.
    """
    version = tensorrt_build.load(module).__version__
    models_here = chosen(names)
    missing = [] if models_here else ["no model is here; run `sensorium models fetch --set english`"]
    for name in models_here:
        for graph in plans.graphs(name):
            for capability in wanted.capabilities:
                try:
                    plans.find(name, graph, module, version, Target((capability,), wanted.card))
                except PlanMissingError as error:
                    missing.append(str(error))
    return missing


def _as_json(plan: Plan) -> dict[str, Any]:
    return {
        "model": plan.model,
        "graph": plan.graph,
        "precision": plan.precision,
        "for": list(plan.capabilities),
        "card": plan.card or None,
        "built_with": f"{plan.module} {plan.version}",
        "size_bytes": plan.size_bytes,
        "build_cpu_s": plan.build_cpu_s,
        "is_current": plans.is_current(plan),
        "file": str(plan.path),
    }


def verify() -> tuple[list[Plan], list[str]]:
    """All plans that are whole and of today's graphs, and a sentence for each that is not."""
    good, bad = [], []
    for plan in plans.plans():
        try:
            plans.verify(plan)
            if not plans.is_current(plan):
                raise EngineError(
                    f"{plan.path} of {plan.model}/{plan.graph} is of an earlier graph or profile: delete it"
                )
        except EngineError as error:
            bad.append(str(error))
        else:
            good.append(plan)
    return good, bad
