"""The asr service: its models, loaded once, Whisper at its first use."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from threading import Lock

from engines.engine import Engine, ModelMissingError
from engines.lanes import Lanes, Urgency, cores
from engines.models import is_fetched, open_engine, runs_as
from services.asr import adapter, moonshine, whisper
from services.asr.adapter import AudioAdapter
from services.asr.moonshine import Moonshine
from services.asr.second_pass import SecondReading
from services.asr.settings import parse_options
from services.asr.stage import AsrStage
from services.asr.whisper import Whisper
from services.runtime.stage import MediaError, ModelInfo, Stage, StageConfig

VAD = "silero-vad"


class AsrExpert:
    """Speech recognition. Weights are shared by all streams and load when a stream first needs them.

    At most as many graphs run at a time as there are cores for them.
    """

    name = "asr"
    takes_audio = True
    takes_frames = False

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads
        self.lanes = Lanes(max(1, cores() // max(1, threads)))
        # Linux gives each thread a priority of its own: partials and finals, here and in other services, go first.
        self._beside = ThreadPoolExecutor(self.lanes.width, "asr-second-pass", initializer=partial(os.nice, 5))
        self._lock = Lock()
        self._vad: Engine | None = None
        self._moonshine: Moonshine | None = None
        self._whisper: Whisper | None = None
        self._adapter: AudioAdapter | None = None
        self._whisper_adapter: AudioAdapter | None = None

    @property
    def vad(self) -> Engine:
        """Silero. Raises ModelMissingError."""
        with self._lock:
            if self._vad is None:
                self._vad = self.lanes.engine(open_engine(VAD, "silero_vad.onnx"), Urgency.STEP)
            return self._vad

    @property
    def moonshine(self) -> Moonshine:
        """English. Raises ModelMissingError."""
        with self._lock:
            if self._moonshine is None:
                self._moonshine = Moonshine(self._threads, self.lanes)
            return self._moonshine

    @property
    def whisper(self) -> Whisper | None:
        """Other languages and the second pass; None where it was not fetched."""
        with self._lock:
            if self._whisper is None and is_fetched(whisper.MODEL):
                self._whisper = Whisper(self._threads, self.lanes)
            return self._whisper

    @property
    def adapter(self) -> AudioAdapter:
        """Spells what Moonshine's encoder heard. Raises ModelMissingError."""
        with self._lock:
            if self._adapter is None:
                self._adapter = AudioAdapter(adapter.OF_MOONSHINE, self._threads)
            return self._adapter

    @property
    def whisper_adapter(self) -> AudioAdapter | None:
        """Spells what Whisper's encoder heard; None where it was not fetched."""
        with self._lock:
            if self._whisper_adapter is None and is_fetched(adapter.OF_WHISPER):
                self._whisper_adapter = AudioAdapter(adapter.OF_WHISPER, self._threads)
            return self._whisper_adapter

    def later(self, job: Callable[[], SecondReading | None]) -> Future[SecondReading | None]:
        """Run a second pass while its stream goes on; as many at a time as there are lanes."""
        return self._beside.submit(job)

    def open_stage(self, config: StageConfig) -> Stage:
        """Begin a stream. Raises MediaError for an unknown language or option, ModelMissingError."""
        options = parse_options(config.options)
        if not is_fetched(whisper.MODEL):
            if config.language not in ("", "en") or options.second_pass:
                raise ModelMissingError(
                    f"language {config.language!r} and second_pass {config.options.get('second_pass', 'off')!r} "
                    f"need {whisper.MODEL}; run `sensorium models fetch {whisper.MODEL}`"
                )
            config = replace(config, language="en")
        elif config.language not in ("", "en") and (recogniser := self.whisper) is not None:
            if config.language not in recogniser.languages:
                raise MediaError(
                    f"language is {config.language!r}; must be empty (detected) or one of "
                    f"{', '.join(sorted(recogniser.languages))}"
                )
        _ = self.moonshine
        if options.embeddings is None:
            options = replace(options, embeddings=is_fetched(adapter.OF_MOONSHINE))
        if options.embeddings:
            _ = self.adapter
        return AsrStage(self, config, options)

    def gauges(self) -> Mapping[str, float]:
        """Mean number of utterances in a decoding step so far; 0 when there was none."""
        together = None if self._moonshine is None else self._moonshine.together
        steps = 0 if together is None else together.steps
        return {"decoded_together": together.rows_stepped / steps if together and steps else 0.0}

    def models(self) -> Sequence[ModelInfo]:
        """All models it may use."""
        loaded = (
            (VAD, self._vad),
            (moonshine.MODEL, self._moonshine),
            (whisper.MODEL, self._whisper),
            (adapter.OF_MOONSHINE, self._adapter),
            (adapter.OF_WHISPER, self._whisper_adapter),
        )
        return [ModelInfo(name, *runs_as(name), model is not None) for name, model in loaded]


def new_expert(threads: int = 1) -> AsrExpert:
    """The asr expert; `threads` is what each model may use."""
    return AsrExpert(threads)
