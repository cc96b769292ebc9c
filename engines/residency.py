"""Which graphs are open: a graph opens at its first use, and beyond a memory budget the one idle longest is closed.

`SENSORIUM_MEMORY_BUDGET` bounds the weights that one process keeps open, in bytes or as "800MB" or "1.5GiB"; unset
means no bound. Weights count as large as the graph's file is; those mapped beside it do not: the system takes such
pages back by itself. A graph that runs is never closed, so one that is larger than the budget still works alone; a
closed one opens again when it is needed.
"""

import ctypes
import os
import re
import sys
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any, Generic, Protocol, TypeVar

from numpy.typing import NDArray

from engines.engine import Engine, EngineError, Feeds, Outputs, TensorSpec

VARIABLE = "SENSORIUM_MEMORY_BUDGET"
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}

Opened = TypeVar("Opened")


class _Closable(Protocol):
    name: str
    nbytes: int
    users: int

    def close(self) -> None:
        """Let go of the memory."""


class Residents:
    """The open graphs of one process, least recently used first; `opened` is how often each was opened, by name."""

    def __init__(self, budget_bytes: int | None) -> None:
        self.budget_bytes = budget_bytes
        self.opened: Counter[str] = Counter()
        self.opened_bytes = 0
        self.lock = Lock()
        self._open: OrderedDict[int, _Closable] = OrderedDict()

    @property
    def open_bytes(self) -> int:
        """Bytes of weights that are open now."""
        return sum(resident.nbytes for resident in list(self._open.values()))

    def is_closed(self, model: str) -> bool:
        """Whether a model was open and none of its graphs is now."""
        names = {resident.name for resident in list(self._open.values())}
        mine = [name for name in list(self.opened) if name.split("/")[0] == model]
        return bool(mine) and names.isdisjoint(mine)

    def used(self, resident: _Closable) -> None:
        """Note a use; the caller holds `lock`."""
        if id(resident) not in self._open:
            self.opened[resident.name] += 1
            self.opened_bytes += resident.nbytes
        self._open[id(resident)] = resident
        self._open.move_to_end(id(resident))
        self.fit()

    def fit(self) -> None:
        """Close what is idle longest until the rest is within the budget; the caller holds `lock`."""
        if self.budget_bytes is None:
            return
        has_closed = False
        for key, resident in list(self._open.items()):
            if self.open_bytes <= self.budget_bytes:
                break
            if not resident.users:
                del self._open[key]
                resident.close()
                has_closed = True
        if has_closed:
            give_back()


class Resident(Generic[Opened]):
    """Something large that is opened when it is used and may be closed when it is not; safe for several threads.

    `name` is MODEL/FILE; `nbytes` are its weights.
    """

    def __init__(
        self, name: str, nbytes: int, opener: Callable[[], Opened], residents: Residents | None = None
    ) -> None:
        self.name = name
        self.nbytes = nbytes
        self.users = 0
        self._opener = opener
        self._residents = residents or process()
        self._opening = Lock()
        self._value: Opened | None = None

    @contextmanager
    def use(self) -> Iterator[Opened]:
        """Have it open for the block. Raises whatever opening raises."""
        with self._opening:
            with self._residents.lock:
                self.users += 1
                value = self._value
            try:
                if value is None:
                    value = self._opener()
                    give_back()
                with self._residents.lock:
                    self._value = value
                    self._residents.used(self)
            except BaseException:
                with self._residents.lock:
                    self.users -= 1
                raise
        try:
            yield value
        finally:
            with self._residents.lock:
                self.users -= 1
                self._residents.fit()

    def close(self) -> None:
        """Let go of the memory; `Residents` calls it with nobody inside `use`."""
        self._value = None


class ResidentEngine:
    """An engine over a graph file that opens at its first use."""

    def __init__(self, name: str, nbytes: int, opener: Callable[[], Engine], backend: str, precision: str) -> None:
        self.name = name
        self.backend = backend
        self.precision = precision
        self._resident = Resident(name, nbytes, opener)

    @property
    def inputs(self) -> Sequence[TensorSpec]:
        """What `run` needs."""
        with self._resident.use() as engine:
            return engine.inputs

    @property
    def outputs(self) -> Sequence[TensorSpec]:
        """What `run` can give."""
        with self._resident.use() as engine:
            return engine.outputs

    def run(self, feeds: Feeds, outputs: Outputs | None = None) -> dict[str, NDArray[Any]]:
        """Run the graph once; `outputs` None gives all. Raises TensorError for a misfit feed."""
        with self._resident.use() as engine:
            return engine.run(feeds, outputs)


def give_back() -> None:
    """Return what was freed to the system, in some ms: opening a graph leaves as much as a third of its file, and one
    that is closed leaves what lay between pieces in use.
    """
    if (trim := _trim()) is not None:
        trim(0)


@cache
def _trim() -> Callable[[int], int] | None:
    # of the GNU C library alone
    return getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None


def parse_budget(text: str) -> int | None:
    """Bytes of "", "1000", "800MB", "1.5 GiB". Raises EngineError."""
    if not text.strip():
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", text.strip())
    if found is None or found[2].upper() not in _UNITS:
        raise EngineError(f"{VARIABLE} is {text!r}, must be bytes such as 800000000, 800MB or 1.5GiB")
    return int(float(found[1]) * _UNITS[found[2].upper()])


@cache
def process() -> Residents:
    """The open graphs of this process. Raises EngineError for a budget that cannot be read."""
    return Residents(parse_budget(os.environ.get(VARIABLE, "")))
