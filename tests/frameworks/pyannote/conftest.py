"""pyannote.audio's real classes: segmentation-3.0's own weights, and random ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import soundfile
from numpy.typing import NDArray
from onnx import numpy_helper

from engines.models import model_file

DATA = Path(__file__).resolve().parents[2] / "data"


@pytest.fixture(scope="session")
def conversation() -> NDArray[np.int16]:
    """Two people: (n,) int16, 16 kHz mono."""
    samples, rate = soundfile.read(DATA / "two_speakers.flac", dtype="int16")
    assert rate == 16_000 and samples.ndim == 1
    return samples


@pytest.fixture(scope="session")
def pyannote() -> None:
    """pyannote.audio can be imported and torch uses one thread."""
    from engines.export.pyannote import import_pyannote

    import_pyannote()
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)


Save = Callable[[Any, str], Path]


@pytest.fixture(scope="session")
def save(pyannote: None, tmp_path_factory: pytest.TempPathFactory) -> Save:
    """save(model, "x") writes what pyannote's training writes and gives its path."""

    def write(model: Any, name: str) -> Path:
        import torch

        saved = {
            "state_dict": model.state_dict(),
            "hyper_parameters": dict(model.hparams),
            "pytorch-lightning_version": "2.4.0",
        }
        model.on_save_checkpoint(saved)
        path = tmp_path_factory.mktemp(name) / "pytorch_model.bin"
        torch.save(saved, path)
        return path

    return write


@pytest.fixture(scope="session")
def segmentation(pyannote: None) -> Callable[..., Any]:
    """segmentation(classes=3, at_once=2) makes a PyanNet of segmentation-3.0's size."""

    def make(classes: int = 3, at_once: int | None = 2, stride: int = 10, **settings: Any) -> Any:
        from pyannote.audio.core.task import Problem, Resolution, Specifications
        from pyannote.audio.models.segmentation import PyanNet

        lstm = {"hidden_size": 128, "num_layers": 4, "bidirectional": True, "monolithic": True}
        linear = {"hidden_size": 128, "num_layers": 2}
        model = PyanNet(sincnet={"stride": stride}, lstm=lstm, linear=linear, **settings)
        model.specifications = Specifications(
            problem=Problem.MONO_LABEL_CLASSIFICATION if at_once else Problem.MULTI_LABEL_CLASSIFICATION,
            resolution=Resolution.FRAME,
            duration=10.0,
            classes=[f"speaker{i}" for i in range(classes)],
            powerset_max_classes=at_once,
        )
        model.build()
        return model.eval()

    return make


@pytest.fixture(scope="session")
def segmentation_3_0(cache: Path, segmentation: Callable[..., Any], save: Save) -> Path:
    """A checkpoint of pyannote's class with the weights of our own segmentation-3.0."""
    import torch

    graph = onnx.load(str(model_file("segmentation-3.0", "segmentation.onnx"))).graph
    weights = {tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy()) for tensor in graph.initializer}
    model = segmentation()
    model.load_state_dict({name: weights[name] for name in model.state_dict()})
    return save(model, "segmentation-3.0")


@pytest.fixture(scope="session")
def embedding(pyannote: None) -> Callable[..., Any]:
    """embedding() makes a WeSpeakerResNet34 with random weights; settings change its features."""

    def make(**settings: Any) -> Any:
        from pyannote.audio.core.task import Problem, Resolution, Specifications
        from pyannote.audio.models.embedding import WeSpeakerResNet34

        model = WeSpeakerResNet34(**settings)
        model.specifications = Specifications(
            problem=Problem.REPRESENTATION, resolution=Resolution.CHUNK, duration=5.0, classes=["a", "b"]
        )
        return model.eval()

    return make


@pytest.fixture(scope="session")
def brought(cache: Path, segmentation_3_0: Path, embedding: Callable[..., Any], save: Save) -> dict[str, str]:
    """Both imported: task -> name."""
    from tools.models import bring_pyannote

    paths = {"segmentation": segmentation_3_0, "embedding": save(embedding(), "wespeaker")}
    return {task: bring_pyannote(path, f"my-{task}", "MIT").name for task, path in paths.items()}
