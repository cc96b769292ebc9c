"""A Llama as TensorRT takes it: from the graph of engines/export/llama.py, whose operators are ONNX Runtime's own.

One run takes `inputs_embeds` (1, t, D) at `positions` (1, t) behind the p tokens of `past.LAYER`, and `self_bias`
(1, 1, t, p + t), which is added to the scores (0 = look, -1e9 = do not); it gives `logits` (1, r, V) for the chosen
`logit_rows` and what of the new tokens has to be kept, `new.LAYER`.

`past.LAYER` (p, 2, kv_heads, head_dim) and `new.LAYER` (t, 2, kv_heads, head_dim) are keys, turned by their positions,
and values, in float16 as on the CPU, whatever the rest is in. Position comes first, so that in one buffer the new ones
lie right behind the past: nothing is copied, and only the logits leave the card.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from engines.engine import EngineError
from engines.export.plain import widened_blocks
from engines.export.transformer_graph import GraphBuilder

Float = NDArray[np.float32]


class _Source:
    """Weights and sizes of a graph of llama.py. Raises EngineError for another graph."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        attention = [node for node in model.graph.node if node.op_type == "GroupQueryAttention"]
        norms = [node for node in model.graph.node if node.op_type == "SimplifiedLayerNormalization"]
        if not attention or not norms:
            raise EngineError(f"graph {model.graph.name!r} is no Llama of engines/export/llama.py")
        sizes = {a.name: helper.get_attribute_value(a) for a in attention[0].attribute}
        self.layers, self.heads, self.kv_heads = len(attention), int(sizes["num_heads"]), int(sizes["kv_num_heads"])
        self.epsilon = float(next(a.f for a in norms[0].attribute if a.name == "epsilon"))
        self.width = len(self.tensor("output_norm"))
        self.head = self.width // self.heads

    def tensor(self, name: str) -> Float:
        return numpy_helper.to_array(self._tensors[name])

    def matrix(self, name: str, columns: int) -> Float:
        """(k, n) of a product."""
        parts = (self._tensors[f"{name}.{part}"] for part in ("blocks", "scales", "zeros"))
        blocks, scales, zeros = (numpy_helper.to_array(part) for part in parts)
        return np.ascontiguousarray(widened_blocks(blocks, scales, zeros, columns).T)


def plain_feeds(feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Inputs of llama.py's graph, all tokens of which are new, for this one."""
    tokens = feeds["inputs_embeds"].shape[1]
    _, kv_heads, _, head = feeds["past_key.0"].shape
    layers = sum(name.startswith("past_key.") for name in feeds)
    return {
        "inputs_embeds": feeds["inputs_embeds"],
        "positions": np.arange(tokens)[None],
        "self_bias": np.triu(np.full((1, 1, tokens, tokens), np.float32(-1e9)), 1),
        "logit_rows": feeds["logit_rows"],
        **{f"past.{i}": np.zeros((0, 2, kv_heads, head), np.float16) for i in range(layers)},
    }


def plain(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph described above. Raises EngineError for a graph that llama.py did not write."""
    source = _Source(model)
    g, width, head = GraphBuilder("llama"), source.width, source.head
    heads, kv_heads = source.heads, source.kv_heads
    x = g.input("inputs_embeds", [1, "t", width])
    positions = g.input("positions", [1, "t"], TensorProto.INT64)
    bias = g.input("self_bias", [1, 1, "t", "q"])
    rows = g.input("logit_rows", ["r"], TensorProto.INT64)
    cos, sin = (g.op("Gather", g.constant(source.tensor(name)), positions, axis=0) for name in ("cos", "sin"))
    cos, sin = (g.op("Unsqueeze", table, g.integers(1)) for table in (cos, sin))

    def norm(value: str, gain: str) -> str:
        mean = g.op("ReduceMean", g.op("Mul", value, value), g.integers(-1), keepdims=1)
        root = g.op("Sqrt", g.op("Add", mean, g.constant(np.array(source.epsilon, np.float32))))
        return g.op("Mul", g.op("Div", value, root), g.constant(source.tensor(gain)))

    def rotate(value: str) -> str:
        a, b = g.ops("Split", 2, value, g.integers(head // 2, head // 2), axis=-1)
        first = g.op("Sub", g.op("Mul", a, cos), g.op("Mul", b, sin))
        return g.op("Concat", first, g.op("Add", g.op("Mul", b, cos), g.op("Mul", a, sin)), axis=-1)

    for i in range(source.layers):
        projection = source.matrix(f"qkv.{i}", width)
        projection[:, :width] *= np.float32(head**-0.5)
        qkv = g.linear(norm(x, f"attention_norm.{i}"), projection)
        parts = g.ops("Split", 3, qkv, g.integers(width, kv_heads * head, kv_heads * head), axis=-1)
        q, k, v = (g.heads(part, count, head) for part, count in zip(parts, (heads, kv_heads, kv_heads), strict=True))
        past = g.input(f"past.{i}", ["p", 2, kv_heads, head], TensorProto.FLOAT16)
        new = g.op("Transpose", g.op("Concat", rotate(k), v, axis=0), perm=[2, 0, 1, 3])
        new = g.op("Cast", new, to=TensorProto.FLOAT16)
        g.output(new, f"new.{i}", ["t", 2, kv_heads, head], TensorProto.FLOAT16)
        everything = g.op("Transpose", g.op("Concat", past, new, axis=0), perm=[1, 2, 0, 3])
        k, v = g.ops("Split", 2, g.op("Cast", everything, to=TensorProto.FLOAT), g.integers(1, 1), axis=0)
        # The queries of the heads that share keys lie one below the other: nothing is copied.
        grouped = g.op("Reshape", rotate(q), g.integers(1, kv_heads, -1, head))
        scores = g.op("MatMul", grouped, g.op("Transpose", k, perm=[0, 1, 3, 2]))
        scores = g.op("Add", g.op("Reshape", scores, g.integers(1, heads, -1, 0)), bias)
        weights = g.op("Reshape", g.op("Softmax", scores, axis=-1), g.integers(1, kv_heads, -1, 0))
        context = g.op("Reshape", g.op("MatMul", weights, v), g.integers(1, heads, -1, head))
        context = g.op("Reshape", g.op("Transpose", context, perm=[0, 2, 1, 3]), g.integers(0, 0, width))
        x = g.op("Add", x, g.linear(context, source.matrix(f"out.{i}", width)))
        gate_up = source.matrix(f"gate_up.{i}", width)
        hidden = gate_up.shape[1] // 2
        both = g.linear(norm(x, f"ffn_norm.{i}"), gate_up)
        gate, up = g.ops("Split", 2, both, g.integers(hidden, hidden), axis=-1)
        y = g.op("Mul", g.op("Mul", gate, g.op("Sigmoid", gate)), up)
        x = g.op("Add", x, g.linear(y, source.matrix(f"down.{i}", hidden)))
    chosen = norm(g.op("Gather", x, rows, axis=1), "output_norm")
    vocabulary = source.matrix("logits", width)
    g.output(g.linear(chosen, vocabulary), "logits", [1, "r", vocabulary.shape[1]])
    return g.model(contrib=False)
