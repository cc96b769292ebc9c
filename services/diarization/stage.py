"""Live speaker turns, pure: audio in, turns out.

The stream is cut into windows of 5 to 10 s, at pauses where there are any. A window's speech is segmented
as it grows (turns that are not final) and once more when it is whole: its voices are embedded and clustered
with all earlier ones, its turns become final and a checkpoint follows. No window needs sound from before its
start, so a stage made from a checkpoint does the very same.

A final turn keeps its span. Its speaker may be corrected as more is heard, by the same `turn_id` again, within
the horizon of `clustering.MAX_VOICES`. A turn that was never final is void once later turns or the end have come.
"""

import struct
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from engines.engine import Engine
from services.diarization.clustering import Span, Speakers, Voice, quantised
from services.diarization.embedding import embed, fbank, seconds
from services.diarization.segmentation import FRAME_FIELD, active_speakers, frame_at, frame_start, runs
from services.runtime.percept import SAMPLE_RATE, Checkpoint, Percept, SpeakerTurn
from services.runtime.stage import Frame, MediaError, StageConfig

WINDOW = 10 * SAMPLE_RATE
# A window is cut between these, at the last pause, else at the border.
MIN_CUT = 5 * SAMPLE_RATE
MAX_CUT = 9 * SAMPLE_RATE
MIN_PAUSE_S = 0.2
# Shorter silence inside a turn is part of it; shorter turns are none.
MAX_GAP_S = 0.2
MIN_TURN_S = 0.1
# Voices need this much speech alone (s), else overlapped speech is used too.
MIN_ALONE_S = 0.4
LATENCIES_S = ("0.5", "2", "5")
_VERSION = b"stage1\n"
_HEAD = struct.Struct("<qii")


class DiarizationStage:
    """One stream's speakers."""

    def __init__(self, segmentation: Engine, embedding: Engine, config: StageConfig) -> None:
        """Raises MediaError for an unknown option or a state that is not ours."""
        self._segmentation = segmentation
        self._embedding = embedding
        self._step = int(_latency_s(config.options) * SAMPLE_RATE)
        self._speakers = Speakers()
        self._window = 0
        self._turn = 0
        if config.resume_state:
            resume_sample, self._window, self._turn, self._speakers = _read_state(config.resume_state)
            if config.start_sample < resume_sample:
                raise MediaError(
                    f"start_sample is {config.start_sample}, before the checkpoint's resume_sample {resume_sample}"
                )
        # Where the window starts on the media clock, and its sound so far.
        self._start = config.start_sample
        self._samples = np.zeros(0, np.float32)
        self._next_step = self._step
        self._live: dict[str, SpeakerTurn] = {}

    def push_audio(self, samples: NDArray[np.float32]) -> Sequence[Percept]:
        """Take the next samples, (n,) float32 in [-1, 1]. Raises MediaError when one is not finite."""
        if not np.isfinite(samples).all():
            raise MediaError("audio holds values that are not finite, must be in [-1, 1]")
        out: list[Percept] = []
        self._samples = np.concatenate([self._samples, samples])
        while True:
            if len(self._samples) >= self._next_step and self._next_step < WINDOW:
                out += self._look(self._samples[: self._next_step])
                self._next_step += self._step
            elif len(self._samples) >= WINDOW:
                out += self._close()
            else:
                return out

    def push_frame(self, frame: Frame) -> Sequence[Percept]:
        """Raises MediaError: there is nothing to hear in a picture."""
        raise MediaError("diarization takes sound, not frames")

    def flush(self) -> Sequence[Percept]:
        """End of media: the rest as finals."""
        if len(self._samples) < FRAME_FIELD:
            return []
        return self._finals(self._samples, len(self._samples))

    def _look(self, samples: NDArray[np.float32]) -> list[Percept]:
        """Turns of a growing window that are new or differ from what was said before."""
        active = active_speakers(self._segmentation, samples)
        heard = self._voices(samples, active)
        names = self._speakers.guess([unit for _, unit in heard])
        turns = sorted(
            (start, end, name)
            for (local, _), name in zip(heard, names, strict=True)
            for start, end in self._spans(active[:, local], len(samples))
        )
        out: list[Percept] = []
        for number, (start, end, name) in enumerate(turns, self._turn):
            turn = _turn(Span(number, start, end), name, is_final=False)
            if self._live.get(turn.turn_id) != turn:
                self._live[turn.turn_id] = turn
                out.append(turn)
        return out

    def _close(self) -> list[Percept]:
        """The window is whole: find the cut, settle what is before it, begin the next."""
        samples = self._samples[:WINDOW]
        active = active_speakers(self._segmentation, samples)
        cut = _cut(active)
        out = self._finals(samples[:cut], cut, active)
        self._start += cut
        self._samples = self._samples[cut:]
        self._next_step = self._step
        self._window += 1
        self._live.clear()
        head = _HEAD.pack(self._start, self._window, self._turn)
        out.append(Checkpoint(self._start, _VERSION + head + self._speakers.to_bytes()))
        return out

    def _finals(
        self, samples: NDArray[np.float32], cut: int, active: NDArray[np.bool_] | None = None
    ) -> list[Percept]:
        if active is None:
            active = active_speakers(self._segmentation, samples)
        active = active[: frame_at(cut)]
        heard = [
            (spans[0], spans, local, unit)
            for local, unit in self._voices(samples, active)
            if (spans := self._spans(active[:, local], cut))
        ]
        numbers = {
            span: number
            for number, span in enumerate(sorted((s, h[2]) for h in heard for s in h[1]), self._turn)
        }
        self._turn += len(numbers)
        alone = active.sum(axis=1) == 1
        voices = [
            Voice(
                window=self._window,
                vector=quantised(unit),
                duration_s=max(seconds(active[:, local] & alone), 0.1),
                spans=tuple(Span(numbers[span, local], *span) for span in spans),
            )
            for _, spans, local, unit in sorted(heard, key=lambda h: (h[0], h[2]))
        ]
        if not voices:
            return []
        changed = self._speakers.add(voices)
        turns = [(span, voice.speaker) for voice in changed for span in voice.spans]
        return [
            _turn(span, speaker, is_final=True) for span, speaker in sorted(turns, key=lambda t: t[0].turn)
        ]

    def _voices(
        self, samples: NDArray[np.float32], active: NDArray[np.bool_]
    ) -> list[tuple[int, NDArray[np.float32]]]:
        """Local speakers (column of `active`) that say enough, with their embeddings."""
        if not active.any():
            return []
        features = fbank(samples)
        alone = active.sum(axis=1) == 1
        found = []
        for local in range(active.shape[1]):
            mask = active[:, local] & alone
            if seconds(mask) < MIN_ALONE_S:
                mask = active[:, local]
            unit = embed(self._embedding, features, mask)
            if unit is not None:
                found.append((local, unit))
        return found

    def _spans(self, mask: NDArray[np.bool_], length: int) -> list[tuple[int, int]]:
        """Turns of one local speaker on the media clock, short gaps closed."""
        spans: list[tuple[int, int]] = []
        for first, last in runs(mask):
            start, end = frame_start(first), min(frame_start(last), length)
            if spans and start - spans[-1][1] < MAX_GAP_S * SAMPLE_RATE:
                spans[-1] = (spans[-1][0], end)
            else:
                spans.append((start, end))
        shortest = MIN_TURN_S * SAMPLE_RATE
        return [(self._start + start, self._start + end) for start, end in spans if end - start >= shortest]


