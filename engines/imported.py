"""Models that the user brought: an exporter's files, checked and kept beside those out of packages.

The manifest lies in the cache as imported/NAME.toml, the recorded runs among the model's files. Which weights
were imported is the checkpoint's digest; importing under a name again replaces what was there.
"""

import json
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from engines import models
from engines.cache import cache_root, imported_root
from engines.engine import FetchError
from engines.fetch import keep
from engines.manifest import Manifest, imported, manifests, parse

# An exporter: writes the model's files into a folder and says what they are.
Export = Callable[[Path], Manifest]


def install(name: str, export: Export) -> Manifest:
    """Run an exporter, check what it made and keep it as `name`.

    Raises FetchError for a name that is taken or odd, a graph that does not repeat the recorded runs, and for
    whatever the exporter refuses; nothing is kept then.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,62}", name):
        raise FetchError(f"name is {name!r}, must be 1 to 63 of a-z, 0-9, '.', '_' and '-', beginning with a-z or 0-9")
    if name in manifests():
        raise FetchError(f"name {name!r} is a model of the product; choose another one")
    before = imported().get(name)
    root = cache_root()
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".import-") as scratch:
        out = Path(scratch) / "out"
        out.mkdir()
        model = export(out)
        text = to_toml(model)
        if parse(text, f"{name}.toml") != model:
            raise FetchError(f"the manifest of {name} does not read back as it was written; report it")
        keep(model, out, out)
        written = Path(scratch) / f"{name}.toml"
        written.write_text(text)
        imported_root().mkdir(exist_ok=True)
        written.replace(imported_root() / written.name)
    if before is not None and models.folder(before) != models.folder(model):
        shutil.rmtree(models.folder(before), ignore_errors=True)
    return model


def to_toml(model: Manifest) -> str:
    """The manifest as `engines.manifest.parse` reads it."""
    return "\n".join(_lines(model, ""))


def _lines(table: Any, path: str) -> list[str]:
    values, tables = [], []
    for field in fields(table):
        value = getattr(table, field.name)
        where = f"{path}.{field.name}".lstrip(".")
        if value == field.default:
            continue
        if is_dataclass(value):
            tables += ["", f"[{where}]", *_lines(value, where)]
        elif isinstance(value, tuple) and value and all(is_dataclass(item) for item in value):
            for item in value:
                tables += ["", f"[[{where}]]", *_lines(item, where)]
        else:
            values.append(f"{field.name} = {_value(value)}")
    return [*values, *tables]


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    # JSON's strings and numbers are TOML's.
    return json.dumps(value, ensure_ascii=False)
