"""A detector of things told in words that the user brought, such as OWL-ViT or YOLO-World (docs/open-vocabulary.md).

SENSORIUM_OPEN_DETECTOR names one that was imported; without it there is none.
"""

import os
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from engines.engine import ManifestError
from engines.export.open_detector import SETTINGS, TASK, read
from engines.manifest import manifest
from engines.models import model_file, open_engine
from services.runtime.percept import QueryMatch
from services.vision.objects import suppress

MODEL = os.environ.get("SENSORIUM_OPEN_DETECTOR", "")
_PAD = 114  # grey around a picture, as both kinds were trained with something like it
_MAX_MATCHES = 20


def check_task(name: str) -> None:
    """Raises ManifestError for a model that is unknown or made for something else."""
    if (task := manifest(name).task) != TASK:
        raise ManifestError(f"SENSORIUM_OPEN_DETECTOR: model {name!r} is for {task}; vision needs one for {TASK}")


class BroughtDetector:
    """Finds things by their names. Safe to share between streams."""

    def __init__(self, name: str, *, threads: int = 1) -> None:
        """Open an imported detector. Raises ModelMissingError, ManifestError."""
        self._settings = read(model_file(name, SETTINGS).read_text())
        self._names = self._settings.names
        self._engine = open_engine(name, self._settings.graph, threads=threads)
        text_graph = self._settings.text_graph
        self._texts = open_engine(name, text_graph, threads=threads) if text_graph else None
        self._tokenizer = Tokenizer.from_file(str(model_file(name, self._settings.tokenizer)))
        self._tokenizer.enable_truncation(self._settings.tokens)
        self._tokenizer.no_padding()

    def find(self, pixels: NDArray[np.uint8], things: Sequence[str]) -> list[tuple[QueryMatch, ...]]:
        """For each thing its places in a picture (h, w, 3) uint8 BGR, surest first.

        Boxes are xyxy in its pixels; scores are the detector's own.
        """
        if not things:
            return []
        blob, across, down = self._blob(pixels)
        feeds: dict[str, NDArray[Any]] = {self._names["image"]: blob}
        ids, mask = self._ids(things)
        if self._texts is None:
            feeds |= {self._names["ids"]: ids, self._names["mask"]: mask}
        else:
            feeds[self._names["text"]] = self._embeddings(ids, mask)[None]
        out = self._engine.run(feeds, [self._names["boxes"], self._names["scores"]])
        boxes, scores = (out[self._names[key]][0].astype(np.float32) for key in ("boxes", "scores"))
        if self._settings.kind == "owl":
            middles, sizes = boxes[:, :2], boxes[:, 2:]
            boxes = np.concatenate([middles - sizes / 2, middles + sizes / 2], axis=1) * self._settings.size_px
            scores = 1 / (1 + np.exp(-scores))
        height, width = pixels.shape[:2]
        boxes = np.clip(boxes * (across, down, across, down), 0, (width, height, width, height)).astype(np.float32)
        return [self._places(boxes, scores[:, column], thing) for column, thing in enumerate(things)]

    def _blob(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float, float]:
        """The picture as the graph takes it, and how many of its pixels one of the graph's is, across and down."""
        height, width = pixels.shape[:2]
        side = self._settings.size_px
        net_w, net_h = side, side
        if not self._settings.is_squeezed:
            net_w, net_h = (max(1, round(edge * side / max(height, width))) for edge in (width, height))
        square = np.full((side, side, 3), _PAD, np.uint8)
        square[:net_h, :net_w] = cv2.resize(pixels, (net_w, net_h), interpolation=cv2.INTER_AREA)
        colours = square[..., ::-1].astype(np.float32) / 255
        mean, deviation = (np.array(three, np.float32) for three in (self._settings.mean, self._settings.deviation))
        colours = (colours - mean) / deviation
        return np.ascontiguousarray(colours.transpose(2, 0, 1)[None]), width / net_w, height / net_h

    def _ids(self, things: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        ids = np.full((len(things), self._settings.tokens), self._settings.pad_token, np.int64)
        mask = np.zeros_like(ids)
        for row, thing in enumerate(things):
            tokens = self._tokenizer.encode(thing).ids
            ids[row, : len(tokens)], mask[row, : len(tokens)] = tokens, 1
        return ids, mask

    def _embeddings(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """(q, d) of length 1."""
        assert self._texts is not None
        feeds = {self._names["ids"]: ids}
        if "mask" in self._names:
            feeds[self._names["mask"]] = mask
        raw = self._texts.run(feeds, [self._names["embeddings"]])[self._names["embeddings"]]
        unit: NDArray[np.float32] = raw / np.maximum(np.linalg.norm(raw, axis=1, keepdims=True), 1e-9)
        return unit

    def _places(self, boxes: NDArray[np.float32], scores: NDArray[np.float32], thing: str) -> tuple[QueryMatch, ...]:
        sure = np.flatnonzero(scores >= self._settings.least_score)
        kept = sure[suppress(boxes[sure], scores[sure], np.zeros(len(sure), np.intp))][:_MAX_MATCHES]
        return tuple(
            QueryMatch(
                (float(boxes[k, 0]), float(boxes[k, 1]), float(boxes[k, 2]), float(boxes[k, 3])),
                float(scores[k]),
                "detector",
                thing,
            )
            for k in kept
        )
