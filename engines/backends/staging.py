"""Memory between host and card for one worker: page-locked and device buffers that grow and are used again."""

import math
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.engine import Raw, Reduced
from engines.kernels.device import CudaDevice, OnCard
from engines.kernels.launch import Launch

# Buffers grow to the next power of two, so that sizes which creep up do not allocate at every call.
_LEAST_BYTES = 256


class Staging:
    """Buffers by tensor name, and the stream on which they are copied. For one thread at a time."""

    def __init__(self, device: CudaDevice) -> None:
        """Raises DeviceError."""
        self._device = device
        self.stream = device.stream()
        self._on_card: dict[str, Any] = {}
        self._on_host: dict[str, NDArray[np.uint8]] = {}
        # By name, an array that cannot change and whose copy lies on the card.
        self._lying: dict[str, weakref.ref[NDArray[Any]]] = {}
        # Counts allocations on the card: addresses that somebody noted hold as long as it stays.
        self.generation = 0

    @property
    def bytes_on_card(self) -> int:
        """What the buffers take of the card's memory."""
        return sum(self._capacity(self._on_host[name].nbytes) for name in self._on_card)

    def reserve(self, name: str, nbytes: int) -> int:
        """Address of a buffer on the card for the tensor, of at least `nbytes`. Raises DeviceError."""
        capacity = self._capacity(nbytes)
        if name not in self._on_card or self._on_host[name].nbytes < capacity:
            # The old ones go first: both at once may not fit.
            self._on_card.pop(name, None)
            self._on_host.pop(name, None)
            self._lying.pop(name, None)
            self._on_card[name] = self._device.allocate(capacity)
            self._on_host[name] = self._device.pinned(capacity)
            self.generation += 1
        return int(self._on_card[name])

    def array(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> OnCard:
        """The buffer of a tensor as an array, to be written. Raises DeviceError."""
        self._lying.pop(name, None)
        return OnCard(self.reserve(name, math.prod(shape) * dtype.itemsize), shape, dtype)

    def put(self, name: str, values: NDArray[Any]) -> int:
        """Queue a copy to the card; returns the address. `values` may change afterwards. Raises DeviceError.

        An array that cannot be written to is copied once: what lies there already stays.
        """
        address = self.reserve(name, values.nbytes)
        known = self._lying.pop(name, None)
        if not values.flags.writeable:
            self._lying[name] = weakref.ref(values)
            if known is not None and known() is values:
                return address
        if values.nbytes:
            host = self._on_host[name][: values.nbytes]
            host[:] = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
            self._device.copy_to_card(address, host, self.stream)
        return address

    def make(self, name: str, raw: Raw) -> None:
        """Queue what makes a tensor on the card; `raw` may change afterwards. Raises DeviceError, TensorError."""
        raw.on_card(_Workplace(self, self._device, name))

    def reduce(self, reduced: Reduced, values: Sequence[OnCard]) -> dict[str, tuple[str, OnCard]]:
        """Queue a reduction of outputs; buffers by the names of what it gives. Waits where rows have to be counted.

        Raises DeviceError, TensorError.
        """
        place = _Workplace(self, self._device, reduced.outputs[0])
        made = reduced.on_card(values, place)
        count = made.pop(reduced.counted_by, None)
        if count is not None:
            buffer = place.buffer(reduced.counted_by)
            self.fetch(buffer, count.nbytes)
            self.wait()
            rows = int(self.result(buffer, count.dtype, (1,))[0])
            made = {name: array.part(0, rows) for name, array in made.items()}
        return {name: (place.buffer(name), array) for name, array in made.items()}

    def fetch(self, name: str, nbytes: int) -> None:
        """Queue a copy to the host; `result` has it after `wait`. Raises DeviceError."""
        if nbytes:
            self._device.copy_to_host(self._on_host[name][:nbytes], int(self._on_card[name]), self.stream)

    def wait(self) -> None:
        """Block until everything queued is done. Raises DeviceError: something before has failed."""
        self._device.wait(self.stream)

    def result(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """A copy of what `fetch` brought."""
        nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        return self._on_host[name][:nbytes].view(dtype).reshape(shape).copy()

    def close(self) -> None:
        """Give the memory back."""
        self._on_card.clear()
        self._on_host.clear()
        self._lying.clear()

    @staticmethod
    def _capacity(nbytes: int) -> int:
        return max(_LEAST_BYTES, 1 << (nbytes - 1).bit_length() if nbytes else 0)


@dataclass(frozen=True, slots=True)
class _Workplace:
    """Buffers beside those of the tensor `name`, which no tensor of a graph is called."""

    staging: Staging
    device: CudaDevice
    name: str

    def buffer(self, name: str) -> str:
        return f"{self.name}:{name}"

    def put(self, name: str, values: NDArray[Any]) -> OnCard:
        return OnCard(self.staging.put(self.buffer(name), values), values.shape, values.dtype)

    def empty(self, name: str, shape: tuple[int, ...], dtype: str) -> OnCard:
        return self.staging.array(self.buffer(name), shape, np.dtype(dtype))

    def tensor(self, shape: tuple[int, ...]) -> OnCard:
        return self.staging.array(self.name, shape, Raw.dtype)

    def run(self, launch: Launch) -> None:
        self.device.run(launch, self.staging.stream)
