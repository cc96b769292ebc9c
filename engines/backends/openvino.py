"""OpenVINO on the CPU, computing in bfloat16: for graphs whose manifest says what that costs and saves.

An extra: `pip install 'sensorium[openvino]'`. On a processor that multiplies no bfloat16 it is not used.
"""

import importlib
from functools import cache
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.engine import (
    EngineError,
    Feeds,
    Outputs,
    SetupError,
    TensorError,
    check_types,
    given,
    names_of,
    on_host,
)
from engines.manifest import Graph


class OpenVinoMissingError(SetupError):
    """OpenVINO is not installed."""


@cache
def core() -> Any:
    """OpenVINO's runtime. Raises OpenVinoMissingError."""
    try:
        return importlib.import_module("openvino").Core()
    except ImportError as error:
        raise OpenVinoMissingError(
            f"OpenVINO cannot be loaded: {error}; `pip install 'sensorium[openvino]'`"
        ) from error


@cache
def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16. Raises OpenVinoMissingError."""
    return "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenVinoEngine:
    """One graph, its products in bfloat16. Calls from several threads come one after the other."""

    backend = "openvino-cpu"
    precision = "bfloat16"

    def __init__(self, model: bytes, signature: Graph, *, threads: int = 1) -> None:
        """`model`: of an ONNX file. `signature`: of the manifest, since OpenVINO knows tensors by several names.

        Raises OpenVinoMissingError, EngineError for a graph that it does not take.
        """
        settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "bf16"}
        try:
            compiled = core().compile_model(core().read_model(model, b""), "CPU", settings)
        except RuntimeError as error:
            raise EngineError(f"OpenVINO does not take {signature.file}: {error}") from error
        self.inputs, self.outputs = signature.input, signature.output
        self._expected = {spec.name: (np.dtype(spec.dtype), len(spec.shape)) for spec in self.inputs}
        self._request = compiled.create_infer_request()
        self._running = Lock()

    def run(self, feeds: Feeds, outputs: Outputs | None = None) -> dict[str, NDArray[Any]]:
        """Run the graph once; `outputs` None gives all. Raises TensorError for a misfit feed."""
        check_types(feeds, self.inputs, self._expected)
        for spec in self.inputs:
            # It would take what was fed last time, or a tensor of any size.
            if spec.name not in feeds:
                raise TensorError(f"input {spec.name!r} is missing; inputs are {sorted(self._expected)}")
            shape = feeds[spec.name].shape
            if any(size != axis for size, axis in zip(shape, spec.shape, strict=True) if isinstance(axis, int)):
                raise TensorError(f"input {spec.name!r} is {list(shape)}, must be {list(spec.shape)}")
        asked = [spec.name for spec in self.outputs] if outputs is None else outputs
        made = on_host(feeds)
        with self._running:
            try:
                values = self._request.infer(made)
            except RuntimeError as error:
                raise TensorError(str(error)) from error
        return given(asked, [values[name] for name in names_of(asked)])
