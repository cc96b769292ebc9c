"""Breaking off model work for which nobody waits, when something comes for which somebody does."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import TypeVar

from engines.engine import EngineError

Result = TypeVar("Result")


class InterruptedRunError(EngineError):
    """A graph run was broken off; its results are not known."""


class Interruption:
    """Work that another thread may break off: a graph run of it raises InterruptedRunError then.

    A run on a backend that cannot stop one goes to its end.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._is_asked = False
        self._stop: Callable[[], None] | None = None

    def ask(self) -> None:
        """Break off the run that goes on, if one does, and all that follow."""
        with self._lock:
            self._is_asked = True
            if self._stop is not None:
                self._stop()

    def run(self, work: Callable[[], Result]) -> Result:
        """Do the work in this thread. Raises InterruptedRunError, and what the work raises."""
        token = _current.set(self)
        try:
            return work()
        finally:
            _current.reset(token)

    @contextmanager
    def stopping(self, stop: Callable[[], None], stopped: type[Exception]) -> Iterator[None]:
        """For a backend: `stop` ends the run in the block, which raises `stopped` then. Raises InterruptedRunError."""
        with self._lock:
            if self._is_asked:
                raise InterruptedRunError("broken off before it began")
            self._stop = stop
        try:
            yield
        except stopped as error:
            if self._is_asked:
                raise InterruptedRunError("broken off") from error
            raise
        finally:
            with self._lock:
                self._stop = None


_current: ContextVar[Interruption | None] = ContextVar("interruption", default=None)


def current_interruption() -> Interruption | None:
    """What may break off this thread's work, if anything."""
    return _current.get()
