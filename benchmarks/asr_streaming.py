"""What a listener of the asr stage sees, and when: `python -m benchmarks.asr_streaming --media DIR`.

DIR as in `benchmarks.asr`. Every English clip comes in real time on a virtual clock, followed by a second of faint
noise: a result is there when its audio was, plus the processor time of the calls so far that had not yet ended. So the
walls of a busy machine do not count. `--peer redecoding` measures the authors' way on the same weights instead: the
growing utterance is read from its start every 0.2 s, and it ends after 0.3 s of silence (demo/moonshine-onnx/
live_captions.py of moonshine-ai/moonshine, with its constants). Prints one JSON object.
"""

import argparse
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.asr import read
from services.asr.moonshine import MIN_SAMPLES, Moonshine
from services.asr.service import AsrExpert, new_expert
from services.asr.vad import WINDOW, SpeechDetector
from services.runtime.percept import SAMPLE_RATE, Transcript
from services.runtime.stage import Stage, StageConfig

CHUNK = WINDOW
SILENCE_S = 1.0
# Speech is within so many dB of a clip's loud parts, in steps of 20 ms.
SPEECH_DB = 30.0
STEP = 320
# A final reaches the end of speech when it ends at most so much before it.
EDGE_S = 0.3


def speech_span(samples: NDArray[np.float32]) -> tuple[float, float]:
    """Where sound of a clip begins and ends, in seconds, by its level alone."""
    steps = len(samples) // STEP
    levels = 10 * np.log10(np.mean(samples[: steps * STEP].reshape(steps, STEP) ** 2, axis=1) + 1e-10)
    loud = levels > np.percentile(levels, 95) - SPEECH_DB
    # three loud steps of five: no click
    steady = np.flatnonzero(loud & (np.convolve(loud, np.ones(5), "same") >= 3))
    return float(steady[0] * STEP / SAMPLE_RATE), float((steady[-1] + 1) * STEP / SAMPLE_RATE)


