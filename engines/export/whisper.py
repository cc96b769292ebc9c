"""Whisper from CTranslate2's model.bin (half precision) to two plain graphs with caches and alignments.

Architecture: Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", arXiv
2212.04356. File format: CTranslate2's model_spec.py, version 6.
"""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from engines.engine import FetchError
from engines.export.transformer_graph import GraphBuilder, quantise

HEAD = 64
_DTYPES: list[Any] = [np.float32, np.int8, np.int16, np.int32, np.float16]
Weights = Mapping[str, NDArray[np.float32]]


def convert(sources: Mapping[str, Path], out: Path) -> None:
    """Join the parts of model.bin, write encoder.onnx and decoder.onnx into folder `out`."""
    parts = sorted((path for path in sources if ".bin" in path), key=lambda path: path[-1])
    joined = out / "model.bin"
    with joined.open("wb") as file:
        for part in parts:
            file.write(sources[part].read_bytes())
    weights = read_ctranslate2(joined)
    joined.unlink()
    _encoder(weights).save(out / "encoder.onnx")
    _decoder(weights).save(out / "decoder.onnx")


def read_ctranslate2(path: Path) -> Weights:
    """All tensors of a CTranslate2 model as float32. Raises FetchError for another format."""
    with path.open("rb") as file:
        version = _unpack(file, "<I")
        if version != 6:
            raise FetchError(f"{path.name} is CTranslate2 format {version}, must be 6")
        _string(file), _unpack(file, "<I")  # name and revision of the architecture
        weights = {}
        for _ in range(_unpack(file, "<I")):
            name = _string(file)
            shape = [_unpack(file, "<I") for _ in range(_unpack(file, "<B"))]
            dtype = _DTYPES[_unpack(file, "<B")]
            data = np.frombuffer(file.read(_unpack(file, "<I")), dtype)
            weights[name] = data.reshape(shape).astype(np.float32)
        for _ in range(_unpack(file, "<I")):
            alias = _string(file)
            weights[alias] = weights[_string(file)]
    return weights


def _unpack(file: BinaryIO, layout: str) -> int:
    value: int = struct.unpack(layout, file.read(struct.calcsize(layout)))[0]
    return value


def _string(file: BinaryIO) -> str:
    return file.read(_unpack(file, "<H"))[:-1].decode()


class _Blocks:
    """The layers that both halves share, named as CTranslate2 names their tensors."""

    def __init__(self, g: GraphBuilder, weights: Weights, width: int) -> None:
        self.g, self.weights, self.width, self.heads = g, weights, width, width // HEAD

    def norm(self, x: str, name: str) -> str:
        return self.g.layer_norm(x, self.weights[f"{name}/gamma"], self.weights[f"{name}/beta"])

    def linear(self, x: str, name: str, factor: float = 1.0, rows: slice = slice(None)) -> str:
        """Rows of a stored (n, k) matrix are the outputs; `factor` scales them."""
        weight, bias = (
            self.weights[f"{name}/weight"][rows] * factor,
            self.weights[f"{name}/bias"][rows] * factor,
        )
        return self.g.linear_by_row(x, quantise(np.ascontiguousarray(weight.T)), bias)

    def split_heads(self, x: str) -> str:
        return self.g.heads(x, self.heads, HEAD)

    def self_projection(self, x: str, name: str) -> list[str]:
        """Queries (scaled), keys and values of the normed input, per head."""
        x = self.norm(x, f"{name}/layer_norm")
        weight, bias = (
            self.weights[f"{name}/linear_0/weight"].copy(),
            self.weights[f"{name}/linear_0/bias"].copy(),
        )
        weight[: self.width] *= HEAD**-0.5
        bias[: self.width] *= HEAD**-0.5
        y = self.g.linear_by_row(x, quantise(np.ascontiguousarray(weight.T)), bias)
        parts = self.g.ops("Split", 3, y, self.g.integers(*[self.width] * 3), axis=-1)
        return [self.split_heads(part) for part in parts]

    def feed_forward(self, x: str, name: str) -> str:
        y = self.g.op("Gelu", self.linear(self.norm(x, f"{name}/layer_norm"), f"{name}/linear_0"))
        return self.g.op("Add", x, self.linear(y, f"{name}/linear_1"))


def _layers(weights: Weights, half: str) -> int:
    return len({name.split("/")[1] for name in weights if name.startswith(f"{half}/layer_") and "norm" not in name})


