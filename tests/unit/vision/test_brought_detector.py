"""A user's detector of OWL-ViT's or YOLO-World's signature: importing it, and what it finds.

The graphs here are TINY STAND-INS made by this file: the signature is the real one, but all they know are three
colours. They tell whether pictures, words, boxes and scores pass through the adapter as they should, not how well
such models see.
"""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers

from engines.engine import FetchError, ManifestError
from engines.fetch import fetch
from engines.manifest import Manifest
from services.runtime.percept import Coverage, ScreenState
from services.runtime.stage import Frame, StageConfig
from services.vision import brought_detector as adapter
from services.vision import service
from services.vision.brought_detector import BroughtDetector
from tools.models import bring_detector

SIDE, CELL, TOKENS = 128, 16, 4
CELLS = SIDE // CELL
WORDS = {"[PAD]": 0, "red": 1, "green": 2, "blue": 3, "[UNK]": 4}
KINDS = ("owl", "yolo-world")


def _colours_of_words() -> NDArray[np.float32]:
    """A row for each word: +1 for its own colour, -1 for the others; nothing for words that are no colour."""
    table = np.zeros((len(WORDS), 3), np.float32)
    table[1:4] = 2 * np.eye(3) - 1
    return table


def _save(path: Path, nodes: list, ends: list, held: dict[str, NDArray]) -> None:
    inputs, outputs = ([helper.make_tensor_value_info(*end) for end in side] for side in ends)
    constants = [numpy_helper.from_array(value, name) for name, value in held.items()]
    graph = helper.make_graph(nodes, "stand-in", inputs, outputs, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def stand_in(folder: Path, kind: str) -> Path:
    """A folder to import: mean colours of cells, compared with the colours of words."""
    folder.mkdir()
    tokenizer = Tokenizer(models.WordLevel(WORDS, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    number = TensorProto.FLOAT, TensorProto.INT64
    corner = np.stack(np.meshgrid(np.arange(CELLS), np.arange(CELLS)), -1).reshape(-1, 2) * CELL
    lines = [f'kind = "{kind}"', 'graph = "graph.onnx"', 'tokenizer = "tokenizer.json"']
    lines += [f"size_px = {SIDE}", f"tokens = {TOKENS}", "least_score = 0.6"]
    cells = [
        helper.make_node("AveragePool", ["pixels"], ["pooled"], kernel_shape=[CELL, CELL], strides=[CELL, CELL]),
        helper.make_node("Reshape", ["pooled", "flat"], ["columns"]),
        helper.make_node("Transpose", ["columns"], ["cells"], perm=[0, 2, 1]),
    ]
    said = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("ReduceSum", ["rows", "tokens"], ["meant"], keepdims=0),
    ]
    held = {"flat": np.array([1, 3, -1]), "table": _colours_of_words(), "tokens": np.array([1])}
    boxes = np.concatenate([corner, corner + CELL], axis=1).astype(np.float32)
    if kind == "owl":
        boxes = np.concatenate([corner + CELL / 2, np.full_like(corner, CELL)], axis=1).astype(np.float32) / SIDE
        nodes = [
            helper.make_node("Identity", ["pixel_values"], ["pixels"]),
            *(*cells, *said),
            # The mask says which tokens count.
            helper.make_node("Cast", ["attention_mask"], ["kept"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMax", ["kept"], ["any"], axes=[1], keepdims=1),
            helper.make_node("Mul", ["meant", "any"], ["words"]),
            helper.make_node("Transpose", ["words"], ["across"], perm=[1, 0]),
            helper.make_node("MatMul", ["cells", "across"], ["near"]),
            helper.make_node("Mul", ["near", "eight"], ["logits"]),
            helper.make_node("Identity", ["held_boxes"], ["pred_boxes"]),
        ]
        ends = [
            [("pixel_values", number[0], [1, 3, SIDE, SIDE])]
            + [(name, number[1], ["q", TOKENS]) for name in ("input_ids", "attention_mask")],
            [("logits", number[0], [1, None, None]), ("pred_boxes", number[0], [1, None, 4])],
        ]
        _save(folder / "graph.onnx", nodes, ends, {**held, "eight": np.float32(8), "held_boxes": boxes[None]})
    else:
        nodes = [
            helper.make_node("Identity", ["images"], ["pixels"]),
            *cells,
            helper.make_node("Transpose", ["txt_feats"], ["across"], perm=[0, 2, 1]),
            helper.make_node("MatMul", ["cells", "across"], ["near"]),
            helper.make_node("Mul", ["near", "eight"], ["logits"]),
            helper.make_node("Sigmoid", ["logits"], ["scores"]),
            helper.make_node("Identity", ["held_boxes"], ["boxes"]),
        ]
        ends = [
            [("images", number[0], [1, 3, SIDE, SIDE]), ("txt_feats", number[0], [1, "q", 3])],
            [("scores", number[0], [1, None, None]), ("boxes", number[0], [1, None, 4])],
        ]
        shown = {"flat": held.pop("flat"), "eight": np.float32(8), "held_boxes": boxes[None]}
        _save(folder / "graph.onnx", nodes, ends, shown)
        named = [*said, helper.make_node("Identity", ["meant"], ["text_embeds"])]
        ends = [[("input_ids", number[1], ["q", TOKENS])], [("text_embeds", number[0], [None, 3])]]
        _save(folder / "text.onnx", named, ends, held)
        lines.append('text_graph = "text.onnx"')
    (folder / "detector.toml").write_text("\n".join(lines))
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SENSORIUM_MODELS", str(tmp_path / "models"))
    return tmp_path


def brought(cache: Path, kind: str) -> Manifest:
    return bring_detector(stand_in(cache / kind, kind), f"tiny-{kind}", "CC0-1.0")


def squares() -> NDArray[np.uint8]:
    """512 x 256: a red square on the left, a green one on the right below; cells are 64 pixels."""
    pixels = np.zeros((256, 512, 3), np.uint8)
    pixels[64:128, 128:192] = (0, 0, 255)
    pixels[192:256, 448:512] = (0, 255, 0)
    return pixels


@pytest.mark.parametrize("kind", KINDS)
def test_things_are_found_where_they_are_in_the_picture_and_others_are_not(cache: Path, kind: str) -> None:
    finder = BroughtDetector(brought(cache, kind).name)
    red, blue, green = finder.find(squares(), ["red", "blue", "green"])
    assert not blue
    for (match,), box in ((red, (128, 64, 192, 128)), (green, (448, 192, 512, 256))):
        np.testing.assert_allclose(match.box, box, atol=1)
        assert match.source == "detector" and 0.9 < match.score <= 1
    assert finder.find(squares(), []) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_is_squeezed_where_the_model_was_trained_so(cache: Path, kind: str) -> None:
    folder = stand_in(cache / kind, kind)
    settings = folder / "detector.toml"
    settings.write_text(f"is_squeezed = true\n{settings.read_text()}")
    finder = BroughtDetector(bring_detector(folder, "squeezed", "CC0-1.0").name)
    (green,) = finder.find(squares(), ["green"])
    assert all(448 <= m.box[0] < m.box[2] <= 512 and 192 <= m.box[1] < m.box[3] <= 256 for m in green) and green


def test_what_no_detector_of_the_product_covers_is_asked_of_the_users(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch(["minilm", "ppocrv6-tiny", "line-script", "line-ends"])
    monkeypatch.setattr(adapter, "MODEL", brought(cache, "owl").name)
    monkeypatch.setattr(service, "_BROUGHT", (adapter.MODEL,))
    expert = service.new_expert()
    stage = expert.open_stage(StageConfig(queries=("green", "a blue", 'text "x"'), options={"quality": "fast"}))
    (state,) = (p for p in stage.push_frame(Frame(squares(), 0)) if isinstance(p, ScreenState))
    green, blue, text = state.answers
    assert green.coverage is Coverage.FOUND and green.matches[0].source == "detector"
    assert blue.coverage is text.coverage is Coverage.NOT_FOUND
    monkeypatch.setattr(service, "_BROUGHT", ("minilm",))
    with pytest.raises(ManifestError, match="vision needs one for open vocabulary detection"):
        service.new_expert()
    monkeypatch.setattr(service, "_BROUGHT", (adapter.MODEL,))
    (told,) = (model for model in expert.models() if model.name == adapter.MODEL)
    assert told.is_loaded


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ('kind = "owl"', 'kind = "detr"', "must be one of owl, yolo-world"),
        ("tokens = 4", "tokens = 0", "tokens is 0, must be 1 to 512"),
        ("tokens = 4", "tokens = 4\ncolour = 1", "colour"),
        ("tokens = 4", "tokens = 4\nmean = [1]", "three numbers"),
        ('"graph.onnx"', '"other.onnx"', "cannot be read"),
        ('"graph.onnx"', '"tokenizer.json"', "is no ONNX graph"),
        ("least_score", '[tensors]\nscores = "classes"\n#', r"gives \['logits', 'pred_boxes'\]"),
        ("least_score", 'text_graph = "graph.onnx"\n#', "is for the kind yolo-world"),
    ],
)
def test_settings_and_graphs_that_do_not_fit_are_refused_with_what_is_wrong(
    cache: Path, before: str, after: str, says: str
) -> None:
    folder = stand_in(cache / "owl", "owl")
    settings = folder / "detector.toml"
    settings.write_text(settings.read_text().replace(before, after))
    with pytest.raises(FetchError, match=says):
        bring_detector(folder, "refused", "CC0-1.0")
