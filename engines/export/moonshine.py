"""Moonshine tiny: the shipped ONNX Runtime files become two plain graphs with caches and alignments.

The shipped decoder hides its caches behind an If and gives no attention weights. Its eight-bit
weights are taken over bit by bit; only the order of columns changes (see `_half_split`).
Architecture: Jeffries et al., "Moonshine: Speech Recognition for Live Transcription", arXiv 2410.15608.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from engines.export.transformer_graph import GraphBuilder, Int8Matrix, Weight, side_by_side

LAYERS, HEADS, HEAD, WIDTH = 6, 8, 36, 288
ROTARY = 32  # of the 36 channels of a head
MAX_POSITIONS = 2048
ENCODER = "moonshine_voice/assets/tiny-en/encoder_model.ort"
DECODER = "moonshine_voice/assets/tiny-en/decoder_model_merged.ort"


def convert(sources: Mapping[str, Path], out: Path) -> None:
    """Write encoder.onnx and decoder.onnx into folder `out`."""
    write_graphs(sources, out, int8=True)


def write_graphs(sources: Mapping[str, Path], out: Path, *, int8: bool) -> None:
    """As `convert`; with `int8` False all weights are de-quantised to float32 (108 MB instead of 30)."""
    encoder, decoder = _Weights(sources[ENCODER], int8), _Weights(sources[DECODER], int8)
    _encoder(encoder, decoder).save(out / "encoder.onnx")
    _decoder(decoder).save(out / "decoder.onnx")


class _Weights:
    """Tensors of a shipped file; matrices are found by the value that their product was exported as."""

    def __init__(self, path: Path, int8: bool) -> None:
        self._int8 = int8
        with tempfile.TemporaryDirectory() as folder:
            readable = Path(folder) / "graph.onnx"
            options = ort.SessionOptions()
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
            options.optimized_model_filepath = str(readable)
            options.add_session_config_entry("session.save_model_format", "ONNX")
            ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            graph = onnx.load(readable).graph
        self._tensors = {t.name: t for t in graph.initializer}
        self._products: dict[str, onnx.NodeProto] = {}
        graphs = [graph] + [a.g for node in graph.node for a in node.attribute if a.HasField("g")]
        for part in graphs:
            self._tensors |= {t.name: t for t in part.initializer}
            for node in part.node:
                if node.op_type in ("MatMulIntegerToFloat", "DynamicQuantizeMatMul"):
                    self._products[node.output[0]] = node

    def tensor(self, name: str) -> NDArray[np.float32]:
        """A float32 tensor by its name."""
        return numpy_helper.to_array(self._tensors[name]).astype(np.float32)

    def matrix(self, product: str) -> Int8Matrix:
        """The (k, n) matrix of a product by the name of its result."""
        node = self._products[product]
        whole = node.op_type == "MatMulIntegerToFloat"  # inputs: a, b, a_scale, b_scale, a_zero, b_zero
        scale, zero = (node.input[3], node.input[5]) if whole else (node.input[2], node.input[3])
        return self._quantised(node.input[1], scale, zero)

    def table(self, name: str) -> Int8Matrix:
        """A matrix by the name of its tensor."""
        return self._quantised(f"{name}_quantized", f"{name}_scale", f"{name}_zero_point")

    def _quantised(self, values: str, scale: str, zero: str) -> Int8Matrix:
        stored = numpy_helper.to_array(self._tensors[values])
        columns = stored.shape[1]
        # uint8 with its zero point moved by 128 is the same number as int8, for which kernels are faster
        shifted = (stored.astype(np.int16) - 128).astype(np.int8)
        zero_point = (numpy_helper.to_array(self._tensors[zero]).astype(np.int16) - 128).astype(np.int8)
        scales = numpy_helper.to_array(self._tensors[scale]).astype(np.float32)
        return Int8Matrix(shifted, np.resize(scales, columns), np.resize(zero_point, columns))

    def weight(self, matrix: Int8Matrix) -> Weight:
        """The matrix in the number format of this conversion."""
        return matrix if self._int8 else matrix.dequantised()


def _half_split(matrix: Int8Matrix) -> Int8Matrix:
    """Columns of a query or key projection so that rotary pairs lie in two halves instead of side by side.

    Queries and keys change alike, so their products do not.
    """
    head = np.concatenate([np.arange(0, ROTARY, 2), np.arange(1, ROTARY, 2), np.arange(ROTARY, HEAD)])
    return matrix.columns(np.concatenate([head + h * HEAD for h in range(HEADS)]))


def _self_projection(weights: _Weights, layer: str) -> Weight:
    q, k, v = (weights.matrix(f"{layer}/self_attn/{p}_proj/MatMul_output_0") for p in "qkv")
    return weights.weight(side_by_side([_half_split(q).times(HEAD**-0.5), _half_split(k), v]))


def _rotary_tables(g: GraphBuilder, positions: str) -> tuple[str, str]:
    """(b, n) positions -> (b, 1, n, HEAD) what a channel and its partner are multiplied by."""
    angles = np.arange(MAX_POSITIONS)[:, None] * 10000.0 ** (-np.arange(0, ROTARY, 2) / ROTARY)
    cos, sin, rest = np.cos(angles), np.sin(angles), np.zeros((MAX_POSITIONS, HEAD - ROTARY))
    tables = (np.concatenate([cos, cos, rest + 1], axis=1), np.concatenate([-sin, sin, rest], axis=1))
    found = [g.op("Gather", g.constant(t.astype(np.float32)), positions, axis=0) for t in tables]
    own, partner = (g.op("Unsqueeze", t, g.integers(1)) for t in found)
    return own, partner


def _qkv(g: GraphBuilder, projected: str, own: str, partner: str) -> tuple[str, str, str]:
    """(b, n, 3 * WIDTH) -> queries and keys, turned by their positions, and values, each (b, HEADS, n, HEAD)."""
    qk, v = g.ops("Split", 2, g.heads(projected, 3 * HEADS, HEAD), g.integers(2 * HEADS, HEADS), axis=1)
    half = ROTARY // 2
    a, b, rest = g.ops("Split", 3, qk, g.integers(half, half, HEAD - ROTARY), axis=-1)
    crossed = g.op("Concat", b, a, rest, axis=-1)
    turned = g.op("Add", g.op("Mul", qk, own), g.op("Mul", crossed, partner))
    q, k = g.ops("Split", 2, turned, g.integers(HEADS, HEADS), axis=1)
    return q, k, v


def _encoder(weights: _Weights, decoder: _Weights) -> GraphBuilder:
    """Audio (b, n) -> hidden (b, s, 288), one frame each 384 samples, and the decoder's cross keys and values."""
    g = GraphBuilder("moonshine-encoder")
    audio = g.input("audio", ["b", "n"])
    x = g.op("Unsqueeze", audio, g.integers(1))
    x = g.op("Tanh", g.op("Conv", x, g.constant(weights.tensor("conv1.weight_add_tensor")), strides=[64]))
    # group normalisation with one group = instance normalisation of all channels laid in a row
    row = g.op("Reshape", x, g.integers(0, 1, -1))
    unit = [g.constant(np.ones(1, np.float32)), g.constant(np.zeros(1, np.float32))]
    x = g.op("Reshape", g.op("InstanceNormalization", row, *unit, epsilon=1e-5), g.op("Shape", x))
    x = g.op("Mul", x, g.constant(weights.tensor("onnx::Mul_2080")))
    x = g.op("Add", x, g.constant(weights.tensor("onnx::Add_2081")))
    for name, stride in (("conv2", 3), ("conv3", 2)):
        kernel = g.constant(weights.tensor(f"{name}.weight_add_tensor"))
        x = g.op("Gelu", g.op("Conv", x, kernel, g.constant(weights.tensor(f"{name}.bias")), strides=[stride]))
    x = g.op("Transpose", x, perm=[0, 2, 1])
    frames = g.op("Squeeze", g.op("Shape", x, start=1, end=2), g.integers(0))
    zero, one = g.constant(np.array(0, np.int64)), g.constant(np.array(1, np.int64))
    turns = _rotary_tables(g, g.op("Unsqueeze", g.op("Range", zero, frames, one), g.integers(0)))
    for i in range(LAYERS):
        layer = f"/layers.{i}"
        normed = g.layer_norm(x, weights.tensor(f"layers.{i}.input_layernorm.weight"))
        q, k, v = _qkv(g, g.linear(normed, _self_projection(weights, layer)), *turns)
        context, _ = g.attention(q, k, v, WIDTH)
        out = weights.weight(weights.matrix(f"{layer}/self_attn/o_proj/MatMul_output_0"))
        x = g.op("Add", x, g.linear(context, out))
        normed = g.layer_norm(x, weights.tensor(f"layers.{i}.post_attention_layernorm.weight"))
        fc1, fc2 = (weights.matrix(f"{layer}/mlp/{name}/Add_output_0") for name in ("fc1", "fc2"))
        y = g.op("Gelu", g.linear(normed, weights.weight(fc1), weights.tensor(f"layers.{i}.mlp.fc1.bias")))
        x = g.op("Add", x, g.linear(y, weights.weight(fc2), weights.tensor(f"layers.{i}.mlp.fc2.bias")))
    hidden = g.layer_norm(x, weights.tensor("layer_norm.weight"))
    g.output(hidden, "hidden", ["b", "s", WIDTH])
    parts = [
        decoder.matrix(f"/model/decoder/layers.{i}/encoder_attn/{p}_proj/MatMul_output_0")
        for i in range(LAYERS)
        for p in "kv"
    ]
    cross = g.linear(hidden, decoder.weight(side_by_side(parts)))
    heads = g.heads(cross, 2 * LAYERS * HEADS, HEAD)
    split = g.ops("Split", 2 * LAYERS, heads, g.integers(*[HEADS] * (2 * LAYERS)), axis=1)
    for i in range(LAYERS):
        for j, kind in enumerate(("key", "value")):
            g.output(split[2 * i + j], f"cross_{kind}.{i}", ["b", HEADS, "s", HEAD])
    return g


