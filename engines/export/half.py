"""A plain graph in half precision: for Turing (SM75), which multiplies no float32, and for speed on later cards.

TensorRT takes its number formats from the graph (strong typing), so all values become float16 at once; inputs and
outputs stay float32. Whether a model bears it is measured, not assumed: see `half` in its manifest.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Inputs that stay float32 by the operators' definitions: index by operator.
_FLOAT_INPUTS = {"Resize": (1, 2)}
_LARGEST = float(np.finfo(np.float16).max)


def half(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph in float16 between its float32 inputs and outputs."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    graph = model.graph
    kept = {node.input[i] for node in graph.node for i in _FLOAT_INPUTS.get(node.op_type, ()) if i < len(node.input)}
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and tensor.name not in kept:
            tensor.CopyFrom(_narrowed(tensor))
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.FLOAT16
            elif attribute.HasField("t") and attribute.t.data_type == TensorProto.FLOAT:
                attribute.t.CopyFrom(_narrowed(attribute.t))
    del graph.value_info[:]
    inputs = {i.name: f"{i.name}.half" for i in graph.input if i.type.tensor_type.elem_type == TensorProto.FLOAT}
    outputs = {o.name: f"{o.name}.half" for o in graph.output if o.type.tensor_type.elem_type == TensorProto.FLOAT}
    renamed = inputs | outputs
    for node in graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = renamed.get(name, name)
        for index, name in enumerate(node.output):
            node.output[index] = renamed.get(name, name)
    before = [_cast(name, inner, TensorProto.FLOAT16) for name, inner in inputs.items()]
    after = [_cast(inner, name, TensorProto.FLOAT) for name, inner in outputs.items()]
    nodes = [*before, *graph.node, *after]
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def _cast(source: str, result: str, to: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [result], name=f"{result}.cast", to=to)


def _narrowed(tensor: onnx.TensorProto) -> onnx.TensorProto:
    values = np.clip(numpy_helper.to_array(tensor), -_LARGEST, _LARGEST)
    return numpy_helper.from_array(values.astype(np.float16), tensor.name)
