"""The graphs for TensorRT in the cache, written when a plan is built; ONNX Runtime's in eight bits are made of them."""

import importlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from engines import models
from engines.backends.onnxruntime import OnnxRuntimeEngine
from engines.cache import cache_root
from engines.engine import EngineError, SetupError
from engines.export import eight_bits
from engines.export.half import half as narrowed
from engines.export.plain import check, plain
from engines.export.qdq import in_eight_bits
from engines.fetch import GOLDEN
from engines.manifest import Graph, Manifest, Profile, manifest

# Changes whenever the rewriting does: plain graphs of before are not used any more.
VERSION = 2
# Ranges of what goes into eight-bit products, by tools/calibrate.py.
RANGES = Path(__file__).parent / "export" / "ranges"
PRECISIONS = ("float32", "float16", "int8")
Feeds = dict[str, NDArray[Any]]


class PlainGraphMissingError(SetupError):
    """The model has no graph for TensorRT."""


@dataclass(frozen=True, slots=True)
class PlainGraph:
    """A graph for TensorRT: its file, the file's digest, and how far it is from the graph that it was made from.

    `difference` as `tolerance` in engines/manifest.py; of a float16 or int8 graph: from the float32 one.
    """

    path: Path
    sha256: str
    difference: float


def profile_of(model: Manifest, graph: str) -> Profile:
    """The profile of a graph. Raises PlainGraphMissingError."""
    for profile in model.profile:
        if profile.graph == graph:
            return profile
    known = ", ".join(profile.graph for profile in model.profile) or "none"
    raise PlainGraphMissingError(f"{model.name}/{graph} has no profile for TensorRT; graphs with one: {known}")


def allowed_difference(profile: Profile, precision: str) -> float | None:
    """How far the graph of that precision may be from what it is made of; None: there is none."""
    return {"float32": profile.tolerance, "float16": profile.half, "int8": profile.int8}[precision]


def plain_graph(name: str, graph: str, precision: str = "float32") -> PlainGraph:
    """The graph for TensorRT in one of PRECISIONS; written and compared with its source if it is not in the cache.

    Raises ModelMissingError, ManifestError, PlainGraphError, PlainGraphMissingError, and EngineError when it differs
    by more than its manifest allows.
    """
    profile = profile_of(manifest(name), graph)
    if allowed_difference(profile, precision) is None:
        raise PlainGraphMissingError(f"{name}/{graph} has no {precision} graph: its manifest names no tolerance")
    cached = noted_plain_graph(name, graph, precision)
    if cached is not None and cached.path.is_file():
        return cached
    path = _path(name, graph, precision)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        written = PlainGraph(path, "", _write(name, profile, partial, precision))
        written = replace(written, sha256=models.sha256(partial))
        partial.replace(path)
        partial.write_text(json.dumps({"sha256": written.sha256, "difference": written.difference}))
        partial.replace(path.with_suffix(".json"))
    finally:
        partial.unlink(missing_ok=True)
    return written


def noted_plain_graph(name: str, graph: str, precision: str) -> PlainGraph | None:
    """The graph for TensorRT if it was ever written here; its file may be gone. Raises ManifestError."""
    path = _path(name, graph, precision)
    notes = path.with_suffix(".json")
    if not notes.is_file():
        return None
    noted = json.loads(notes.read_text())
    return PlainGraph(path, noted["sha256"], noted["difference"])


def _path(name: str, graph: str, precision: str) -> Path:
    folder = f"{models.folder(manifest(name)).name}-p{VERSION}"
    ranges = ranges_file(name, graph)
    # Other ranges make another graph.
    made_with = f"-{models.sha256(ranges)[:8]}" if precision == "int8" and ranges.is_file() else ""
    return cache_root() / "plain" / folder / f"{Path(graph).stem}.{precision}{made_with}.onnx"


def example(name: str, graph: str) -> Feeds:
    """Inputs of a graph in the cache: its recorded run, else noise of the usual sizes."""
    model = manifest(name)
    for parity in model.parity:
        if parity.graph == graph:
            with np.load(GOLDEN / parity.golden) as recorded:
                return {key[3:]: recorded[key] for key in recorded.files if key.startswith("in:")}
    (signature,) = [known for known in model.graph if known.file == graph]
    return noise(signature, profile_of(model, graph))


def plain_example(name: str, graph: str) -> Feeds:
    """The same inputs for the graph for TensorRT."""
    profile, feeds = profile_of(manifest(name), graph), example(name, graph)
    if profile.exporter:
        exporter = importlib.import_module(profile.exporter)
        feeds = exporter.plain_feeds(feeds)
    return {name: value for name, value in feeds.items() if name not in profile.fixed}


