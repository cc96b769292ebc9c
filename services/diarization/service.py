"""The diarization expert: two models shared by every stream of the process.

SENSORIUM_SEGMENTATION_MODEL names an imported segmentation (docs/checkpoints.md) to use instead of segmentation-3.0.
"""

import os
from collections.abc import Sequence
from threading import Lock

from engines.engine import Engine, ManifestError
from engines.manifest import manifest
from engines.models import open_engine, runs_as
from services.diarization.embedding import MODEL
from services.diarization.stage import DiarizationStage
from services.runtime.stage import ModelInfo, Stage, StageConfig

_CHOSEN = {
    "speaker segmentation": os.environ.get("SENSORIUM_SEGMENTATION_MODEL", "segmentation-3.0"),
    "speaker embedding": MODEL,
}


class DiarizationExpert:
    """Speaker turns from sound."""

    name = "diarization"
    takes_audio = True
    takes_frames = False

    def __init__(self, threads: int) -> None:
        """Raises ManifestError when a chosen model is unknown or made for something else."""
        for task, name in _CHOSEN.items():
            if manifest(name).task != task:
                raise ManifestError(f"model {name!r} is for {manifest(name).task}; diarization needs one for {task}")
        self._threads = threads
        self._lock = Lock()
        self._engines: dict[str, Engine] = {}

    def open_stage(self, config: StageConfig) -> Stage:
        """Begin a stream; loads the models on first use. Raises MediaError, ModelMissingError."""
        segmentation, embedding = (self._engine(name) for name in _CHOSEN.values())
        return DiarizationStage(segmentation, embedding, config)

    def models(self) -> Sequence[ModelInfo]:
        """The segmentation and the embedding model."""
        return [ModelInfo(name, *runs_as(name), name in self._engines) for name in _CHOSEN.values()]

    def _engine(self, name: str) -> Engine:
        with self._lock:
            if name not in self._engines:
                self._engines[name] = open_engine(name, manifest(name).graph[0].file, threads=self._threads)
            return self._engines[name]


def new_expert(threads: int = 1) -> DiarizationExpert:
    """The expert with its models not yet loaded."""
    return DiarizationExpert(threads)
