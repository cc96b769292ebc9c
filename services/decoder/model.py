"""The small decoder: weights once per process, a `Cache` of keys and values per session.

Calls of one `Cache` come one at a time; the weights may be used from anywhere.
"""

import json
import math
import mmap
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from tokenizers import Tokenizer

from engines.backends.onnxruntime import OnnxRuntimeEngine
from engines.engine import TensorError
from engines.manifest import manifest
from engines.models import DIGESTS, RunsAs, model_file
from engines.residency import Resident

Float = NDArray[np.float32]

NAME = "smollm2-135m-instruct"
RUNS_AS = RunsAs(OnnxRuntimeEngine.backend, "int8")
# llama.rope.freq_base of the GGUF; the graph's keys are rotated with it
ROPE_BASE = 100_000.0
# A longer run is cut: at the end of a long context the scores of one layer take 150 kB a token.
MAX_RUN_TOKENS = 64
_START, _END = "<|im_start|>", "<|im_end|>"


class Cache:
    """Keys and values of up to `capacity` tokens; `length` are in use.

    The buffers, float16, are bound to the graph's inputs and outputs at once, so a run writes in
    place. Memory is taken from the system as it is touched: 23 kB a token.
    """

    def __init__(self, layers: int, kv_heads: int, head_dim: int, capacity: int) -> None:
        self.capacity = capacity
        self.length = 0
        # (layer, key or value, batch, head, position, channel)
        shape = (layers, 2, 1, kv_heads, capacity, head_dim)
        # numpy's own large arrays ask for huge pages, which would take all of the capacity at once
        memory = mmap.mmap(-1, 2 * math.prod(shape))
        self.buffers: NDArray[np.float16] = np.frombuffer(memory, np.float16).reshape(shape)
        self.bound = [
            ort.OrtValue.ortvalue_from_numpy(self.buffers[layer, kind]) for layer in range(layers) for kind in range(2)
        ]

    def drop(self, first: int, count: int) -> None:
        """Forget positions [first, first + count) and move what follows up to them.

        Keys are turned back by `count` positions, so that they are what they would have been there
        (fusion of arXiv 2309.17453's sinks with exact positions).
        """
        end = first + count
        if not 0 <= first <= end <= self.length:
            raise ValueError(f"cannot drop [{first}, {end}) of a cache of {self.length} tokens")
        half = self.buffers.shape[-1] // 2
        angles = count * ROPE_BASE ** (-np.arange(half) / half)
        cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
        kept = slice(first, self.length - count)
        for keys, values in self.buffers:
            a, b = np.split(keys[..., end : self.length, :].astype(np.float32), [half], axis=-1)
            turned = np.concatenate([a * cos + b * sin, b * cos - a * sin], axis=-1)
            keys[..., kept, :] = turned
            values[..., kept, :] = values[..., end : self.length, :].copy()
        self.length -= count


@dataclass(frozen=True, slots=True)
class Choice:
    """One greedily chosen token and the natural log of its probability."""

    token: int
    log_probability: float


class SmallDecoder:
    """SmolLM2 on the CPU. Raises ModelMissingError."""

    def __init__(self, threads: int = 1) -> None:
        path = model_file(NAME, "decoder.onnx")
        opener = partial(OnnxRuntimeEngine, path, threads=threads)
        self._resident = Resident(f"{NAME}/{path.name}", path.stat().st_size, opener)
        # mapped, not read: a page comes in when one of its words is used
        self._embeddings = np.load(model_file(NAME, "embeddings.npy"), mmap_mode="r")
        self._tokenizer = Tokenizer.from_file(str(model_file(NAME, "tokenizer.json")))
        # "<|im_end|>" in somebody's words is ten ordinary characters
        self._tokenizer.encode_special_tokens = True
        with self._resident.use() as engine:
            keys = [spec.shape for spec in engine.inputs if spec.name.startswith("past_key.")]
        self._layers, self._kv_heads, self._head_dim = len(keys), int(keys[0][1]), int(keys[0][3])
        self._slots = [f"{kind}.{layer}" for layer in range(self._layers) for kind in ("key", "value")]
        vocabulary = self._tokenizer.get_vocab(with_added_tokens=True)
        self._special = {token: vocabulary[token] for token in (_START, _END)}
        self.end_token = self._special[_END]
        self.dimension = int(self._embeddings.shape[1])
        self.parameters = manifest(NAME).parameters
        digests = json.loads(model_file(NAME, DIGESTS).read_text())
        self.space_id = f"{NAME}:{digests['embeddings.npy'][:16]}"

    def new_cache(self, capacity: int) -> Cache:
        """An empty cache."""
        return Cache(self._layers, self._kv_heads, self._head_dim, capacity)

    def template(self, text: str) -> list[int]:
        """Tokens of our own words, in which `<|im_start|>` means what it says."""
        tokens: list[int] = []
        for part in re.split(f"({re.escape(_START)}|{re.escape(_END)})", text):
            tokens += [self._special[part]] if part in self._special else self.words(part)
        return tokens

    def words(self, text: str) -> list[int]:
        """Tokens of somebody's words; none of them is a special token."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def text(self, tokens: Sequence[int]) -> str:
        """Words of some tokens."""
        return str(self._tokenizer.decode(list(tokens)))

    def embed(self, tokens: Sequence[int]) -> Float:
        """Rows of the embedding table: (n,) -> (n, D) float32."""
        rows: Float = self._embeddings[np.asarray(tokens, np.int64)].astype(np.float32)
        return rows

    def extend(self, cache: Cache, embeddings: Float, *, all_logits: bool = False) -> Float:
        """Append (n, D), n >= 1, to the cache; logits (1, V) after the last row, or (n, V).

        Raises TensorError when the cache has no room.
        """
        count = len(embeddings)
        if cache.length + count > cache.capacity:
            raise TensorError(f"{cache.length} + {count} tokens do not fit a cache of {cache.capacity}")
        parts = []
        for start in range(0, count, MAX_RUN_TOKENS):
            parts.append(self._run(cache, embeddings[start : start + MAX_RUN_TOKENS], all_logits))
        return np.concatenate(parts) if all_logits else parts[-1]

    def _run(self, cache: Cache, embeddings: Float, all_logits: bool) -> Float:
        with self._resident.use() as engine:
            return self._run_in(engine.session, cache, embeddings, all_logits)

    def _run_in(self, session: ort.InferenceSession, cache: Cache, embeddings: Float, all_logits: bool) -> Float:
        count, total = len(embeddings), cache.length + len(embeddings)
        rows = np.arange(count) if all_logits else np.array([count - 1])
        binding = session.io_binding()
        binding.bind_output("logits", "cpu")
        binding.bind_cpu_input("inputs_embeds", np.ascontiguousarray(embeddings[None], np.float32))
        binding.bind_cpu_input("seqlens_k", np.array([total - 1], np.int32))
        binding.bind_cpu_input("total_length", np.array(total, np.int32))
        binding.bind_cpu_input("logit_rows", rows.astype(np.int64))
        for slot, buffer in zip(self._slots, cache.bound, strict=True):
            binding.bind_ortvalue_input(f"past_{slot}", buffer)
            binding.bind_ortvalue_output(f"present_{slot}", buffer)
        session.run_with_iobinding(binding)
        cache.length = total
        logits: Float = binding.get_outputs()[0].numpy()[0]
        return logits


def greedy(logits: Float) -> Choice:
    """The likeliest next token of logits (V,); the lowest id among equals."""
    token = int(np.argmax(logits))
    shifted = logits.astype(np.float64) - float(logits[token])
    return Choice(token, -float(np.log(np.exp(shifted).sum())))
