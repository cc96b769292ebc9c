"""What the exporter writes repeats pyannote, and what does not fit is refused with a way out."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engines import models
from engines.engine import FetchError
from engines.manifest import imported, manifest
from engines.models import open_engine
from tools.models import bring_pyannote

Cli = Callable[..., "subprocess.CompletedProcess[str]"]
Make = Callable[..., Any]


def test_segmentation_3_0_in_pyannotes_class_becomes_the_graph_that_we_ship(
    brought: dict[str, str], conversation: NDArray[np.int16]
) -> None:
    waveform = (conversation[None, None, : 16_000 * 10] / 32_768).astype(np.float32)
    ours, theirs = (
        open_engine(name, "segmentation.onnx").run({"waveform": waveform})["log_probs"]
        for name in ("segmentation-3.0", brought["segmentation"])
    )
    np.testing.assert_allclose(theirs, ours, atol=1e-4)
    assert len(set(theirs[0].argmax(axis=1))) > 2


def test_the_embedding_repeats_pyannotes_network_for_any_length_and_batch(
    brought: dict[str, str], embedding: Make, save: Any
) -> None:
    import torch
    from pyannote.audio import Model

    path = save(embedding(), "again")
    name = bring_pyannote(path, "again", "MIT").name
    model = Model.from_pretrained(path).eval()
    engine = open_engine(name, "embedding.onnx")
    for shape in ((1, 40, 80), (3, 333, 80)):
        fbank = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
        with torch.no_grad():
            wanted = model.resnet(torch.from_numpy(fbank))[1].numpy()
        np.testing.assert_allclose(engine.run({"fbank": fbank})["embedding"], wanted, atol=1e-4)


def test_both_are_kept_with_manifests_and_recorded_runs(brought: dict[str, str]) -> None:
    for task, name in brought.items():
        model = manifest(name)
        assert model.task == f"speaker {task}" and len(model.parity) == 2
        models.verify(name)


def test_the_command_line_imports_and_says_how_to_use_it(cli: Cli, segmentation_3_0: Path) -> None:
    done = cli("models", "import", "pyannote", str(segmentation_3_0), "mine", "--licence", "MIT")
    assert done.returncode == 0, done.stderr
    assert "SENSORIUM_SEGMENTATION_MODEL=mine" in done.stderr
    assert cli("models", "verify", "mine").returncode == 0


def test_importing_reports_nothing_to_the_makers(brought: dict[str, str]) -> None:
    assert os.environ["PYANNOTE_METRICS_ENABLED"] == "false"


def refused(path: Path) -> str:
    before = set(imported())
    with pytest.raises(FetchError) as caught:
        bring_pyannote(path, "unfit", "MIT")
    assert set(imported()) == before
    return str(caught.value)


def test_a_file_that_is_no_checkpoint_of_pyannote_is_refused(cache: Path, pyannote: None, tmp_path: Path) -> None:
    import torch

    assert "is no file" in refused(tmp_path / "absent.bin")
    text = tmp_path / "config.yaml"
    text.write_text("version: 3.1.0")
    assert "pytorch_model.bin" in refused(text)
    torch.save({"state_dict": {}}, tmp_path / "other.bin")
    assert "cannot read other.bin" in refused(tmp_path / "other.bin")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"classes": 4}, "classes 11, must be 7"),
        ({"at_once": None}, "powerset False, must be True"),
        ({"stride": 5}, "samples from frame to frame 135, must be 270"),
    ],
)
def test_a_segmentation_that_the_service_cannot_use_is_refused(
    cache: Path, segmentation: Make, save: Any, settings: dict[str, Any], sentence: str
) -> None:
    said = refused(save(segmentation(**settings), "unfit"))
    assert sentence in said and "pyannote/segmentation-3.0" in said


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [({"num_mel_bins": 40}, "num_mel_bins 40, must be 80"), ({"frame_shift": 20.0}, "frame_shift 20.0, must be 10.0")],
)
def test_an_embedding_of_other_features_is_refused(
    cache: Path, embedding: Make, save: Any, settings: dict[str, Any], sentence: str
) -> None:
    from pyannote.audio.models.embedding.wespeaker import resnet

    model = embedding(**settings)
    model.resnet = resnet.ResNet34(model.hparams.num_mel_bins, 256, two_emb_layer=False)
    assert sentence in refused(save(model, "unfit"))
