"""What every runtime of a graph looks like, and the errors of this room.

EngineError
├── ModelMissingError   not fetched yet: says which command fetches it
├── ModelCorruptError   a file's digest is not the manifest's
├── ManifestError       a manifest does not parse or names an unknown thing
├── FetchError          a package could not be had or converted
└── TensorError         a feed has the wrong name, dtype or shape
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

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

    def run(self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
        """Run the graph once; `outputs` None gives all. Raises TensorError for a misfit feed."""
