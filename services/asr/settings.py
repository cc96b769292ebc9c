"""The options of one stream, checked."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.runtime.stage import MediaError

KNOWN = ("partials", "second_pass")


@dataclass(frozen=True, slots=True)
class AsrOptions:
    """What a caller may choose.

    `partials`: show what is heard before the utterance ends. `second_pass`: Whisper reads every closed
    English utterance again; its text replaces the final under the same id, revision + 1. None: it does
    so where it was fetched, unless the language is pinned to English.
    """

    partials: bool = True
    second_pass: bool | None = None


def parse_options(options: Mapping[str, str]) -> AsrOptions:
    """Read `StageConfig.options`. Raises MediaError for an unknown key or value."""
    if unknown := sorted(set(options) - set(KNOWN)):
        raise MediaError(f"unknown options {unknown}; asr knows {', '.join(KNOWN)}")
    partials = _choice(options, "partials", {"on": True, "off": False})
    return AsrOptions(
        partials=partials is not False,
        second_pass=_choice(options, "second_pass", {"whisper": True, "off": False}),
    )


def _choice(options: Mapping[str, str], key: str, values: Mapping[str, bool]) -> bool | None:
    value = options.get(key)
    if value is None:
        return None
    if value not in values:
        raise MediaError(f"option {key} is {value!r}; must be one of {', '.join(values)}")
    return values[value]
