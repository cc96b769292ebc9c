"""Torch zip checkpoints without torch: a zip of raw storages and a pickle that may only name tensors.

The pickle is read by an unpickler that knows five kinds of global (the tensor rebuilders, the storage types
and OrderedDict) and refuses every other, so a changed checkpoint cannot run code.
Format: torch.save since 1.6, `data.pkl` beside `data/<key>` (little-endian storages).
"""

import collections
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.engine import FetchError

_STORAGES: dict[str, type[np.generic]] = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}


def load_tensors(path: Path, key: str | None = None) -> dict[str, NDArray[Any]]:
    """Read the tensors of the dict saved at `path`, or of its entry `key`; other entries are left out.

    Raises FetchError for a file of another kind, a pickle that names anything but tensors, and a tensor
    that reaches beyond its storage.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            if len(pickles) != 1:
                raise FetchError(f"{path.name} has {len(pickles)} data.pkl, a torch checkpoint has one")
            with archive.open(pickles[0]) as file:
                saved = _TensorUnpickler(file, archive, pickles[0].removesuffix("data.pkl")).load()
    except (
        zipfile.BadZipFile,
        pickle.UnpicklingError,
        EOFError,
        # What the unpickler's machine raises for opcodes that do not fit together.
        AttributeError,
        IndexError,
        KeyError,
        TypeError,
        ValueError,
    ) as error:
        raise FetchError(f"{path.name} is no checkpoint of tensors: {error}") from error
    if key is not None:
        saved = saved.get(key) if isinstance(saved, Mapping) else None
    if not isinstance(saved, Mapping):
        raise FetchError(f"{path.name} holds no dict of tensors" + (f" under {key!r}" if key else ""))
    return {str(name): value for name, value in saved.items() if isinstance(value, np.ndarray)}


class _TensorUnpickler(pickle.Unpickler):
    def __init__(self, file: Any, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(file)
        self._archive = archive
        self._root = root

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in _STORAGES:
            # A plain string: the pickle may use it in a storage's id and nowhere else.
            return name
        raise pickle.UnpicklingError(f"{module}.{name} is refused, only tensors are read")

    def persistent_load(self, pid: Any) -> NDArray[Any]:
        kind, storage, key, _, numel = pid
        if kind != "storage":
            raise pickle.UnpicklingError(f"object kind {kind!r} is refused, only storages are read")
        values = np.frombuffer(self._archive.read(f"{self._root}data/{key}"), _STORAGES[storage])
        if values.size != numel:
            raise pickle.UnpicklingError(f"storage {key} has {values.size} values, the pickle says {numel}")
        return values


def _rebuild_tensor(
    storage: NDArray[Any], offset: int, size: Sequence[int], stride: Sequence[int], *_: object
) -> NDArray[Any]:
    if len(size) != len(stride) or offset < 0 or min((*size, *stride), default=0) < 0:
        raise pickle.UnpicklingError(f"tensor with size {size}, stride {stride}, offset {offset}")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if 0 not in size and last >= storage.size:
        raise pickle.UnpicklingError(f"a tensor reaches value {last} of a storage of {storage.size}")
    steps = [step * storage.itemsize for step in stride]
    view = np.lib.stride_tricks.as_strided(storage[offset:], tuple(size), steps, writeable=False)
    return np.array(view)
