"""Audio in, words out: VAD, endpointing, Moonshine or Whisper, checkpoints. Pure.

Everything happens at windows of 512 samples counted from the last checkpoint, so how the audio was
cut into pieces changes nothing, and a stage that starts at a checkpoint repeats what follows it.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engines.engine import Engine
from services.asr.alignment import Hypothesis
from services.asr.endpointing import MIN_SPEECH, Endpointer, Silence, Span
from services.asr.language import LanguageState
from services.asr.moonshine import MIN_SAMPLES, Moonshine
from services.asr.settings import AsrOptions
from services.asr.vad import WINDOW, SpeechDetector
from services.asr.whisper import Encoded, Whisper
from services.runtime.percept import SAMPLE_RATE, Checkpoint, Percept, Transcript, Word
from services.runtime.stage import Frame, MediaError, StageConfig

# Windows between partials: 0.29 s with Moonshine; Whisper costs half a second a look.
PARTIAL_STEP = 9
WHISPER_PARTIAL_STEP = 96
# Partials of a stream whose language is not known yet: only what is surely English.
SURELY_ENGLISH_LOG_PROB = -0.55


class Recognisers(Protocol):
    """The weights that streams share."""

    @property
    def vad(self) -> Engine:
        """Silero."""

    @property
    def moonshine(self) -> Moonshine:
        """English."""

    @property
    def whisper(self) -> Whisper | None:
        """Other languages, loaded at the first call; None where it was not fetched."""


@dataclass(frozen=True, slots=True)
class _SecondPass:
    """A closed English utterance that Whisper shall read once the stream has gone on to `due_sample`."""

    final: Transcript
    audio: NDArray[np.float32]
    due_sample: int


class AsrStage:
    """Speech recognition of one stream."""

    def __init__(self, recognisers: Recognisers, config: StageConfig, options: AsrOptions) -> None:
        self._recognisers = recognisers
        self._options = options
        self._pinned = config.language
        self._language = LanguageState(config.language)
        if config.resume_state:
            self._language = LanguageState(**json.loads(config.resume_state))
        self._base_sample = config.start_sample
        self._audio = np.zeros(0, np.float32)
        self._second_pass: _SecondPass | None = None
        self._checkpoint_sample: int | None = None
        self._begin(config.start_sample)

    def _begin(self, sample: int) -> None:
        """Forget all before `sample` and look for the next utterance from there."""
        self._audio = self._audio[sample - self._base_sample :]
        self._base_sample = sample
        self._windows = 0
        self._detector = SpeechDetector(self._recognisers.vad)
        self._endpointer = Endpointer()
        self._drafts: list[tuple[int, ...]] = []
        self._stable: tuple[int, ...] = ()
        self._shown = False

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
        end_sample = self._base_sample + len(self._audio)
        results = list(self.push_audio(np.zeros(-len(self._audio) % WINDOW, np.float32)))
        if (span := self._endpointer.flush()) is not None:
            results += self._close(span, end_sample)
        return results + self._run_second_pass()

    def _window(self) -> list[Percept]:
        window = self._audio[self._windows * WINDOW :][:WINDOW]
        results: list[Percept] = []
        if self._second_pass is not None and self._sample(self._windows) >= self._second_pass.due_sample:
            results += self._run_second_pass()
        self._windows += 1
        level = float(np.sqrt(np.mean(window * window)))
        event = self._endpointer.step(self._detector.probability(window), level)
        match event:
            case Span():
                results += self._close(event, self._sample(self._windows))
            case Silence():
                results += self._run_second_pass()
                self._begin(self._sample(event.resume))
                results.append(self._checkpoint())
            case None:
                results += self._partial()
        return results

    def _sample(self, window: int) -> int:
        return self._base_sample + window * WINDOW

    def _checkpoint(self) -> Checkpoint:
        return Checkpoint(self._base_sample, json.dumps(asdict(self._language)).encode())

    def _cut(self, start_sample: int, end_sample: int) -> NDArray[np.float32]:
        return self._audio[start_sample - self._base_sample : end_sample - self._base_sample]

    # Partials

    def _partial(self) -> list[Percept]:
        start = self._endpointer.start
        if start is None or not self._options.partials or self._endpointer.speech < MIN_SPEECH:
            return []
        whisper = self._language.language not in ("", "en")
        step = WHISPER_PARTIAL_STEP if whisper else PARTIAL_STEP
        if (self._windows - start) % step or self._endpointer.silent >= PARTIAL_STEP:
            return []
        start_sample, end_sample = self._sample(start), self._sample(self._windows)
        audio = self._cut(start_sample, end_sample)
        if whisper:
            return self._whisper_partial(audio, start_sample, end_sample)
        draft = self._drafts[-1] if self._drafts else ()
        moonshine = self._recognisers.moonshine
        hypothesis = moonshine.transcribe(audio, draft=draft, forced=len(self._stable), align=True)
        self._drafts = [*self._drafts[-1:], hypothesis.tokens]
        if not self._language.language and hypothesis.mean_log_prob < SURELY_ENGLISH_LOG_PROB:
            return []
        words = moonshine.words(hypothesis, start_sample, end_sample)
        if not words:
            return []
        self._stable = self._agreed(hypothesis)
        stable = sum(self._recognisers.moonshine.starts_word(token) for token in self._stable)
        self._shown = True
        return [
            Transcript(
                utterance_id=_utterance_id(start_sample),
                is_final=False,
                start_sample=start_sample,
                end_sample=end_sample,
                words=words,
                stable_words=stable,
                language="en",
                confidence=_confidence(hypothesis),
            )
        ]

    def _agreed(self, hypothesis: Hypothesis) -> tuple[int, ...]:
        """The whole words that this and the last hypothesis begin with; never less than before."""
        if len(self._drafts) < 2:
            return self._stable
        last = self._drafts[-2]
        common = 0
        while common < min(len(last), len(hypothesis.tokens)) and last[common] == hypothesis.tokens[common]:
            common += 1
        common = self._recognisers.moonshine.whole_words(hypothesis.tokens[:common])
        return hypothesis.tokens[: max(common, len(self._stable))]

    def _whisper_partial(
        self, audio: NDArray[np.float32], start_sample: int, end_sample: int
    ) -> list[Percept]:
        whisper = self._recognisers.whisper
        if whisper is None:
            return []
        language = self._language.language
        hypothesis = whisper.transcribe(whisper.encode(audio), language)
        words = whisper.words(hypothesis, language, start_sample, end_sample)
        if not words:
            return []
        self._shown = True
        return [
            Transcript(
                utterance_id=_utterance_id(start_sample),
                is_final=False,
                start_sample=start_sample,
                end_sample=end_sample,
                words=words,
                language=language,
                confidence=_confidence(hypothesis),
            )
        ]

    # Finals

    def _close(self, span: Span, now_sample: int) -> list[Percept]:
        results = self._run_second_pass()
        start_sample, end_sample = self._sample(span.start), min(self._sample(span.end), now_sample)
        audio = self._cut(start_sample, end_sample)
        final = None
        if span.speech >= MIN_SPEECH and len(audio) >= MIN_SAMPLES:
            final = self._final(audio, start_sample, end_sample, span.speech * WINDOW / SAMPLE_RATE)
        if final is not None:
            results.append(final)
        elif self._shown:
            results.append(_nothing(start_sample, end_sample))
        self._begin(self._sample(span.resume))
        if final is not None and self._wants_second_pass(final):
            self._second_pass = _SecondPass(final, audio, now_sample + WINDOW)
        else:
            results.append(self._checkpoint())
        return results

    def _final(
        self, audio: NDArray[np.float32], start_sample: int, end_sample: int, speech_s: float
    ) -> Transcript | None:
        whisper = None if self._pinned == "en" else self._recognisers.whisper
        language = self._language.language or ("" if whisper else "en")
        english = None
        if language in ("", "en"):
            forced = len(self._stable)
            english = self._recognisers.moonshine.transcribe(
                audio, draft=self._stable, forced=forced, align=True
            )
            language = "en"
        encoded: Encoded | None = None
        if whisper is not None and not self._pinned:
            score = english.mean_log_prob if english is not None else 0.0
            if self._language.needs_check(score, speech_s):
                encoded = whisper.encode(audio)
                language, self._language = self._language.checked(whisper.identify(encoded), speech_s)
            else:
                self._language = self._language.heard(speech_s)
        if english is not None and language == "en":
            words = self._recognisers.moonshine.words(english, start_sample, end_sample)
            return _transcript(english, words, "en", start_sample, end_sample)
        if whisper is None:
            return None
        encoded = encoded or whisper.encode(audio)
        return self._by_whisper(whisper, encoded, language, start_sample, end_sample)

    def _by_whisper(
        self, whisper: Whisper, encoded: Encoded, language: str, start_sample: int, end_sample: int
    ) -> Transcript | None:
        hypothesis = whisper.transcribe(encoded, language)
        words = whisper.words(hypothesis, language, start_sample, end_sample)
        return _transcript(hypothesis, words, language, start_sample, end_sample)

    # Second pass

    def _wants_second_pass(self, final: Transcript) -> bool:
        return self._options.second_pass and final.language == "en" and self._recognisers.whisper is not None

    def _run_second_pass(self) -> list[Percept]:
        if self._second_pass is None:
            return []
        waiting, self._second_pass = self._second_pass, None
        whisper = self._recognisers.whisper
        results: list[Percept] = []
        if whisper is not None:
            first = waiting.final
            better = self._by_whisper(
                whisper, whisper.encode(waiting.audio), "en", first.start_sample, first.end_sample
            )
            if better is not None and better.words != first.words:
                results.append(replace(better, revision=first.revision + 1))
        results.append(self._checkpoint())
        return results


def _utterance_id(start_sample: int) -> str:
    return f"u{start_sample:012d}"


def _confidence(hypothesis: Hypothesis) -> float:
    return float(np.exp(min(0.0, hypothesis.mean_log_prob)))


def _transcript(
    hypothesis: Hypothesis, words: tuple[Word, ...], language: str, start_sample: int, end_sample: int
) -> Transcript | None:
    if not words:
        return None
    return Transcript(
        utterance_id=_utterance_id(start_sample),
        is_final=True,
        start_sample=start_sample,
        end_sample=end_sample,
        words=words,
        stable_words=len(words),
        language=language,
        confidence=_confidence(hypothesis),
    )


def _nothing(start_sample: int, end_sample: int) -> Transcript:
    """Takes back a partial that turned out not to be speech."""
    return Transcript(_utterance_id(start_sample), False, start_sample, end_sample, ())
