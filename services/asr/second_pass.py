"""Whisper reads closed English utterances again while their stream goes on; what that changes is said a while later."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from services.asr.adapter import AudioAdapter
from services.asr.alignment import Hypothesis
from services.asr.confidence import compared
from services.asr.phrases import PhraseBook
from services.asr.stretch import ENOUGH, MOST, WAIT, Closed, Stretch
from services.asr.trust import MAX_COMPRESSION, compression, do_differ
from services.asr.utterance import Utterance
from services.asr.vad import WINDOW
from services.asr.whisper import Encoded, Whisper
from services.runtime.percept import SAMPLE_RATE, Checkpoint, Percept, TokenSpan, Transcript

# So much media after a reading began its corrections are said, however long it took: results do not depend on the
# machine. A stream that comes there first waits for it.
DELAY = 3 * SAMPLE_RATE
# The second pass replaces the first where its mean log-probability is above the first's plus this.
MARGIN = -0.06


def by_whisper(
    whisper: Whisper, utterance: Utterance, encoded: Encoded, language: str, prompt: str = ""
) -> tuple[Hypothesis, Transcript | None]:
    """What Whisper writes for an utterance; no transcript where nothing was said."""
    hypothesis = whisper.transcribe(encoded, language, prompt=prompt)
    words = whisper.words(hypothesis, language, utterance.start_sample, utterance.end_sample, utterance.active)
    return hypothesis, utterance.transcript(hypothesis, words, language)


def with_phrases(
    phrases: PhraseBook, whisper: Whisper, utterance: Utterance, encoded: Encoded, transcript: Transcript
) -> Transcript:
    """The transcript with the listed phrases that a prompted reading finds in it."""
    prompt = phrases.prompt([word.text for word in transcript.words], whisper.count_tokens) if phrases else ""
    if not prompt:
        return transcript
    _, other = by_whisper(whisper, utterance, encoded, transcript.language, prompt)
    if other is None:
        return transcript
    words = phrases.merge(transcript.words, other.words)
    return replace(transcript, words=words, stable_words=len(words))


def snapped(phrases: PhraseBook, transcript: Transcript) -> Transcript:
    """The transcript with listed phrases where unsure English words sound like them."""
    if not phrases or transcript.language != "en":
        return transcript
    words = phrases.snap(transcript.words)
    return replace(transcript, words=words, stable_words=len(words))


def is_better(second: Hypothesis, first_log_prob: float) -> bool:
    """Whether Whisper's reading of English takes the place of one of this mean log-probability."""
    return len(second.tokens) > 0 and second.mean_log_prob > first_log_prob + MARGIN


@dataclass(frozen=True, slots=True)
class SecondReading:
    """What is to stand for a stretch; `is_better`: Whisper's reading, not the first one with other confidences.

    `spans` are what Whisper heard, spelled, one for each final.
    """

    transcript: Transcript
    is_better: bool
    spans: Sequence[TokenSpan] = ()


def read_again(
    stretch: Stretch, whisper: Whisper, phrases: PhraseBook, adapter: AudioAdapter | None
) -> SecondReading | None:
    """Let Whisper read the stretch as one, and the adapter, if there is one, spell it; None where it hears nothing."""
    utterance = stretch.as_one()
    encoded = whisper.encode(utterance.audio)
    hypothesis, transcript = by_whisper(whisper, utterance, encoded, "en")
    if transcript is None or _is_loop(transcript.text, " ".join(word.text for word in stretch.words)):
        return None
    wins = is_better(hypothesis, stretch.mean_log_prob) and all(stretch.parts(transcript.words))
    kept, left = (transcript.words, stretch.words) if wins else (stretch.words, transcript.words)
    words = phrases.choose(compared(kept, left), left)
    chosen = with_phrases(phrases, whisper, utterance, encoded, replace(transcript, words=words))
    if adapter is None:
        return SecondReading(chosen, wins)
    finals = [final for closed in stretch.closed for final in closed.finals.said]
    return SecondReading(chosen, wins, adapter.spans(encoded.outputs["hidden"][0], utterance.start_sample, finals))


