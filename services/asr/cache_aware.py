"""Cache-aware streaming FastConformer (arXiv 2312.17279) out of a NeMo checkpoint (engines/export/nemo.py).

The encoder sees every frame once: what attention and convolutions need of the past is in its caches, which
belong to one utterance of one stream.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.engine import Engine
from engines.models import model_file, open_engine
from services.asr.greedy import GreedyCtc, GreedyDecoder, GreedyRnnt, Token
from services.asr.streaming_mel import MelSettings, StreamingMel
from services.runtime.percept import Word

_CACHES = ("cache_channel", "cache_time", "cache_length")


class CacheAware:
    """The weights; calls keep no state and may come from several threads. Raises ModelMissingError, ManifestError."""

    def __init__(self, name: str, threads: int) -> None:
        self.name = name
        config = json.loads(model_file(name, "config.json").read_text())
        self.language: str = config["language"]
        self.samples_per_step: int = config["samples_per_step"]
        self.chunk = config["chunk"]
        self._pieces: list[str] = config["pieces"]
        self._max_symbols: int = config["max_symbols_per_step"]
        with np.load(model_file(name, "mel.npz")) as arrays:
            self.mel = MelSettings(window=arrays["window"], filters=arrays["filters"], **config["mel"])
        self.encoder = open_engine(name, "encoder.onnx", threads=threads)
        heads = ("ctc.onnx",) if config["head"] == "ctc" else ("predictor.onnx", "joint.onnx")
        self._heads: list[Engine] = [open_engine(name, file, threads=threads) for file in heads]

    def decoder(self) -> GreedyDecoder:
        """A decoder at the start of an utterance."""
        blank = len(self._pieces)
        if len(self._heads) == 1:
            return GreedyCtc(self._heads[0], blank)
        predictor, joint = self._heads
        return GreedyRnnt(predictor, joint, blank, self._max_symbols)

    def words(self, tokens: Sequence[Token], start_sample: int, end_sample: int) -> tuple[Word, ...]:
        """The words of an utterance at [start_sample, end_sample) on the media clock.

        A token lies in its encoder step; a word's confidence is its tokens' geometric mean.
        """
        groups: list[list[Token]] = []
        for token in tokens:
            if self._pieces[token.piece].startswith("▁") or not groups:
                groups.append([])
            groups[-1].append(token)
        words = []
        for group in groups:
            if not (text := _text([self._pieces[token.piece] for token in group])):
                continue
            first, last = group[0], group[-1]
            start = start_sample + self._sample(first.step, first.place, first.places)
            end = start_sample + self._sample(last.step, last.place + 1, last.places)
            # The decoder may be late: what it writes in the pause belongs to the end of the speech.
            start = min(start, end_sample - 1)
            confidence = float(np.exp(np.mean([token.log_prob for token in group])))
            words.append(Word(text, start, max(start + 1, min(end, end_sample)), confidence))
        return tuple(words)

    def _sample(self, step: int, place: int, places: int) -> int:
        return step * self.samples_per_step + place * self.samples_per_step // places


def _text(pieces: Sequence[str]) -> str:
    """SentencePiece's pieces of one word as written; bytes are put together, special tokens left out."""
    data = b""
    for piece in pieces:
        if match := re.fullmatch(r"<0x([0-9A-Fa-f]{2})>", piece):
            data += bytes.fromhex(match[1])
        elif not re.fullmatch(r"<.+>", piece):
            data += piece.replace("▁", "").encode()
    return data.decode(errors="replace")


class Utterance:
    """One utterance as it is heard: features, the encoder's caches, the decoder, the tokens so far."""

    def __init__(self, model: CacheAware) -> None:
        self._model = model
        self._mel = StreamingMel(model.mel)
        self._decoder = model.decoder()
        self.tokens: list[Token] = []
        # Features from the pre-encode cache of the next chunk on, and where in them the chunk begins.
        self._features = np.zeros((len(model.mel.filters), 0), np.float32)
        self._begin = 0
        self._is_first = True
        self._caches: dict[str, NDArray[Any]] = {}
        for spec in model.encoder.inputs:
            if spec.name in _CACHES:
                shape = (1, *(int(axis) for axis in spec.shape[1:]))
                self._caches[spec.name] = np.zeros(shape, spec.dtype)

    def push(self, samples: NDArray[np.float32]) -> None:
        """Hear the next (n,) samples at 16 kHz."""
        self._features = np.concatenate([self._features, self._mel.push(samples)], axis=1)
        while self._features.shape[1] - self._begin >= self._of_chunk("frames"):
            self._step(self._of_chunk("frames"))

    def finish(self) -> None:
        """The sound is over: what is left goes through the encoder as a short chunk."""
        self._features = np.concatenate([self._features, self._mel.flush()], axis=1)
        while (left := self._features.shape[1] - self._begin) >= self._of_chunk("min_frames"):
            self._step(min(left, self._of_chunk("frames")))

    def _of_chunk(self, key: str) -> int:
        first, other = self._model.chunk[key]
        return int(first if self._is_first else other)

    def _step(self, frames: int) -> None:
        cached, end = self._of_chunk("cached_frames"), self._begin + frames
        features = self._features[:, max(0, self._begin - cached) : end]
        features = np.pad(features, ((0, 0), (cached + frames - features.shape[1], 0)))
        feeds: dict[str, NDArray[Any]] = {
            "features": features[None],
            "length": np.array([features.shape[1]], np.int64),
            "drop": np.array(self._of_chunk("drop_steps"), np.int64),
        }
        result = self._model.encoder.run(feeds | self._caches)
        self._caches = {name: result[f"{name}_next"] for name in _CACHES}
        self.tokens += self._decoder.decode(result["encoded"][0, : int(result["encoded_length"][0])])
        self._is_first = False
        kept = min(end, self._of_chunk("cached_frames"))
        self._features, self._begin = self._features[:, end - kept :], kept
