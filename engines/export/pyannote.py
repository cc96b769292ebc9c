"""pyannote segmentation and WeSpeaker embedding checkpoints into our graphs.

Made for `pytorch_model.bin` files that the user has: `sensorium models import pyannote FILE NAME --licence SPDX`.
Needs the extra `pyannote`, which nothing at run time does. What is written, by what the checkpoint holds:

    segmentation.onnx  waveform (batch, 1, samples) -> log_probs (batch, frames, 7)
    embedding.onnx     fbank (batch, frames, mels) less its mean over time -> embedding (batch, dimension)
    config.json        of an embedding: `window_type` of its Kaldi features
    golden-*.npz       runs of pyannote's own model that the graph must repeat

A checkpoint of pyannote is a pickle, which may run code when it is read: import none that you do not trust.
"""

import importlib.machinery
import json
import os
import pickle
import sys
import types
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engines.engine import FetchError, TensorSpec
from engines.manifest import Checkpoint, Graph, Manifest, Parity
from engines.models import sha256

TOLERANCE = 1e-4
# What services/diarization expects of a segmentation: samples from frame to frame, samples that a frame sees.
FRAME_STEP, FRAME_FIELD, CLASSES = 270, 991, 7
_OPSET = 17


@dataclass(frozen=True, slots=True)
class _Export:
    task: str
    graph: Graph
    module: Any
    feed: Any
    config: dict[str, Any] | None = None


