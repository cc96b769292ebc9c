"""Debian's packages as a source of model files: downloaded by apt-get, never installed, opened without dpkg."""

import io
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engines.engine import FetchError

_AR = b"!<arch>\n"
_HEADER_BYTES = 60


def download(name: str, version: str, target: Path) -> Path:
    """Bring one package into the folder `target`; no right to install anything is needed. Raises FetchError."""
    spec = f"{name}={version}"
    if shutil.which("apt-get") is None:
        raise FetchError(f"{spec} comes from Debian or Ubuntu, whose apt-get is not on this machine")
    done = _apt(target, (), "download", spec)
    if done.returncode:
        # The machine's lists of packages are old or not there: lists of our own, for this once.
        lists = target / "lists"
        for part in ("state/lists/partial", "cache/archives/partial"):
            (lists / part).mkdir(parents=True)
        places = (("Dir::State", lists / "state"), ("Dir::Cache", lists / "cache"))
        own = [text for key, place in places for text in ("-o", f"{key}={place}")]
        own += ["-o", "Dir::State::status=/var/lib/dpkg/status"]
        _apt(target, own, "update")
        done = _apt(target, own, "download", spec)
        shutil.rmtree(lists)
    found = list(target.glob("*.deb"))
    if done.returncode or len(found) != 1:
        reason = [line for line in done.stderr.splitlines() if line.startswith("E:")][-1:] or [done.stderr[-300:]]
        raise FetchError(f"cannot download {spec} with apt-get: {reason[0].strip()} (is the network up?)")
    return found[0]


def _apt(folder: Path, options: list[str] | tuple[str, ...], *command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["apt-get", "-qq", *options, *command], cwd=folder, capture_output=True, text=True)


@contextmanager
def content(archive: Path) -> Iterator[tarfile.TarFile]:
    """The files of a package (ar archive, deb(5)); their names begin with "./". Raises FetchError."""
    with archive.open("rb") as file:
        if file.read(len(_AR)) != _AR:
            raise FetchError(f"{archive.name} is not a Debian package")
        while header := file.read(_HEADER_BYTES):
            name, size = header[:16].decode().strip().rstrip("/"), int(header[48:58])
            if name.startswith("data.tar"):
                with tarfile.open(fileobj=io.BytesIO(file.read(size))) as files:
                    yield files
                return
            file.seek(size + size % 2, 1)
    raise FetchError(f"{archive.name} holds no files")
