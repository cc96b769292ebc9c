"""Which voices are one person: average-linkage clustering over everything that the memory keeps.

A *voice* is one person's speech within one block. Every new block's voices are clustered anew together with all
kept ones, so a later minute may correct an earlier label. Memory is bounded: beyond `MAX_VOICES` the oldest are
folded into one mean per person and cannot be corrected any more.
"""

import struct
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from services.diarization.embedding import DIMENSION
from services.diarization.linkage import average_linkage

# Mean cosine of two clusters above which they are one person.
MIN_SIMILARITY = 0.54
# Voices of one block were told apart by the segmentation: they must be more alike by this to be one person,
ONE_BLOCK_DOUBT = 0.03
# and never are when both speak at once for longer than this (samples),
MAX_AT_ONCE = 4800
# unless they are more alike than two people: then the segmentation took one person for two.
ONE_VOICE = 0.65
# Voices of less speech than this (s) are noisier: one person's are less alike by the second number.
LIGHT = (2.0, 0.05)
# A voice heard for less than this (s) joins a person but never makes one.
MIN_FOUNDING_S = 1.0
# About 25 minutes of a lively meeting: the horizon of corrections.
MAX_VOICES = 256
# Of people not heard within the horizon, only so many are known again: the lightest is forgotten.
MAX_PAST = 64
# Confidence that a voice's speaker is right: logistic in how much more alike the voice is to this speaker's others
# than to the next best speaker's, and in the log of its seconds; fitted as docs/diarization.md tells.
CONFIDENCE = (1.75, 0.61, 1.28)
# What a voice is taken to be alike to the next best speaker when there is only one.
NOBODY_ELSE = 0.3
# Changes of the confidence smaller than this are not told.
CONFIDENCE_STEP = 0.1
_VERSION = b"voices2\n"
_HEAD = struct.Struct("<iii")
_VOICE = np.dtype(
    [
        ("block", "<i4"),
        ("speaker", "<i4"),
        ("duration_s", "<f4"),
        ("confidence", "<f4"),
        ("vector", "i1", (DIMENSION,)),
    ]
)
_PERSON = np.dtype([("speaker", "<i4"), ("weight", "<f4"), ("sum", "<f4", (DIMENSION,))])
_SPAN = np.dtype([("voice", "<i4"), ("turn", "<i4"), ("start", "<i8"), ("end", "<i8")])


@dataclass(frozen=True, slots=True)
class Span:
    """One turn: its number in the session and where it is, in samples of the media clock."""

    turn: int
    start_sample: int
    end_sample: int


@dataclass(frozen=True, slots=True)
class Voice:
    """One person within block number `block`.

    `vector` is the embedding times 127 as int8, `duration_s` its speech that is nobody else's, `speaker` the
    person, counted from 1; 0 before the first clustering. `confidence` is the chance that it is the right one.
    """

    block: int
    vector: NDArray[np.int8]
    duration_s: float
    spans: tuple[Span, ...]
    speaker: int = 0
    confidence: float = 0.0

    @property
    def unit(self) -> NDArray[np.float32]:
        """The embedding, (192,) float32 of length 1."""
        vector = self.vector.astype(np.float32)
        unit: NDArray[np.float32] = vector / max(float(np.linalg.norm(vector)), 1e-6)
        return unit

    def at_once(self, other: "Voice") -> int:
        """Samples in which both speak."""
        return sum(
            max(0, min(a.end_sample, b.end_sample) - max(a.start_sample, b.start_sample))
            for a in self.spans
            for b in other.spans
        )


def quantised(unit: NDArray[np.float32]) -> NDArray[np.int8]:
    """Embedding (192,) in [-1, 1] -> int8, so that a checkpoint's copy is the very same."""
    return np.rint(unit * 127).astype(np.int8)


@dataclass(slots=True)
class _Person:
    """Voices that are too old to be corrected: the sum of their weighted unit vectors."""

    weight: float
    sum: NDArray[np.float32]


