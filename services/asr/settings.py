"""The options of one stream, checked."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.runtime.phrases import Phrase, parse_phrases
from services.runtime.stage import MediaError

KNOWN = ("partials", "second_pass", "phrases")


@dataclass(frozen=True, slots=True)
class AsrOptions:
    """What a caller may choose.

    `partials`: show what is heard before the utterance ends. `second_pass`: Whisper reads every closed
    English utterance again; its text replaces the final under the same id, revision + 1. None: it does
    so where it was fetched, unless the language is pinned to English and there are no phrases.
    `phrases`: what may be said, which that reading listens for; one a line, a tab and a weight if wanted.
    """

    partials: bool = True
    second_pass: bool | None = None
    phrases: tuple[Phrase, ...] = ()


def parse_options(options: Mapping[str, str]) -> AsrOptions:
    """Read `StageConfig.options`. Raises MediaError for an unknown key, a bad value or bad phrases."""
    if unknown := sorted(set(options) - set(KNOWN)):
        raise MediaError(f"unknown options {unknown}; asr knows {', '.join(KNOWN)}")
    partials = _choice(options, "partials", {"on": True, "off": False})
    return AsrOptions(
        partials=partials is not False,
        second_pass=_choice(options, "second_pass", {"whisper": True, "off": False}),
        phrases=parse_phrases(options.get("phrases", "")),
    )


def _choice(options: Mapping[str, str], key: str, values: Mapping[str, bool]) -> bool | None:
    value = options.get(key)
    if value is None:
        return None
    if value not in values:
        raise MediaError(f"option {key} is {value!r}; must be one of {', '.join(values)}")
    return values[value]
