"""One run of an autoregressive decoder graph: its caches, its scores, what it looked at."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from engines.engine import Engine


class DecoderRun:
    """The decoder over one encoded utterance; `cross` are the encoder's keys and values."""

    def __init__(self, decoder: Engine, cross: Mapping[str, NDArray[np.float32]], *, align: bool = False) -> None:
        self._decoder = decoder
        shapes = {spec.name: spec.shape for spec in decoder.inputs}
        names = [spec.name.removeprefix("past_") for spec in decoder.inputs if spec.name.startswith("past_")]
        self._past: dict[str, NDArray[np.float32]] = {}
        for name in names:
            _, heads, _, size = shapes[f"past_{name}"]
            self._past[f"past_{name}"] = np.zeros((1, int(heads), 0, int(size)), np.float32)
        self._fixed = {name: cross[name] for name in shapes if name in cross}
        if "cross_bias" in shapes:
            frames = cross["cross_key.0"].shape[2]
            self._fixed["cross_bias"] = np.zeros((1, 1, 1, frames), np.float32)
        self._names = names
        outputs = [spec.name for spec in decoder.outputs]
        self._attentions = [name for name in outputs if name.startswith("cross_attention")] if align else []
        self._seen: list[NDArray[np.float32]] = []

    def step(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Scores before softmax, (len(tokens), vocabulary), of what follows each token."""
        past, new = self._past[f"past_{self._names[0]}"].shape[2], len(tokens)
        order = np.triu(np.full((new, new), -1e9, np.float32), 1)
        feeds = {
            "tokens": np.array([tokens], np.int64),
            "positions": np.arange(past, past + new)[None],
            "self_bias": np.concatenate([np.zeros((new, past), np.float32), order], axis=1)[None, None],
        }
        wanted = ["logits", *(f"present_{name}" for name in self._names), *self._attentions]
        result = self._decoder.run(feeds | self._past | self._fixed, wanted)
        self._past = {f"past_{name}": result[f"present_{name}"] for name in self._names}
        if self._attentions:
            self._seen.extend(np.stack([result[name][0] for name in self._attentions]).transpose(2, 0, 1, 3))
        logits: NDArray[np.float32] = result["logits"][0]
        return logits

    def forget_after(self, length: int) -> None:
        """Keep the caches of the first `length` tokens."""
        self._past = {name: np.ascontiguousarray(cache[:, :, :length]) for name, cache in self._past.items()}
        del self._seen[length:]

    def attention(self) -> NDArray[np.float32]:
        """What each token read so far looked at: (tokens, layers, heads, frames)."""
        return np.stack(self._seen)


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-probabilities over the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: NDArray[np.float32] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result
