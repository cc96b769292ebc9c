"""ONNX Runtime on the CPU: the default."""

from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import Fail

from engines.engine import Feeds, Outputs, TensorError, TensorSpec, check_types, given, names_of, on_host
from engines.interruption import current_interruption

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(bool)": "bool",
}


class OnnxRuntimeEngine:
    """One graph file in one ORT session; spinning is off because several services share the cores."""

    backend = "onnxruntime-cpu"

    def __init__(
        self,
        path: Path,
        *,
        threads: int = 1,
        optimised: bool = True,
        weights: Mapping[str, NDArray[Any]] | None = None,
        keeps_memory: bool = True,
    ) -> None:
        """`optimised`: with nodes fused; without, every operator is run as it stands.

        `weights`, by name, are used where they lie, in the place of the file's. `keeps_memory`: what a run took is kept
        for the next one; else the allocator has it back.
        """
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        if not optimised:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        # Shapes change from call to call: a memory plan for each costs memory and saves no time.
        options.enable_mem_pattern = False
        options.enable_cpu_mem_arena = keeps_memory
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if not has_vnni():
            # u8 x s8 products would saturate in 16 bits. With VNNI this option gives the same for 2.5 times the time.
            options.add_session_config_entry("session.x64quantprecision", "1")
        self._weights = {name: ort.OrtValue.ortvalue_from_numpy(values) for name, values in (weights or {}).items()}
        for name, value in self._weights.items():
            options.add_initializer(name, value)
        self.session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.inputs = tuple(_spec(i) for i in self.session.get_inputs())
        self.outputs = tuple(_spec(o) for o in self.session.get_outputs())
        # A name for every dtype would cost a step of a small decoder a twentieth of its time.
        self._expected = {spec.name: (np.dtype(spec.dtype), len(spec.shape)) for spec in self.inputs}
        self._output_names = [spec.name for spec in self.outputs]

    def run(self, feeds: Feeds, outputs: Outputs | None = None) -> dict[str, NDArray[Any]]:
        """Run the graph once; `outputs` None gives all.

        Raises TensorError for a misfit feed, InterruptedRunError where the work may be broken off and is.
        """
        check_types(feeds, self.inputs, self._expected)
        asked = self._output_names if outputs is None else outputs
        try:
            values = self._run(names_of(asked), on_host(feeds))
        except (ort.capi.onnxruntime_pybind11_state.InvalidArgument, ValueError) as error:
            raise TensorError(str(error)) from error
        return given(asked, values)

    def _run(self, outputs: list[str], feeds: dict[str, NDArray[Any]]) -> Any:
        interruption = current_interruption()
        if interruption is None:
            return self.session.run(outputs, feeds)
        options = ort.RunOptions()
        options.log_severity_level = 4  # a run that is broken off is no error
        with interruption.stopping(partial(setattr, options, "terminate", True), Fail):
            return self.session.run(outputs, feeds, options)


@cache
def has_vnni() -> bool:
    """Whether the processor sums eight-bit products in 32 bits (AVX512-VNNI, AVX-VNNI)."""
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.exists() and "vnni" in cpuinfo.read_text()


def _spec(value: Any) -> TensorSpec:
    shape = tuple(axis if isinstance(axis, int | str) else "?" for axis in value.shape)
    return TensorSpec(value.name, _DTYPES.get(value.type, value.type), shape)
