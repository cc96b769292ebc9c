"""CUDA graphs: what a stream was given, kept, and launched again as one thing. PyCUDA has no call for it."""

import ctypes
from collections.abc import Callable

from engines.kernels.device import DeviceError

# CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may allocate meanwhile.
_THREAD_LOCAL = 1


class CudaGraph:
    """A recorded stretch of a stream. It holds as long as the addresses in it do; context must be current."""

    def __init__(self, stream: int, enqueue: Callable[[], None]) -> None:
        """Record what `enqueue` gives the stream (its handle); nothing of it runs yet. Raises DeviceError."""
        self._driver = ctypes.CDLL("libcuda.so.1")
        graph = ctypes.c_void_p()
        self._call("cuStreamBeginCapture_v2", ctypes.c_void_p(stream), ctypes.c_int(_THREAD_LOCAL))
        try:
            enqueue()
        finally:
            # A stream must not be left capturing, whatever happened.
            self._call("cuStreamEndCapture", ctypes.c_void_p(stream), ctypes.byref(graph))
        self._executable = ctypes.c_void_p()
        try:
            self._call("cuGraphInstantiateWithFlags", ctypes.byref(self._executable), graph, ctypes.c_ulonglong(0))
        finally:
            self._call("cuGraphDestroy", graph)

    def launch(self, stream: int) -> None:
        """Queue the whole. Raises DeviceError."""
        self._call("cuGraphLaunch", self._executable, ctypes.c_void_p(stream))

    def close(self) -> None:
        """Give it back; a launched one ends first. Raises DeviceError."""
        self._call("cuGraphExecDestroy", self._executable)

    def _call(self, name: str, *arguments: object) -> None:
        if code := getattr(self._driver, name)(*arguments):
            raise DeviceError(f"{name} failed with CUDA error {code}")
