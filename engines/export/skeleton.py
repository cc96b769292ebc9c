"""Graphs without weights: what the repository keeps of a model, filled from its package at fetch time.

A skeleton is an ONNX model, xz-compressed, whose weights have a name, a type and dims but no data. The
names are those of the source's checkpoint (the developer's export folds no constants, so they survive).
"""

import lzma
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from engines.engine import FetchError

GRAPHS = Path(__file__).parent / "graphs"


def strip(model: onnx.ModelProto, names: set[str]) -> bytes:
    """Take the data of the initializers `names` out of `model` and compress what is left."""
    for tensor in model.graph.initializer:
        if tensor.name in names:
            kept = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
            tensor.CopyFrom(kept)
    return lzma.compress(model.SerializeToString(deterministic=True), preset=9 | lzma.PRESET_EXTREME)


def fill(skeleton: Path, weights: Mapping[str, NDArray[Any]], out: Path) -> None:
    """Write the graph `skeleton` with its weights to `out`. Raises FetchError when one is missing or misfits."""
    model = onnx.ModelProto.FromString(lzma.decompress(skeleton.read_bytes()))
    for tensor in model.graph.initializer:
        if not is_empty(tensor):
            continue
        weight = weights.get(tensor.name)
        if weight is None:
            raise FetchError(f"{skeleton.name} needs the weight {tensor.name!r}, the checkpoint has none")
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
        if weight.shape != tuple(tensor.dims) or weight.dtype != dtype:
            raise FetchError(
                f"weight {tensor.name!r} is {weight.dtype}{list(weight.shape)}, "
                f"{skeleton.name} needs {dtype}{list(tensor.dims)}"
            )
        tensor.raw_data = np.ascontiguousarray(weight).astype(dtype.newbyteorder("<")).tobytes()
    out.write_bytes(model.SerializeToString())


def is_empty(tensor: onnx.TensorProto) -> bool:
    """True when the tensor has values by its dims but carries none."""
    return math.prod(tensor.dims) > 0 and not any(
        getattr(tensor, field) for field in ("raw_data", "float_data", "int32_data", "int64_data", "double_data")
    )
