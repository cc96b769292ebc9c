"""The cache of model files: where they lie, opening them, checking them."""

import hashlib
import json
import math
import os
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from engines import tuning
from engines.backends import onnxruntime
from engines.backends.onnxruntime import OnnxRuntimeEngine
from engines.cache import cache_root
from engines.engine import Engine, ModelCorruptError, ModelMissingError, TensorSpec
from engines.lanes import cores
from engines.manifest import Graph, Manifest, manifest
from engines.residency import ResidentEngine

DIGESTS = "digests.json"


class RunsAs(NamedTuple):
    """What computes a model, such as "onnxruntime-cpu", and in which number format its weights are."""

    backend: str
    precision: str


# By model, by graph: what this process opened.
_opened: dict[str, dict[str, RunsAs]] = {}
# By digest: weights of open graphs that lie in files of their own.
_mapped: WeakValueDictionary[str, NDArray[Any]] = WeakValueDictionary()
_mapping = Lock()


def folder(model: Manifest) -> Path:
    """Folder of one model; its name changes with the version of the weights or of their conversion."""
    conversion = f"-c{model.convert.version}" if model.convert else ""
    return cache_root() / f"{model.name}-{model.version}{conversion}"


def is_fetched(name: str) -> bool:
    """True when every file of the model is in the cache."""
    model = manifest(name)
    return (folder(model) / DIGESTS).is_file() and all((folder(model) / f).is_file() for f in model.files)


def model_file(name: str, file: str) -> Path:
    """Path of one file of a fetched model. Raises ModelMissingError, ManifestError."""
    path = folder(manifest(name)) / file
    if not path.is_file():
        raise ModelMissingError(f"model {name!r} has no {file!r} in {cache_root()}; {how_to_get(manifest(name))}")
    return path


def threads_for(name: str, graph: str, asked: int = 0) -> int:
    """Threads that a run of a graph may use: those asked for; 0: as measured here, else as its manifest says.

    Raises ManifestError, TuningError.
    """
    if asked:
        return asked
    measured = tuning.chosen().get(file_key(manifest(name), graph))
    return measured or min(graph_of(name, graph).threads, cores())


def file_key(model: Manifest, file: str) -> str:
    """FOLDER/FILE, which changes with the version of the weights or of their conversion."""
    return f"{folder(model).name}/{file}"


def open_engine(name: str, graph: str, *, threads: int = 0) -> Engine:
    """One graph file of a fetched model, opened at its first use; `threads` as in `threads_for`.

    Raises ModelMissingError, ManifestError, TuningError, and as `preferred_engine`.
    """
    if (engine := preferred_engine(name, graph, threads)) is not None:
        return engine
    path = model_file(name, file_on_cpu(name, graph))
    threads = threads_for(name, graph, threads)

    def opener() -> OnnxRuntimeEngine:
        return OnnxRuntimeEngine(path, threads=threads, weights=mapped_weights(name, graph))

    return ResidentEngine(f"{name}/{graph}", path.stat().st_size, opener, *_on_cpu(name, graph))


def mapped_weights(name: str, graph: str) -> dict[str, NDArray[Any]]:
    """The weights of a fetched graph that lie in files of their own, mapped.

    Those with the same digest are one mapping: pages count for a process as often as they are mapped in it.
    Raises ModelMissingError, ModelCorruptError, ManifestError.
    """
    specs = graph_of(name, graph).mapped
    recorded = json.loads(model_file(name, DIGESTS).read_text()) if specs else {}
    found = {}
    for spec in specs:
        path, digest = model_file(name, spec.name), recorded[spec.name]
        with _mapping:
            if (weights := _mapped.get(digest)) is None:
                weights = _mapped[digest] = _map(path, spec)
        found[spec.name] = weights
    return found


def _map(path: Path, spec: TensorSpec) -> NDArray[Any]:
    shape = tuple(int(axis) for axis in spec.shape)
    want, got = math.prod(shape) * np.dtype(spec.dtype).itemsize, path.stat().st_size
    if got != want:
        raise ModelCorruptError(
            f"{path} has {got} bytes, must have {want}; delete its folder and fetch the model again"
        )
    return np.memmap(path, spec.dtype, "r", shape=shape)


def file_on_cpu(name: str, graph: str) -> str:
    """The file that ONNX Runtime opens for a graph: in eight bits where that is worth it on this processor.

    Raises ManifestError.
    """
    for measured in manifest(name).eight_bits:
        if measured.graph == graph and measured.is_used and onnxruntime.has_vnni():
            return measured.file
    return graph


def preferred_engine(name: str, graph: str, threads: int = 0) -> Engine | None:
    """The engine of another runtime, if the settings want one for this graph; None: it will be ONNX Runtime's.

    Either is noted for `runs_as`. Raises as `preference.open_preferred`.
    """
    if os.environ.get("SENSORIUM_BACKEND"):
        # Here, because it needs this module.
        from engines import preference

        if (engine := preference.open_preferred(name, graph, threads)) is not None:
            _opened.setdefault(name, {})[graph] = RunsAs(engine.backend, engine.precision)
            return engine
    _opened.setdefault(name, {})[graph] = _on_cpu(name, graph)
    return None


def runs_as(name: str) -> RunsAs:
    """What the graphs that this process opened run as, several with " + "; what is first in the settings before that.

    Raises ManifestError.
    """
    found = dict(_opened.get(name, {})) or _expected(manifest(name))
    return RunsAs(*(" + ".join(dict.fromkeys(said)) for said in zip(*found.values(), strict=True)))


def _expected(model: Manifest) -> dict[str, RunsAs]:
    first = os.environ.get("SENSORIUM_BACKEND", "").partition(",")[0].strip()
    found = {graph.file: _on_cpu(model.name, graph.file) for graph in model.graph}
    if first == tuning.OPENVINO:
        # Here, because it needs this module.
        from engines import preference

        found |= {graph: preference.IN_BFLOAT16 for graph in found if preference.is_possible(model.name, graph)}
    return found if first in ("", tuning.ONNX_RUNTIME, tuning.OPENVINO) else {"": RunsAs(first, "float32")}


def _on_cpu(name: str, graph: str) -> RunsAs:
    precision = graph_of(name, graph).precision if file_on_cpu(name, graph) == graph else "int8"
    return RunsAs(OnnxRuntimeEngine.backend, precision)


def graph_of(name: str, file: str) -> Graph:
    """What the manifest says of a graph file. Raises ManifestError."""
    (signature,) = [known for known in manifest(name).graph if known.file == file]
    return signature


def how_to_get(model: Manifest) -> str:
    """What to do when files of the model are missing."""
    if model.checkpoint is None:
        return f"run `sensorium models fetch {model.name}`"
    return f"import {model.checkpoint.file} again with `sensorium models import` (docs/checkpoints.md)"


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(name: str) -> None:
    """Compare every cached file with its recorded digest. Raises ModelMissingError, ModelCorruptError."""
    model = manifest(name)
    for file in model.files:
        model_file(name, file)
    recorded = json.loads(model_file(name, DIGESTS).read_text())
    pinned = {f.keep: f.sha256 for p in model.package for f in p.file if f.keep is not None}
    for file in model.files:
        want = pinned.get(file, recorded.get(file))
        got = sha256(folder(model) / file)
        if got != want:
            raise ModelCorruptError(
                f"{folder(model) / file}: sha256 is {got}, must be {want}; delete the folder and {how_to_get(model)}"
            )
