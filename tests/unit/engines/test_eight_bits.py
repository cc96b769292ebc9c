"""Graphs that ONNX Runtime runs in eight bits: which, where, and how near they stay."""

import numpy as np
import pytest

from engines import models, plain_graphs
from engines.backends import onnxruntime
from engines.backends.onnxruntime import OnnxRuntimeEngine
from engines.fetch import fetch
from engines.manifest import manifest, manifests

USED = {
    f"{name}/{known.graph}": known for name, model in manifests().items() for known in model.eight_bits if known.is_used
}


@pytest.fixture(params=USED)
def graph(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A model's name and its graph that has eight bits."""
    name, _, file = str(request.param).partition("/")
    fetch([name])
    return name, file


def test_only_what_loses_little_and_saves_a_quarter_is_run_in_eight_bits() -> None:
    assert set(USED) == {"nanodet-g/nanodet.onnx", "gui-elements/gui-elements.onnx"}
    for known in (known for model in manifests().values() for known in model.eight_bits):
        is_worth = known.onnxruntime <= known.most and known.cpu_ms[1] <= 0.75 * known.cpu_ms[0]
        assert known.is_used == (is_worth and not known.against)


def test_what_it_gives_is_near_what_the_graph_as_it_is_gives(graph: tuple[str, str]) -> None:
    name, file = graph
    feeds = plain_graphs.example(name, file)
    as_it_is, eight = (
        OnnxRuntimeEngine(models.model_file(name, path)).run(feeds) for path in (file, USED[f"{name}/{file}"].file)
    )
    for output, values in as_it_is.items():
        cosine = np.vdot(values, eight[output]) / (np.linalg.norm(values) * np.linalg.norm(eight[output]))
        assert cosine > 0.97, output


def test_it_is_opened_where_the_processor_has_vnni_and_described_so(
    graph: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, file = graph
    monkeypatch.setattr(onnxruntime, "has_vnni", lambda: True)
    assert models.open_engine(name, file).precision == models.runs_as(name).precision == "int8"
    monkeypatch.setattr(onnxruntime, "has_vnni", lambda: False)
    assert models.open_engine(name, file).precision == models.runs_as(name).precision == "float32"
    assert {models.file_on_cpu(name, other.file) for other in manifest(name).graph} == {
        other.file for other in manifest(name).graph
    }