def _cut(active: NDArray[np.bool_]) -> int:
    """Sample at which a whole window is cut: the middle of the last pause between the limits, else the last limit."""
    silent = active.sum(axis=1) == 0
    first, last = frame_at(MIN_CUT), frame_at(MAX_CUT)
    pauses = [
        (a, b) for a, b in runs(silent[first:last]) if seconds(silent[first + a : first + b]) >= MIN_PAUSE_S
    ]
    if not pauses:
        return MAX_CUT
    start, end = pauses[-1]
    return frame_start(first + (start + end) // 2)


def _turn(span: Span, speaker: int, *, is_final: bool) -> SpeakerTurn:
    return SpeakerTurn(
        f"turn-{span.turn}", f"S{speaker}", span.start_sample, span.end_sample, is_final=is_final
    )


def _latency_s(options: Mapping[str, str]) -> float:
    if unknown := set(options) - {"latency_s"}:
        raise MediaError(f"unknown options {sorted(unknown)}; diarization knows latency_s")
    latency_s = options.get("latency_s", "2")
    if latency_s not in LATENCIES_S:
        raise MediaError(f"latency_s is {latency_s!r}, must be one of {', '.join(LATENCIES_S)}")
    return float(latency_s)


def _read_state(state: bytes) -> tuple[int, int, int, Speakers]:
    start = len(_VERSION) + _HEAD.size
    if not state.startswith(_VERSION) or len(state) < start:
        raise MediaError(
            "resume_state is no checkpoint of diarization, version 1; begin a new stream without it"
        )
    resume_sample, window, turn = _HEAD.unpack_from(state, len(_VERSION))
    if min(resume_sample, window, turn) < 0:
        raise MediaError("resume_state has negative positions; begin a new stream without it")
    try:
        return resume_sample, window, turn, Speakers.from_bytes(state[start:])
    except ValueError as error:
        raise MediaError(f"resume_state is damaged: {error}; begin a new stream without it") from error
