"""What a session keeps of hours: its words lie in a temporary file, and a line costs some tens of bytes of memory.

The file has no name, so nobody else can open it and it goes with the process. Where the system's folder for temporary
files (TMPDIR) cannot be written, or is full, what is kept stays in memory, and a warning says so.
"""

import bisect
import logging
import os
import tempfile
import weakref
from array import array
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)

# Pieces are multiples of it, so that a freed one fits the next of about its length.
_STEP = 64
_NONE, _GONE = -1, -2


class File:
    """Pieces of bytes by their places. Not thread-safe."""

    def __init__(self) -> None:
        self._descriptor: int | None = None
        self._memory: bytearray | None = None
        self._end = 0
        # Places of freed pieces by their lengths.
        self._free: dict[int, array[int]] = {}

    def put(self, data: bytes) -> int:
        """Keep a piece; its place."""
        length = _whole(len(data))
        place = free.pop() if (free := self._free.get(length)) else self.reserve(length)
        self.write(place, data)
        return place

    def free(self, place: int, size: int) -> None:
        """A piece of `size` bytes is no longer needed."""
        self._free.setdefault(_whole(size), array("q")).append(place)

    def reserve(self, size: int) -> int:
        """Room that holds zeros; its place."""
        place, self._end = self._end, self._end + size
        if self._memory is not None:
            self._memory.extend(bytes(size))
        return place

    def write(self, place: int, data: bytes | memoryview) -> None:
        """Write into a piece, or into reserved room."""
        if self._memory is None:
            try:
                written = 0
                while written < len(data):
                    written += os.pwrite(self._open(), data[written:], place + written)
                return
            except OSError as error:  # none that can be written, or a full one
                log.warning("what sessions keep stays in memory: no temporary file (%s)", error.strerror)
                self._memory = self._all()
        self._memory[place : place + len(data)] = data

    def read(self, place: int, size: int) -> bytes:
        """`size` bytes that were written at a place."""
        if self._memory is not None:
            return bytes(self._memory[place : place + size])
        return os.pread(self._open(), size, place)

    def read_into(self, place: int, into: memoryview) -> None:
        """Bytes from a place, zeros where nothing was written."""
        if self._memory is not None:
            into[:] = memoryview(self._memory)[place : place + len(into)]
            return
        count = os.preadv(self._open(), [into], place)
        into[count:] = bytes(len(into) - count)

    def _open(self) -> int:
        if self._descriptor is None:
            with tempfile.TemporaryFile(buffering=0) as file:
                self._descriptor = os.dup(file.fileno())
            weakref.finalize(self, os.close, self._descriptor)
        return self._descriptor

    def _all(self) -> bytearray:
        kept = bytearray(self._end)
        if self._descriptor is not None:
            there = os.pread(self._descriptor, self._end, 0)
            kept[: len(there)] = there
        return kept