def _is_loop(text: str, first_text: str) -> bool:
    """Whether a reading says the same again and again, which the first one did not hear."""
    return compression(text) > MAX_COMPRESSION and do_differ(text, first_text)


@dataclass(frozen=True, slots=True)
class _Running:
    """A reading that has begun (None: there is none), where its corrections are said, and the checkpoint behind it."""

    stretch: Stretch
    phrases: PhraseBook
    second: Future[SecondReading | None] | None
    due_sample: int
    checkpoint: Checkpoint


class SecondPass:
    """Of one stream: the stretch of utterances that grows, and the one that is being read.

    `later` runs a reading beside the stream; `adapter`, if there is one, spells what is read.
    """

    def __init__(
        self,
        later: Callable[[Callable[[], SecondReading | None]], Future[SecondReading | None]],
        adapter: AudioAdapter | None = None,
    ) -> None:
        self._later = later
        self._adapter = adapter
        self._stretch = Stretch()
        self._due_sample = 0
        self._running: _Running | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no utterance waits for anything."""
        return self._running is None and not self._stretch.closed

    def has_room(self, sound: NDArray[np.float32]) -> bool:
        """Whether the stretch with these (n,) samples behind it could still be read as one."""
        return self._stretch.length + len(sound) <= MOST

    def hear(self, sound: NDArray[np.float32]) -> None:
        """Take (n,) samples that follow and are no English utterance."""
        self._stretch.hear(sound)

    def add(self, closed: Closed, sound: NDArray[np.float32], now_sample: int) -> None:
        """Take an utterance closed at `now_sample`; `sound` (n,) are the samples that follow, up to its end."""
        self._stretch.add(closed, sound)
        self._due_sample = now_sample + (WINDOW if self._stretch.length >= ENOUGH else WAIT)

    def is_due(self, now_sample: int, *, is_open: bool) -> bool:
        """Whether to begin: the stretch is long enough, or nobody goes on (no utterance `is_open`)."""
        is_over = self._stretch.length >= ENOUGH or not is_open
        return bool(self._stretch.closed) and is_over and now_sample >= self._due_sample

    def begin(self, whisper: Whisper | None, phrases: PhraseBook, checkpoint: Checkpoint, now_sample: int) -> None:
        """Let `whisper`, if there is one, read the stretch, which lies before the `checkpoint`; `end` came before."""
        stretch, self._stretch = self._stretch, Stretch()
        if whisper is None or stretch.is_read:
            self._running = _Running(stretch, phrases, None, now_sample, checkpoint)
        else:
            second = self._later(partial(read_again, stretch, whisper, phrases, self._adapter))
            self._running = _Running(stretch, phrases, second, now_sample + DELAY, checkpoint)

    def is_over(self, now_sample: int) -> bool:
        """Whether what was read is to be said now."""
        return self._running is not None and now_sample >= self._running.due_sample

    def end(self, *, is_shed: bool) -> list[Percept]:
        """The finals that the reading corrects, what it spelled, then its checkpoint.

        `is_shed`: one that is not done is dropped.
        """
        running, self._running = self._running, None
        if running is None:
            return []
        future, second = running.second, None
        if future is not None and is_shed and not future.done():
            future.cancel()
        elif future is not None:
            second = future.result()
        told: list[Percept] = [*_corrections(running, second), *second.spans] if second else []
        return [*told, running.checkpoint]


def _corrections(running: _Running, second: SecondReading) -> Iterator[Transcript]:
    parts = running.stretch.parts(second.transcript.words)
    for closed, words in zip(running.stretch.closed, parts, strict=True):
        if closed.is_checked and not second.is_better:
            continue
        confidence = (second if second.is_better else closed).transcript.confidence
        told = replace(closed.transcript, words=words, stable_words=len(words), confidence=confidence)
        if (told := snapped(running.phrases, told)) != snapped(running.phrases, closed.transcript):
            yield from closed.finals.say(told, is_better=True)
