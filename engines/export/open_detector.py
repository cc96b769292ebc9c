"""A detector that finds what words say, of OWL-ViT's or YOLO-World's signature, as the user has it in ONNX.

`sensorium models import detector FOLDER NAME --licence SPDX` (docs/open-vocabulary.md). FOLDER holds detector.toml,
whose keys are the fields of `Settings`, and the files that it names. Graphs are kept as they are.
"""

import shutil
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from engines.backends.onnxruntime import OnnxRuntimeEngine
from engines.engine import FetchError
from engines.manifest import Checkpoint, Graph, Manifest
from engines.models import sha256

SETTINGS = "detector.toml"
TASK = "open vocabulary detection"
# What the tensors are called where `tensors` does not say otherwise.
TENSORS = {
    "owl": {
        "image": "pixel_values",
        "ids": "input_ids",
        "mask": "attention_mask",
        "boxes": "pred_boxes",
        "scores": "logits",
    },
    "yolo-world": {
        "image": "images",
        "text": "txt_feats",
        "boxes": "boxes",
        "scores": "scores",
        "ids": "input_ids",
        "embeddings": "text_embeds",
    },
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What detector.toml says; sizes in pixels and tokens.

    "owl": one graph, `image` (1, 3, s, s), `ids` and `mask` (q, t) -> `scores` (1, n, q) as logits, `boxes` (1, n, 4)
    as middle, width, height in parts of the side. "yolo-world": `graph` takes `image` and `text` (1, q, d) and gives
    `scores` as probabilities and `boxes` as corners in pixels; `text_graph` makes `embeddings` (q, d) of `ids` (q, t)
    and, where `tensors` names one, a `mask`. A picture keeps its proportions and stands in the top left corner, unless
    `is_squeezed`; its colours are RGB, 0 to 1, less `mean`, divided by `deviation`.
    """

    kind: str
    graph: str
    tokenizer: str
    size_px: int
    tokens: int
    text_graph: str = ""
    pad_token: int = 0
    is_squeezed: bool = False
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    deviation: tuple[float, ...] = (1.0, 1.0, 1.0)
    least_score: float = 0.3
    tensors: dict[str, str] = field(default_factory=dict)

    @property
    def names(self) -> dict[str, str]:
        """What each tensor is called."""
        return {**TENSORS[self.kind], **self.tensors}

    @property
    def files(self) -> tuple[str, ...]:
        """The files beside detector.toml."""
        return tuple(file for file in (self.graph, self.text_graph, self.tokenizer) if file)


def read(text: str) -> Settings:
    """Settings out of detector.toml. Raises FetchError, which names the key that is wrong."""
    try:
        given: dict[str, Any] = tomllib.loads(text)
        given |= {key: tuple(value) for key, value in given.items() if isinstance(value, list)}
        settings = Settings(**given)
    except (tomllib.TOMLDecodeError, TypeError) as error:
        raise FetchError(f"{SETTINGS}: {error}") from error
    if settings.kind not in TENSORS:
        raise FetchError(f"{SETTINGS}: kind is {settings.kind!r}, must be one of {', '.join(TENSORS)}")
    if bool(settings.text_graph) != (settings.kind == "yolo-world"):
        raise FetchError(f"{SETTINGS}: text_graph is for the kind yolo-world, and needed there")
    for key, least, value, most in (
        ("size_px", 32, settings.size_px, 4096),
        ("tokens", 1, settings.tokens, 512),
        ("least_score", 0, settings.least_score, 1),
    ):
        if not isinstance(value, (int, float)) or not least <= value <= most:
            raise FetchError(f"{SETTINGS}: {key} is {value!r}, must be {least} to {most}")
    if any(len(three) != 3 for three in (settings.mean, settings.deviation)) or 0 in settings.deviation:
        raise FetchError(f"{SETTINGS}: mean and deviation are three numbers each, of red, green, blue; none of 0")
    return settings


def export(folder: Path, name: str, licence: str, out: Path) -> Manifest:
    """Copy the model's files into the folder `out`. Raises FetchError for settings and graphs that do not fit."""
    try:
        settings = read((folder / SETTINGS).read_text())
        for file in (SETTINGS, *settings.files):
            if "/" in file:
                raise FetchError(f"{SETTINGS}: {file!r} must lie beside it")
            shutil.copyfile(folder / file, out / file)
    except OSError as error:
        raise FetchError(f"{error.filename} cannot be read: {error.strerror}") from error
    names = settings.names
    if settings.kind == "owl":
        wanted = {settings.graph: [("image", "ids", "mask"), ("boxes", "scores")]}
    else:
        wanted = {settings.graph: [("image", "text"), ("boxes", "scores")]}
        wanted[settings.text_graph] = [("ids", "mask") if "mask" in names else ("ids",), ("embeddings",)]
    graphs = []
    for file, (inputs, outputs) in wanted.items():
        engine = _opened(out / file)
        have, gives = {spec.name for spec in engine.inputs}, {spec.name for spec in engine.outputs}
        asked, found = {names[key] for key in inputs}, {names[key] for key in outputs}
        if have != asked or not found <= gives:
            raise FetchError(
                f"{file} takes {sorted(have)} and gives {sorted(gives)}; {SETTINGS} expects {sorted(asked)} and "
                f"{sorted(found)}: say under [tensors] what they are called"
            )
        graphs.append(Graph(file, tuple(engine.inputs), tuple(engine.outputs)))
    digest = sha256(folder / settings.graph)
    return Manifest(
        name=name,
        task=TASK,
        version=digest[:12],
        licence=licence,
        parameters=sum(_parameters(out / graph.file) for graph in graphs),
        graph=tuple(graphs),
        notes=f"A detector of the kind {settings.kind}.",
        checkpoint=Checkpoint(settings.graph, digest, __name__, (SETTINGS, *settings.files)),
    )


def _opened(path: Path) -> OnnxRuntimeEngine:
    # Only importing needs it: the service that reads settings here does without.
    import onnx

    try:
        onnx.checker.check_model(str(path))
    except (DecodeError, onnx.checker.ValidationError) as error:
        raise FetchError(f"{path.name} is no ONNX graph: {error}") from error
    return OnnxRuntimeEngine(path)


def _parameters(path: Path) -> int:
    import onnx

    held: Any = onnx.load(path, load_external_data=False).graph.initializer
    return sum(int(onnx.numpy_helper.to_array(weights).size) for weights in held)
