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


class SetupError(EngineError):
    """Something that has to be there is not, or is not set as it must be; the message says what to do."""


class ModelMissingError(SetupError):
    """The model's files are not in the cache."""


class ModelCorruptError(SetupError):
    """A file in the cache or in a package is not the one that the manifest names."""


class ManifestError(SetupError):
    """A manifest is wrong or unknown."""


class FetchError(SetupError):
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
    """Where something is made on a card, on the stream of the run that needs it; arrays are as kernels take them."""

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


class Reduced(ABC):
    """What the graph's `outputs` come to, asked for in their place: the backend makes it where it computes."""

    __slots__ = ()
    outputs: tuple[str, ...]
    # An array that `on_card` makes beside the others, one int32: so many of their rows count, the rest is left there.
    counted_by: ClassVar[str] = ""

    @abstractmethod
    def on_host(self, values: Sequence[NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Of the whole outputs, by the processor: arrays by names of their own."""

    @abstractmethod
    def on_card(self, values: Sequence[Any], workplace: Workplace) -> dict[str, Any]:
        """Queue what makes them; each is the `workplace`'s array of its name. Raises DeviceError, TensorError."""


Outputs = Sequence[str | Reduced]


def check_types(feeds: Feeds, inputs: Sequence[TensorSpec], expected: Mapping[str, tuple[np.dtype[Any], int]]) -> None:
    """Raises TensorError for a feed of a wrong name, number format or number of axes: `expected`, by name."""
    for name, value in feeds.items():
        if name not in expected:
            raise TensorError(f"no input {name!r}; inputs are {sorted(expected)}")
        if (value.dtype, value.ndim) != expected[name]:
            (spec,) = [spec for spec in inputs if spec.name == name]
            raise TensorError(
                f"input {name!r} is {value.dtype.name}{list(value.shape)}, must be {spec.dtype}{list(spec.shape)}"
            )


def on_host(feeds: Feeds) -> dict[str, NDArray[Any]]:
    """The tensors themselves."""
    return {name: value if isinstance(value, np.ndarray) else value.on_host() for name, value in feeds.items()}


def names_of(outputs: Outputs) -> list[str]:
    """The graph's outputs that are asked for."""
    return [name for asked in outputs for name in ((asked,) if isinstance(asked, str) else asked.outputs)]


def given(outputs: Outputs, values: Sequence[NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """What `Engine.run` gives of the values of `names_of(outputs)`."""
    whole = dict(zip(names_of(outputs), values, strict=True))
    found: dict[str, NDArray[Any]] = {}
    for asked in outputs:
        if isinstance(asked, str):
            found[asked] = whole[asked]
        else:
            found |= asked.on_host([whole[name] for name in asked.outputs])
    return found


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

    def run(self, feeds: Feeds, outputs: Outputs | None = None) -> dict[str, NDArray[Any]]:
        """Run the graph once; `outputs` None gives all. Raises TensorError for a misfit feed."""