@dataclass(slots=True)
class Speakers:
    """The people of one stream."""

    voices: list[Voice] = field(default_factory=list)
    speaker_count: int = 0
    _past: dict[int, _Person] = field(default_factory=dict)

    def add(self, voices: list[Voice]) -> list[Voice]:
        """Cluster one block's voices with all others.

        Returns every voice whose speaker is new or has changed, or is surer or less sure now, oldest first.
        """
        self.voices += voices
        labels = self._clusters()
        if not self.voices:
            return []
        changed = []
        known = zip(self.voices, labels, self._confidences(labels), strict=True)
        for index, (voice, label, confidence) in enumerate(known):
            if voice.speaker != label or abs(voice.confidence - confidence) >= CONFIDENCE_STEP:
                self.voices[index] = replace(voice, speaker=label, confidence=confidence)
                changed.append(self.voices[index])
        while len(self.voices) > MAX_VOICES:
            self._forget(self.voices.pop(0))
        return changed

    def guess(self, units: list[NDArray[np.float32]]) -> list[int]:
        """Speakers of voices that are not kept, all of one moment: known people or the next new numbers."""
        people = self._centroids()
        found = [0] * len(units)
        if people and units:
            similarity = np.array([[float(unit @ centroid) for centroid in people.values()] for unit in units])
            for row, column in zip(*linear_sum_assignment(-similarity), strict=True):
                if similarity[row, column] >= MIN_SIMILARITY:
                    found[row] = list(people)[column]
        fresh = self.speaker_count
        for index, speaker in enumerate(found):
            if speaker == 0:
                fresh += 1
                found[index] = fresh
        return found

    def heard(self, speakers: set[int]) -> dict[int, tuple[float, NDArray[np.float32]]]:
        """Seconds of speech and mean voice, (192,) of length 1, of each of some people."""
        seconds = {speaker: person.weight for speaker, person in self._past.items()}
        for voice in self.voices:
            seconds[voice.speaker] = seconds.get(voice.speaker, 0.0) + voice.duration_s
        centroids = self._centroids()
        return {speaker: (seconds[speaker], centroids[speaker]) for speaker in sorted(speakers & set(seconds))}

    def _centroids(self) -> dict[int, NDArray[np.float32]]:
        sums = {speaker: person.sum.copy() for speaker, person in self._past.items()}
        for voice in self.voices:
            before = sums.get(voice.speaker, np.zeros(DIMENSION, np.float32))
            sums[voice.speaker] = before + voice.duration_s * voice.unit
        return {speaker: total / max(float(np.linalg.norm(total)), 1e-6) for speaker, total in sums.items()}

    def _confidences(self, labels: list[int]) -> list[float]:
        """How sure the speaker of each voice is; as a checkpoint keeps it."""
        speakers = sorted(set(labels) | set(self._past))
        index = np.array([speakers.index(label) for label in labels])
        units = np.stack([voice.unit for voice in self.voices])
        lengths = np.array([voice.duration_s for voice in self.voices], np.float32)
        sums = np.zeros((len(speakers), DIMENSION), np.float32)
        for speaker, person in self._past.items():
            sums[speakers.index(speaker)] = person.sum
        np.add.at(sums, index, lengths[:, None] * units)
        rows = np.arange(len(units))
        alike = units @ (sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-6)).T
        others = sums[index] - lengths[:, None] * units
        size = np.linalg.norm(others, axis=1)
        own = np.sum(units * others, axis=1) / np.maximum(size, 1e-6)
        # Who was heard once is as sure as who was just alike enough.
        own[size < 1e-3] = MIN_SIMILARITY
        alike[rows, index] = -1.0
        best = alike.max(axis=1) if len(speakers) > 1 else np.full(len(units), NOBODY_ELSE)
        slope, length_slope, offset = CONFIDENCE
        logit = slope * (own - best) + length_slope * np.log(np.clip(lengths, 0.1, 10.0)) + offset
        return [float(value) for value in (1 / (1 + np.exp(-logit))).astype(np.float32)]

    def _forget(self, voice: Voice) -> None:
        person = self._past.setdefault(voice.speaker, _Person(0.0, np.zeros(DIMENSION, np.float32)))
        person.weight = float(np.float32(person.weight + voice.duration_s))
        person.sum += voice.duration_s * voice.unit
        if len(self._past) > MAX_PAST:
            del self._past[min(self._past, key=lambda speaker: self._past[speaker].weight)]

    def _clusters(self) -> list[int]:
        founding = [i for i, voice in enumerate(self.voices) if voice.duration_s >= MIN_FOUNDING_S]
        if not founding and not self._past and self.voices:
            # Somebody speaks, if only for a moment.
            founding = [max(range(len(self.voices)), key=lambda i: self.voices[i].duration_s)]
        past = list(self._past)
        weights = [self._past[s].weight for s in past] + [self.voices[i].duration_s for i in founding]
        sums = [self._past[s].sum for s in past]
        sums += [self.voices[i].duration_s * self.voices[i].unit for i in founding]
        doubt = self._doubt(len(past), founding)
        rows = np.array(sums, np.float32).reshape(-1, DIMENSION)
        groups = average_linkage(rows, weights, doubt, MIN_SIMILARITY, LIGHT)
        votes = np.zeros((len(groups), self.speaker_count + 1))
        for row, group in enumerate(groups):
            for node in group:
                if node < len(past):
                    votes[row, past[node]] += 1e9
                else:
                    votes[row, self.voices[founding[node - len(past)]].speaker] += weights[node]
        speakers = self._names(votes)
        labels = [0] * len(self.voices)
        for row, group in enumerate(groups):
            for node in group:
                if node >= len(past):
                    labels[founding[node - len(past)]] = speakers[row]
        self._place_short(labels, speakers, [np.sum([sums[n] for n in group], axis=0) for group in groups])
        return labels

    def _doubt(self, past: int, founding: list[int]) -> NDArray[np.float64]:
        """Why nodes may be different people however alike: (nodes, nodes), those of the past first."""
        doubt = np.zeros((past + len(founding), past + len(founding)))
        # People of the past are different by decision.
        doubt[:past, :past] = np.inf
        for row, one in enumerate(founding, past):
            for column, other in enumerate(founding[: row - past], past):
                a, b = self.voices[one], self.voices[other]
                if a.block == b.block:
                    are_two = a.at_once(b) > MAX_AT_ONCE and float(a.unit @ b.unit) < ONE_VOICE
                    doubt[row, column] = doubt[column, row] = np.inf if are_two else ONE_BLOCK_DOUBT
        return doubt

    def _names(self, votes: NDArray[np.float64]) -> list[int]:
        """Speaker number of each cluster: the one most of its voices had, each number once, else a new one."""
        speakers = [0] * len(votes)
        for row, column in zip(*linear_sum_assignment(-votes[:, 1:]), strict=True):
            if votes[row, column + 1] > 0:
                speakers[row] = int(column) + 1
        for row, speaker in enumerate(speakers):
            if speaker == 0:
                self.speaker_count += 1
                speakers[row] = self.speaker_count
        return speakers

    def _place_short(self, labels: list[int], speakers: list[int], sums: list[NDArray[np.float32]]) -> None:
        """Give each voice that founds nobody the nearest person whom no other voice of its block has."""
        centroids = np.array([total / max(float(np.linalg.norm(total)), 1e-6) for total in sums])
        for index, voice in enumerate(self.voices):
            if labels[index]:
                continue
            taken = {labels[i] for i, other in enumerate(self.voices) if other.block == voice.block}
            order = np.argsort(-(centroids @ voice.unit), kind="stable")
            free = [speakers[row] for row in order if speakers[row] not in taken]
            labels[index] = free[0] if free else speakers[order[0]]

    def to_bytes(self) -> bytes:
        """Everything, for a checkpoint: at most about 150 kB."""
        voices = np.zeros(len(self.voices), _VOICE)
        spans = []
        for index, voice in enumerate(self.voices):
            voices[index] = (voice.block, voice.speaker, voice.duration_s, voice.confidence, voice.vector)
            spans += [(index, span.turn, span.start_sample, span.end_sample) for span in voice.spans]
        past = np.zeros(len(self._past), _PERSON)
        for index, (speaker, person) in enumerate(self._past.items()):
            past[index] = (speaker, person.weight, person.sum)
        head = _HEAD.pack(self.speaker_count, len(voices), len(past))
        return _VERSION + head + voices.tobytes() + past.tobytes() + np.array(spans, _SPAN).tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Speakers":
        """Read `to_bytes`. Raises ValueError for anything else."""
        start = len(_VERSION) + _HEAD.size
        if not data.startswith(_VERSION) or len(data) < start:
            raise ValueError("no state of diarization, version 2")
        count, n_voices, n_past = _HEAD.unpack_from(data, len(_VERSION))
        if not (0 <= n_voices <= MAX_VOICES and 0 <= n_past <= MAX_PAST and n_past <= count <= 2**20):
            raise ValueError(f"state counts {count} speakers, {n_voices} voices, {n_past} past speakers")
        middle = start + n_voices * _VOICE.itemsize
        end = middle + n_past * _PERSON.itemsize
        if len(data) < end or (len(data) - end) % _SPAN.itemsize:
            raise ValueError(f"state has {len(data)} bytes, at least {end} expected")
        voices = np.frombuffer(data[start:middle], _VOICE)
        past = np.frombuffer(data[middle:end], _PERSON)
        spans = np.frombuffer(data[end:], _SPAN)
        labels = np.concatenate([voices["speaker"], past["speaker"]])
        numbers = np.concatenate([voices["duration_s"], past["weight"], past["sum"].ravel()])
        is_bad = np.any((labels < 1) | (labels > count)) or not np.all(np.isfinite(numbers))
        if is_bad or not np.all((voices["confidence"] >= 0) & (voices["confidence"] <= 1)):
            raise ValueError("state names speakers or values out of range")
        if np.any((spans["voice"] < 0) | (spans["voice"] >= n_voices) | (spans["end"] <= spans["start"])):
            raise ValueError("state names turns out of range")
        of_voice: list[list[Span]] = [[] for _ in voices]
        for span in spans:
            of_voice[span["voice"]].append(Span(int(span["turn"]), int(span["start"]), int(span["end"])))
        kept = [
            Voice(
                int(v["block"]),
                v["vector"].copy(),
                float(v["duration_s"]),
                tuple(s),
                int(v["speaker"]),
                float(v["confidence"]),
            )
            for v, s in zip(voices, of_voice, strict=True)
        ]
        people = {int(p["speaker"]): _Person(float(p["weight"]), p["sum"].copy()) for p in past}
        return cls(kept, count, people)