def export(checkpoint: Path, name: str, licence: str, out: Path) -> Manifest:
    """Write the model's files into the folder `out`.

    Raises FetchError for a file that is no checkpoint of pyannote.audio, a model of another kind, and a segmentation
    or features that the diarization service cannot use.
    """
    model = _load(checkpoint)
    import torch

    made = _segmentation(model) if hasattr(model, "sincnet") else _embedding(model)
    file, source, target = made.graph.file, made.graph.input[0], made.graph.output[0]
    files = [file]
    if made.config is not None:
        (out / "config.json").write_text(json.dumps(made.config, indent=1))
        files.append("config.json")
    axes = {spec.name: {i: a for i, a in enumerate(spec.shape) if isinstance(a, str)} for spec in (source, target)}
    goldens = []
    with torch.no_grad(), warnings.catch_warnings():
        # The tracer says of every branch that it will be constant: the golden files judge the result.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            made.module,
            (made.feed,),
            str(out / file),
            input_names=[source.name],
            output_names=[target.name],
            dynamic_axes=axes,
            opset_version=_OPSET,
            dynamo=False,
        )
        # Also a batch and a length that were not traced.
        time_axis = 2 if source.name == "waveform" else 1
        shorter = made.feed.narrow(time_axis, 0, made.feed.shape[time_axis] // 2)
        for label, feed in (("one", made.feed), ("two", torch.cat([shorter, shorter * 0.5]))):
            golden = f"golden-{label}.npz"
            want = made.module(feed).numpy()
            recorded = {f"in:{source.name}": feed.numpy(), f"out:{target.name}": want}
            np.savez_compressed(out / golden, allow_pickle=False, **recorded)
            goldens.append(golden)
    return Manifest(
        name=name,
        task=made.task,
        version=sha256(checkpoint)[:12],
        licence=licence,
        parameters=sum(p.numel() for p in model.parameters()),
        graph=(made.graph,),
        notes=f"pyannote.audio {type(model).__name__}.",
        checkpoint=Checkpoint(checkpoint.name, sha256(checkpoint), __name__, (*files, *goldens)),
        parity=tuple(Parity(golden, file, TOLERANCE) for golden in goldens),
    )


def _load(checkpoint: Path) -> Any:
    if not checkpoint.is_file():
        raise FetchError(f"{checkpoint} is no file; give the path of a checkpoint (pytorch_model.bin)")
    if not zipfile.is_zipfile(checkpoint):
        raise FetchError(
            f"{checkpoint.name} is no torch checkpoint; give pyannote's pytorch_model.bin, not its config.yaml"
        )
    # It reports its use to its makers unless it is told not to.
    os.environ["PYANNOTE_METRICS_ENABLED"] = "false"
    import_pyannote()
    from pyannote.audio import Model

    try:
        model = Model.from_pretrained(checkpoint)
    except (AttributeError, ImportError, KeyError, RuntimeError, TypeError, pickle.UnpicklingError) as error:
        raise FetchError(f"pyannote.audio cannot read {checkpoint.name} as one of its models: {error!r}") from error
    return model.eval()


def import_pyannote() -> None:
    """Import pyannote.audio, also where torchaudio and torchcodec, which only its own file reading needs, are broken.

    Raises FetchError when it is not installed.
    """
    for package, needed in (("torchaudio", _TORCHAUDIO), ("torchcodec", _TORCHCODEC)):
        try:
            importlib.import_module(package)
        except (ImportError, OSError, RuntimeError):
            for module in [m for m in sys.modules if m.split(".")[0] == package]:
                del sys.modules[module]
            for module in needed:
                sys.modules[module] = _Absent(module)
                parent, _, child = module.rpartition(".")
                if parent:
                    setattr(sys.modules[parent], child, sys.modules[module])
    try:
        importlib.import_module("pyannote.audio")
    except ImportError as error:
        raise FetchError(f"pyannote.audio cannot be imported ({error}); set it up with `make frameworks`") from error


_TORCHAUDIO = (
    "torchaudio",
    "torchaudio.compliance",
    "torchaudio.compliance.kaldi",
    "torchaudio.functional",
    "torchaudio.transforms",
)
_TORCHCODEC = ("torchcodec", "torchcodec.decoders", "torchcodec.encoders")


class _Absent(types.ModuleType):
    """Stands for a module that is not there: its names are classes that do nothing."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__: list[str] = []
        self.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
        self.__version__ = "2.11.0"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {"__init__": lambda self, *args, **kwargs: None})


def _segmentation(model: Any) -> _Export:
    import torch

    specifications = model.specifications
    found = {
        "sample rate": (model.hparams.get("sample_rate", 16_000), 16_000),
        "powerset": (bool(specifications.powerset), True),
        "classes": (model.dimension, CLASSES),
        "samples from frame to frame": (model.receptive_field_size(2) - model.receptive_field_size(1), FRAME_STEP),
        "samples that a frame sees": (model.receptive_field_size(1), FRAME_FIELD),
    }
    if wrong := [f"{what} {has}, must be {must}" for what, (has, must) in found.items() if has != must]:
        raise FetchError(
            f"this segmentation does not fit the diarization service: {'; '.join(wrong)}. "
            "Use one like pyannote/segmentation-3.0 (three speakers, two at once)"
        )
    rng = np.random.default_rng(0)
    swell = np.abs(np.sin(np.linspace(0, 9, 48_000))) * np.sin(np.arange(48_000) * 0.06)
    waveform = (0.2 * swell + 0.01 * rng.standard_normal(48_000)).astype(np.float32)
    graph = Graph(
        "segmentation.onnx",
        (TensorSpec("waveform", "float32", ("batch", 1, "samples")),),
        (TensorSpec("log_probs", "float32", ("batch", "frames", CLASSES)),),
    )
    return _Export("speaker segmentation", graph, model, torch.from_numpy(waveform[None, None]))


def _embedding(model: Any) -> _Export:
    import torch

    if not hasattr(model, "resnet"):
        raise FetchError(
            f"this is a {type(model).__name__}; must be a segmentation (PyanNet) or an embedding (WeSpeakerResNet...)"
        )
    settings = model.hparams
    needed: dict[str, Any] = {
        "sample_rate": 16_000,
        "num_mel_bins": 80,
        "frame_length": 25.0,
        "frame_shift": 10.0,
        "dither": 0.0,
    }
    needed |= {"snip_edges": True, "round_to_power_of_two": True, "use_energy": False, "fbank_centering_span": None}
    if wrong := [f"{key} {settings[key]}, must be {must}" for key, must in needed.items() if settings[key] != must]:
        raise FetchError(f"the features of this embedding do not fit the diarization service: {'; '.join(wrong)}")

    class Embedding(torch.nn.Module):
        """The network alone: features are made outside."""

        def __init__(self) -> None:
            super().__init__()
            self.resnet = model.resnet

        def forward(self, fbank: Any) -> Any:
            return self.resnet(fbank)[1]

    fbank = np.random.default_rng(0).standard_normal((1, 298, 80)).astype(np.float32)
    graph = Graph(
        "embedding.onnx",
        (TensorSpec("fbank", "float32", ("batch", "frames", 80)),),
        (TensorSpec("embedding", "float32", ("batch", int(model.dimension))),),
    )
    config = {"window_type": settings["window_type"]}
    return _Export("speaker embedding", graph, Embedding().eval(), torch.from_numpy(fbank), config)