def voice_span(expert: AsrExpert, samples: NDArray[np.float32]) -> tuple[float, float]:
    """Where Silero hears speech begin and end, in seconds; all of it when it hears none."""
    detector = SpeechDetector(expert.vad)
    windows = samples[: len(samples) // WINDOW * WINDOW].reshape(-1, WINDOW)
    voice = np.array([detector.probability(window) for window in windows])
    begins, ends = np.flatnonzero(voice >= 0.5), np.flatnonzero(voice >= 0.35)
    if not len(begins):
        return 0.0, len(samples) / SAMPLE_RATE
    return float(begins[0] * WINDOW / SAMPLE_RATE), float((ends[-1] + 1) * WINDOW / SAMPLE_RATE)


class Redecoding:
    """The peer: everything is read again at every step."""

    LOOKBACK, LONGEST, REFRESH, SILENCE = 5, 15 * SAMPLE_RATE, 0.2, 0.3

    def __init__(self, expert: AsrExpert) -> None:
        self._moonshine: Moonshine = expert.moonshine
        self._detector = SpeechDetector(expert.vad)
        self._audio = np.zeros(0, np.float32)
        self._position = self._start = self._refreshed = self._silent = 0
        self._speaks = False

    def push_audio(self, samples: NDArray[np.float32]) -> list[Transcript]:
        """Take one window."""
        self._position += len(samples)
        self._audio = np.concatenate([self._audio, samples])
        voice = self._detector.probability(np.pad(samples, (0, WINDOW - len(samples))))
        if not self._speaks:
            self._audio = self._audio[-self.LOOKBACK * WINDOW :]
            if voice >= 0.5:
                self._speaks, self._silent = True, 0
                self._start, self._refreshed = self._position - len(self._audio), self._position
            return []
        self._silent = 0 if voice >= 0.35 else self._silent + len(samples)
        if self._silent >= self.SILENCE * SAMPLE_RATE or len(self._audio) >= self.LONGEST:
            return self.flush()
        if self._position - self._refreshed < self.REFRESH * SAMPLE_RATE:
            return []
        self._refreshed = self._position
        return self._read(is_final=False)

    def flush(self) -> list[Transcript]:
        """The final of what is open."""
        said = self._read(is_final=True) if self._speaks else []
        self._speaks, self._audio = False, self._audio[:0]
        return said

    def _read(self, *, is_final: bool) -> list[Transcript]:
        if len(self._audio) < MIN_SAMPLES:
            return []
        end = self._start + len(self._audio)
        hypothesis = self._moonshine.transcribe(self._audio)
        active = np.ones(-(-len(self._audio) // WINDOW), np.bool_)
        words = self._moonshine.words(hypothesis, self._start, end, active)
        return [Transcript(f"u{self._start}", is_final, self._start, end, words, language="en")]


def listen(stage: "Stage | Redecoding", samples: NDArray[np.float32]) -> tuple[list[tuple[float, Transcript]], float]:
    """Transcripts with the virtual time at which each was there, and the processor seconds of all calls."""
    heard: list[tuple[float, Transcript]] = []
    clock = cpu_s = 0.0
    for start in [*range(0, len(samples), CHUNK), len(samples)]:
        before = time.process_time()
        chunk = samples[start : start + CHUNK]
        percepts = stage.push_audio(chunk) if len(chunk) else stage.flush()
        taken = time.process_time() - before
        cpu_s += taken
        clock = max(clock, (start + len(chunk)) / SAMPLE_RATE) + taken
        heard += [(clock, percept) for percept in percepts if isinstance(percept, Transcript)]
    return heard, cpu_s


def plain(transcript: Transcript) -> list[str]:
    """Its words without case and punctuation."""
    return [text for word in transcript.words if (text := re.sub(r"[^\w']", "", word.text).lower())]


def revised(earlier: Sequence[str], later: Sequence[str]) -> int:
    """Words of `earlier` that `later` does not have at their place."""
    blocks = SequenceMatcher(a=earlier, b=later, autojunk=False).get_matching_blocks()
    return len(earlier) - sum(block.size for block in blocks)


class Tally:
    """Numbers over all clips."""

    def __init__(self) -> None:
        self.first_s: dict[str, list[float]] = {"by_voice_detector": [], "by_level": []}
        self.final_s: dict[str, list[float]] = {"by_voice_detector": [], "by_level": []}
        self.steps_s: list[float] = []
        self.counts = dict.fromkeys(
            ("partials", "partial_words", "revised_words", "last_partial_words", "revised_by_final", "stable_words")
            + ("stable_words_revised_by_final", "finals", "corrected_finals", "final_words", "corrected_words"),
            0,
        )

    def add(self, heard: Sequence[tuple[float, Transcript]], spans: Mapping[str, tuple[float, float]]) -> None:
        """Take one clip's transcripts; `spans`: where its speech begins and ends, told in two ways."""
        with_words = [(at_s, said) for at_s, said in heard if said.words]
        for name, (onset_s, end_s) in spans.items():
            if with_words:
                self.first_s[name].append(with_words[0][0] - onset_s)
            ends = [at_s for at_s, t in with_words if t.is_final and t.end_sample / SAMPLE_RATE > end_s - EDGE_S]
            if ends:
                self.final_s[name].append(ends[0] - end_s)
        last: dict[str, tuple[float, Transcript]] = {}
        for at_s, said in heard:
            if (before := last.get(said.utterance_id)) is not None:
                self._compare(before[1], said)
                if not before[1].is_final and not said.is_final:
                    self.steps_s.append(at_s - before[0])
            self.counts["partials"] += not said.is_final
            self.counts["finals"] += said.is_final and said.revision == 0
            last[said.utterance_id] = at_s, said

    def _compare(self, earlier: Transcript, later: Transcript) -> None:
        words, changed = len(plain(earlier)), revised(plain(earlier), plain(later))
        if earlier.is_final:
            self.counts["corrected_finals"] += 1
            self.counts["final_words"] += words
            self.counts["corrected_words"] += changed
        elif later.is_final:
            stable = plain(earlier)[: earlier.stable_words]
            self.counts["last_partial_words"] += words
            self.counts["revised_by_final"] += changed
            self.counts["stable_words"] += len(stable)
            self.counts["stable_words_revised_by_final"] += revised(stable, plain(later))
        else:
            self.counts["partial_words"] += words
            self.counts["revised_words"] += changed

    def report(self) -> dict[str, Any]:
        """As printed."""
        return {
            "first_partial_after_onset_s": {k: percentiles(v) for k, v in self.first_s.items()},
            "end_of_speech_to_final_s": {k: percentiles(v) for k, v in self.final_s.items()},
            "between_partials_s": percentiles(self.steps_s),
            "partial_words_revised": round(self.counts["revised_words"] / max(1, self.counts["partial_words"]), 4),
            **self.counts,
        }


def percentiles(values: Sequence[float]) -> dict[str, float | int]:
    """How many, median, 95th percentile (linear between ranks)."""
    if not values:
        return {"n": 0}
    p50, p95 = np.percentile(values, (50, 95))
    return {"n": len(values), "p50": round(float(p50), 3), "p95": round(float(p95), 3)}


def clips_of(media: Path, part: str) -> Iterator[dict[str, Any]]:
    """English clips with a text; `part` is all, dev or held-out (every other clip)."""
    rows = [json.loads(line) for line in (media / "audio" / "manifest.jsonl").open()]
    clips = [r for r in rows if r.get("text") and r["language"] == "en" and not r["kind"].startswith("diar")]
    yield from {"all": clips, "dev": clips[::2], "held-out": clips[1::2]}[part]


def main() -> None:
    """Measure and print."""
    import jiwer
    from whisper_normalizer.english import EnglishTextNormalizer

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--part", choices=("all", "dev", "held-out"), default="all")
    parser.add_argument("--language", default="en")
    parser.add_argument("--option", action="append", default=["second_pass=off"])
    parser.add_argument("--every", type=int, default=1, help="take every n-th clip")
    parser.add_argument("--peer", choices=("redecoding",))
    flags = parser.parse_args()
    options = dict(option.split("=", 1) for option in flags.option)
    expert, normal, tally = new_expert(), EnglishTextNormalizer(), Tally()
    expert.moonshine.transcribe(np.zeros(SAMPLE_RATE, np.float32), align=True)
    texts: list[tuple[str, str]] = []
    cpu_s = audio_s = 0.0
    noise = np.random.default_rng(0).standard_normal(round(SILENCE_S * SAMPLE_RATE)).astype(np.float32) * 1e-4
    for clip in list(clips_of(flags.media, flags.part))[:: flags.every]:
        samples = read(flags.media / "audio" / clip["audio"])
        config = StageConfig(language=flags.language, options=options)
        stage = Redecoding(expert) if flags.peer else expert.open_stage(config)
        heard, taken_s = listen(stage, np.concatenate([samples, noise]))
        cpu_s, audio_s = cpu_s + taken_s, audio_s + len(samples) / SAMPLE_RATE + SILENCE_S
        tally.add(heard, {"by_voice_detector": voice_span(expert, samples), "by_level": speech_span(samples)})
        finals = {said.utterance_id: said for _, said in heard if said.is_final}
        texts.append((normal(clip["text"]), normal(" ".join(final.text for final in finals.values())) or "-"))
    wer = jiwer.wer([a for a, _ in texts], [b for _, b in texts])
    result = {"clips": len(texts), "audio_s": round(audio_s, 1), "cpu_s_per_audio_s": round(cpu_s / audio_s, 3)}
    how = {"peer": flags.peer} if flags.peer else {"options": options}
    print(json.dumps({**result, "wer_percent": round(100 * wer, 2), **tally.report(), **how}, indent=1))


if __name__ == "__main__":
    main()
