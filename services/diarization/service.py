"""The diarization expert: two models shared by every stream of the process."""

from collections.abc import Sequence
from threading import Lock

from engines.engine import Engine
from engines.models import open_engine
from services.diarization.stage import DiarizationStage
from services.runtime.stage import ModelInfo, Stage, StageConfig

_GRAPHS = {"segmentation-3.0": "segmentation.onnx", "campplus": "campplus.onnx"}


class DiarizationExpert:
    """Speaker turns from sound."""

    name = "diarization"
    takes_audio = True
    takes_frames = False

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._lock = Lock()
        self._engines: dict[str, Engine] = {}

    def open_stage(self, config: StageConfig) -> Stage:
        """Begin a stream; loads the models on first use. Raises MediaError, ModelMissingError."""
        segmentation, embedding = (self._engine(name) for name in _GRAPHS)
        return DiarizationStage(segmentation, embedding, config)

    def models(self) -> Sequence[ModelInfo]:
        """The segmentation and the embedding model."""
        return [ModelInfo(name, "onnxruntime-cpu", name in self._engines) for name in _GRAPHS]

    def _engine(self, name: str) -> Engine:
        with self._lock:
            if name not in self._engines:
                self._engines[name] = open_engine(name, _GRAPHS[name], threads=self._threads)
            return self._engines[name]


def new_expert(threads: int = 1) -> DiarizationExpert:
    """The expert with its models not yet loaded."""
    return DiarizationExpert(threads)
