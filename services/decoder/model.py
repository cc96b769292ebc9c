"""The small decoder: weights once per process, a `Cache` of keys and values per session.

The weights may be used from anywhere.
"""

import json
import re
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from tokenizers import Tokenizer

from engines.backends.onnxruntime import OnnxRuntimeEngine
from engines.backends.tensorrt import TensorRTEngine
from engines.engine import TensorError
from engines.manifest import manifest
from engines.models import DIGESTS, model_file, preferred_engine
from engines.residency import Resident
from services.decoder.cache import Cache, CardCache, Float, HostCache
from services.decoder.choice import Choice

NAME = "smollm2-135m-instruct"
_GRAPH = "decoder.onnx"
# A longer run is cut: at the end of a long context the scores of one layer take 150 kB a token.
MAX_RUN_TOKENS = 64
_START, _END = "<|im_start|>", "<|im_end|>"


class SmallDecoder:
    """SmolLM2, on the CPU or on the card that the settings prefer. Raises ModelMissingError, and as `open_engine`."""

    def __init__(self, threads: int = 1) -> None:
        # mapped, not read: a page comes in when one of its words is used
        self._embeddings = np.load(model_file(NAME, "embeddings.npy"), mmap_mode="r")
        self._tokenizer = Tokenizer.from_file(str(model_file(NAME, "tokenizer.json")))
        self._special = dict(zip((_START, _END), self._tokenizer.encode(_START + _END).ids, strict=True))
        # "<|im_end|>" in somebody's words is ten ordinary characters
        self._tokenizer.encode_special_tokens = True
        self.end_token = self._special[_END]
        self.dimension = int(self._embeddings.shape[1])
        self.parameters = manifest(NAME).parameters
        digests = json.loads(model_file(NAME, DIGESTS).read_text())
        self.space_id = f"{NAME}:{digests['embeddings.npy'][:16]}"
        # last: what reading the tokenizer has freed goes back to the system when the graph is opened
        self._new_cache = _caches(threads)

    def new_cache(self, capacity: int) -> Cache:
        """An empty cache. On a card, raises TensorError: more than its plan is for; DeviceError: no memory."""
        return self._new_cache(capacity)

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
        parts = [
            cache.run(part, np.arange(len(part)) if all_logits else np.array([len(part) - 1]))
            for part in _parts(cache, embeddings)
        ]
        return np.concatenate(parts) if all_logits else parts[-1]

    def choose(self, cache: Cache, embeddings: Float) -> Choice:
        """Append (n, D), n >= 1, to the cache; the likeliest next token.

        Raises TensorError when the cache has no room.
        """
        *before, last = _parts(cache, embeddings)
        for part in before:
            cache.run(part, np.array([len(part) - 1]))
        return cache.choose(last)


def _parts(cache: Cache, embeddings: Float) -> list[Float]:
    """What is read at once. Raises TensorError when the cache has no room."""
    count = len(embeddings)
    if cache.length + count > cache.capacity:
        raise TensorError(f"{cache.length} + {count} tokens do not fit a cache of {cache.capacity}")
    return [embeddings[start : start + MAX_RUN_TOKENS] for start in range(0, count, MAX_RUN_TOKENS)]


def _caches(threads: int) -> Callable[[int], Cache]:
    """What makes caches of a capacity for the engine that the settings prefer."""
    engine = preferred_engine(NAME, _GRAPH)
    if isinstance(engine, TensorRTEngine):
        return partial(CardCache, engine)
    path = model_file(NAME, _GRAPH)
    # what the longest run took would stay for good, and saves no time
    opener = partial(OnnxRuntimeEngine, path, threads=threads, keeps_memory=False)
    resident = Resident(f"{NAME}/{_GRAPH}", path.stat().st_size, opener)
    with resident.use() as opened:
        keys = [spec.shape for spec in opened.inputs if spec.name.startswith("past_key.")]
    return partial(HostCache, resident, len(keys), int(keys[0][1]), int(keys[0][3]))
