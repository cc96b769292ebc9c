"""The asr service with a model that the user brought: one cache-aware encoder instead of Moonshine and Whisper."""

from collections.abc import Sequence
from threading import Lock

from engines.engine import Engine, ManifestError
from engines.manifest import manifest
from engines.models import open_engine, runs_as
from services.asr.cache_aware import CacheAware
from services.asr.cache_aware_stage import CacheAwareStage
from services.asr.settings import parse_options
from services.runtime.stage import MediaError, ModelInfo, Stage, StageConfig

VAD = "silero-vad"
EXPORTER = "engines.export.nemo"


class CacheAwareExpert:
    """Speech recognition by the imported model `name`; it loads when the first stream needs it."""

    name = "asr"
    takes_audio = True
    takes_frames = False

    def __init__(self, name: str, threads: int = 1) -> None:
        """Raises ManifestError for a name that is no imported NeMo model."""
        checkpoint = manifest(name).checkpoint
        if checkpoint is None or checkpoint.exporter != EXPORTER:
            raise ManifestError(
                f"model {name!r} is no imported NeMo checkpoint; leave SENSORIUM_ASR_MODEL empty for it"
            )
        self._model_name = name
        self._threads = threads
        self._lock = Lock()
        self._vad: Engine | None = None
        self._model: CacheAware | None = None

    def open_stage(self, config: StageConfig) -> Stage:
        """Begin a stream. Raises MediaError for a language or option it has not, ModelMissingError."""
        options = parse_options(config.options)
        with self._lock:
            if self._vad is None or self._model is None:
                self._vad = open_engine(VAD, "silero_vad.onnx")
                self._model = CacheAware(self._model_name, self._threads)
            vad, model = self._vad, self._model
        if config.language not in ("", model.language):
            raise MediaError(f"language is {config.language!r}; {model.name} knows {model.language} alone")
        if options.second_pass:
            raise MediaError(f"option second_pass is 'whisper'; {model.name} reads once, leave it out")
        if options.embeddings:
            raise MediaError("option embeddings is 'on': there is no adapter for this model's states; leave it out")
        if options.phrases:
            raise MediaError(f"option phrases: {model.name} cannot listen for them, leave them out")
        return CacheAwareStage(vad, model, config, options)

    def models(self) -> Sequence[ModelInfo]:
        """The VAD and the user's model."""
        loaded = ((VAD, self._vad), (self._model_name, self._model))
        return [ModelInfo(name, *runs_as(name), model is not None) for name, model in loaded]
