"""Checkpoints are read without torch, and nothing but tensors is read; graphs are filled by name."""

import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest

from engines.engine import FetchError
from engines.export.checkpoint import load_tensors
from engines.export.skeleton import fill, is_empty, strip
from engines.fetch import fetch
from engines.models import model_file

VALUES = np.arange(12, dtype="<f4")


def text(value: str) -> bytes:
    """Opcodes that push a string."""
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def numbers(*values: int) -> bytes:
    """Opcodes that push a tuple of small integers."""
    return b"(" + b"".join(b"K" + bytes([value]) for value in values) + b"t"


def tensor(size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0, count: int = 12) -> bytes:
    """Opcodes of one tensor as torch.save writes them."""
    storage = (
        b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"K" + bytes([count]) + b"tQ"
    )
    hooks = b"ccollections\nOrderedDict\n)R"
    place = b"K" + bytes([offset]) + numbers(*size) + numbers(*stride)
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + place + b"\x89" + hooks + b"tR"


def saved(path: Path, opcodes: bytes) -> Path:
    """A torch zip whose pickle is a dict with the one entry "weight"."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}" + text("weight") + opcodes + b"s.")
        archive.writestr("archive/data/0", VALUES.tobytes())
    return path


def test_a_tensor_has_its_shape_stride_and_offset(tmp_path: Path) -> None:
    whole = load_tensors(saved(tmp_path / "a.pt", tensor((3, 4), (4, 1))))
    np.testing.assert_array_equal(whole["weight"], VALUES.reshape(3, 4))
    part = load_tensors(saved(tmp_path / "b.pt", tensor((4, 2), (1, 4), offset=4)))
    np.testing.assert_array_equal(part["weight"], VALUES[4:].reshape(2, 4).T)


def test_a_pickle_that_names_anything_but_tensors_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, ("touch evil",)

    path = tmp_path / "evil.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"weight": Evil()}))
    with pytest.raises(FetchError, match="system is refused, only tensors are read"):
        load_tensors(path)


@pytest.mark.parametrize(
    "opcodes",
    [
        tensor((3, 5), (5, 1)),
        tensor((4,), (4,)),
        tensor((3,), (1,), offset=10),
        tensor((3, 4), (4,)),
        tensor((12,), (1,), count=13),
    ],
)
def test_a_tensor_beyond_its_storage_is_refused(tmp_path: Path, opcodes: bytes) -> None:
    with pytest.raises(FetchError, match="is no checkpoint of tensors"):
        load_tensors(saved(tmp_path / "a.pt", opcodes))


@pytest.mark.parametrize("data", [b"", b"not a zip", b"PK\x03\x04 cut off"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.pt"
    path.write_bytes(data)
    with pytest.raises(FetchError, match=r"a\.pt"):
        load_tensors(path)


def test_a_checkpoint_without_the_wanted_entry_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="no dict of tensors under 'state_dict'"):
        load_tensors(saved(tmp_path / "a.pt", tensor((12,), (1,))), "state_dict")


def graph() -> onnx.ModelProto:
    """y = x @ weight + shift, of which only the weight is the checkpoint's."""
    return onnx.helper.make_model(
        onnx.helper.make_graph(
            [
                onnx.helper.make_node("MatMul", ["x", "weight"], ["z"]),
                onnx.helper.make_node("Add", ["z", "shift"], ["y"]),
            ],
            "g",
            [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3])],
            [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 4])],
            [
                onnx.numpy_helper.from_array(VALUES.reshape(3, 4), "weight"),
                onnx.numpy_helper.from_array(VALUES[:1], "shift"),
            ],
        )
    )


def test_a_stripped_graph_is_filled_as_it_was(tmp_path: Path) -> None:
    skeleton, out = tmp_path / "g.onnx.xz", tmp_path / "g.onnx"
    skeleton.write_bytes(strip(graph(), {"weight"}))
    fill(skeleton, {"weight": VALUES.reshape(3, 4)}, out)
    kept = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(out).graph.initializer}
    np.testing.assert_array_equal(kept["weight"], VALUES.reshape(3, 4))
    np.testing.assert_array_equal(kept["shift"], VALUES[:1])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({}, "needs the weight 'weight'"),
        ({"weight": VALUES.reshape(4, 3)}, r"'weight' is float32\[4, 3\]"),
        ({"weight": VALUES.reshape(3, 4).astype(np.float64)}, r"'weight' is float64\[3, 4\]"),
    ],
)
def test_a_weight_that_is_missing_or_misfits_is_refused(
    tmp_path: Path, weights: dict[str, np.ndarray], message: str
) -> None:
    skeleton = tmp_path / "g.onnx.xz"
    skeleton.write_bytes(strip(graph(), {"weight"}))
    with pytest.raises(FetchError, match=message):
        fill(skeleton, weights, tmp_path / "g.onnx")


@pytest.mark.parametrize("name", ["segmentation-3.0", "campplus"])
def test_no_weight_is_empty_after_fetch(name: str) -> None:
    fetch([name])
    file = "segmentation.onnx" if name == "segmentation-3.0" else "campplus.onnx"
    model = onnx.load_model(io.BytesIO(model_file(name, file).read_bytes()))
    assert model.graph.initializer
    assert not any(is_empty(tensor) for tensor in model.graph.initializer)
