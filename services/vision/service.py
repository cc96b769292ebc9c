"""The vision service: its models, opened when a stream first asks for their task."""

from collections.abc import Sequence
from threading import Lock

from services.runtime.stage import MediaError, ModelInfo, Stage, StageConfig
from services.vision.ocr import SMALL, TINY, OcrReader
from services.vision.stage import QUALITIES, TASKS, VisionStage

_NAMES = (TINY, SMALL)


class VisionExpert:
    """Reads screens. Weights load on first use and are shared by all streams."""

    name = "vision"
    takes_audio = False
    takes_frames = True

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads
        self._lock = Lock()
        self._readers: dict[str, OcrReader] = {}

    def reader(self, model: str) -> OcrReader:
        """The reader with these weights, loaded now if need be. Raises ModelMissingError."""
        with self._lock:
            if model not in self._readers:
                self._readers[model] = OcrReader(model, threads=self._threads)
            return self._readers[model]

    def open_stage(self, config: StageConfig) -> Stage:
        """Begin a stream. Raises MediaError for an unknown task or option, ModelMissingError."""
        tasks = tuple(dict.fromkeys(config.tasks)) or ("ocr",)
        if unknown := [task for task in tasks if task not in TASKS]:
            raise MediaError(f"unknown tasks {unknown}; known are {', '.join(TASKS)}")
        if unknown := [key for key in config.options if key != "quality"]:
            raise MediaError(f"unknown options {unknown}; vision knows 'quality'")
        quality = config.options.get("quality", "accurate")
        if quality not in QUALITIES:
            raise MediaError(f"option quality is {quality!r}; must be one of {', '.join(QUALITIES)}")
        if "ocr" in tasks:
            self.reader(TINY)
        return VisionStage(self, tasks, quality, config)

    def models(self) -> Sequence[ModelInfo]:
        """All models it may use."""
        return [ModelInfo(name, "onnxruntime-cpu", name in self._readers) for name in _NAMES]


def new_expert(threads: int = 1) -> VisionExpert:
    """The vision expert; `threads` is what each model may use."""
    return VisionExpert(threads)
