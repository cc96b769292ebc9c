"""A Llama in a GGUF file -> an ONNX graph that takes embeddings and keeps its KV cache in place.

The graph is written with numpy and onnx alone. One run takes `inputs_embeds` (1, t, D) behind
`total_length - t` tokens that lie in the cache, and gives `logits` (1, r, V) for the chosen
`logit_rows`. Keys and values are (1, kv_heads, capacity, head_dim) float16, half the memory of
float32 and less to read (docs/live-context.md); bind the same buffer as `past_*` and `present_*` and
nothing is copied. Keys are stored rotated by their position, which is their index in the cache.

Weights are 8-bit blocks of 32 with a zero point: the 16 levels of a Q4_1 block land within half
of 1/17 level of where they were, so it is the GGUF's own precision at the speed of an int8 dot
product. (4 bits with a whole-numbered zero point cost 22 % of perplexity, 8 bits 0.4 %.)
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from gguf import GGUFReader, dequantize
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from engines.engine import FetchError

Float = NDArray[np.float32]
_BLOCK = 32
MICROSOFT = "com.microsoft"


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a Llama as its GGUF metadata names them."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    context: int
    rope_base: float
    epsilon: float

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.width // self.heads


class Gguf:
    """An open GGUF file. Raises FetchError when it holds no Llama."""

    def __init__(self, path: Path) -> None:
        self._reader = GGUFReader(path)
        self._tensors = {tensor.name: tensor for tensor in self._reader.tensors}
        architecture = self.field("general.architecture")
        if architecture != "llama":
            raise FetchError(f"{path.name} holds a {architecture!r} model; only 'llama' can be converted")
        self.shape = Shape(
            layers=self.field("llama.block_count"),
            width=self.field("llama.embedding_length"),
            heads=self.field("llama.attention.head_count"),
            kv_heads=self.field("llama.attention.head_count_kv"),
            context=self.field("llama.context_length"),
            rope_base=self.field("llama.rope.freq_base"),
            epsilon=self.field("llama.attention.layer_norm_rms_epsilon"),
        )

    def field(self, name: str) -> Any:
        """The value of one metadata field."""
        return self._reader.fields[name].contents()

    def weight(self, name: str) -> Float:
        """One tensor, dequantised, (out, in) float32; tied output weights fall back to the embedding."""
        if name == "output.weight" and name not in self._tensors:
            name = "token_embd.weight"
        tensor = self._tensors[name]
        return np.asarray(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)

    def attention(self, layer: int) -> Float:
        """The query, key and value rows of one layer, stacked, in the half-rotation order of RoPE."""
        shape = self.shape
        block = f"blk.{layer}.attn_"
        return np.concatenate(
            [
                _half_rotation(self.weight(f"{block}q.weight"), shape.heads),
                _half_rotation(self.weight(f"{block}k.weight"), shape.kv_heads),
                self.weight(f"{block}v.weight"),
            ]
        )


def _half_rotation(weight: Float, heads: int) -> Float:
    """GGUF interleaves the two halves of each rotary head; put them one after the other again."""
    rows, width = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, width).swapaxes(1, 2).reshape(rows, width)


def rotary_angles(positions: NDArray[np.integer], head_dim: int, base: float) -> NDArray[np.float64]:
    """RoPE angles: positions (n,) -> (n, head_dim / 2) float64 radians (arXiv 2104.09864)."""
    return np.outer(positions, base ** (-np.arange(0, head_dim, 2) / head_dim))


def quantise(weight: Float) -> tuple[NDArray[np.uint8], Float, NDArray[np.uint8]]:
    """(n, k) -> blocks (n, k / 32, 32) uint8, scales (n, k / 32), zero points (n, k / 32) uint8."""
    rows, columns = weight.shape
    blocks = weight.reshape(rows, columns // _BLOCK, _BLOCK)
    low = np.minimum(blocks.min(-1), 0)
    scale = ((np.maximum(blocks.max(-1), 0) - low) / 255).astype(np.float32)
    scale[scale == 0] = 1
    zero = np.rint(-low / scale)
    levels = np.rint(blocks / scale[..., None]) + zero[..., None]
    return np.clip(levels, 0, 255).astype(np.uint8), scale, zero.astype(np.uint8)


class _Graph:
    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def weight(self, name: str, value: NDArray[np.generic]) -> str:
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, kind: str, inputs: list[str], outputs: list[str], **attributes: Any) -> None:
        self.nodes.append(helper.make_node(kind, inputs, outputs, **attributes))

    def half(self, x: str) -> str:
        self.node("Cast", [x], [f"{x}.half"], to=TensorProto.FLOAT16)
        return f"{x}.half"

    def linear(self, x: str, weight: Float, name: str) -> str:
        blocks, scale, zero = quantise(weight)
        inputs = [
            x,
            self.weight(f"{name}.blocks", blocks),
            self.weight(f"{name}.scales", scale),
            self.weight(f"{name}.zeros", zero),
        ]
        # accuracy level 4: activations become int8 per block, which is what VNNI multiplies
        self.node(
            "MatMulNBits", inputs, [name], name=name, domain=MICROSOFT,
            K=weight.shape[1], N=weight.shape[0], bits=8, block_size=_BLOCK, accuracy_level=4,
        )  # fmt: skip
        return name


def build(source: Gguf) -> onnx.ModelProto:
    """The graph described above."""
    shape, graph = source.shape, _Graph()
    angles = rotary_angles(np.arange(shape.context), shape.head_dim, shape.rope_base)
    cos = graph.half(graph.weight("cos", np.cos(angles).astype(np.float32)))
    sin = graph.half(graph.weight("sin", np.sin(angles).astype(np.float32)))
    vocabulary = source.weight("output.weight")
    value = helper.make_tensor_value_info
    inputs = [
        value("inputs_embeds", TensorProto.FLOAT, [1, "t", shape.width]),
        # the operator's own way to say the length: the last index, and the length
        value("seqlens_k", TensorProto.INT32, [1]),
        value("total_length", TensorProto.INT32, []),
        value("logit_rows", TensorProto.INT64, ["r"]),
    ]
    outputs = [value("logits", TensorProto.FLOAT, [1, "r", len(vocabulary)])]
    stream, branch = "inputs_embeds", ""
    for i in range(shape.layers):
        norm = graph.weight(f"attention_norm.{i}", source.weight(f"blk.{i}.attn_norm.weight"))
        if branch:
            _add_and_norm(graph, stream, branch, norm, i * 2, shape.epsilon)
            stream = f"stream.{i * 2}"
        else:
            graph.node("SimplifiedLayerNormalization", [stream, norm], ["normed.0"], epsilon=shape.epsilon, axis=-1)
        qkv = graph.half(graph.linear(f"normed.{i * 2}", source.attention(i), f"qkv.{i}"))
        graph.node(
            "GroupQueryAttention",
            [qkv, "", "", f"past_key.{i}", f"past_value.{i}", "seqlens_k", "total_length", cos, sin],
            [f"attention.{i}.half", f"present_key.{i}", f"present_value.{i}"],
            domain=MICROSOFT, num_heads=shape.heads, kv_num_heads=shape.kv_heads, do_rotary=1,
        )  # fmt: skip
        graph.node("Cast", [f"attention.{i}.half"], [f"attention.{i}"], to=TensorProto.FLOAT)
        for kind in ("key", "value"):
            for side, values in (("past", inputs), ("present", outputs)):
                dims: list[str | int | None] = [1, shape.kv_heads, f"{side}_length", shape.head_dim]
                values.append(value(f"{side}_{kind}.{i}", TensorProto.FLOAT16, dims))
        branch = graph.linear(f"attention.{i}", source.weight(f"blk.{i}.attn_output.weight"), f"out.{i}")
        norm = graph.weight(f"ffn_norm.{i}", source.weight(f"blk.{i}.ffn_norm.weight"))
        _add_and_norm(graph, stream, branch, norm, i * 2 + 1, shape.epsilon)
        stream = f"stream.{i * 2 + 1}"
        gate_up = np.concatenate([source.weight(f"blk.{i}.ffn_gate.weight"), source.weight(f"blk.{i}.ffn_up.weight")])
        graph.linear(f"normed.{i * 2 + 1}", gate_up, f"gate_up.{i}")
        graph.node("Split", [f"gate_up.{i}"], [f"gate.{i}", f"up.{i}"], axis=-1, num_outputs=2)
        # x * sigmoid(1 * x) is SiLU
        graph.node("QuickGelu", [f"gate.{i}"], [f"silu.{i}"], domain=MICROSOFT, alpha=1.0)
        graph.node("Mul", [f"silu.{i}", f"up.{i}"], [f"hidden.{i}"])
        branch = graph.linear(f"hidden.{i}", source.weight(f"blk.{i}.ffn_down.weight"), f"down.{i}")
    graph.node("Add", [stream, branch], ["stream"])
    graph.node("Gather", ["stream", "logit_rows"], ["chosen"], axis=1)
    norm = graph.weight("output_norm", source.weight("output_norm.weight"))
    graph.node("SimplifiedLayerNormalization", ["chosen", norm], ["normed"], epsilon=shape.epsilon, axis=-1)
    graph.linear("normed", vocabulary, "logits")
    return helper.make_model(
        helper.make_graph(graph.nodes, "llama", inputs, outputs, graph.weights),
        opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid(MICROSOFT, 1)],
        ir_version=10,
    )


def _add_and_norm(graph: _Graph, stream: str, branch: str, norm: str, index: int, epsilon: float) -> None:
    outputs = [f"normed.{index}", "", "", f"stream.{index}"]
    graph.node(
        "SkipSimplifiedLayerNormalization",
        [stream, branch, norm],
        outputs,
        domain=MICROSOFT,
        epsilon=epsilon,
    )


def reference_logits(source: Gguf, embeddings: Float) -> Float:
    """The same network in plain float32 numpy: (t, D) -> (t, V). The graph is measured against it."""
    shape, length = source.shape, len(embeddings)
    angles = rotary_angles(np.arange(length), shape.head_dim, shape.rope_base)
    cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
    mask = np.triu(np.full((length, length), -np.inf, np.float32), 1)

    def norm(x: Float, name: str) -> Float:
        rms = np.sqrt(np.square(x).mean(-1, keepdims=True) + np.float32(shape.epsilon))
        scaled: Float = x / rms * source.weight(name)
        return scaled

    def rotate(x: Float) -> Float:
        a, b = np.split(x, 2, axis=-1)
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)

    x = embeddings
    for i in range(shape.layers):
        qkv = norm(x, f"blk.{i}.attn_norm.weight") @ source.attention(i).T
        heads = qkv.reshape(length, -1, shape.head_dim).swapaxes(0, 1)
        q, k, v = np.split(heads, [shape.heads, shape.heads + shape.kv_heads])
        group = shape.heads // shape.kv_heads
        k, v = np.repeat(rotate(k), group, axis=0), np.repeat(v, group, axis=0)
        scores = rotate(q) @ k.swapaxes(1, 2) / np.float32(np.sqrt(shape.head_dim)) + mask
        attention = np.exp(scores - scores.max(-1, keepdims=True))
        attention /= attention.sum(-1, keepdims=True)
        mixed = (attention @ v).swapaxes(0, 1).reshape(length, shape.width)
        x = x + mixed @ source.weight(f"blk.{i}.attn_output.weight").T
        h = norm(x, f"blk.{i}.ffn_norm.weight")
        gate = h @ source.weight(f"blk.{i}.ffn_gate.weight").T
        hidden = gate / (1 + np.exp(-gate)) * (h @ source.weight(f"blk.{i}.ffn_up.weight").T)
        x = x + hidden @ source.weight(f"blk.{i}.ffn_down.weight").T
    logits: Float = norm(x, "output_norm.weight") @ source.weight("output.weight").T
    return logits
