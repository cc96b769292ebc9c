"""TensorRT's plans in the cache: built once for a card or ahead of time, found by what they were made of.

A plan's key is the digest of its graph, TensorRT's module and version, the card, the sizes and the flags: two builds
of the same give different bytes, and a plan of another version or card does not load.
"""

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from engines import models
from engines.backends import tensorrt_build
from engines.backends.tensorrt_build import Progress
from engines.cache import cache_root
from engines.engine import ManifestError, SetupError
from engines.manifest import manifest
from engines.plain_graphs import (
    PRECISIONS,
    PlainGraph,
    PlainGraphMissingError,
    allowed_difference,
    noted_plain_graph,
    plain_graph,
    profile_of,
)


class PlanMissingError(SetupError):
    """No plan fits; the message says how to build it."""


class PlanCorruptError(SetupError):
    """A plan in the cache is not the one that was written."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a plan is for: compute capabilities such as SM89, and the card's name if it was built on one."""

    capabilities: tuple[str, ...]
    card: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """One plan: what it was made of, and its file's digest, size and processor time to build."""

    model: str
    graph: str
    precision: str
    onnx_sha256: str
    module: str
    version: str
    capabilities: tuple[str, ...]
    card: str
    sizes: Sequence[Mapping[str, Sequence[int]]]
    flags: tuple[str, ...]
    sha256: str
    size_bytes: int
    build_cpu_s: float

    @property
    def key(self) -> str:
        """What the plan was made of, as one digest."""
        made_of = {name: value for name, value in asdict(self).items() if name not in _RESULT}
        return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:32]

    @property
    def path(self) -> Path:
        """The plan's file."""
        return plans_root() / f"{self.key}.plan"


_FIELDS = {field.name for field in fields(Plan)}
_RESULT = frozenset({"model", "graph", "sha256", "size_bytes", "build_cpu_s"})


def plans_root() -> Path:
    """Folder of all plans."""
    return cache_root() / "plans"


def graphs(name: str, precision: str = "float32") -> list[str]:
    """The graphs of a model that have a profile and may compute in that precision. Raises ManifestError."""
    return [each.graph for each in manifest(name).profile if allowed_difference(each, precision) is not None]


def build(
    name: str,
    graph: str,
    module: str,
    target: Target,
    *,
    precision: str = "float32",
    on_progress: Progress = lambda what, done, total: None,
) -> Plan:
    """Bring one plan: the cached one, else a new one.

    Raises ModelMissingError, ManifestError, PlainGraphError, PlanBuildError, TensorRTMissingError.
    """
    trt = tensorrt_build.load(module)
    on_progress("graph", 0, 0)
    source = plain_graph(name, graph, precision)
    wanted = _described(name, graph, precision, source, module, trt.__version__, target)
    for plan in plans():
        if plan.key == wanted.key and plan.path.is_file():
            return plan
    started = time.process_time()
    capabilities = () if target.card else target.capabilities
    data = tensorrt_build.build(trt, source.path, wanted.sizes, capabilities, on_progress)
    root = plans_root()
    root.mkdir(parents=True, exist_ok=True)
    partial = wanted.path.with_suffix(f".{os.getpid()}.partial")
    try:
        partial.write_bytes(data)
        made = _described(name, graph, precision, source, module, trt.__version__, target, _result(partial, started))
        partial.replace(made.path)
        partial.write_text(json.dumps(asdict(made), indent=1))
        partial.replace(made.path.with_suffix(".json"))
    finally:
        partial.unlink(missing_ok=True)
    return made


def _result(path: Path, started: float) -> dict[str, Any]:
    return {
        "sha256": models.sha256(path),
        "size_bytes": path.stat().st_size,
        "build_cpu_s": round(time.process_time() - started, 2),
    }


def _described(
    name: str,
    graph: str,
    precision: str,
    source: PlainGraph,
    module: str,
    version: str,
    target: Target,
    result: Mapping[str, Any] | None = None,
) -> Plan:
    return Plan(
        model=name,
        graph=graph,
        precision=precision,
        onnx_sha256=source.sha256,
        module=module,
        version=version,
        capabilities=tuple(sorted(target.capabilities)),
        card=target.card,
        sizes=profile_of(manifest(name), graph).sizes,
        flags=tensorrt_build.FLAGS,
        **(result or {"sha256": "", "size_bytes": 0, "build_cpu_s": 0.0}),
    )


def plans() -> list[Plan]:
    """All plans in the cache, by model and graph."""
    found = []
    for path in plans_root().glob("*.json"):
        noted = json.loads(path.read_text())
        if set(noted) != _FIELDS:  # of an earlier version of this program
            continue
        noted |= {name: tuple(noted[name]) for name in ("capabilities", "flags")}
        found.append(Plan(**noted))
    return sorted(found, key=lambda plan: (plan.model, plan.graph, PRECISIONS.index(plan.precision), plan.capabilities))


def is_current(plan: Plan) -> bool:
    """Whether the plan is made of today's graph, sizes and flags."""
    try:
        profile = profile_of(manifest(plan.model), plan.graph)
    except (ManifestError, PlainGraphMissingError):
        return False
    source = noted_plain_graph(plan.model, plan.graph, plan.precision)
    if source is None:
        return False
    return (plan.onnx_sha256, plan.sizes, plan.flags) == (source.sha256, profile.sizes, tensorrt_build.FLAGS)


def verify(plan: Plan) -> None:
    """Compare a plan's file with its digest. Raises PlanCorruptError."""
    if not plan.path.is_file():
        raise PlanCorruptError(f"{plan.path} is missing; {_how_to_build(plan.model, plan.capabilities)}")
    if (got := models.sha256(plan.path)) != plan.sha256:
        raise PlanCorruptError(
            f"{plan.path}: sha256 is {got}, must be {plan.sha256}; delete it and "
            f"{_how_to_build(plan.model, plan.capabilities)}"
        )


def find(name: str, graph: str, module: str, version: str, target: Target, precision: str = "") -> Plan:
    """The plan for a card, of the wanted precision; "": of any. Raises PlanMissingError.

    One built on such a card goes before one made ahead of time, float32 before float16 before int8, one card before
    many.
    """
    (capability,) = target.capabilities
    fitting = [
        plan
        for plan in plans()
        if (plan.model, plan.graph, plan.module, plan.version) == (name, graph, module, version)
        and capability in plan.capabilities
        and plan.card in ("", target.card)
        and precision in ("", plan.precision)
        and is_current(plan)
    ]
    if not fitting:
        raise PlanMissingError(
            f"{name}/{graph} has no plan of {module} {version} for {target.card or capability} in {plans_root()}; "
            f"{_how_to_build(name, (capability,))}"
        )
    return min(fitting, key=lambda plan: (plan.card == "", PRECISIONS.index(plan.precision), len(plan.capabilities)))


def _how_to_build(name: str, capabilities: Sequence[str]) -> str:
    return (
        f"run `sensorium engines build --device cuda {name}` on that machine, or "
        f"`sensorium engines build --aot {','.join(capabilities)} {name}` anywhere"
    )
