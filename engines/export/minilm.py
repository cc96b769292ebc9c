"""all-MiniLM-L6-v2: its graph with weights that stay 8 bits wide in memory, and the tokenizer.

The package's graph keeps int8 weights and widens them before use, which ONNX Runtime does once, at
load: 160 MB resident and 7 ms a sentence. Here only the rows of the words in a sentence are widened,
and products are taken with the int8 blocks themselves. All rows lie in a file of their own, which is mapped, not read.

The package has no tokenizer, and the packages that have it bring 83 MB of weights with it. So the
vocabulary is kept here: bert_uncased_vocab.txt is the published WordPiece list of BERT uncased
(google-research/bert, Apache-2.0), which this model uses unchanged.

Developers remake the golden file with `python -m engines.export.minilm PATH_OF_THE_GRAPH`.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.external_data_helper import set_external_data
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from engines.backends.onnxruntime import OnnxRuntimeEngine
from engines.engine import FetchError
from engines.export.llama import MICROSOFT, quantise

# The rows of all words, (30 522, 384) int8: the weight, and the file that it lies in.
WORDS = "words.int8"
_ROWS = "inner.embeddings.word_embeddings.weight.levels"
_VOCABULARY = Path(__file__).parent / "bert_uncased_vocab.txt"
_GOLDEN = Path(__file__).parent / "golden" / "minilm.npz"
_GOLDEN_TEXT = "Lena owns the release checklist, it is due on Friday the 14th."


def convert(sources: Mapping[str, Path], out: Path) -> None:
    """Write minilm.onnx and tokenizer.json into folder `out`."""
    (path,) = sources.values()
    save(narrow(onnx.load(path)), out / "minilm.onnx")
    tokenizer().save(str(out / "tokenizer.json"), pretty=False)


def save(model: onnx.ModelProto, path: Path) -> None:
    """Write a narrow graph, and the rows of all words beside it. Raises FetchError for a graph of another make."""
    found = [tensor for tensor in model.graph.initializer if tensor.name == _ROWS]
    if len(found) != 1:
        raise FetchError(f"the MiniLM graph has no {_ROWS}; the package was changed")
    (table,) = found
    (path.parent / WORDS).write_bytes(table.raw_data)
    table.name = WORDS
    set_external_data(table, WORDS)
    table.ClearField("raw_data")
    for node in model.graph.node:
        node.input[:] = [WORDS if name == _ROWS else name for name in node.input]
    onnx.save(model, path)


def narrow(model: onnx.ModelProto, changes: Mapping[str, NDArray[np.float32]] | None = None) -> onnx.ModelProto:
    """Use the int8 weights where they stand. Raises FetchError for a graph of another make.

    `changes` are added to linear maps, (out, in) each, by the name of what the map adds: "….dense.bias".
    """
    graph = model.graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    # every weight W is W_q -> Cast -> W_f, W_f * W_scale -> W
    cast = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Cast"}
    widened = {
        node.output[0]: (cast[node.input[0]], node.input[1])
        for node in graph.node
        if node.op_type == "Mul" and cast.get(node.input[0], "") in stored and node.input[1] in stored
    }
    if not widened:
        raise FetchError("the MiniLM graph holds no int8 weights with scales; the package was changed")
    added = {node.input[0]: node.input[1] for node in graph.node if node.op_type == "Add"}
    obsolete = {name for pair in widened.values() for name in pair} | set(widened)
    obsolete |= {wide for wide, narrow in cast.items() if narrow in obsolete}
    nodes: list[onnx.NodeProto] = []
    new: dict[str, NDArray[np.generic]] = {}
    for node in graph.node:
        if node.output[0] in obsolete:
            continue
        weight = next((name for name in node.input if name in widened), None)
        if weight is None:
            nodes.append(node)
            continue
        levels, scale = (stored[name] for name in widened[weight])
        if node.op_type == "Gather":
            nodes += _gather(node, weight, levels, scale, new)
        elif node.op_type == "MatMul" and node.input[1] == weight:
            change = (changes or {}).get(added.get(node.output[0], ""))
            values = levels * scale if change is None else levels * scale + change.T
            nodes.append(_linear(node, weight, values, new))
        else:
            raise FetchError(f"the MiniLM graph uses a weight in {node.op_type}; the package was changed")
    kept = [tensor for tensor in graph.initializer if tensor.name not in obsolete]
    kept += [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in new.items()]
    return helper.make_model(
        helper.make_graph(nodes, "minilm", list(graph.input), list(graph.output), kept),
        opset_imports=[*model.opset_import, helper.make_opsetid(MICROSOFT, 1)],
        ir_version=model.ir_version,
    )


def _gather(
    node: onnx.NodeProto,
    weight: str,
    levels: NDArray[np.int8],
    scale: NDArray[np.float32],
    new: dict[str, NDArray[np.generic]],
) -> list[onnx.NodeProto]:
    """Take the rows first and widen those."""
    new |= {f"{weight}.levels": levels, f"{weight}.scale": scale}
    rows, factors, wide = (f"{node.output[0]}.{part}" for part in ("rows", "factors", "wide"))
    return [
        helper.make_node("Gather", [f"{weight}.levels", node.input[1]], [rows], axis=0),
        helper.make_node("Gather", [f"{weight}.scale", node.input[1]], [factors], axis=0),
        helper.make_node("Cast", [rows], [wide], to=onnx.TensorProto.FLOAT),
        helper.make_node("Mul", [wide, factors], list(node.output)),
    ]


def _linear(
    node: onnx.NodeProto, weight: str, values: NDArray[np.float32], new: dict[str, NDArray[np.generic]]
) -> onnx.NodeProto:
    blocks, scales, zeros = quantise(np.ascontiguousarray(values.T, np.float32))
    new |= {f"{weight}.blocks": blocks, f"{weight}.scales": scales, f"{weight}.zeros": zeros}
    return helper.make_node(
        "MatMulNBits",
        [node.input[0], f"{weight}.blocks", f"{weight}.scales", f"{weight}.zeros"],
        list(node.output), domain=MICROSOFT, K=values.shape[0], N=values.shape[1], bits=8,
        block_size=blocks.shape[-1], accuracy_level=4,
    )  # fmt: skip


def tokenizer() -> Tokenizer:
    """BERT's uncased WordPiece with [CLS] and [SEP] around."""
    vocabulary = {token: i for i, token in enumerate(_VOCABULARY.read_text("utf-8").splitlines())}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")],
    )
    made.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    return made


def write_golden(path: Path) -> None:
    """Run the package's own graph once and keep what ours must repeat."""
    ids = np.array([tokenizer().encode(_GOLDEN_TEXT).ids], np.int64)
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    states = OnnxRuntimeEngine(path).run(feeds)["last_hidden_state"]
    arrays = {f"in:{name}": value for name, value in feeds.items()}
    arrays["out:last_hidden_state"] = states
    np.savez_compressed(_GOLDEN, **arrays)  # type: ignore[arg-type]  # its stub takes **arrays for allow_pickle


if __name__ == "__main__":
    write_golden(Path(sys.argv[1]))
