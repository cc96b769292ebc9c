"""Keys and values of what the small decoder has read, kept where it computes.

Calls of one cache come one at a time.
"""

import math
import mmap
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from engines.backends.onnxruntime import OnnxRuntimeEngine
from engines.backends.tensorrt import Feeds, TensorRTEngine
from engines.engine import Reduced, TensorError
from engines.kernels.past import drop_past
from engines.residency import Resident
from services.decoder.choice import Choice, Likeliest, greedy

Float = NDArray[np.float32]

# llama.rope.freq_base of the GGUF; the graph's keys are rotated with it
ROPE_BASE = 100_000.0


class Cache(ABC):
    """Keys and values of up to `capacity` tokens; `length` are in use, and may be set back."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.length = 0

    @abstractmethod
    def run(self, embeddings: Float, rows: NDArray[np.int64]) -> Float:
        """Append (n, D), 1 <= n <= capacity - length; logits (r, V) after some of these rows."""

    def choose(self, embeddings: Float) -> Choice:
        """Append as `run`; the likeliest token after the last row."""
        return greedy(self.run(embeddings, np.array([len(embeddings) - 1]))[0])

    def drop(self, first: int, count: int) -> None:
        """Forget positions [first, first + count) and move what follows up to them.

        Keys are turned back by `count` positions, so that they are what they would have been there
        (fusion of arXiv 2309.17453's sinks with exact positions). Raises ValueError.
        """
        if not 0 <= first <= first + count <= self.length:
            raise ValueError(f"cannot drop [{first}, {first + count}) of a cache of {self.length} tokens")
        self._drop(first, count)
        self.length -= count

    @abstractmethod
    def _drop(self, first: int, count: int) -> None:
        """As `drop`, of positions that there are."""


class HostCache(Cache):
    """A cache for the graph of engines/export/llama.py on ONNX Runtime.

    The buffers, float16, are bound to the graph's inputs and outputs at once, so a run writes in
    place. Memory is taken from the system as it is touched: 23 kB a token.
    """

    def __init__(
        self, resident: Resident[OnnxRuntimeEngine], layers: int, kv_heads: int, head_dim: int, capacity: int
    ) -> None:
        super().__init__(capacity)
        self._resident = resident
        # (layer, key or value, batch, head, position, channel)
        shape = (layers, 2, 1, kv_heads, capacity, head_dim)
        # numpy's own large arrays ask for huge pages, which would take all of the capacity at once
        memory = mmap.mmap(-1, 2 * math.prod(shape))
        self.buffers: NDArray[np.float16] = np.frombuffer(memory, np.float16).reshape(shape)
        self._bound = {
            f"{kind}.{layer}": ort.OrtValue.ortvalue_from_numpy(self.buffers[layer, index])
            for layer in range(layers)
            for index, kind in enumerate(("key", "value"))
        }

    def run(self, embeddings: Float, rows: NDArray[np.int64]) -> Float:
        """As in `Cache`."""
        with self._resident.use() as engine:
            return self._run(engine.session, embeddings, rows)

    def _run(self, session: ort.InferenceSession, embeddings: Float, rows: NDArray[np.int64]) -> Float:
        total = self.length + len(embeddings)
        binding = session.io_binding()
        binding.bind_output("logits", "cpu")
        binding.bind_cpu_input("inputs_embeds", np.ascontiguousarray(embeddings[None], np.float32))
        binding.bind_cpu_input("seqlens_k", np.array([total - 1], np.int32))
        binding.bind_cpu_input("total_length", np.array(total, np.int32))
        binding.bind_cpu_input("logit_rows", rows)
        for slot, buffer in self._bound.items():
            binding.bind_ortvalue_input(f"past_{slot}", buffer)
            binding.bind_ortvalue_output(f"present_{slot}", buffer)
        session.run_with_iobinding(binding)
        self.length = total
        logits: Float = binding.get_outputs()[0].numpy()[0]
        return logits

    def _drop(self, first: int, count: int) -> None:
        half = self.buffers.shape[-1] // 2
        angles = count * ROPE_BASE ** (-np.arange(half) / half)
        cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
        moved, kept = slice(first + count, self.length), slice(first, self.length - count)
        for keys, values in self.buffers:
            a, b = np.split(keys[..., moved, :].astype(np.float32), [half], axis=-1)
            turned = np.concatenate([a * cos + b * sin, b * cos - a * sin], axis=-1)
            keys[..., kept, :] = turned
            values[..., kept, :] = values[..., moved, :].copy()


class CardCache(Cache):
    """A cache on a card, for the plan of engines/export/llama_plain.py.

    A run reads the first `length` positions where they lie and writes its own right behind them: only embeddings go to
    the card, only logits come back, of a choice the token. All of the capacity is taken at once: 23 kB a token.
    """

    def __init__(self, engine: TensorRTEngine, capacity: int) -> None:
        """Raises TensorError: more than the plan is for; DeviceError: no memory."""
        super().__init__(capacity)
        past = {spec.name: spec.shape for spec in engine.inputs if spec.name.startswith("past.")}
        most = engine.limits[0]["past.0"][2][0]
        if capacity > most:
            raise TensorError(f"a cache of {capacity} tokens is asked for, the plan is for at most {most}")
        self._engine = engine
        # (layer, position, key or value, head, channel); a position takes 768 bytes, so that every part begins at a
        # multiple of 256, as TensorRT wants
        self._kept = engine.keep((len(past), capacity, *map(int, past["past.0"][1:])), "float16")
        self._layers = [self._kept.part(i, i + 1).reshape(self._kept.shape[1:]) for i in range(len(past))]

    def run(self, embeddings: Float, rows: NDArray[np.int64]) -> Float:
        """As in `Cache`."""
        logits: Float = self._run(embeddings, rows, "logits")["logits"][0]
        return logits

    def choose(self, embeddings: Float) -> Choice:
        """As in `Cache`; the logits stay on the card."""
        found = self._run(embeddings, np.array([len(embeddings) - 1]), Likeliest())
        return Choice(int(found["tokens"][0]), float(found["log_probabilities"][0]))

    def _run(self, embeddings: Float, rows: NDArray[np.int64], wanted: str | Reduced) -> dict[str, NDArray[Any]]:
        count = len(embeddings)
        total = self.length + count
        feeds: Feeds = {
            "inputs_embeds": np.asarray(embeddings[None], np.float32),
            "positions": np.arange(self.length, total)[None],
            # a token looks at none behind it
            "self_bias": np.triu(np.full((1, 1, count, total), np.float32(-1e9)), self.length + 1),
            "logit_rows": rows,
            **{f"past.{i}": layer.part(0, self.length) for i, layer in enumerate(self._layers)},
        }
        new = {f"new.{i}": layer.part(self.length, total) for i, layer in enumerate(self._layers)}
        found = self._engine.run(feeds, [wanted], into=new)
        self.length = total
        return found

    def _drop(self, first: int, count: int) -> None:
        self._engine.launch(drop_past(self._kept, ROPE_BASE, first, count, self.length))