def _decoder(weights: _Weights) -> GraphBuilder:
    """Tokens (b, n) after p cached ones -> logits (b, n, 32768), hidden, the longer caches, attention weights.

    The two biases are added to the scores before softmax (0 = look, -1e9 = do not): they carry the
    causal order, padding and batches of unequal lengths. A row's products do not depend on the other rows, so
    utterances of several streams can be decoded together.
    """
    g = GraphBuilder("moonshine-decoder")
    tokens = g.input("tokens", ["b", "n"], TensorProto.INT64)
    positions = g.input("positions", ["b", "n"], TensorProto.INT64)
    self_bias = g.input("self_bias", ["b", 1, "n", "q"])
    cross_bias = g.input("cross_bias", ["b", 1, 1, "s"])
    embedding = weights.table("model.decoder.embed_tokens.weight_merged_0")
    rows = g.op("Cast", g.op("Gather", g.constant(embedding.values), tokens, axis=0), to=TensorProto.FLOAT)
    shifted = g.op("Sub", rows, g.constant(embedding.zero_point.astype(np.float32)))
    x = g.op("Mul", shifted, g.constant(embedding.scale))
    turns = _rotary_tables(g, positions)
    for i in range(LAYERS):
        layer, name = f"/model/decoder/layers.{i}", f"model.decoder.layers.{i}"
        past = [g.input(f"past_{kind}.{i}", ["b", HEADS, "p", HEAD]) for kind in ("key", "value")]
        cross = [g.input(f"cross_{kind}.{i}", ["b", HEADS, "s", HEAD]) for kind in ("key", "value")]
        normed = g.layer_norm(x, weights.tensor(f"{name}.input_layernorm.weight_merged_0"))
        q, k, v = _qkv(g, g.linear_row_by_row(normed, _self_projection(weights, layer)), *turns)
        k, v = g.op("Concat", past[0], k, axis=2), g.op("Concat", past[1], v, axis=2)
        for kind, value in (("key", k), ("value", v)):
            g.output(value, f"present_{kind}.{i}", ["b", HEADS, "q", HEAD])
        context, _ = g.attention(q, k, v, WIDTH, self_bias)
        out = weights.matrix(f"{layer}/self_attn/o_proj/MatMul_output_0")
        x = g.op("Add", x, g.linear_row_by_row(context, weights.weight(out)))
        normed = g.layer_norm(x, weights.tensor(f"{name}.post_attention_layernorm.weight_merged_0"))
        query = weights.matrix(f"{layer}/encoder_attn/q_proj/MatMul_output_0").times(HEAD**-0.5)
        q = g.heads(g.linear_row_by_row(normed, weights.weight(query)), HEADS, HEAD)
        context, attention = g.attention(q, cross[0], cross[1], WIDTH, cross_bias)
        g.output(attention, f"cross_attention.{i}", ["b", HEADS, "n", "s"])
        out = weights.matrix(f"{layer}/encoder_attn/o_proj/MatMul_output_0")
        x = g.op("Add", x, g.linear_row_by_row(context, weights.weight(out)))
        normed = g.layer_norm(x, weights.tensor(f"{name}.final_layernorm.weight_merged_0"))
        fc1, fc2 = (weights.matrix(f"{layer}/mlp/{part}/Add_output_0") for part in ("fc1", "fc2"))
        y = g.linear_row_by_row(normed, weights.weight(fc1), weights.tensor(f"{name}.mlp.fc1.bias_merged_0"))
        value, gate = g.ops("Split", 2, y, g.integers(fc2.values.shape[0], fc2.values.shape[0]), axis=-1)
        y = g.op("Mul", g.op("Mul", gate, g.op("Sigmoid", gate)), value)
        x = g.op("Add", x, g.linear_row_by_row(y, weights.weight(fc2), weights.tensor(f"{name}.mlp.fc2.bias_merged_0")))
    hidden = g.layer_norm(x, weights.tensor("model.decoder.norm.weight_merged_0"))
    g.output(hidden, "hidden", ["b", "n", WIDTH])
    head = weights.weight(weights.matrix("logits"))
    g.output(g.linear_row_by_row(hidden, head), "logits", ["b", "n", 32768])
    return g
