"""Which models a call needs, and fetching them with progress."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from engines import fetch as engines_fetch
from engines import models as engines_models
from engines.imported import install
from engines.manifest import Manifest, imported, manifest, manifests
from tools.errors import InputError

# For queries in meetings, beside the sentence encoder; they lie in this repository: fetching them downloads nothing.
QUERIES = ("gui-elements", "control-states", "icon-encoder")
ENGLISH = (
    "silero-vad",
    "moonshine-tiny-en",
    "moonshine-adapter",
    "segmentation-3.0",
    "campplus",
    "ppocrv6-tiny",
    "ppocrv6-small",
    "line-script",
    "line-ends",
    *QUERIES,
    "smollm2-135m-instruct",
    "minilm",
    "reader",
)
# Data of Tesseract for the scripts that PP-OCR cannot read; `see` brings what it meets.
SCRIPT_PREFIX = "tesseract-"
SETS = {"english": ENGLISH, "scripts": tuple(name for name in manifests() if name.startswith(SCRIPT_PREFIX))}
# What each service needs whatever it is asked for.
BY_SERVICE = {
    "asr": ("silero-vad", "moonshine-tiny-en", "moonshine-adapter"),
    "diarization": ("segmentation-3.0", "campplus"),
    "vision": ("ppocrv6-tiny", "ppocrv6-small", "line-script", "line-ends"),
    "decoder": ("smollm2-135m-instruct", "minilm", "reader"),
    "gateway": (),
}
OTHER_LANGUAGES = ("whisper-base", "whisper-adapter")


def for_speech(language: str) -> tuple[str, ...]:
    """What recognising a language needs; "" means that the language is not known before."""
    is_english = language.split("-")[0].lower() == "en"
    return BY_SERVICE["asr"] + (() if is_english else OTHER_LANGUAGES)


def for_tasks(tasks: Iterable[str]) -> tuple[str, ...]:
    """What looking at one picture needs; "queries" may need every task's."""
    needed: list[str] = []
    asked = tuple(tasks)
    if "queries" in asked:
        asked = (*asked, "ocr", "objects", "gui")
        needed += ["minilm", *QUERIES]
    for task in asked:
        if task == "ocr":
            needed += BY_SERVICE["vision"]
        elif task == "objects":
            needed += [name for name, model in manifests().items() if "object" in model.task]
        elif task == "gui":
            needed += [name for name, model in manifests().items() if "gui" in model.task]
    return tuple(dict.fromkeys(needed))


def for_scripts(scripts: Iterable[str]) -> tuple[str, ...]:
    """What reading lines in these scripts (ISO 15924) needs; nothing for a script that no model knows."""
    wanted = {f"{SCRIPT_PREFIX}{script.lower()}" for script in scripts}
    return tuple(name for name in SETS["scripts"] if name in wanted)


def chosen(names: Sequence[str], every: bool, group: str) -> list[str]:
    """The models that a command line names. Raises InputError, ManifestError."""
    if group and group not in SETS:
        raise InputError(f"--set: no set {group!r}; sets are {', '.join(SETS)}")
    wanted = [*names, *(manifests() if every else ()), *SETS.get(group, ())]
    if not wanted:
        raise InputError("name models, or use --all or --set english; `sensorium models list` shows all names")
    return [manifest(name).name for name in wanted]


def listing() -> list[dict[str, Any]]:
    """All models as JSON has them."""
    return [
        {
            "name": model.name,
            "task": model.task,
            "version": model.version,
            "licence": model.licence,
            "parameters": model.parameters,
            "packages": [f"{p.registry}:{p.name}=={p.version}" for p in model.package],
            "imported_from": model.checkpoint.file if model.checkpoint else None,
            "accuracy": [{"metric": a.metric, "value": a.value, "data": a.data} for a in model.accuracy],
            "is_fetched": engines_models.is_fetched(model.name),
        }
        for model in (*manifests().values(), *imported().values())
    ]


def verify(names: Sequence[str]) -> Iterator[str]:
    """Check models (default: all in the cache) one by one and yield each that is right.

    Raises ModelMissingError, ModelCorruptError, ManifestError.
    """
    for name in names or [name for name in (*manifests(), *imported()) if engines_models.is_fetched(name)]:
        engines_models.verify(name)
        yield name


def bring_nemo(file: Path, name: str, licence: str, language: str, head: str, lookahead: int | None) -> Manifest:
    """Import a NeMo checkpoint. Raises FetchError for one that does not fit and where NeMo is not set up."""
    from engines.export import nemo

    options = nemo.NemoOptions(licence, language, head, lookahead)
    return install(name, partial(nemo.export, file, name, options))


def bring_pyannote(file: Path, name: str, licence: str) -> Manifest:
    """Import a checkpoint of pyannote. Raises FetchError for one that does not fit and where it is not set up."""
    from engines.export import pyannote

    return install(name, partial(pyannote.export, file, name, licence))


def bring_detector(folder: Path, name: str, licence: str) -> Manifest:
    """Import a detector of things asked for in words. Raises FetchError for one that does not fit."""
    from engines.export import open_detector

    return install(name, partial(open_detector.export, folder, name, licence))


def missing(names: Iterable[str]) -> list[str]:
    """Those that are not in the cache. Raises ManifestError."""
    return [name for name in dict.fromkeys(names) if not engines_models.is_fetched(name)]


def fetch(names: Sequence[str]) -> list[str]:
    """Bring what is missing, with progress on stderr; returns what was brought. Raises EngineError."""
    needed = missing(names)
    if not needed:
        return []
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        newest = ""

        def line(what: str, done: int, total: int) -> None:
            nonlocal newest
            if what != newest:
                newest = what
                print(what, file=sys.stderr, flush=True)

        return engines_fetch.fetch(needed, line)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        tasks: dict[str, int] = {}

        def bar(what: str, done: int, total: int) -> None:
            if what not in tasks:
                for earlier in tasks.values():
                    progress.update(progress.task_ids[earlier], total=1, completed=1)
                tasks[what] = len(progress.task_ids)
                progress.add_task(what, total=None)
            if total:
                progress.update(progress.task_ids[tasks[what]], total=total, completed=done)

        return engines_fetch.fetch(needed, bar)
