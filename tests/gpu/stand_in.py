"""ONNX Runtime in TensorRT's place, over the simulated driver, whose addresses are the host's.

It says nothing about TensorRT: it shows what our side puts at the addresses that a plan is bound to, and when.
"""

import ctypes
from collections.abc import Sequence

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

__name__ = "stand_in"
__version__ = "0"
# By input, what lay at its address when a plan ran last.
fed: dict[str, NDArray[np.generic]] = {}
# By optimisation profile, the most of every axis; and those that were used.
most = [1 << 20]
used: list[int] = []
_DTYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(int64)": "int64"}


class ILogger:
    class Severity:
        ERROR, INTERNAL_ERROR = "error", "internal error"


class TensorLocation:
    DEVICE = "device"


class TensorIOMode:
    INPUT, OUTPUT = "input", "output"


class CudaGraphStrategy:
    WHOLE_GRAPH_CAPTURE = "whole"


def nptype(dtype: str) -> str:
    return dtype


class Runtime:
    def __init__(self, log: ILogger) -> None: ...

    def deserialize_cuda_engine(self, plan: bytes) -> "Engine":
        return Engine(plan)


class RuntimeConfig:
    cuda_graph_strategy = ""


class Engine:
    device_memory_size_v2 = 0

    def __init__(self, plan: bytes) -> None:
        """The plan is the path of an ONNX file."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(plan.decode(), options)
        self.given = {value.name: value for value in self.session.get_inputs()}
        self._all = self.given | {value.name: value for value in self.session.get_outputs()}
        self.num_io_tensors = len(self._all)
        self.num_optimization_profiles = len(most)

    def get_tensor_name(self, index: int) -> str:
        return list(self._all)[index]

    def get_tensor_dtype(self, name: str) -> str:
        return _DTYPES[self._all[name].type]

    def get_tensor_location(self, name: str) -> str:
        return TensorLocation.DEVICE

    def get_tensor_mode(self, name: str) -> str:
        return TensorIOMode.INPUT if name in self.given else TensorIOMode.OUTPUT

    def get_tensor_shape(self, name: str) -> list[int]:
        return [axis if isinstance(axis, int) else -1 for axis in self._all[name].shape]

    def get_tensor_profile_shape(self, name: str, profile: int) -> tuple[list[int], list[int], list[int]]:
        shape = self.get_tensor_shape(name)
        return [0] * len(shape), shape, [most[profile]] * len(shape)

    def create_runtime_config(self) -> RuntimeConfig:
        return RuntimeConfig()

    def create_execution_context(self, config: RuntimeConfig) -> "ExecutionContext":
        return ExecutionContext(self)


class ExecutionContext:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._inferred_of: list[tuple[int, ...]] = []
        self._addresses: dict[str, int] = {}
        self._profile = -1

    def set_optimization_profile_async(self, index: int, stream: int) -> bool:
        self._shapes, self._inferred_of, self._profile = {}, [], index
        return True

    def set_input_shape(self, name: str, shape: Sequence[int]) -> bool:
        self._shapes[name] = tuple(shape)
        return True

    def infer_shapes(self) -> list[str]:
        shapes = [self._shapes[name] for name in self._engine.given]
        if shapes == self._inferred_of:
            return []
        self._inferred_of = shapes
        given = {name: np.zeros(self._shapes[name], self._engine.get_tensor_dtype(name)) for name in self._engine.given}
        self._shapes |= {name: value.shape for name, value in self._run(given).items()}
        return []

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._shapes[name]

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        used.append(self._profile)
        fed.update({name: self._at(name).copy() for name in self._engine.given})
        for name, value in self._run({name: fed[name] for name in self._engine.given}).items():
            self._at(name)[...] = value
        return True

    def _run(self, given: dict[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
        names = [value.name for value in self._engine.session.get_outputs()]
        return dict(zip(names, self._engine.session.run(names, given), strict=True))

    def _at(self, name: str) -> NDArray[np.generic]:
        shape, dtype = self._shapes[name], np.dtype(self._engine.get_tensor_dtype(name))
        nbytes = int(np.prod(shape)) * dtype.itemsize
        return np.frombuffer((ctypes.c_uint8 * nbytes).from_address(self._addresses[name]), dtype).reshape(shape)