def difference(got: Mapping[str, NDArray[Any]], want: Mapping[str, NDArray[Any]], names: Sequence[str]) -> float:
    """The worst output's root mean square of the difference beside that of the wanted values."""
    worst = 0.0
    for name in names:
        a, b = got[name].astype(np.float64), want[name].astype(np.float64)
        if a.shape != b.shape:
            raise EngineError(f"output {name!r} is {list(a.shape)}, should be {list(b.shape)}")
        if b.size:
            # A NaN must not pass for a small number.
            worst = max(worst, float(np.nan_to_num(np.linalg.norm(a - b) / np.linalg.norm(b), nan=np.inf)))
    return worst


def noise(graph: Graph, profile: Profile) -> Feeds:
    """Inputs of the usual sizes of a profile: noise, ones for whole numbers, zeros for biases."""
    random = np.random.default_rng(0)
    feeds: Feeds = {}
    for spec in graph.input:
        shape = [axis if isinstance(axis, int) else profile.axes[axis][1] for axis in spec.shape]
        if spec.dtype != "float32":
            feeds[spec.name] = np.full(shape, profile.fixed.get(spec.name, 1), spec.dtype)
        elif spec.name.endswith("bias"):
            feeds[spec.name] = np.zeros(shape, np.float32)
        else:
            feeds[spec.name] = random.standard_normal(shape).astype(np.float32)
    return feeds


def ranges_file(name: str, graph: str) -> Path:
    """Where the ranges of a graph for eight bits lie."""
    return RANGES / f"{name}-{Path(graph).stem}.json"


def spans_file(name: str, graph: str) -> Path:
    """Where the ranges of a graph for ONNX Runtime's eight bits lie."""
    return RANGES / f"{name}-{Path(graph).stem}.spans.json"


def write_in_eight_bits(model: Manifest, graph: Path, out: Path) -> None:
    """Write a graph of a model in ONNX Runtime's eight bits. Raises PlainGraphError."""
    made = as_plain(model.name, onnx.load(graph), profile_of(model, graph.name))
    ranges = json.loads(spans_file(model.name, graph.name).read_text())
    onnx.save(eight_bits.in_eight_bits(made, ranges, in_float_of(model, graph.name)), out)


def in_float_of(model: Manifest, graph: str) -> tuple[str, ...]:
    """The nodes of a graph that ONNX Runtime's eight bits leave as they are."""
    return next((measured.in_float for measured in model.eight_bits if measured.graph == graph), ())


def as_plain(name: str, source: onnx.ModelProto, profile: Profile) -> onnx.ModelProto:
    """A graph of a model by the rules of engines/export/plain.py, its axes named as in the manifest.

    Raises PlainGraphError.
    """
    made = plain(source, example(name, profile.graph), profile.fixed)
    _name_axes(made.graph, models.graph_of(name, profile.graph))
    return made


def _write(name: str, profile: Profile, out: Path, precision: str) -> float:
    is_source = precision == "float32"
    source = models.model_file(name, profile.graph) if is_source else plain_graph(name, profile.graph).path
    given = onnx.load(source)
    if precision == "float16":
        made = narrowed(given)
    elif precision == "int8":
        made = in_eight_bits(given, json.loads(ranges_file(name, profile.graph).read_text()))
    elif profile.exporter:
        made = importlib.import_module(profile.exporter).plain(given)
        check(made)
    else:
        made = as_plain(name, given, profile)
    onnx.save(made, out)
    del given, made
    feeds = plain_example(name, profile.graph)
    wanted = OnnxRuntimeEngine(source).run(example(name, profile.graph) if is_source else feeds)
    # ONNX Runtime 1.31's optimiser ends the process on float16 LSTMs (segmentation-3.0).
    engine = OnnxRuntimeEngine(out, optimised=precision != "float16")
    # An exporter's graph may give its caches in another form; what both give is compared.
    got = engine.run(feeds)
    alike = [key for key in wanted if not profile.exporter or key in got]
    error = difference(got, wanted, alike)
    allowed = allowed_difference(profile, precision)
    if allowed is None or not error <= allowed:
        raise EngineError(
            f"{name}/{profile.graph}: the {precision} graph for TensorRT differs by {error:.2e} from "
            f"{'its source' if is_source else 'the float32 one'}, at most {allowed} is allowed"
        )
    return error


def _name_axes(graph: onnx.GraphProto, signature: Graph) -> None:
    """Free axes bear the names that the manifest gives them: profiles are found by these."""
    axes = {spec.name: spec.shape for spec in signature.input}
    made = [
        helper.make_tensor_value_info(value.name, value.type.tensor_type.elem_type, axes[value.name])
        for value in graph.input
    ]
    # What the folding knew of inner sizes was said in other names.
    del graph.input[:], graph.value_info[:]
    graph.input.extend(made)