def _whole(size: int) -> int:
    return -(-size // _STEP) * _STEP


class Records:
    """Bytes by names, each pair in a row. A freed row is taken again, the last one first. Not thread-safe."""

    def __init__(self, file: File) -> None:
        self._file = file
        # By row: the place of the name and the bytes behind it, or _NONE; how long both are; the hash of the name.
        self._places, self._names, self._sizes = array("q"), array("I"), array("I")
        self._hashes = array("I")
        self._free = array("i")
        # Rows by hash, with open addressing; more than a third of the places are _NONE.
        self._slots = array("i", [_NONE]) * 8
        self._taken = 0

    def __len__(self) -> int:
        return len(self._places) - len(self._free)

    def __iter__(self) -> Iterator[int]:
        """All rows that are taken."""
        return iter(self.taken().tolist())

    @property
    def rows(self) -> int:
        """One more than the highest row."""
        return len(self._places)

    @property
    def free(self) -> int:
        """How many rows below that are free."""
        return len(self._free)

    def taken(self) -> NDArray[np.int64]:
        """All rows that are taken, in order."""
        return np.flatnonzero(np.asarray(self._places) != _NONE)

    def has(self, row: int) -> bool:
        """Whether a row is taken."""
        return self._places[row] != _NONE

    def row(self, name: str) -> int | None:
        """The row of a name."""
        wanted = name.encode()
        slot = self._slot(wanted)
        return None if slot is None else self._slots[slot]

    def name(self, row: int) -> str:
        """The name in a row."""
        return self._name(row).decode()

    def get(self, row: int) -> bytes:
        """The bytes in a row."""
        return self._file.read(self._places[row] + self._names[row], self._sizes[row] - self._names[row])

    def item(self, row: int) -> tuple[str, bytes]:
        """The name and the bytes in a row."""
        both, end = self._file.read(self._places[row], self._sizes[row]), self._names[row]
        return both[:end].decode(), both[end:]

    def put(self, name: str, data: bytes) -> int:
        """Keep bytes under a name, in the place of those before; the row, which stays."""
        called = name.encode()
        slot = self._slot(called)
        if slot is not None:
            row = self._slots[slot]
            self._replace(row, called + data)
            return row
        if 3 * (self._taken + 1) > 2 * len(self._slots):
            self._hash_again()
        row = self._free.pop() if self._free else self._new_row()
        self._names[row], self._sizes[row], self._hashes[row] = len(called), len(called) + len(data), _hash(called)
        self._places[row] = self._file.put(called + data)
        self._slots[self._vacant(self._hashes[row])] = row
        self._taken += 1
        return row

    def remove(self, name: str) -> int:
        """Forget a name; the row that it was in. Raises KeyError."""
        slot = self._slot(name.encode())
        if slot is None:
            raise KeyError(name)
        row = self._slots[slot]
        self._slots[slot] = _GONE
        self._file.free(self._places[row], self._sizes[row])
        self._places[row] = _NONE
        self._free.append(row)
        return row

    def _name(self, row: int) -> bytes:
        return self._file.read(self._places[row], self._names[row])

    def _replace(self, row: int, record: bytes) -> None:
        if _whole(len(record)) == _whole(self._sizes[row]):
            self._file.write(self._places[row], record)
        else:
            self._file.free(self._places[row], self._sizes[row])
            self._places[row] = self._file.put(record)
        self._sizes[row] = len(record)

    def _slot(self, name: bytes) -> int | None:
        wanted = _hash(name)
        for slot in self._places_of(wanted):
            row = self._slots[slot]
            if row == _NONE:
                return None
            if row != _GONE and self._hashes[row] == wanted and self._name(row) == name:
                return slot
        return None

    def _vacant(self, wanted: int) -> int:
        return next(slot for slot in self._places_of(wanted) if self._slots[slot] == _NONE)

    def _places_of(self, wanted: int) -> Iterator[int]:
        count = len(self._slots)
        for step in range(count):
            yield (wanted + step) % count

    def _hash_again(self) -> None:
        """Without those that are gone, and with room for twice as many."""
        self._slots = array("i", [_NONE]) * (3 * len(self) + 8)
        for row in self:
            self._slots[self._vacant(self._hashes[row])] = row
        self._taken = len(self)

    def _new_row(self) -> int:
        for column in (self._places, self._names, self._sizes, self._hashes):
            column.append(0)
        self._places[-1] = _NONE
        return len(self._places) - 1


def _hash(name: bytes) -> int:
    return hash(name) & 0xFFFFFFFF


class Order:
    """Rows in the order of a sample, then of a key that tells them apart and need not be kept in memory."""

    def __init__(self, key: Callable[[int], Any]) -> None:
        self._key = key
        self.samples, self.rows = array("q"), array("i")

    def __len__(self) -> int:
        return len(self.rows)

    def place(self, sample: int, key: Any) -> int:
        """The first place that is not before these."""
        first = bisect.bisect_left(self.samples, sample)
        last = bisect.bisect_right(self.samples, sample, first)
        return bisect.bisect_left(self.rows, key, first, last, key=self._key)

    def insert(self, sample: int, row: int) -> int:
        """Put a row, of which the key is known by now, in its place; which that is."""
        place = self.place(sample, self._key(row))
        self.samples.insert(place, sample)
        self.rows.insert(place, row)
        return place

    def remove(self, sample: int, row: int) -> None:
        """Take a row out; raises ValueError where it is not."""
        place = self.rows.index(row, bisect.bisect_left(self.samples, sample))
        del self.samples[place], self.rows[place]


def put(column: "array[Any]", row: int, value: float) -> None:
    """Set a row of a column, which is at most one too short for it."""
    if row == len(column):
        column.append(value)
    else:
        column[row] = value


def oldest(
    rows: NDArray[np.int64], samples: NDArray[np.int64], count: int, name: Callable[[int], str]
) -> list[tuple[int, str]]:
    """The rows with the least samples, (n,) each, by sample, then name, and their names."""
    last = np.partition(samples, count - 1)[count - 1]
    near = samples <= last
    early = sorted(
        (sample, name(row), row) for sample, row in zip(samples[near].tolist(), rows[near].tolist(), strict=True)
    )
    return [(row, called) for _, called, row in early[:count]]
