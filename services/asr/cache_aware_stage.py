"""Audio in, words out, by an encoder that hears every frame once: VAD, endpointing, checkpoints. Pure.

As in stage.py everything happens at windows of 512 samples counted from the last checkpoint. An utterance begins
with empty caches, so a checkpoint needs none of them.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from engines.engine import Engine
from services.asr.cache_aware import CacheAware, Utterance
from services.asr.endpointing import MIN_SPEECH, OFFSET, Endpointer, Silence, Span
from services.asr.finals import utterance_id
from services.asr.settings import SCREEN, AsrOptions
from services.asr.vad import WINDOW, SpeechDetector
from services.runtime.percept import Checkpoint, Percept, SpeechActivity, SpeechEvent, Transcript
from services.runtime.stage import Frame, MediaError, StageConfig


class CacheAwareStage:
    """Speech recognition of one stream. Partials come after every chunk of the encoder that held a new word."""

    def __init__(self, vad: Engine, model: CacheAware, config: StageConfig, options: AsrOptions) -> None:
        """Raises MediaError for a resume_state: the checkpoints of this stage have none."""
        if config.resume_state:
            raise MediaError(f"resume_state is not of a checkpoint of {model.name}, whose checkpoints carry none")
        self._vad = vad
        self._model = model
        self._options = options
        self._base_sample = config.start_sample
        self._audio = np.zeros(0, np.float32)
        self._end_sample: int | None = None
        self._begin(config.start_sample)

    def _begin(self, sample: int) -> None:
        """Forget all before `sample` and look for the next utterance from there."""
        self._audio = self._audio[sample - self._base_sample :]
        self._base_sample = sample
        self._windows = 0
        self._detector = SpeechDetector(self._vad)
        self._endpointer = Endpointer(self._options.endpointing)
        self._probabilities: list[float] = []
        self._utterance: Utterance | None = None
        self._heard_windows = 0
        self._shown = 0
        self._voice: int | None = None

    def update(self, options: Mapping[str, str]) -> None:
        """What the screen shows is no news to a model that cannot listen for it. Raises MediaError for all else."""
        if others := sorted(set(options) - set(SCREEN)):
            raise MediaError(
                f"options {others} cannot change in mid-stream: {self._model.name} cannot listen for phrases"
            )

    def push_frame(self, frame: Frame) -> Sequence[Percept]:
        """Speech has no frames."""
        raise MediaError("asr takes no frames")

    def push_audio(self, samples: NDArray[np.float32]) -> Sequence[Percept]:
        """Take (n,) float32 samples at 16 kHz."""
        self._audio = np.concatenate([self._audio, samples])
        results: list[Percept] = []
        while len(self._audio) >= (self._windows + 1) * WINDOW:
            results += self._window()
        return results

    def flush(self) -> Sequence[Percept]:
        """End of media: the open utterance becomes final; the rest of a window is filled with silence."""
        self._end_sample = self._base_sample + len(self._audio)
        results = list(self.push_audio(np.zeros(-len(self._audio) % WINDOW, np.float32)))
        if (span := self._endpointer.flush()) is not None:
            results += self._close(span)
        return results

    def _window(self) -> list[Percept]:
        window = self._audio[self._windows * WINDOW :][:WINDOW]
        self._windows += 1
        self._probabilities.append(self._detector.probability(window))
        event = self._endpointer.step(self._probabilities[-1], float(np.sqrt(np.mean(window * window))))
        match event:
            case Span():
                return self._close(event)
            case Silence():
                self._begin(self._base_sample + event.end * WINDOW)
                return [Checkpoint(self._base_sample)]
            case None:
                return self._partial()

    def _partial(self) -> list[Percept]:
        start = self._endpointer.start
        if start is None:
            return []
        utterance = self._hear(start)
        is_speech = int(self._endpointer.active.sum()) >= MIN_SPEECH
        if not is_speech:
            return []
        results: list[Percept] = []
        if self._voice is None:
            self._voice = start + int(np.argmax(self._endpointer.active))
            results.append(self._activity(SpeechEvent.START_OF_SPEECH, self._voice, start))
        if not self._options.partials or len(utterance.tokens) <= self._shown:
            return results
        transcript = self._transcript(utterance, start, self._windows, is_final=False)
        if transcript is None:
            return results
        self._shown = len(utterance.tokens)
        return [*results, transcript]

    def _activity(self, event: SpeechEvent, window: int, start: int) -> SpeechActivity:
        """Speech began or ended at `window`, of the utterance that begins at window `start`."""
        name = utterance_id(self._base_sample + start * WINDOW)
        return SpeechActivity(event, self._base_sample + window * WINDOW, name)

    def _hear(self, start: int) -> Utterance:
        """Let the encoder have the new windows of the utterance that began at window `start`."""
        if self._utterance is None:
            self._utterance, self._heard_windows = Utterance(self._model), start
        while self._heard_windows < self._windows:
            self._utterance.push(self._audio[self._heard_windows * WINDOW :][:WINDOW])
            self._heard_windows += 1
        return self._utterance

    def _close(self, span: Span) -> list[Percept]:
        results: list[Percept] = []
        final = None
        if max(self._probabilities[span.end : self._windows], default=0.0) >= OFFSET:
            # Cut in the middle of speech: what was heard after the cut belongs to the next utterance.
            utterance = Utterance(self._model)
            for window in range(span.start, span.end):
                utterance.push(self._audio[window * WINDOW :][:WINDOW])
        else:
            utterance = self._hear(span.start)
        if int(span.active.sum()) >= MIN_SPEECH:
            utterance.finish()
            final = self._transcript(utterance, span.start, span.end, is_final=True)
        if self._voice is not None:
            event = SpeechEvent.SUPPRESSED if final is None else SpeechEvent.END_OF_SPEECH
            results.append(self._activity(event, span.start + int(np.flatnonzero(span.active)[-1]) + 1, span.start))
        if final is not None:
            results.append(final)
        elif self._shown:
            start_sample, end_sample = self._span(span.start, span.end)
            results.append(Transcript(utterance_id(start_sample), False, start_sample, end_sample, ()))
        self._begin(self._base_sample + span.end * WINDOW)
        return [*results, Checkpoint(self._base_sample)]

    def _span(self, start: int, end: int) -> tuple[int, int]:
        end_sample = self._base_sample + end * WINDOW
        if self._end_sample is not None:
            end_sample = min(end_sample, self._end_sample)
        return self._base_sample + start * WINDOW, end_sample

    def _transcript(self, utterance: Utterance, start: int, end: int, *, is_final: bool) -> Transcript | None:
        """What was said in windows [start, end); None when it was nothing.

        A partial's last word may grow, and one that is cut at the partial's end may get its true end later.
        """
        start_sample, end_sample = self._span(start, end)
        words = self._model.words(utterance.tokens, start_sample, end_sample)
        if not words:
            return None
        log_probs = [token.log_prob for token in utterance.tokens]
        stable = len(words) if is_final else sum(word.end_sample < end_sample for word in words[:-1])
        return Transcript(
            utterance_id=utterance_id(start_sample),
            is_final=is_final,
            start_sample=start_sample,
            end_sample=end_sample,
            words=words,
            stable_words=stable,
            language=self._model.language,
            confidence=float(np.exp(np.mean(log_probs))),
        )
