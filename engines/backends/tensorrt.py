"""The runtime half of TensorRT: a plan behind the same `Engine` as ONNX Runtime's sessions.

TensorRT's module is injected, `tensorrt` or `tensorrt_rtx`, so that every name used here can be checked against the
bindings of several versions on a machine without a card. Not yet run on one: docs/gpu.md.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.backends.cuda_graph import CudaGraph
from engines.backends.staging import Staging
from engines.backends.tensorrt_build import last, logger
from engines.engine import Outputs, Raw, Reduced, TensorError, TensorSpec, names_of
from engines.kernels.device import CudaDevice, DeviceError, OnCard
from engines.kernels.launch import Launch

# Shapes that came this often are recorded as a CUDA graph; so many graphs, and counts of shapes, a worker keeps.
GRAPH_AFTER = 3
MAX_GRAPHS = 16
MAX_SEEN = 64
Shapes = Mapping[str, tuple[int, ...]]
# By input: the least, usual and most sizes of its axes.
Limits = Mapping[str, Sequence[Sequence[int]]]
# An `OnCard` is read where it lies.
Feeds = Mapping[str, NDArray[Any] | Raw | OnCard]


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on the card: what each worker's activations take, and all buffers together."""

    activations: int
    buffers: int


class TensorRTEngine:
    """One plan on one card. Safe to call from several threads: each call holds one of `workers`."""

    def __init__(
        self,
        trt: Any,
        device: CudaDevice,
        plan: bytes,
        *,
        precision: str = "float32",
        fixed: Mapping[str, int] | None = None,
        workers: int = 2,
    ) -> None:
        """`precision`: the number format it computes in, to be told. `fixed`: inputs that became constants.

        What is fed for the fixed must equal them. Raises DeviceError.
        """
        self.precision = precision
        self._trt, self._device, self._fixed = trt, device, dict(fixed or {})
        self._log = logger(trt)
        with device.current():
            try:
                self._runtime = trt.Runtime(self._log)
            except TypeError as error:  # what the bindings make of a null pointer
                raise DeviceError(f"TensorRT {trt.__version__} does not start: {last(self._log.errors)}") from error
            engine = self._engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise DeviceError(f"the plan does not load on {device.name}: {last(self._log.errors)}; build it again")
        self.backend = f"{trt.__name__.replace('_', '-')}-{device.compute_capability.lower()}"
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        self._dtypes = {name: np.dtype(trt.nptype(engine.get_tensor_dtype(name))) for name in names}
        if host := [name for name in names if engine.get_tensor_location(name) != trt.TensorLocation.DEVICE]:
            raise DeviceError(f"the plan wants {host[0]!r} in the host's memory, which this backend does not give")
        is_input = {name: engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT for name in names}
        specs = {
            name: TensorSpec(name, self._dtypes[name].name, _axes(engine.get_tensor_shape(name))) for name in names
        }
        given = tuple(specs[name] for name in names if is_input[name])
        self.inputs = (*given, *(TensorSpec(name, "int64", ()) for name in self._fixed))
        self.outputs = tuple(specs[name] for name in names if not is_input[name])
        # By profile and input: the least, usual and most sizes of its axes.
        self.limits = [
            {spec.name: engine.get_tensor_profile_shape(spec.name, index) for spec in given}
            for index in range(engine.num_optimization_profiles)
        ]
        self._idle: list[_Worker] = []
        self._missing = workers
        self._changed = Condition()
        self._workers: list[_Worker] = []

    def run(
        self, feeds: Feeds, outputs: Outputs | None = None, *, into: Mapping[str, OnCard] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Run the graph once; `outputs` None gives all. Raises TensorError for a misfit feed, DeviceError.

        `into`: outputs that are written there, and stay on the card. No call may be under way that reads or writes the
        same memory.
        """
        known, into = [spec.name for spec in self.outputs], into or {}
        wanted = known if outputs is None else outputs
        if unknown := {*names_of(wanted), *into} - set(known):
            raise TensorError(f"no output {sorted(unknown)[0]!r}; outputs are {known}")
        checked, profile = checked_feeds(feeds, self.inputs, self.limits, self._fixed)
        with self._worker() as worker:
            return worker.run(checked, profile, [asked for asked in wanted if asked not in into], into)

    def keep(self, shape: Sequence[int], dtype: str) -> OnCard:
        """An array on the card, of any contents, for as long as somebody refers to it. Raises DeviceError."""
        return self._device.keep(shape, dtype)

    def launch(self, launch: Launch) -> None:
        """Run a kernel over such arrays, and wait for it. Raises DeviceError."""
        with self._worker() as worker:
            worker.launch(launch)

    def memory(self) -> Memory:
        """What it takes beside the weights."""
        with self._changed:
            buffers = sum(worker.staging.bytes_on_card for worker in self._workers)
        return Memory(int(self._engine.device_memory_size_v2), buffers)

    def close(self) -> None:
        """Give the card's memory back; no call may be under way."""
        with self._device.current():
            for worker in self._workers:
                worker.close()
            self._workers.clear()
            self._idle.clear()
            del self._engine, self._runtime

    @contextmanager
    def _worker(self) -> Iterator["_Worker"]:
        with self._changed:
            while not self._idle and not self._missing:
                self._changed.wait()
            worker = self._idle.pop() if self._idle else None
            self._missing -= worker is None
        try:
            if worker is None:
                worker = _Worker(self._trt, self._engine, self._device, self._dtypes)
                with self._changed:
                    self._workers.append(worker)
            yield worker
        finally:
            with self._changed:
                if worker is None:
                    self._missing += 1
                else:
                    self._idle.append(worker)
                self._changed.notify()


def checked_feeds(
    feeds: Feeds, inputs: Sequence[TensorSpec], limits: Sequence[Limits], fixed: Mapping[str, int]
) -> tuple[Feeds, int]:
    """What of the feeds goes to the card, all but those of `fixed`, which must be equal to it; and the first profile
    whose `limits` hold their shapes. Raises TensorError.
    """
    specs = {spec.name: spec for spec in inputs}
    for name, value in feeds.items():
        spec = specs.get(name)
        if spec is None:
            raise TensorError(f"no input {name!r}; inputs are {sorted(specs)}")
        if name in fixed and isinstance(value, np.ndarray):
            if np.any(value != fixed[name]):
                raise TensorError(f"input {name!r} is {value.tolist()}, must be {fixed[name]} on this backend")
            continue
        if value.dtype.name != spec.dtype or value.ndim != len(spec.shape):
            given = f"{value.dtype.name}{list(value.shape)}"
            raise TensorError(f"input {name!r} is {given}, must be {spec.dtype}{list(spec.shape)}")
    if missing := [name for name in specs if name not in feeds and name not in fixed]:
        raise TensorError(f"input {missing[0]!r} is missing; inputs are {sorted(specs)}")
    rest = {name: value for name, value in feeds.items() if name not in fixed}
    outside = [_outside(rest, each) for each in limits]
    if "" in outside:
        return rest, outside.index("")
    name, value = outside[0], rest[outside[0]]
    ranges = " or ".join(f"{list(each[name][0])} to {list(each[name][2])}" for each in limits)
    raise TensorError(f"input {name!r} is {value.dtype.name}{list(value.shape)}, the plan is for {ranges}")


def _outside(feeds: Feeds, limits: Limits) -> str:
    """Name of the first of the feeds whose shape the limits do not hold, else empty."""
    for name, value in feeds.items():
        least, _, most = limits[name]
        if any(not low <= size <= high for low, size, high in zip(least, value.shape, most, strict=True)):
            return name
    return ""


class _Worker:
    """An execution context with its stream, buffers and recorded graphs."""

    def __init__(self, trt: Any, engine: Any, device: CudaDevice, dtypes: Mapping[str, np.dtype[Any]]) -> None:
        self._device, self._dtypes = device, dtypes
        self.staging = Staging(device)
        self._handle = int(self.staging.stream.handle)
        self._generation = self.staging.generation
        self._seen: OrderedDict[tuple[Any, ...], int] = OrderedDict()
        self._graphs: OrderedDict[tuple[Any, ...], tuple[CudaGraph, Shapes]] = OrderedDict()
        # TensorRT for RTX records and launches CUDA graphs by itself.
        self._records = not hasattr(trt, "CudaGraphStrategy")
        with device.current():
            if self._records:
                context = engine.create_execution_context()
            else:
                runtime_config = engine.create_runtime_config()
                runtime_config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
                context = engine.create_execution_context(runtime_config)
        if context is None:
            raise DeviceError(f"{device.name} has no room for another execution context")
        self._context = context
        self._profile = -1

    def run(self, feeds: Feeds, profile: int, wanted: Outputs, into: Mapping[str, OnCard]) -> dict[str, NDArray[Any]]:
        """Copy or make what goes in, compute with an optimisation profile, copy out, wait."""
        lying = dict(into)
        # By the name of what is given: its buffer.
        found: dict[str, tuple[str, OnCard]] = {}
        try:
            with self._device.current():
                for name, values in feeds.items():
                    if isinstance(values, Raw):
                        self.staging.make(name, values)
                    elif isinstance(values, OnCard):
                        lying[name] = values
                    else:
                        self.staging.put(name, values)
                self._use(profile)
                shapes = self._compute({name: values.shape for name, values in feeds.items()}, lying)
                whole = {name: self.staging.array(name, shapes[name], self._dtypes[name]) for name in names_of(wanted)}
                for asked in wanted:
                    if isinstance(asked, Reduced):
                        found |= self.staging.reduce(asked, [whole[name] for name in asked.outputs])
                    else:
                        found[asked] = (asked, whole[asked])
                for buffer, array in found.values():
                    self.staging.fetch(buffer, array.nbytes)
        finally:
            # Also after an error: the next call writes into these buffers.
            self.staging.wait()
        return {name: self.staging.result(buffer, array.dtype, array.shape) for name, (buffer, array) in found.items()}

    def launch(self, launch: Launch) -> None:
        """Run a kernel and wait for it."""
        self._device.run(launch, self.staging.stream)
        self.staging.wait()

    def close(self) -> None:
        """Give memory back; the card's context is current."""
        self._drop_graphs()
        self.staging.close()
        del self._context

    def _use(self, profile: int) -> None:
        """Queue the change to another optimisation profile, after which all shapes are told anew."""
        if profile != self._profile:
            if not self._context.set_optimization_profile_async(profile, self._handle):
                raise DeviceError(f"{self._device.name} does not take optimisation profile {profile} of the plan")
            self._profile = profile

    def _compute(self, given: Shapes, lying: Mapping[str, OnCard]) -> Shapes:
        """Queue the computation; returns the shapes of the outputs."""
        self._drop_graphs_of_old_addresses()
        if lying:
            # A graph holds addresses, and what lies on the card is another part of it at every call.
            shapes = self._bind(given, lying)
            self._enqueue()
            return shapes
        key = tuple(sorted(given.items()))
        if (recorded := self._graphs.get(key)) is not None:
            self._graphs.move_to_end(key)
            recorded[0].launch(self._handle)
            return recorded[1]
        shapes = self._bind(given, {})
        self._drop_graphs_of_old_addresses()
        count = self._seen[key] = self._seen.pop(key, 0) + 1
        if len(self._seen) > MAX_SEEN:
            self._seen.popitem(last=False)
        if not self._records or count < GRAPH_AFTER:
            self._enqueue()
            return shapes
        try:
            graph = CudaGraph(self._handle, self._enqueue)
        except DeviceError:
            # Not every plan can be recorded; it runs as before.
            self._records = False
            self._enqueue()
            return shapes
        self._graphs[key] = graph, shapes
        if len(self._graphs) > MAX_GRAPHS:
            self._graphs.popitem(last=False)[1][0].close()
        graph.launch(self._handle)
        return shapes

    def _bind(self, given: Shapes, lying: Mapping[str, OnCard]) -> Shapes:
        """Tell the context shapes and addresses; returns the shapes of the outputs."""
        context = self._context
        for name, shape in given.items():
            if not context.set_input_shape(name, shape):
                raise TensorError(f"input {name!r} of shape {list(shape)} is refused by the plan")
        if missing := context.infer_shapes():
            raise TensorError(f"the shape of {missing[0]!r} does not follow from the inputs")
        shapes = {name: tuple(context.get_tensor_shape(name)) for name in self._dtypes if name not in given}
        for name, dtype in self._dtypes.items():
            shape = given[name] if name in given else shapes[name]
            place = lying.get(name)
            if place is not None and (place.shape, place.dtype) != (shape, dtype):
                raise TensorError(
                    f"{name!r} is {dtype.name}{list(shape)}, its place is {place.dtype.name}{list(place.shape)}"
                )
            nbytes = _size(shape) * dtype.itemsize
            address = place.gpudata if place is not None else self.staging.reserve(name, nbytes)
            if not context.set_tensor_address(name, address):
                raise DeviceError(f"the address of {name!r} is refused by the plan")
        return shapes

    def _enqueue(self) -> None:
        if not self._context.execute_async_v3(self._handle):
            raise DeviceError(f"the plan did not run on {self._device.name}")

    def _drop_graphs_of_old_addresses(self) -> None:
        if self._generation != self.staging.generation:
            self._generation = self.staging.generation
            self._drop_graphs()

    def _drop_graphs(self) -> None:
        for graph, _ in self._graphs.values():
            graph.close()
        self._graphs.clear()
        self._seen.clear()


def _axes(shape: Sequence[int]) -> tuple[int | str, ...]:
    return tuple("?" if length < 0 else int(length) for length in shape)


def _size(shape: Sequence[int]) -> int:
    if any(length < 0 for length in shape):
        raise DeviceError(f"the plan gives an output of unknown shape {list(shape)}")
    return int(np.prod(shape, dtype=np.int64))