def _encoder(weights: Weights) -> GraphBuilder:
    """Mel (b, 80, 3000) -> hidden (b, 1500, width), and the decoder's cross keys and values."""
    width = weights["encoder/layer_norm/gamma"].shape[0]
    g = GraphBuilder("whisper-encoder")
    blocks = _Blocks(g, weights, width)
    x = g.input("mel", ["b", weights["encoder/conv1/weight"].shape[1], "t"])
    for name, stride in (("conv1", 1), ("conv2", 2)):
        kernel, bias = (g.constant(weights[f"encoder/{name}/{part}"]) for part in ("weight", "bias"))
        x = g.op("Gelu", g.op("Conv", x, kernel, bias, strides=[stride], pads=[1, 1]))
    x = g.op("Transpose", x, perm=[0, 2, 1])
    positions = g.constant(weights["encoder/position_encodings/encodings"])
    frames = g.op("Shape", x, start=1, end=2)
    x = g.op("Add", x, g.op("Slice", positions, g.integers(0), frames, g.integers(0)))
    for i in range(_layers(weights, "encoder")):
        name = f"encoder/layer_{i}"
        q, k, v = blocks.self_projection(x, f"{name}/self_attention")
        context, _ = g.attention(q, k, v, width)
        x = g.op("Add", x, blocks.linear(context, f"{name}/self_attention/linear_1"))
        x = blocks.feed_forward(x, f"{name}/ffn")
    hidden = blocks.norm(x, "encoder/layer_norm")
    g.output(hidden, "hidden", ["b", "s", width])
    for i in range(_layers(weights, "decoder")):
        for kind, rows in (("key", slice(0, width)), ("value", slice(width, None))):
            value = blocks.linear(hidden, f"decoder/layer_{i}/attention/linear_1", rows=rows)
            g.output(blocks.split_heads(value), f"cross_{kind}.{i}", ["b", blocks.heads, "s", HEAD])
    return g


def _decoder(weights: Weights) -> GraphBuilder:
    """Tokens (b, n) after p cached ones -> logits, hidden, the longer caches, attention weights.

    `self_bias` is added to the self-attention's scores (0 = look, -1e9 = do not).
    """
    vocabulary, width = weights["decoder/embeddings/weight"].shape
    g = GraphBuilder("whisper-decoder")
    blocks = _Blocks(g, weights, width)
    tokens = g.input("tokens", ["b", "n"], TensorProto.INT64)
    positions = g.input("positions", ["b", "n"], TensorProto.INT64)
    self_bias = g.input("self_bias", ["b", 1, "n", "q"])
    # One matrix serves rows and scores: a row per token for Gather, columns for the product.
    table = quantise(np.ascontiguousarray(weights["decoder/embeddings/weight"].T))
    rows = g.op("Gather", g.constant(np.ascontiguousarray(table.values.T)), tokens, axis=0)
    scale = g.op("Unsqueeze", g.op("Gather", g.constant(table.scale), tokens, axis=0), g.integers(-1))
    x = g.op("Mul", g.op("Cast", rows, to=TensorProto.FLOAT), scale)
    places = g.constant(weights["decoder/position_encodings/encodings"])
    x = g.op("Add", x, g.op("Gather", places, positions, axis=0))
    for i in range(_layers(weights, "decoder")):
        name = f"decoder/layer_{i}"
        past = [g.input(f"past_{kind}.{i}", ["b", blocks.heads, "p", HEAD]) for kind in ("key", "value")]
        cross = [g.input(f"cross_{kind}.{i}", ["b", blocks.heads, "s", HEAD]) for kind in ("key", "value")]
        q, k, v = blocks.self_projection(x, f"{name}/self_attention")
        k, v = g.op("Concat", past[0], k, axis=2), g.op("Concat", past[1], v, axis=2)
        for kind, value in (("key", k), ("value", v)):
            g.output(value, f"present_{kind}.{i}", ["b", blocks.heads, "q", HEAD])
        context, _ = g.attention(q, k, v, width, self_bias)
        x = g.op("Add", x, blocks.linear(context, f"{name}/self_attention/linear_1"))
        normed = blocks.norm(x, f"{name}/attention/layer_norm")
        q = blocks.split_heads(blocks.linear(normed, f"{name}/attention/linear_0", HEAD**-0.5))
        context, attention = g.attention(q, cross[0], cross[1], width)
        g.output(attention, f"cross_attention.{i}", ["b", blocks.heads, "n", "s"])
        x = g.op("Add", x, blocks.linear(context, f"{name}/attention/linear_2"))
        x = blocks.feed_forward(x, f"{name}/ffn")
    hidden = blocks.norm(x, "decoder/layer_norm")
    g.output(hidden, "hidden", ["b", "n", width])
    g.output(g.linear(hidden, table), "logits", ["b", "n", vocabulary])
    return g
