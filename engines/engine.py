"""What every runtime of a graph looks like, and the errors of this room.

EngineError
├── ModelMissingError   not fetched yet: says which command fetches it
├── ModelCorruptError   a file's digest is not the manifest's
├── ManifestError       a manifest does not parse or names an unknown thing
├── FetchError          a package could not be had or converted
└── TensorError         a feed has the wrong name, dtype or shape
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray


class EngineError(Exception):
    """Root of this room's errors."""


class ModelMissingError(EngineError):
    """The model's files are not in the cache."""


class ModelCorruptError(EngineError):
    """A file in the cache or in a package is not the one that the manifest names."""


class ManifestError(EngineError):
    """A manifest is wrong or unknown."""


class FetchError(EngineError):
    """A package could not be downloaded, read or converted."""


class TensorError(EngineError):
    """A tensor does not fit the graph."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, numpy dtype name and shape of one graph input or output; a str axis is free."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


class Workplace(Protocol):
    """Where a tensor is made on a card, on the stream of the run that needs it; arrays are as kernels take them."""

    def put(self, name: str, values: NDArray[Any]) -> Any:
        """Copy values to the card. Raises DeviceError."""

    def empty(self, name: str, shape: tuple[int, ...], dtype: str) -> Any:
        """An array of any contents. Raises DeviceError."""

    def tensor(self, shape: tuple[int, ...]) -> Any:
        """The graph's own input, float32. Raises DeviceError."""

    def run(self, launch: Any) -> None:
        """Queue a checked launch. Raises DeviceError."""


class Raw(ABC):
    """What a float32 tensor is made of, fed in its place: the backend makes it where it computes."""

    __slots__ = ()
    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.float32)

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Of the tensor."""

    @property
    def ndim(self) -> int:
        """Number of the tensor's axes."""
        return len(self.shape)

    @abstractmethod
    def on_host(self) -> NDArray[np.float32]:
        """The tensor, made by the processor."""

    @abstractmethod
    def on_card(self, workplace: Workplace) -> None:
        """Queue what makes the tensor on a card. Raises DeviceError, TensorError."""


Feeds = Mapping[str, NDArray[Any] | Raw]


class Engine(Protocol):
    """A loaded graph. Safe to call from several threads."""

    @property
    def backend(self) -> str:
        """Such as "onnxruntime-cpu"."""

    @property
    def inputs(self) -> Sequence[TensorSpec]:
        """What `run` needs."""

    @property
    def outputs(self) -> Sequence[TensorSpec]:
        """What `run` can give."""

    def run(self, feeds: Feeds, outputs: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
        """Run the graph once; `outputs` None gives all. Raises TensorError for a misfit feed."""
