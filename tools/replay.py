"""What a live client keeps so that it can go on after its connection broke. Pure."""

from collections import deque
from dataclasses import replace
from heapq import merge

from tools.media import SAMPLE_RATE, Audio, Item, Picture

# A server that never says what it needs no more must not fill our memory: 30 minutes of sound are 58 MB.
MAX_AUDIO_SAMPLES = 30 * 60 * SAMPLE_RATE
MAX_PICTURES = 32


class ReplayGapError(LookupError):
    """The server asks for sound that was forgotten already."""


class Replay:
    """Sound and pictures that may have to be sent again; when full, the oldest are forgotten."""

    def __init__(self) -> None:
        self._audio: deque[Audio] = deque()
        self._samples = 0
        self._forgotten_sample = 0
        self._pictures: deque[Picture] = deque(maxlen=MAX_PICTURES)

    def add(self, item: Item) -> None:
        """Keep one more item; items come in order of time."""
        if isinstance(item, Picture):
            self._pictures.append(item)
            return
        self._audio.append(item)
        self._samples += item.end_sample - item.start_sample
        while self._samples > MAX_AUDIO_SAMPLES:
            self._forget()

    def trim(self, resume_sample: int) -> None:
        """Forget what lies before this position, except the newest picture: it is still on the screen."""
        while self._audio and self._audio[0].end_sample <= resume_sample:
            self._forget()
        while len(self._pictures) > 1 and self._pictures[0].start_sample < resume_sample:
            self._pictures.popleft()

    def _forget(self) -> None:
        audio = self._audio.popleft()
        self._samples -= audio.end_sample - audio.start_sample
        self._forgotten_sample = audio.end_sample

    def since(self, resume_sample: int) -> list[Item]:
        """Everything from this position on, in order of time, cut at the position itself.

        The newest picture is always part of it: it is still on the screen. Raises ReplayGapError.
        """
        if resume_sample < self._forgotten_sample:
            raise ReplayGapError(
                f"the server wants sound from {resume_sample / SAMPLE_RATE:.1f} s on, "
                f"but only what follows {self._forgotten_sample / SAMPLE_RATE:.1f} s was kept"
            )
        audio: list[Item] = [_cut(item, resume_sample) for item in self._audio if item.end_sample > resume_sample]
        pictures: list[Item] = [item for item in self._pictures if item.start_sample >= resume_sample]
        if self._pictures and not pictures:
            pictures.append(replace(self._pictures[-1], start_sample=resume_sample))
        return list(merge(audio, pictures, key=lambda item: item.end_sample))


def _cut(item: Audio, start_sample: int) -> Audio:
    late = max(0, start_sample - item.start_sample)
    return Audio(item.pcm[2 * late :], item.start_sample + late)
