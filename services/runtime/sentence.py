"""MiniLM: a sentence -> a point on the unit sphere in which near means alike."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from engines.manifest import manifest
from engines.models import model_file, open_engine

NAME = "minilm"
# What the model was trained on; more text is cut.
MAX_TOKENS = 128


@cache
def space_id() -> str:
    """Name of the space that sentences, and pictures with them, lie in: model, version, weights, conversion."""
    source = manifest(NAME)
    conversion = source.convert.version if source.convert else 0
    return f"{NAME}-{source.version}-c{conversion}-{source.package[0].file[0].sha256[:16]}"


class SentenceEncoder:
    """all-MiniLM-L6-v2. Raises ModelMissingError."""

    dimension = 384

    def __init__(self, threads: int = 1) -> None:
        self._engine = open_engine(NAME, "minilm.onnx", threads=threads)
        self._tokenizer = Tokenizer.from_file(str(model_file(NAME, "tokenizer.json")))
        self._tokenizer.encode_special_tokens = True
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._first_word: int = self._tokenizer.token_to_id("the") or 0
        self.parameters = manifest(NAME).parameters

    def rank(self, word: str) -> int | None:
        """Place of a lower-case word among the some 20 000 that the vocabulary holds whole; None: not one of them.

        From 0, in order of frequency; "the" has place 0.
        """
        token: int | None = self._tokenizer.token_to_id(word)
        return None if token is None else token - self._first_word

    def encode(self, sentences: Sequence[str]) -> NDArray[np.float32]:
        """(n,) -> (n, 384) float32 of length 1. One at a time, so that a neighbour changes nothing."""
        return np.stack([self._encode(sentence) for sentence in sentences])

    def _encode(self, sentence: str) -> NDArray[np.float32]:
        ids = np.array([self._tokenizer.encode(sentence).ids], np.int64)
        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        mean = self._engine.run(feeds)["last_hidden_state"][0].mean(axis=0)
        unit: NDArray[np.float32] = mean / np.linalg.norm(mean)
        return unit
