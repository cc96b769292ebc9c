"""Audio in, words out: VAD, endpointing, Moonshine or Whisper, checkpoints. Pure.

Everything happens at windows of 512 samples counted from the last checkpoint, so how the audio was
cut into pieces changes nothing, and a stage that starts at a checkpoint repeats what follows it.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engines.engine import Engine
from services.asr.adapter import AudioAdapter
from services.asr.alignment import Hypothesis
from services.asr.confidence import compared
from services.asr.endpointing import LEAD, MIN_SPEECH, Endpointer, Silence, Span
from services.asr.finals import Finals, utterance_id
from services.asr.language import LanguageState
from services.asr.moonshine import MIN_SAMPLES, Moonshine
from services.asr.partials import PartialReader
from services.asr.phrases import PhraseBook
from services.asr.second_pass import SecondPass, SecondReading, by_whisper, is_better, snapped, with_phrases
from services.asr.settings import ADJUSTABLE, AsrOptions
from services.asr.stretch import Closed
from services.asr.trust import BLIP_S, MAX_COMPRESSION, compression, hears_no_speech, is_guess
from services.asr.turn import PATIENCE, is_complete
from services.asr.utterance import Utterance
from services.asr.vad import WINDOW, SpeechDetector
from services.asr.whisper import Whisper
from services.runtime.load import Shed
from services.runtime.percept import (
    Checkpoint,
    Percept,
    SpeechActivity,
    SpeechEvent,
    Transcript,
)
from services.runtime.phrases import compact, parse_phrases
from services.runtime.stage import Frame, MediaError, StageConfig

# Windows between partials: 0.29 s with Moonshine; Whisper costs half a second a look.
PARTIAL_STEP = 9
# The first comes so many windows after the voice set in: what is read of less is mostly wrong.
FIRST_PARTIAL = 5
WHISPER_PARTIAL_STEP = 96
# Nothing new was said in so many windows of silence: no partial.
STILL = 2
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

    @property
    def adapter(self) -> AudioAdapter:
        """Spells what Moonshine's encoder heard, loaded at the first call."""

    @property
    def whisper_adapter(self) -> AudioAdapter | None:
        """Spells what Whisper's encoder heard, loaded at the first call; None where it was not fetched."""

    def later(self, job: Callable[[], SecondReading | None]) -> Future[SecondReading | None]:
        """Run a second pass while its stream goes on."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """What Moonshine wrote for all of an utterance; `is_searched`: the likeliest, not only the greedy text."""

    utterance: Utterance
    is_searched: bool
    hypothesis: Hypothesis
    transcript: Transcript | None


class AsrStage:
    """Speech recognition of one stream."""

    def __init__(self, recognisers: Recognisers, config: StageConfig, options: AsrOptions) -> None:
        self._recognisers = recognisers
        self._options = options
        self._phrases = _book(options)
        self._pinned = config.language
        self._language = LanguageState(config.language)
        if config.resume_state:
            try:
                self._language = LanguageState.from_bytes(config.resume_state)
            except ValueError as error:
                raise MediaError(f"resume_state is not of an asr checkpoint: {error}") from error
            language = self._language.language
            if language not in ("", "en") and (whisper := recognisers.whisper) is not None:
                if language not in whisper.languages:
                    raise MediaError(f"resume_state is not of an asr checkpoint: no language {language!r}")
        self._base_sample = config.start_sample
        self._audio = np.zeros(0, np.float32)
        adapter = recognisers.whisper_adapter if options.embeddings else None
        self._second_pass = SecondPass(recognisers.later, adapter)
        self._end_sample: int | None = None
        self._shed = Shed()
        self._begin(config.start_sample)

    def _begin(self, sample: int) -> None:
        """Forget all before `sample` and look for the next utterance from there."""
        self._audio = self._audio[sample - self._base_sample :]
        self._base_sample = sample
        self._windows = 0
        self._detector = SpeechDetector(self._recognisers.vad)
        self._endpointer = Endpointer(self._options.endpointing)
        self._finals = Finals()
        self._reading: _Reading | None = None
        self._reader: PartialReader | None = None
        self._voice: int | None = None
        self._shown = False

    def shed(self, shed: Shed) -> None:
        """From the next window on. A second pass that waits is dropped when there shall be none: the first stands."""
        self._shed = shed

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

    def update(self, options: Mapping[str, str]) -> None:
        """Listen for other phrases from here on. Raises MediaError for another option or bad phrases."""
        if fixed := sorted(set(options) - set(ADJUSTABLE)):
            raise MediaError(
                f"options {fixed} cannot change in mid-stream; asr takes other {', '.join(ADJUSTABLE)} only"
            )
        before = self._options
        now = {name: parse_phrases(text) for name, text in options.items()}
        chosen = replace(
            before,
            phrases=now.get("phrases", before.phrases),
            screen_rare=now.get("screen_rare", before.screen_rare),
            screen_seen=now.get("screen_seen", before.screen_seen),
        )
        if chosen != before:
            self._options, self._phrases = chosen, _book(chosen)

    def flush(self) -> Sequence[Percept]:
        """End of media: the open utterance becomes final; the rest of a window is filled with silence."""
        self._end_sample = self._base_sample + len(self._audio)
        results = list(self.push_audio(np.zeros(-len(self._audio) % WINDOW, np.float32)))
        if (span := self._endpointer.flush()) is not None:
            results += self._close(span)
        return results + self._read_again(self._checkpoint())

    def _window(self) -> list[Percept]:
        results: list[Percept] = []
        now_sample = self._sample(self._windows)
        if self._second_pass.is_due(now_sample, is_open=self._endpointer.start is not None):
            results += self._begin_reading(self._checkpoint())
        if self._second_pass.is_over(now_sample):
            results += self._end_reading()
        window = self._audio[self._windows * WINDOW :][:WINDOW]
        self._windows += 1
        level = float(np.sqrt(np.mean(window * window)))
        event = self._endpointer.step(self._detector.probability(window), level)
        match event:
            case Span():
                results += self._close(event)
            case Silence():
                results += self._read_again(self._checkpoint())
                self._begin(self._sample(event.end))
                results.append(self._checkpoint())
            case None:
                results += self._speech_started()
                results += self._pause() if self._endpointer.is_pause else self._partial()
        return results

    def _sample(self, window: int) -> int:
        return self._base_sample + window * WINDOW

    def _checkpoint(self) -> Checkpoint:
        return Checkpoint(self._base_sample, self._language.to_bytes())

    def _utterance(self, start: int, end: int, active: NDArray[np.bool_]) -> Utterance:
        start_sample, end_sample = self._sample(start), self._sample(end)
        if self._end_sample is not None:
            end_sample = min(end_sample, self._end_sample)
        audio = self._audio[start_sample - self._base_sample : end_sample - self._base_sample]
        return Utterance(start_sample, end_sample, audio, active)

    # Speech begins and ends

    def _unsaid(self, start: int) -> int:
        """First window of what was said since the last final, in an utterance that is open since `start`."""
        end_sample = self._finals.end_sample
        return start if end_sample is None else (end_sample - self._base_sample) // WINDOW

    def _speech_started(self) -> list[Percept]:
        """Whether there is enough of it now to be sure."""
        start = self._endpointer.start
        if start is None or self._voice is not None:
            return []
        begin = self._unsaid(start)
        active = self._endpointer.active[begin - start :]
        if active.sum() < MIN_SPEECH:
            return []
        self._voice = begin + int(np.argmax(active))
        return [
            SpeechActivity(SpeechEvent.START_OF_SPEECH, self._sample(self._voice), utterance_id(self._sample(begin)))
        ]

    def _say(self, utterance: Utterance, transcript: Transcript | None) -> list[Percept]:
        """That speech ended and what was said, or that there is nothing to say and a partial is taken back."""
        begin_sample = utterance.start_sample if self._finals.end_sample is None else self._finals.end_sample
        said = [] if transcript is None else self._finals.say(snapped(self._phrases, transcript))
        has_final = any(not final.revision for final in said)
        results: list[Percept] = []
        if self._voice is not None:
            event = SpeechEvent.END_OF_SPEECH if has_final else SpeechEvent.SUPPRESSED
            last = int(np.flatnonzero(utterance.active)[-1]) + 1
            end_sample = min(utterance.start_sample + last * WINDOW, utterance.end_sample)
            results.append(SpeechActivity(event, end_sample, utterance_id(begin_sample)))
        results += said
        if self._options.embeddings and self._reading is not None:
            encoded = self._reading.hypothesis.encoded
            if encoded is not None:
                states = encoded["hidden"][0]
                results += self._recognisers.adapter.spans(states, self._reading.utterance.start_sample, said)
        if self._shown and not has_final:
            results.append(_nothing(begin_sample, utterance.end_sample))
        self._voice, self._reader, self._shown = None, None, False
        return results

    # Partials

    def _partial(self) -> list[Percept]:
        start = self._endpointer.start
        if start is None or not self._options.partials or self._endpointer.silent >= STILL:
            return []
        if not self._shed.partial_every:
            return []
        if self._language.language not in ("", "en"):
            if (self._windows - start) % (WHISPER_PARTIAL_STEP * self._shed.partial_every):
                return []
            partial = self._whisper_partial(self._utterance(start, self._windows, self._endpointer.active))
        else:
            partial = self._english_partial(start)
        self._shown = self._shown or partial is not None
        return [] if partial is None else [partial]

    def _english_partial(self, start: int) -> Transcript | None:
        """What was said since the last final."""
        if self._voice is None:
            return None
        first, step = self._voice + FIRST_PARTIAL, PARTIAL_STEP * self._shed.partial_every
        unsaid = self._unsaid(start)
        begin = max(unsaid, self._voice - LEAD)
        utterance = self._utterance(begin, self._windows, self._endpointer.active[begin - start :])
        if self._windows < first or (self._windows - first) % step or len(utterance.audio) < MIN_SAMPLES:
            return None
        if self._reader is None:
            self._reader = PartialReader(self._recognisers.moonshine, utterance.start_sample)
        hypothesis, shown, stable = self._reader.look(utterance.audio, utterance.active)
        if not self._language.language and hypothesis.mean_log_prob < SURELY_ENGLISH_LOG_PROB:
            return None
        found = utterance.transcript(hypothesis, shown, "en")
        if found is None:
            return None
        start_sample = self._sample(unsaid)
        name = utterance_id(start_sample)
        return replace(found, utterance_id=name, start_sample=start_sample, is_final=False, stable_words=stable)

    def _whisper_partial(self, utterance: Utterance) -> Transcript | None:
        whisper = self._recognisers.whisper
        if whisper is None:
            return None
        _, found = by_whisper(whisper, utterance, whisper.encode(utterance.audio), self._language.language)
        return None if found is None else replace(found, is_final=False, stable_words=0)

    # Finals

    def _pause(self) -> list[Percept]:
        """Read what was said so far; when it sounds complete, or the pause goes on, it is a final."""
        start, end = self._endpointer.start, self._endpointer.end
        if start is None or self._language.language not in ("", "en"):
            return self._partial()
        reading = self._read(self._utterance(start, end, self._endpointer.active[: end - start]))
        if reading is None or reading.transcript is None or not self._finals.is_continued_by(reading.transcript):
            return []
        if not is_complete(reading.transcript, reading.hypothesis) and self._endpointer.silent < PATIENCE:
            return []
        if (language := self._if_english(reading)) is None:
            return []
        self._language = language
        return self._say(reading.utterance, reading.transcript)

    def _read(self, utterance: Utterance, *, search: bool = False) -> _Reading | None:
        """All of it by Moonshine, once; with `search` its likeliest text. None when there is no speech in it."""
        if utterance.active.sum() < MIN_SPEECH or len(utterance.audio) < MIN_SAMPLES:
            return None
        before, moonshine = self._reading, self._recognisers.moonshine
        is_same = before is not None and before.utterance.end_sample == utterance.end_sample
        if before is not None and is_same and before.is_searched >= search:
            return before
        if before is not None and is_same:
            hypothesis = before.hypothesis
        else:
            draft = () if before is None else before.hypothesis.tokens
            if self._reader is not None:
                draft += self._reader.tokens
            hypothesis = moonshine.transcribe(utterance.audio, draft=draft, align=True)
        if search:
            hypothesis = moonshine.likeliest(hypothesis, utterance.audio)
        words = moonshine.words(hypothesis, utterance.start_sample, utterance.end_sample, utterance.active)
        self._reading = _Reading(utterance, search, hypothesis, utterance.transcript(hypothesis, words, "en"))
        return self._reading

    def _if_english(self, reading: _Reading) -> LanguageState | None:
        """The language after it if it is English speech, as far as Moonshine and a glance can tell; else None."""
        if self._pinned or (whisper := self._recognisers.whisper) is None:
            return self._language
        utterance, log_prob = reading.utterance, reading.hypothesis.mean_log_prob
        speech_s = utterance.speech_s
        if speech_s < BLIP_S or compression(_text(reading.transcript)) > MAX_COMPRESSION:
            return None
        if self._language.is_doubtful(log_prob, speech_s):
            return None
        if not self._language.is_due(speech_s):
            return self._language
        language, state = self._language.checked(whisper.glance(utterance.audio), log_prob, speech_s)
        return state if (language, state.language) == ("en", "en") else None

    def _close(self, span: Span) -> list[Percept]:
        utterance = self._utterance(span.start, span.end, span.active)
        sound = self._audio[: utterance.end_sample - self._base_sample]
        before = self._checkpoint()
        results: list[Percept] = []
        if not self._second_pass.has_room(sound):
            results += self._begin_reading(before)
        transcript, closed = self._final(utterance)
        if transcript is not None and closed is None:
            results += self._read_again(before)
        results += self._say(utterance, transcript)
        if closed is None:
            self._second_pass.hear(sound)
        else:
            self._second_pass.add(closed, sound, self._sample(self._windows))
        self._begin(self._sample(span.end))
        if self._second_pass.is_idle:
            results.append(self._checkpoint())
        return results

    def _final(self, utterance: Utterance) -> tuple[Transcript | None, Closed | None]:
        """What was said, by the recogniser of its language, and for the second pass what it shall read."""
        if self._pinned not in ("", "en"):
            if (whisper := self._recognisers.whisper) is None or utterance.active.sum() < MIN_SPEECH:
                return None, None
            encoded = whisper.encode(utterance.audio)
            _, transcript = by_whisper(whisper, utterance, encoded, self._pinned)
            return transcript and with_phrases(self._phrases, whisper, utterance, encoded, transcript), None
        if (reading := self._read(utterance, search=self._shed.has_second_pass)) is None:
            return None, None
        reading = replace(reading, transcript=self._as_said(reading.transcript))
        transcript, hypothesis, is_checked = reading.transcript, reading.hypothesis, False
        if (language := self._if_english(reading)) is not None:
            self._language = language.heard(utterance.speech_s)
        elif (whisper := self._recognisers.whisper) is not None:
            transcript, hypothesis = self._checked(whisper, reading)
            is_checked = True
        if transcript is None or transcript.language != "en" or not self._has_second_pass:
            return transcript, None
        log_probs = np.append(hypothesis.log_probs, hypothesis.end_log_prob)
        return transcript, Closed(utterance, transcript, log_probs, self._finals, is_checked)

    def _as_said(self, transcript: Transcript | None) -> Transcript | None:
        """The reading of all of an utterance, with what one of its beginning had of the screen."""
        said = [word for final in self._finals.said for word in final.words]
        if transcript is None or not said:
            return transcript
        words = self._phrases.choose(transcript.words, said)
        return replace(transcript, words=words, stable_words=len(words))

    def _checked(self, whisper: Whisper, reading: _Reading) -> tuple[Transcript | None, Hypothesis]:
        """What was said after Whisper has listened too, and whose reading that is."""
        utterance, hypothesis, english = reading.utterance, reading.hypothesis, reading.transcript
        encoded = whisper.encode(utterance.audio)
        language, self._language = self._language.checked(
            whisper.identify(encoded), hypothesis.mean_log_prob, utterance.speech_s
        )
        if language == "en" and not self._has_second_pass:
            return english, hypothesis
        other, transcript = by_whisper(whisper, utterance, encoded, language)
        if hears_no_speech(other) or (
            language == "en" and is_guess(hypothesis, other, *map(_text, (english, transcript)))
        ):
            return None, other
        if language == "en" and is_better(other, hypothesis.mean_log_prob):
            transcript = self._compared(transcript, english)
        elif language == "en":
            transcript, other = self._compared(english, transcript), hypothesis
        return transcript and with_phrases(self._phrases, whisper, utterance, encoded, transcript), other

    def _compared(self, kept: Transcript | None, left: Transcript | None) -> Transcript | None:
        """The reading that is kept, with what the other one says about how sure its words are, and of the screen's."""
        if kept is None or left is None:
            return kept
        words = self._phrases.choose(compared(kept.words, left.words), left.words)
        return replace(kept, words=words, stable_words=len(words))

    # Second pass

    @property
    def _has_second_pass(self) -> bool:
        wanted = self._options.second_pass
        if wanted is None:
            wanted = self._pinned != "en" or bool(self._phrases)
        return wanted and self._shed.has_second_pass and self._recognisers.whisper is not None

    def _begin_reading(self, checkpoint: Checkpoint) -> list[Percept]:
        """Say what was read again and begin with what was closed since; `checkpoint` lies behind that."""
        results = self._end_reading()
        whisper = self._recognisers.whisper if self._shed.has_second_pass else None
        self._second_pass.begin(whisper, self._phrases, checkpoint, self._sample(self._windows))
        return results

    def _end_reading(self) -> list[Percept]:
        return self._second_pass.end(is_shed=not self._shed.has_second_pass)

    def _read_again(self, checkpoint: Checkpoint) -> list[Percept]:
        """All that was closed, at once."""
        if self._second_pass.is_idle:
            return []
        return self._begin_reading(checkpoint) + self._end_reading()


def _book(options: AsrOptions) -> PhraseBook:
    listed = {compact(phrase.text) for phrase in options.phrases}
    rare = [phrase for phrase in options.screen_rare if compact(phrase.text) not in listed]
    return PhraseBook([*options.phrases, *rare], options.screen_seen)


def _text(transcript: Transcript | None) -> str:
    return "" if transcript is None else transcript.text


def _nothing(start_sample: int, end_sample: int) -> Transcript:
    """Takes back a partial that turned out not to be speech."""
    return Transcript(utterance_id(start_sample), False, start_sample, end_sample, ())
