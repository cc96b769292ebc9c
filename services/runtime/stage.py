"""The one structural idea: a perception stage is pure, I/O is written once around it.

A stage has no asyncio, no gRPC, no clock and no thread. Its results do not depend on how its
media was cut into pieces. Weights belong to the `Expert`, which is shared; the `Stage` holds the
state of one stream.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from services.runtime.percept import Percept


class MediaError(ValueError):
    """The caller's media or config is wrong; the message names the value and the allowed range."""


class OverloadedError(RuntimeError):
    """No room for this now; try again after `retry_after_s`."""

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class StageConfig:
    """Settings of one stream.

    `start_sample` is where its media begins on the media clock; `resume_state` is the state of the
    last `Checkpoint` of a broken stream (empty for a new one); `options` are the service's own;
    `queries` are what to find in pictures.
    """

    language: str = ""
    tasks: tuple[str, ...] = ()
    start_sample: int = 0
    resume_state: bytes = b""
    options: Mapping[str, str] = field(default_factory=dict)
    queries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded picture: `pixels` (height, width, 3) uint8 BGR, shown from `start_sample` on."""

    pixels: NDArray[np.uint8]
    start_sample: int
    frame_id: str = ""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One model of an expert, for Describe; `name` is its manifest's, no `tasks` means all of the service's.

    `backend` is what computes it, `precision` the number format of its weights (engines.models.RunsAs).
    """

    name: str
    backend: str
    precision: str
    is_loaded: bool
    tasks: tuple[str, ...] = ()


class Stage(Protocol):
    """State of one stream. Calls come one at a time; each may take as long as the model does."""

    def push_audio(self, samples: NDArray[np.float32]) -> Sequence[Percept]:
        """Take the next samples, (n,) float32 in [-1, 1], gapless since `start_sample`; n >= 1."""

    def push_frame(self, frame: Frame) -> Sequence[Percept]:
        """Take the next picture."""

    def flush(self) -> Sequence[Percept]:
        """End of media: everything pending, as finals."""


@runtime_checkable
class AdjustableStage(Stage, Protocol):
    """A stage some of whose options may change in the middle of its stream."""

    def update(self, options: Mapping[str, str]) -> None:
        """Take new values from here on; others stay. Raises MediaError for what cannot change or is wrong."""


@runtime_checkable
class RestingStage(Stage, Protocol):
    """A stage that betters what it said when there is nothing else to do."""

    @property
    def is_still(self) -> bool:
        """True when the last media brought nothing to work on: a rest goes on behind it."""

    def rest(self, *, is_long: bool) -> Sequence[Percept] | None:
        """Do the next small piece of that work; None when none is left before more media comes.

        `is_long`: nothing new has come for so long that costlier work is worth it. It may be broken off in a graph run
        (engines/interruption.py), and is then as if it had not been called.
        `flush` does what is left: however often this was called, the last finals are the same.
        """


@runtime_checkable
class PiecewiseStage(Stage, Protocol):
    """A stage that can say what it has read of a picture before it has read all of it."""

    def push_frame_in_pieces(self, frame: Frame) -> Iterator[Sequence[Percept]]:
        """Take the next picture: each step does a piece of the work and says what is known, as partials.

        The last step says what `push_frame` does. All steps come before the next call.
        """


class Expert(Protocol):
    """One service's models and the stages that use them. Made once per process."""

    name: str
    takes_audio: bool
    takes_frames: bool

    def open_stage(self, config: StageConfig) -> Stage:
        """Begin a stream. Raises MediaError for a wrong setting, ModelMissingError."""

    def models(self) -> Sequence[ModelInfo]:
        """All models it may use."""
