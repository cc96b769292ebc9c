"""Model files out of Debian's packages, without installing them."""

from pathlib import Path

import pytest

from engines import debian, fetch, models
from engines.engine import FetchError


def test_data_of_a_script_come_out_of_a_debian_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENSORIUM_MODELS", str(tmp_path))
    assert fetch.fetch(["tesseract-grek"]) == ["tesseract-grek"]
    models.verify("tesseract-grek")
    assert [path.name for path in tmp_path.iterdir()] == ["tesseract-grek-4.1.0"]


def test_a_version_that_does_not_exist_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="cannot download tesseract-ocr-script-grek=0.0.0 with apt-get: .*0.0.0"):
        debian.download("tesseract-ocr-script-grek", "0.0.0", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_where_there_is_no_apt_get_the_error_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FetchError, match="apt-get is not on this machine"):
        debian.download("tesseract-ocr-script-grek", "1:4.1.0-2", tmp_path)


@pytest.mark.parametrize(
    "data", [b"PK\3\4", b"!<arch>\n", b"!<arch>\n" + b"debian-binary   " + b" " * 32 + b"4         `\n2.0\n"]
)
def test_what_is_no_debian_package_is_refused(tmp_path: Path, data: bytes) -> None:
    archive = tmp_path / "x.deb"
    archive.write_bytes(data)
    with pytest.raises(FetchError, match="x.deb"), debian.content(archive):
        pass
