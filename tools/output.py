"""Where words go: results to stdout alone, everything else to stderr."""

import sys
from pathlib import Path

from tools.errors import InputError


def say(sentence: str) -> None:
    """Tell people something."""
    print(sentence, file=sys.stderr, flush=True)


def check_output(path: Path | None) -> None:
    """Find out before the work whether its result can be kept. Raises InputError."""
    if path is not None and (path.is_dir() or not path.parent.is_dir()):
        reason = "is a folder" if path.is_dir() else f"cannot be written: there is no folder {path.parent}"
        raise InputError(f"--output: {path} {reason}")


def write_result(text: str, path: Path | None) -> None:
    """Write to a file, or to stdout when there is none."""
    if path is None:
        sys.stdout.write(text)
        sys.stdout.flush()
    else:
        path.write_text(text)
