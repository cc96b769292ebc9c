"""The vision service: its models, opened when a stream first asks for their task."""

from collections.abc import Sequence
from threading import Lock

from engines.engine import ModelMissingError
from engines.models import runs_as
from services.runtime import sentence
from services.runtime.queries import checked_queries, parse_queries
from services.runtime.sentence import SentenceEncoder
from services.runtime.stage import MediaError, ModelInfo, StageConfig
from services.vision import brought_detector, control_states, gui, icons, line_ends, objects, scripts
from services.vision.adapter import VisionAdapter
from services.vision.brought_detector import BroughtDetector, check_task
from services.vision.control_states import ControlStates
from services.vision.gui import GuiDetector
from services.vision.icons import IconEncoder
from services.vision.line_ends import LineEnds
from services.vision.objects import ObjectDetector
from services.vision.ocr import SMALL, TINY, open_detector, open_recognizer
from services.vision.open_vocabulary import OpenVocabulary, Wish
from services.vision.script_router import ScriptRouter
from services.vision.scripts import ScriptClassifier
from services.vision.stage import OPTIONS, QUALITIES, TASKS, VisionStage
from services.vision.tesseract import TesseractReader, installed_models
from services.vision.text_detection import TextDetector
from services.vision.text_recognition import LineReader, TextRecognizer

# What runs the data of scripts; the networks in Debian's packages are the integer ones.
_TESSERACT = ("tesseract", "int8")

# The user's own detector, where there is one.
_BROUGHT = (brought_detector.MODEL,) if brought_detector.MODEL else ()


