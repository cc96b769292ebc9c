"""Models that the user brought, without the frameworks they come from."""

import tarfile
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from engines import models
from engines.engine import FetchError, ModelMissingError, TensorSpec
from engines.export import nemo, pyannote
from engines.fetch import fetch
from engines.imported import install, to_toml
from engines.manifest import Checkpoint, Graph, Manifest, Parity, imported, manifest, manifests, parse


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SENSORIUM_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def doubler(out: Path, name: str = "doubler", factor: float = 2.0, version: str = "1") -> Manifest:
    """An exporter of a graph that should double its input."""
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, [None]) for end in ("x", "y")]
    node = helper.make_node("Mul", ["x", "factor"], ["y"])
    constant = helper.make_tensor("factor", TensorProto.FLOAT, [1], [factor])
    graph = helper.make_graph([node], "doubler", ends[:1], ends[1:], [constant])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, out / "graph.onnx")
    x = np.arange(5, dtype=np.float32)
    np.savez(out / "golden.npz", **{"in:x": x, "out:y": 2 * x})
    spec = (TensorSpec("x", "float32", ("n",)),), (TensorSpec("y", "float32", ("n",)),)
    return Manifest(
        name=name,
        task="doubling",
        version=version,
        licence="CC0-1.0",
        parameters=1,
        notes='A "quoted" name and a newline:\nü.',
        graph=(Graph("graph.onnx", *spec),),
        checkpoint=Checkpoint("doubler.ckpt", "0" * 64, "tests", ("graph.onnx", "golden.npz")),
        parity=(Parity("golden.npz", "graph.onnx", 1e-6),),
    )


def test_an_imported_model_is_found_checked_and_opened_by_its_name(cache: Path) -> None:
    made = install("doubler", doubler)
    assert manifest("doubler") == made == imported()["doubler"]
    assert models.is_fetched("doubler") and fetch(["doubler"]) == []
    models.verify("doubler")
    y = models.open_engine("doubler", "graph.onnx").run({"x": np.ones(3, np.float32)})["y"]
    np.testing.assert_array_equal(y, [2, 2, 2])


@pytest.mark.parametrize("name", list(manifests()))
def test_every_manifest_reads_back_as_it_was_written(name: str) -> None:
    assert parse(to_toml(manifest(name)), name) == manifest(name)


def test_importing_under_a_name_again_replaces_the_files_of_before(cache: Path) -> None:
    old = models.folder(install("doubler", doubler))
    new = models.folder(install("doubler", lambda out: doubler(out, version="2")))
    assert new.is_dir() and not old.exists()


def test_a_graph_that_differs_from_its_source_is_refused_and_nothing_is_kept(cache: Path) -> None:
    with pytest.raises(FetchError, match="differs by"):
        install("doubler", lambda out: doubler(out, factor=3.0))
    assert imported() == {} and not list(cache.glob("doubler*")) and not list(cache.glob(".import-*"))


@pytest.mark.parametrize(("name", "sentence"), [("../x", "must be 1 to 63"), ("silero-vad", "choose another")])
def test_an_odd_or_taken_name_is_refused(name: str, sentence: str) -> None:
    with pytest.raises(FetchError, match=sentence):
        install(name, lambda out: doubler(out, name))


def test_an_imported_model_whose_files_are_gone_is_imported_again_not_fetched(cache: Path) -> None:
    folder = models.folder(install("doubler", doubler))
    (folder / "graph.onnx").unlink()
    with pytest.raises(ModelMissingError, match="import doubler.ckpt again"):
        models.open_engine("doubler", "graph.onnx")
    with pytest.raises(FetchError, match="in no package"):
        fetch(["doubler"])


def test_without_nemo_or_pyannote_importing_says_how_to_set_them_up(tmp_path: Path) -> None:
    (tmp_path / "model_config.yaml").write_text("{}")
    with tarfile.open(tmp_path / "x.nemo", "w") as tar:
        tar.add(tmp_path / "model_config.yaml", "model_config.yaml")
    with zipfile.ZipFile(tmp_path / "x.bin", "w") as archive:
        archive.writestr("x/data.pkl", b"")
    with pytest.raises(FetchError, match="make frameworks"):
        nemo.restore(tmp_path / "x.nemo")
    with pytest.raises(FetchError, match="make frameworks"):
        pyannote.export(tmp_path / "x.bin", "x", "MIT", tmp_path)
