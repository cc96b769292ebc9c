"""Weights in files of their own: one copy for every graph that has them."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from engines import models
from engines.backends.onnxruntime import OnnxRuntimeEngine
from engines.engine import ModelCorruptError
from engines.fetch import fetch
from engines.manifest import manifest

GRAPHS = [("minilm", "minilm.onnx"), ("reader", "reader.onnx"), ("reader", "wide.onnx")]
WORDS = "words.int8"


@pytest.fixture(scope="module", autouse=True)
def _models() -> None:
    fetch(["minilm", "reader"])


def test_the_words_of_the_sentence_encoder_and_of_both_readers_are_mapped_once(tmp_path: Path) -> None:
    ids = np.random.default_rng(0).integers(0, 30_522, (1, 60))
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    engines = [models.open_engine(*graph) for graph in GRAPHS]
    found = [engine.run(feeds) for engine in engines]
    # the graphs with all their weights inside, as any reader of ONNX opens them
    for number, (graph, values) in enumerate(zip(GRAPHS, found, strict=True)):
        onnx.save(onnx.load(models.model_file(*graph)), tmp_path / f"{number}.onnx")
        wanted = OnnxRuntimeEngine(tmp_path / f"{number}.onnx").run(feeds)
        assert all(np.array_equal(values[name], wanted[name]) for name in wanted)
    mappings = {id(models.mapped_weights(*graph)[WORDS]) for graph in GRAPHS}
    assert len(mappings) == 1
    in_memory = [line for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(WORDS)]
    assert len(in_memory) == 1


def test_a_file_of_another_size_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SENSORIUM_MODELS", str(tmp_path))
    folder = models.folder(manifest("minilm"))
    folder.mkdir()
    (folder / WORDS).write_bytes(b"short")
    (folder / models.DIGESTS).write_text(f'{{"{WORDS}": "of another file"}}')
    with pytest.raises(ModelCorruptError, match="5 bytes, must have 11720448"):
        models.mapped_weights("minilm", "minilm.onnx")
