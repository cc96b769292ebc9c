"""Memory between host and card for one worker: page-locked and device buffers that grow and are used again."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.kernels.device import CudaDevice

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
            self._on_card[name] = self._device.allocate(capacity)
            self._on_host[name] = self._device.pinned(capacity)
            self.generation += 1
        return int(self._on_card[name])

    def put(self, name: str, values: NDArray[Any]) -> int:
        """Queue a copy to the card; returns the address. `values` may change afterwards. Raises DeviceError."""
        address = self.reserve(name, values.nbytes)
        if values.nbytes:
            host = self._on_host[name][: values.nbytes]
            host[:] = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
            self._device.copy_to_card(address, host, self.stream)
        return address

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

    @staticmethod
    def _capacity(nbytes: int) -> int:
        return max(_LEAST_BYTES, 1 << (nbytes - 1).bit_length() if nbytes else 0)
