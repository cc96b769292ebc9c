"""Where model files, and what was measured with them, lie on this machine."""

import os
from pathlib import Path


def cache_root() -> Path:
    """Folder of all models: $SENSORIUM_MODELS, else $XDG_CACHE_HOME/sensorium/models."""
    if chosen := os.environ.get("SENSORIUM_MODELS"):
        return Path(chosen).expanduser()
    return _ours() / "models"


def imported_root() -> Path:
    """Folder of the manifests of models that the user brought."""
    return cache_root() / "imported"


def tuning_file() -> Path:
    """What was measured on this machine: $SENSORIUM_TUNING, else $XDG_CACHE_HOME/sensorium/tuning.toml.

    Not among the models, which many machines may share.
    """
    if chosen := os.environ.get("SENSORIUM_TUNING"):
        return Path(chosen).expanduser()
    return _ours() / "tuning.toml"


def kernels_root() -> Path:
    """Folder of the kernels' fat binaries: $SENSORIUM_KERNELS, else $XDG_CACHE_HOME/sensorium/kernels."""
    if chosen := os.environ.get("SENSORIUM_KERNELS"):
        return Path(chosen).expanduser()
    return _ours() / "kernels"


def _ours() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "sensorium"
