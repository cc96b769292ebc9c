"""A kernel's typed signature and a launch that was checked against it, whoever then runs it.

The driver takes any bytes for arguments: a float64 for a float32 or a short buffer corrupts memory or kills
the process. So every launch is checked here before it can be run, on a device or on the simulator.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from engines.engine import TensorError

MAX_GRID = (2**31 - 1, 65_535, 65_535)


class Array(Protocol):
    """What numpy's and PyCUDA's arrays share."""

    @property
    def dtype(self) -> Any:
        """Number format."""

    @property
    def shape(self) -> Any:
        """Lengths of the axes."""

    @property
    def flags(self) -> Any:
        """Whether it lies in one piece, row after row."""


@dataclass(frozen=True, slots=True)
class Buffer:
    """An array in device memory; axes are numbers, or names that stand for one length in all of a launch."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    is_written: bool = False


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number by value; it must equal the axes that bear its name."""

    name: str
    dtype: str


@dataclass(frozen=True, slots=True)
class Launch:
    """One checked call: `arguments` in the kernel's order, arrays and numpy scalars."""

    kernel: "Kernel"
    grid: tuple[int, int, int]
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Kernel:
    """One `extern "C"` function of `source`, a file beside this one, and the threads of its block."""

    name: str
    source: str
    block: tuple[int, int, int]
    parameters: tuple[Buffer | Scalar, ...]

    def launch(self, grid: Sequence[int], *arguments: Any) -> Launch:
        """Check a call. Python numbers become the scalar's type.

        Raises TensorError: number of arguments, dtype, shape, layout, range of a number, grid.
        """
        whole = tuple(grid) + (1,) * (3 - len(grid))
        if len(whole) != 3 or any(not 1 <= size <= most for size, most in zip(whole, MAX_GRID, strict=True)):
            raise TensorError(f"{self.name}: the grid is {list(grid)}, must be 1 to {MAX_GRID[0]}, 65535, 65535")
        if len(arguments) != len(self.parameters):
            raise TensorError(f"{self.name}: {len(arguments)} arguments given, it takes {len(self.parameters)}")
        sizes: dict[str, int] = {}
        for parameter, argument in zip(self.parameters, arguments, strict=True):
            if isinstance(parameter, Buffer):
                self._check_array(parameter, argument, sizes)
        checked = tuple(
            argument if isinstance(parameter, Buffer) else self._scalar(parameter, argument, sizes)
            for parameter, argument in zip(self.parameters, arguments, strict=True)
        )
        return Launch(self, (whole[0], whole[1], whole[2]), checked)

    def _check_array(self, parameter: Buffer, array: Array, sizes: dict[str, int]) -> None:
        given = f"{self.name}: {parameter.name} is"
        wanted = f"{parameter.dtype}{list(parameter.shape)}"
        if not hasattr(array, "dtype") or not hasattr(array, "flags"):
            raise TensorError(f"{given} a {type(array).__name__}, must be {wanted}")
        if np.dtype(array.dtype).name != parameter.dtype or len(array.shape) != len(parameter.shape):
            raise TensorError(f"{given} {np.dtype(array.dtype).name}{list(array.shape)}, must be {wanted}")
        if not array.flags.c_contiguous:
            raise TensorError(f"{given} not contiguous; pass a copy that is")
        for axis, length in zip(parameter.shape, array.shape, strict=True):
            known = sizes.setdefault(axis, int(length)) if isinstance(axis, str) else axis
            if length != known or length < 1:
                raise TensorError(f"{given} {list(array.shape)}: {axis} is {length}, must be {max(known, 1)}")

    def _scalar(self, parameter: Scalar, value: Any, sizes: dict[str, int]) -> Any:
        given = f"{self.name}: {parameter.name} is {value!r}"
        kind = np.dtype(parameter.dtype)
        if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
            raise TensorError(f"{given}, must be a number")
        if isinstance(value, np.generic) and value.dtype != kind:
            raise TensorError(f"{given} of type {value.dtype}, must be {kind}")
        if kind.kind == "i":
            limits = np.iinfo(kind)
            if int(value) != value or not limits.min <= value <= limits.max:
                raise TensorError(f"{given}, must be a whole number from {limits.min} to {limits.max}")
        if parameter.name in sizes and value != sizes[parameter.name]:
            raise TensorError(f"{given}, must be {sizes[parameter.name]} as in the arrays")
        return kind.type(value)


def blocks(length: int, size: int) -> int:
    """How many blocks of `size` cover `length`."""
    return -(-length // size)
