"""Lays the sound of several browser tracks on one gapless media clock. Pure: no clock, no I/O.

A page sends a microphone and the sound of a tab as two tracks, each with its own time stamps,
pauses and losses. The session wants one mono run without holes, because its sample count *is* the
meeting's clock. Gaps in the time stamps (lost packets, a paused source) become silence of the same
length; tracks are added; nothing is dropped however late it arrives.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000

# A track that is this far behind the newest is not waited for: it has paused.
LATE_SAMPLES = SAMPLE_RATE_HZ // 2
# A jump ahead longer than this is a new beginning of the sender's clock, not a pause.
LONGEST_GAP_SAMPLES = 60 * SAMPLE_RATE_HZ


@dataclass(slots=True)
class _Track:
    """`offset` takes the track's own clock to the media clock, None before its first samples."""

    offset: int | None = None
    end: int = 0


class Mixer:
    """Adds tracks on the media clock from `start_sample` on; `position` is the newest sample known."""

    def __init__(self, start_sample: int) -> None:
        self._emitted = start_sample
        self.position = start_sample
        self._tracks: dict[str, _Track] = {}
        self._horizon = start_sample
        self._sum: NDArray[np.int32] = np.zeros(2 * LATE_SAMPLES, np.int32)

    def push(self, track_id: str, track_sample: int, samples: NDArray[np.int16]) -> None:
        """Add `samples` (n,) int16, 16 kHz mono, that begin at `track_sample` of the track's own clock."""
        track = self._tracks.setdefault(track_id, _Track())
        at = self.position if track.offset is None else track.offset + track_sample
        if at < self._emitted or at > self.position + LONGEST_GAP_SAMPLES:
            # Too late to be mixed in, or another clock: the sound is kept, its place moves.
            at = max(self._emitted, self._newest_of_others(track_id))
        track.offset = at - track_sample
        track.end = at + len(samples)
        self.position = max(self.position, track.end)
        first = at - self._emitted
        self._reserve(first + len(samples))
        self._sum[first : first + len(samples)] += samples
        self._advance()

    def close(self, track_id: str) -> None:
        """Wait for this track no more."""
        self._tracks.pop(track_id, None)
        self._advance()

    def idle(self, samples: int) -> None:
        """No track sent anything for so long: the meeting's clock goes on in silence."""
        self.position += samples
        self._horizon = self.position

    def take(self) -> NDArray[np.int16]:
        """All that is complete, (n,) int16, directly after what was taken before; n may be 0."""
        n = self._horizon - self._emitted
        self._reserve(n)
        ready = np.clip(self._sum[:n], -32768, 32767).astype(np.int16)
        kept = self.position - self._horizon
        self._sum[:kept] = self._sum[n : n + kept].copy()
        self._sum[kept:] = 0
        self._emitted = self._horizon
        return ready

    def flush(self) -> NDArray[np.int16]:
        """The rest, when no more comes."""
        self._horizon = self.position
        return self.take()

    def _newest_of_others(self, track_id: str) -> int:
        ends = [t.end for name, t in self._tracks.items() if name != track_id and t.offset is not None]
        return max(ends, default=self._emitted)

    def _advance(self) -> None:
        ends = [track.end for track in self._tracks.values() if track.offset is not None]
        waited_for = [end for end in ends if end > self.position - LATE_SAMPLES]
        self._horizon = max(self._horizon, min(waited_for, default=self.position))

    def _reserve(self, samples: int) -> None:
        if samples > len(self._sum):
            grown = np.zeros(samples + LATE_SAMPLES, np.int32)
            grown[: len(self._sum)] = self._sum
            self._sum = grown


class Backlog:
    """Sound that waits for a session that is late, first in first out.

    At most `limit_samples` are kept as sound. Overflow policy: the oldest sound turns into silence
    of the same length, so the clock stays gapless, memory stays bounded and the newest words are
    heard; `lost_samples` counts it.
    """

    def __init__(self, limit_samples: int) -> None:
        self._limit = limit_samples
        self._silence = 0
        self._sound: deque[NDArray[np.int16]] = deque()
        self._sounding = 0
        self.lost_samples = 0

    @property
    def samples(self) -> int:
        """How much waits."""
        return self._silence + self._sounding

    def append(self, samples: NDArray[np.int16]) -> None:
        """Add `samples` (n,) int16 at the end."""
        if not len(samples):
            return
        self._sound.append(samples)
        self._sounding += len(samples)
        while self._sounding > self._limit and len(self._sound) > 1:
            oldest = len(self._sound.popleft())
            self._sounding -= oldest
            self._silence += oldest
            self.lost_samples += oldest

    def take(self, most: int) -> NDArray[np.int16]:
        """The first samples, (n,) int16 with n at most `most`."""
        if self._silence:
            n = min(self._silence, most)
            self._silence -= n
            return np.zeros(n, np.int16)
        parts: list[NDArray[np.int16]] = []
        room = most
        while self._sound and room:
            part = self._sound.popleft()
            if len(part) > room:
                self._sound.appendleft(part[room:])
                part = part[:room]
            parts.append(part)
            room -= len(part)
        self._sounding -= most - room
        return np.concatenate(parts) if parts else np.zeros(0, np.int16)
