"""One run of an autoregressive decoder graph: its caches, its scores, what it looked at."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from engines.engine import Engine


class DecoderRun:
    """The decoder over one encoded utterance.

    `cross` are the encoder's keys and values, `past` the caches (1, heads, tokens, size) of the `length` tokens
    read so far, `attentions` the outputs that tell what a token looked at (none unless `align`).
    """

    def __init__(self, decoder: Engine, cross: Mapping[str, NDArray[np.float32]], *, align: bool = False) -> None:
        self._decoder = decoder
        shapes = {spec.name: spec.shape for spec in decoder.inputs}
        names = [spec.name.removeprefix("past_") for spec in decoder.inputs if spec.name.startswith("past_")]
        self.past: Mapping[str, NDArray[np.float32]] = {
            f"past_{name}": np.zeros((1, int(shapes[f"past_{name}"][1]), 0, int(shapes[f"past_{name}"][3])), np.float32)
            for name in names
        }
        self.length = 0
        self.cross = {name: cross[name] for name in shapes if name in cross}
        self._fixed = dict(self.cross)
        if "cross_bias" in shapes:
            frames = cross["cross_key.0"].shape[2]
            self._fixed["cross_bias"] = np.zeros((1, 1, 1, frames), np.float32)
        fix(self._fixed)
        self._names = names
        outputs = [spec.name for spec in decoder.outputs]
        self.attentions = [name for name in outputs if name.startswith("cross_attention")] if align else []
        self._seen: list[NDArray[np.float32]] = []

    def step(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Scores before softmax, (len(tokens), vocabulary), of what follows each token."""
        past, new = self.length, len(tokens)
        order = np.triu(np.full((new, new), -1e9, np.float32), 1)
        feeds = {
            "tokens": np.array([tokens], np.int64),
            "positions": np.arange(past, past + new)[None],
            "self_bias": np.concatenate([np.zeros((new, past), np.float32), order], axis=1)[None, None],
        }
        wanted = ["logits", *(f"present_{name}" for name in self._names), *self.attentions]
        result = self._decoder.run({**feeds, **self.past, **self._fixed}, wanted)
        self.past = {f"past_{name}": result[f"present_{name}"] for name in self._names}
        self.length += new
        if self.attentions:
            self._seen.extend(np.stack([result[name][0] for name in self.attentions]).transpose(2, 0, 1, 3))
        logits: NDArray[np.float32] = result["logits"][0]
        return logits

    def branch(self, rows: NDArray[np.intp], tokens: NDArray[np.intp]) -> NDArray[np.float32]:
        """Go on with several texts at once: (n,) `tokens`, each after the text that was in that one of `rows`.

        Scores before softmax, (n, vocabulary). From the first call on there are as many texts as there were tokens,
        and `step` reads no more.
        """
        n = len(tokens)
        feeds: dict[str, NDArray[np.generic]] = {
            "tokens": tokens[:, None].astype(np.int64),
            "positions": np.full((n, 1), self.length, np.int64),
            "self_bias": np.zeros((n, 1, 1, self.length + 1), np.float32),
        }
        past = {name: np.ascontiguousarray(cache[rows]) for name, cache in self.past.items()}
        if len(next(iter(self._fixed.values()))) != n:
            self._fixed = {name: np.repeat(value[:1], n, axis=0) for name, value in self._fixed.items()}
        wanted = ["logits", *(f"present_{name}" for name in self._names)]
        result = self._decoder.run({**feeds, **past, **self._fixed}, wanted)
        self.past = {f"past_{name}": result[f"present_{name}"] for name in self._names}
        self.length += 1
        logits: NDArray[np.float32] = result["logits"][:, 0]
        return logits

    def note_step(self, attentions: Sequence[NDArray[np.float32]]) -> None:
        """One token was read in a batch: what it looked at, (heads, 1, frames) a layer, padded frames at the end."""
        self.length += 1
        if attentions:
            frames = self._fixed["cross_key.0"].shape[2]
            self._seen.append(np.stack([attention[:, 0, :frames] for attention in attentions]))

    def take_past(self, past: Mapping[str, NDArray[np.float32]]) -> None:
        """The caches after steps in a batch."""
        self.past = {name: np.ascontiguousarray(cache) for name, cache in past.items()}

    def forget_after(self, length: int) -> None:
        """Keep the caches of the first `length` tokens."""
        self.past = {name: np.ascontiguousarray(cache[:, :, :length]) for name, cache in self.past.items()}
        self.length = min(self.length, length)
        del self._seen[length:]

    def attention(self) -> NDArray[np.float32]:
        """What each token read so far looked at: (tokens, layers, heads, frames)."""
        return np.stack(self._seen)


def fix(feeds: Mapping[str, NDArray[np.float32]]) -> None:
    """Say that these stay as they are from step to step: a card takes a copy once."""
    for values in feeds.values():
        values.flags.writeable = False


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-probabilities over the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: NDArray[np.float32] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result