class VisionExpert:
    """Reads screens. Weights load on first use and are shared by all streams; safe for several threads."""

    name = "vision"
    takes_audio = False
    takes_frames = True

    def __init__(self, threads: int = 1) -> None:
        """Raises ManifestError when the user's detector is unknown or made for something else."""
        for name in _BROUGHT:
            check_task(name)
        self._threads = threads
        self._lock = Lock()
        self._detector: TextDetector | None = None
        self._ends: LineEnds | None = None
        self._recognizers: dict[str, TextRecognizer] = {}
        self._readers: dict[str, LineReader] = {}
        self._scripts: ScriptClassifier | None = None
        self._tesseract = TesseractReader()
        self._objects: ObjectDetector | None = None
        self._gui: GuiDetector | None = None
        self._control_states: ControlStates | None = None
        self._sentences: SentenceEncoder | None = None
        self._icons: IconEncoder | None = None
        self._brought: BroughtDetector | None = None
        self._vocabulary = OpenVocabulary(self.sentences, self.icons, self.brought_detector if _BROUGHT else None)

    def detector(self) -> TextDetector:
        """The line finder. Raises ModelMissingError."""
        with self._lock:
            if self._detector is None:
                self._detector = open_detector(threads=self._threads)
            return self._detector

    def recognizer(self, model: str) -> LineReader:
        """The line reader with these weights, which asks Tesseract where it must. Raises ModelMissingError."""
        with self._lock:
            if model not in self._readers:
                if self._scripts is None:
                    self._scripts = ScriptClassifier(threads=self._threads)
                own = self._ppocr(model)
                # TINY knows no kana.
                self._readers[model] = ScriptRouter(own, self._scripts, self._tesseract, self._small)
            return self._readers[model]

    def _small(self) -> TextRecognizer:
        with self._lock:
            return self._ppocr(SMALL)

    def _ppocr(self, model: str) -> TextRecognizer:
        if self._ends is None:
            self._ends = LineEnds(threads=self._threads)
        if model not in self._recognizers:
            self._recognizers[model] = open_recognizer(model, self._ends, threads=self._threads)
        return self._recognizers[model]

    def objects(self) -> ObjectDetector:
        """The object detector. Raises ModelMissingError."""
        with self._lock:
            if self._objects is None:
                self._objects = ObjectDetector(threads=self._threads)
            return self._objects

    def gui(self) -> GuiDetector:
        """The detector of controls. Raises ModelMissingError."""
        with self._lock:
            if self._gui is None:
                self._gui = GuiDetector(threads=self._threads)
            return self._gui

    def control_states(self) -> ControlStates:
        """Tells which controls are disabled and which is focused. Raises ModelMissingError."""
        with self._lock:
            if self._control_states is None:
                self._control_states = ControlStates(threads=self._threads)
            return self._control_states

    def sentences(self) -> SentenceEncoder:
        """Puts words into MiniLM's space. Raises ModelMissingError."""
        with self._lock:
            if self._sentences is None:
                self._sentences = SentenceEncoder(threads=self._threads)
            return self._sentences

    def icons(self) -> IconEncoder:
        """Puts pictures of icons into the same space. Raises ModelMissingError."""
        with self._lock:
            if self._icons is None:
                self._icons = IconEncoder(threads=self._threads)
            return self._icons

    def brought_detector(self) -> BroughtDetector:
        """The user's own detector. Raises ModelMissingError, ManifestError."""
        with self._lock:
            if self._brought is None:
                self._brought = BroughtDetector(brought_detector.MODEL, threads=self._threads)
            return self._brought

    def vocabulary(self) -> OpenVocabulary:
        """Answers queries with what the tasks found."""
        return self._vocabulary

    def wishes(self, queries: Sequence[str]) -> tuple[Wish, ...]:
        """What is asked for, the models for it open; without one of them a wish says so. Raises MediaError."""
        return tuple(map(self._wish, checked_queries(queries)))

    def _wish(self, query: str) -> Wish:
        try:
            wish = self._vocabulary.understand(query)
            for task in wish.tasks:
                self._open(task)
            if wish.needs_sentences:
                self.sentences()
            if wish.needs_icons:
                self.icons()
            if wish.is_bare and _BROUGHT:
                self.brought_detector()
        except ModelMissingError as error:
            return Wish(query, missing=str(error))
        return wish

    def _open(self, task: str) -> None:
        match task:
            case "ocr":
                self.detector()
                self.recognizer(TINY)
            case "objects":
                self.objects()
            case "gui":
                self.gui()
                self.control_states()

    def open_stage(self, config: StageConfig) -> VisionStage:
        """Begin a stream; the option `queries` has one a line, in the place of the config's own.

        Raises MediaError for an unknown task or option, wrong queries, ModelMissingError.
        """
        if unknown := [task for task in config.tasks if task not in TASKS]:
            raise MediaError(f"unknown task {unknown[0]!r}; vision knows {', '.join(TASKS)}")
        if unknown := [key for key in config.options if key not in OPTIONS]:
            raise MediaError(f"unknown option {unknown[0]!r}; vision knows {', '.join(OPTIONS)}")
        quality = config.options.get("quality", "accurate")
        if quality not in QUALITIES:
            raise MediaError(f"option quality is {quality!r}; it must be one of {', '.join(QUALITIES)}")
        embeddings = config.options.get("embeddings", "off")
        if embeddings not in ("on", "off"):
            raise MediaError(f"option embeddings is {embeddings!r}; it must be on or off")
        queries = config.options.get("queries")
        wishes = self.wishes(config.queries if queries is None else parse_queries(queries))
        tasks, adapter = tuple(config.tasks), None
        if embeddings == "on":
            # Nobody else knows where the pictures are.
            tasks, adapter = (*(tasks or ("ocr",)), "gui"), VisionAdapter(self.icons)
        stage = VisionStage(self, tasks, quality, config, wishes, adapter)
        # A missing model is found out now, not at the first picture.
        for task in stage.tasks:
            self._open(task)
        if "ocr" in stage.tasks and quality == "accurate":
            self.recognizer(SMALL)
        if adapter is not None:
            self.icons()
        return stage

    def models(self) -> Sequence[ModelInfo]:
        """All models it may use."""
        return [
            ModelInfo(TINY, *runs_as(TINY), self._detector is not None, ("ocr",)),
            ModelInfo(SMALL, *runs_as(SMALL), SMALL in self._recognizers, ("ocr",)),
            ModelInfo(scripts.MODEL, *runs_as(scripts.MODEL), self._scripts is not None, ("ocr",)),
            ModelInfo(line_ends.MODEL, *runs_as(line_ends.MODEL), self._ends is not None, ("ocr",)),
            *(ModelInfo(name, *_TESSERACT, name in self._tesseract.used, ("ocr",)) for name in installed_models()),
            ModelInfo(objects.MODEL, *runs_as(objects.MODEL), self._objects is not None, ("objects",)),
            ModelInfo(gui.MODEL, *runs_as(gui.MODEL), self._gui is not None, ("gui",)),
            ModelInfo(control_states.MODEL, *runs_as(control_states.MODEL), self._control_states is not None, ("gui",)),
            ModelInfo(icons.MODEL, *runs_as(icons.MODEL), self._icons is not None, ("queries",)),
            ModelInfo(sentence.NAME, *runs_as(sentence.NAME), self._sentences is not None, ("queries",)),
            *(ModelInfo(name, *runs_as(name), self._brought is not None, ("queries",)) for name in _BROUGHT),
        ]


def new_expert(threads: int = 1) -> VisionExpert:
    """The vision expert; `threads` is what each model may use."""
    return VisionExpert(threads)
