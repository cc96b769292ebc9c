"""Live speaker turns, pure: audio in, turns out.

The stream is cut into blocks of 5 to 9.3 s, at pauses where there are any. Segmentation looks at a block as it
grows, and turns are reported as not final. When it is whole, its voices are embedded and clustered with all
earlier ones, its turns become final and a checkpoint follows. Nothing in a block needs sound from before its
start, so a stage made from a checkpoint does the very same.

A final turn keeps its span. Its speaker and confidence may be corrected as more is heard, by the same `turn_id`
again, within the horizon of `clustering.MAX_VOICES`. A turn that was never final is void once later turns or the end
have come.

With the option `voices` a whole block's people, and those whom it corrected, are followed by how they sound.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engines.engine import Engine
from services.diarization.clustering import Span, Speakers, Voice, quantised
from services.diarization.embedding import DIMENSION, Features, embed, seconds, space_id
from services.diarization.segmentation import FRAME_STEP, Tracks, active_speakers, frame_at, frame_start, runs
from services.diarization.utterances import Utterance, by_voice, mean_voice
from services.runtime.percept import SAMPLE_RATE, Checkpoint, Percept, SpeakerTurn, SpeakerVoice
from services.runtime.stage import Frame, MediaError, StageConfig

# One step is 29 frames of the segmentation (0.49 s). A block has 9.8 s, about what the model was trained on.
STEP = 29 * FRAME_STEP
BLOCK_STEPS = 20
# Every fourth step the block so far votes on who speaks, once it is long enough (3.9 s).
VOTE_STEPS = 4
MIN_VOTE_STEPS = 8
# A block is cut between these, in the last pause, else at the later one.
MIN_CUT = 10 * STEP
MAX_CUT = 19 * STEP
MIN_PAUSE_S = 0.2
# Shorter silence inside a turn is part of it; shorter turns are none.
MAX_GAP_S = 0.2
MIN_TURN_S = 0.1
# Voices need this much speech alone (s), else overlapped speech is used too.
MIN_ALONE_S = 0.4
# A look between the votes sees the last 3.9 s of the block.
LOOK = MIN_VOTE_STEPS * STEP
# A report knows a voice by this much speech (s), made of stretches that are each as long as all before.
ENOUGH_S = 3.0
# Steps between two reports of a growing block, by the option's value.
LATENCY_STEPS = {"0.5": 1, "2": 4, "5": 10}
# The rest of a stream is looked at when it is at least this long.
MIN_REST = SAMPLE_RATE // 4
_VERSION = b"stage2\n"
_HEAD = struct.Struct("<qqii")


@dataclass(slots=True)
class _Heard:
    """How a track of the growing block sounds, as far as reports know: `frames` of the block were listened to."""

    frames: int = 0
    speech_s: float = 0.0
    sum: NDArray[np.float32] = field(default_factory=lambda: np.zeros(DIMENSION, np.float32))

    @property
    def unit(self) -> NDArray[np.float32]:
        """The embedding, (192,) of length 1."""
        unit: NDArray[np.float32] = self.sum / max(float(np.linalg.norm(self.sum)), 1e-6)
        return unit


class DiarizationStage:
    """One stream's speakers."""

    def __init__(self, segmentation: Engine, embedding: Engine, config: StageConfig) -> None:
        """Raises MediaError for an unknown option or a state that is not ours."""
        self._segmentation = segmentation
        self._embedding = embedding
        self._report_steps = _report_steps(config.options)
        self._gives_voices = _gives_voices(config.options)
        self._speakers = Speakers()
        self._block = 0
        self._turn = 0
        # Up to here everything was reported.
        self._reported = config.start_sample
        if config.resume_state:
            resume_sample, self._reported, self._block, self._turn, self._speakers = _read_state(config.resume_state)
            if config.start_sample < resume_sample:
                raise MediaError(
                    f"start_sample is {config.start_sample}, before the checkpoint's resume_sample {resume_sample}"
                )
        # Where the block starts on the media clock, its sound so far, and what was made of it.
        self._start = config.start_sample
        self._samples = np.zeros(0, np.float32)
        self._begin_block()

    def _begin_block(self) -> None:
        self._steps = 0
        self._tracks = Tracks()
        self._features = Features()
        # Per track, for reports.
        self._heard: dict[int, _Heard] = {}
        self._live: dict[str, SpeakerTurn] = {}

    def push_audio(self, samples: NDArray[np.float32]) -> Sequence[Percept]:
        """Take the next samples, (n,) float32 in [-1, 1]. Raises MediaError when one is not finite."""
        if not np.isfinite(samples).all():
            raise MediaError("audio holds values that are not finite, must be in [-1, 1]")
        out: list[Percept] = []
        self._samples = np.concatenate([self._samples, samples])
        while len(self._samples) >= (self._steps + 1) * STEP:
            self._steps += 1
            out += self._advance()
        return out

    def push_frame(self, frame: Frame) -> Sequence[Percept]:
        """Raises MediaError: there is nothing to hear in a picture."""
        raise MediaError("diarization takes sound, not frames")

    def flush(self) -> Sequence[Percept]:
        """End of media: the rest as finals."""
        if len(self._samples) < MIN_REST:
            return []
        self._tracks.add(active_speakers(self._segmentation, self._samples))
        return self._settle(self._tracks.active(), len(self._samples))

    def _advance(self) -> list[Percept]:
        """One step more: vote, and report or close the block when it is time."""
        votes = self._steps >= MIN_VOTE_STEPS and self._steps % VOTE_STEPS == 0
        reported_steps = (self._reported - self._start) // STEP
        # What the last block has reported beyond its end is reported once, under its new turns.
        due = self._steps == reported_steps or self._steps > reported_steps and self._steps % self._report_steps == 0
        if not (votes or due):
            return []
        end = self._steps * STEP
        if votes:
            self._tracks.add(active_speakers(self._segmentation, self._samples[:end]))
            if self._steps == BLOCK_STEPS:
                return self._close()
            return self._report(self._tracks.active()) if due else []
        # What is looked at between the votes is forgotten, so that finals do not depend on the latency.
        tracks = self._tracks.copy()
        start = max(0, end - LOOK)
        tracks.add(active_speakers(self._segmentation, self._samples[start:end]), start // FRAME_STEP)
        return self._report(tracks.active())

    def _report(self, active: NDArray[np.bool_]) -> list[Percept]:
        """Turns of the growing block that are new or differ from what was reported before."""
        if not active.any():
            return []
        alone = active & (active.sum(axis=1) == 1)[:, None]
        samples = self._samples[: self._steps * STEP]
        voices: dict[int, _Heard] = {}
        for track in range(active.shape[1]):
            heard = self._heard.setdefault(track, _Heard())
            fresh = alone[:, track].copy()
            fresh[: heard.frames] = False
            fresh_s = seconds(fresh)
            if heard.speech_s < ENOUGH_S and fresh_s >= max(MIN_ALONE_S, heard.speech_s):
                unit = embed(self._embedding, self._features, samples, fresh)
                if unit is not None:
                    heard.sum += fresh_s * unit
                    heard.speech_s += fresh_s
                    heard.frames = len(active)
            if heard.speech_s:
                voices[track] = heard
        names = self._speakers.guess([heard.unit for heard in voices.values()])
        turns = sorted(
            (*self._span(first, last), name)
            for track, name in zip(voices, names, strict=True)
            for first, last in _utterances(active[:, track])
        )
        out: list[Percept] = []
        for number, (start, end, name) in enumerate(turns, self._turn):
            turn = _turn(Span(number, start, end), name)
            if self._live.get(turn.turn_id) != turn:
                self._live[turn.turn_id] = turn
                out.append(turn)
        # Tracks of a look that is forgotten have no number of their own.
        for track in [track for track in self._heard if track >= self._tracks.votes.shape[1]]:
            del self._heard[track]
        return out

    def _close(self) -> list[Percept]:
        """The block is whole: find the cut, settle what is before it, begin the next."""
        active = self._tracks.active()
        cut = _cut(active)
        out = self._settle(active[: frame_at(cut)], cut)
        self._reported = self._start + BLOCK_STEPS * STEP
        self._start += cut
        self._samples = self._samples[cut:]
        self._block += 1
        self._begin_block()
        head = _HEAD.pack(self._start, self._reported, self._block, self._turn)
        out.append(Checkpoint(self._start, _VERSION + head + self._speakers.to_bytes()))
        return out

    def _settle(self, active: NDArray[np.bool_], length: int) -> list[Percept]:
        """Finals of the block's first `length` samples, and of earlier turns that get another speaker."""
        if not active.any():
            return []
        samples = self._samples[:length]
        tracks = [self._hear(samples, active, track) for track in range(active.shape[1])]
        groups = [group for utterances in tracks for group in by_voice(utterances)]
        groups.sort(key=lambda group: group[0].start_sample)
        order = sorted((u.start_sample, index) for index, group in enumerate(groups) for u in group)
        numbers = {key: number for number, key in enumerate(order, self._turn)}
        self._turn += len(numbers)
        voices = [
            Voice(
                block=self._block,
                vector=quantised(mean_voice(group)),
                # As a checkpoint keeps it, so that what is made of it stays the very same.
                duration_s=float(np.float32(sum(u.duration_s for u in group))),
                spans=tuple(Span(numbers[u.start_sample, index], u.start_sample, u.end_sample) for u in group),
            )
            for index, group in enumerate(groups)
        ]
        changed = self._speakers.add(voices)
        turns = sorted(((span, voice) for voice in changed for span in voice.spans), key=lambda t: t[0].turn)
        out: list[Percept] = [_turn(span, voice.speaker, voice.confidence) for span, voice in turns]
        if self._gives_voices:
            heard = self._speakers.heard({voice.speaker for voice in changed})
            out += [
                SpeakerVoice(f"S{speaker}", speech_s, tuple(unit.tolist()), space_id())
                for speaker, (speech_s, unit) in heard.items()
            ]
        return out

    def _hear(self, samples: NDArray[np.float32], active: NDArray[np.bool_], track: int) -> list[Utterance]:
        """The utterances of one track that are long enough to know a voice by."""
        alone = active[:, track] & (active.sum(axis=1) == 1)
        heard = []
        for first, last in _utterances(active[:, track]):
            mask = np.zeros(len(active), np.bool_)
            mask[first:last] = active[first:last, track]
            alone_s = seconds(mask & alone)
            if alone_s >= MIN_ALONE_S:
                mask &= alone
            unit = embed(self._embedding, self._features, samples, mask)
            if unit is not None:
                # A voice that is heard through another's counts for little.
                heard.append(Utterance(*self._span(first, last), max(alone_s, MIN_TURN_S), unit))
        return heard

    def _span(self, first: int, last: int) -> tuple[int, int]:
        """Frames of the block -> samples of the media clock."""
        return self._start + frame_start(first), self._start + frame_start(last)


def _utterances(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Half-open frame spans of one track, short gaps closed and what is too short left out."""
    joined: list[tuple[int, int]] = []
    for first, last in runs(mask):
        if joined and first - joined[-1][1] < MAX_GAP_S * SAMPLE_RATE / FRAME_STEP:
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return [(first, last) for first, last in joined if last - first >= MIN_TURN_S * SAMPLE_RATE / FRAME_STEP]


def _cut(active: NDArray[np.bool_]) -> int:
    """Sample at which a whole block is cut: the middle of the last pause between the limits, else the last limit."""
    silent = active.sum(axis=1) == 0
    first, last = frame_at(MIN_CUT), frame_at(MAX_CUT)
    pauses = [(a, b) for a, b in runs(silent[first:last]) if seconds(silent[first + a : first + b]) >= MIN_PAUSE_S]
    if not pauses:
        return MAX_CUT
    start, end = pauses[-1]
    return frame_start(first + (start + end) // 2)


def _turn(span: Span, speaker: int, confidence: float | None = None) -> SpeakerTurn:
    """A turn; one without a confidence is not final."""
    is_final = confidence is not None
    return SpeakerTurn(f"turn-{span.turn}", f"S{speaker}", span.start_sample, span.end_sample, confidence, is_final)


def _report_steps(options: Mapping[str, str]) -> int:
    if unknown := set(options) - {"latency_s", "voices"}:
        raise MediaError(f"unknown options {sorted(unknown)}; diarization knows latency_s and voices")
    latency_s = options.get("latency_s", "2")
    if latency_s not in LATENCY_STEPS:
        raise MediaError(f"latency_s is {latency_s!r}, must be one of {', '.join(LATENCY_STEPS)}")
    return LATENCY_STEPS[latency_s]


def _gives_voices(options: Mapping[str, str]) -> bool:
    voices = options.get("voices", "off")
    if voices not in ("on", "off"):
        raise MediaError(f"voices is {voices!r}, must be on or off")
    return voices == "on"


def _read_state(state: bytes) -> tuple[int, int, int, int, Speakers]:
    start = len(_VERSION) + _HEAD.size
    if not state.startswith(_VERSION) or len(state) < start:
        raise MediaError("resume_state is no checkpoint of diarization, version 2; begin a new stream without it")
    resume_sample, reported, block, turn = _HEAD.unpack_from(state, len(_VERSION))
    if min(resume_sample, reported, block, turn) < 0:
        raise MediaError("resume_state has negative positions; begin a new stream without it")
    try:
        return resume_sample, reported, block, turn, Speakers.from_bytes(state[start:])
    except ValueError as error:
        raise MediaError(f"resume_state is damaged: {error}; begin a new stream without it") from error
