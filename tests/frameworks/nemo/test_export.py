"""What the exporter writes repeats NeMo, and what does not fit is refused with a way out."""

import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engines import models
from engines.engine import FetchError
from engines.export import nemo
from engines.manifest import imported, manifest
from tools.models import bring_nemo

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize("lookahead", [3, 1, 0])
def test_the_graph_streams_on_its_own_caches_as_nemo_does(
    cache: Path, checkpoints: dict[str, Path], lookahead: int, tmp_path: Path
) -> None:
    options = nemo.NemoOptions("CC0-1.0", lookahead=lookahead)
    nemo.export(checkpoints["hybrid"], "x", options, tmp_path)
    model = nemo.restore(checkpoints["hybrid"])
    model.encoder.set_default_att_context_size([28, lookahead])
    assert nemo.chained_difference(tmp_path, model) < 1e-4


def test_every_class_is_kept_with_its_manifest_and_recorded_runs(brought: dict[str, str]) -> None:
    for label, name in brought.items():
        model = manifest(name)
        files = {graph.file for graph in model.graph}
        heads = {"ctc.onnx"} if label.endswith("ctc") else {"predictor.onnx", "joint.onnx"}
        assert files == {"encoder.onnx", *heads}
        assert {parity.graph for parity in model.parity} == files
        models.verify(name)


def test_the_command_line_imports_lists_and_verifies(cli: Cli, checkpoints: dict[str, Path]) -> None:
    path = str(checkpoints["ctc"])
    done = cli("models", "import", "nemo", path, "mine", "--licence", "CC-BY-4.0", "--lookahead", "0")
    assert done.returncode == 0, done.stderr
    assert "SENSORIUM_ASR_MODEL=mine" in done.stderr
    row = next(line for line in cli("models", "list").stdout.splitlines() if line.startswith("mine "))
    assert "here" in row and "CC-BY-4.0" in row
    assert cli("models", "verify", "mine").returncode == 0
    assert imported()["mine"].checkpoint is not None


def refused(path: Path, head: str = "", lookahead: int | None = None) -> str:
    before = set(imported())
    with pytest.raises(FetchError) as caught:
        bring_nemo(path, "unfit", "CC0-1.0", "en", head, lookahead)
    assert set(imported()) == before
    return str(caught.value)


def test_a_file_that_is_no_nemo_checkpoint_is_refused(cache: Path, tmp_path: Path) -> None:
    assert "is no file" in refused(tmp_path / "absent.nemo")
    text = tmp_path / "text.nemo"
    text.write_text("weights")
    assert "save_to" in refused(text)
    empty = tmp_path / "empty.nemo"
    with tarfile.open(empty, "w") as tar:
        tar.add(text, "model_weights.ckpt")
    assert "model_config.yaml" in refused(empty)


@pytest.mark.parametrize(
    ("kind", "changes", "sentence"),
    [
        ("ctc", {"encoder": {"att_context_size": [-1, -1], "att_context_style": "regular"}}, "both sides must be"),
        ("ctc", {"encoder": {"att_context_size": [28, 2], "att_context_style": "regular"}}, "'chunked_limited'"),
        ("ctc", {"encoder": {"conv_context_size": None}}, "must be causal"),
        ("ctc", {"encoder": {"causal_downsampling": False}}, "causal_downsampling"),
        ("rnnt", {"preprocessor": {"normalize": "per_feature"}}, "normalised over the whole recording"),
    ],
)
def test_a_model_that_cannot_stream_with_caches_is_refused(
    cache: Path, save: Any, kind: str, changes: dict[str, Any], sentence: str
) -> None:
    said = refused(save(kind, **changes))
    assert "not cache-aware" in said and sentence in said and "Use a checkpoint" in said


def test_a_vocabulary_of_characters_is_refused(cache: Path, save: Any) -> None:
    letters = list(" abcdefghijklmnopqrstuvwxyz'")
    decoder = {
        "_target_": "nemo.collections.asr.modules.ConvASRDecoder",
        "feat_in": 48,
        "num_classes": len(letters),
        "vocabulary": letters,
    }
    said = refused(save("ctc", "EncDecCTCModel", tokenizer=None, decoder=decoder))
    assert "characters" in said and "SentencePiece" in said


def test_a_head_or_lookahead_that_the_checkpoint_has_not_is_refused_and_its_own_are_named(
    cache: Path, checkpoints: dict[str, Path]
) -> None:
    assert "has ctc" in refused(checkpoints["ctc"], head="rnnt")
    assert "3, 1, 0" in refused(checkpoints["ctc"], lookahead=13)


def test_an_encoder_too_large_for_one_file_is_refused(
    cache: Path, checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nemo, "MAX_PARAMETERS", 1_000)
    assert "at most 1000 fit" in refused(checkpoints["ctc"])
