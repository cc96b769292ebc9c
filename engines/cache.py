"""Where model files lie on this machine."""

import os
from pathlib import Path


def cache_root() -> Path:
    """Folder of all models: $SENSORIUM_MODELS, else $XDG_CACHE_HOME/sensorium/models."""
    if chosen := os.environ.get("SENSORIUM_MODELS"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "sensorium" / "models"


def imported_root() -> Path:
    """Folder of the manifests of models that the user brought."""
    return cache_root() / "imported"
