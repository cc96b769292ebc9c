"""The options of one stream, checked."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from services.asr.endpointing import Endpointing
from services.runtime.phrases import Phrase, parse_phrases
from services.runtime.stage import MediaError

# Endpointing as Riva names it: lowest and highest value, milliseconds for a history, shares for a threshold.
HISTORIES_MS = {"start_history": (32, 2_000), "stop_history": (96, 10_000), "stop_history_eou": (96, 10_000)}
THRESHOLDS = ("start_threshold", "stop_threshold", "stop_threshold_eou")
LEAST_THRESHOLD = 0.05
# As Google's speech API names it: how short a pause ends an utterance; what Riva's names say goes before it.
SENSITIVITIES = {
    "standard": Endpointing(),
    "short": Endpointing(stop_history_s=0.4),
    "supershort": Endpointing(stop_history_s=0.25, stop_history_eou_s=0.128),
}
_EMBEDDINGS = {"on": True, "off": False, "auto": None}
# What the screen says, and what may change while a stream goes on.
SCREEN = ("screen_rare", "screen_seen")
ADJUSTABLE = ("phrases", *SCREEN)
KNOWN = (*ADJUSTABLE, "partials", "second_pass", *HISTORIES_MS, *THRESHOLDS, "endpointing_sensitivity", "embeddings")


@dataclass(frozen=True, slots=True)
class AsrOptions:
    """What a caller may choose.

    `partials`: show what is heard before the utterance ends. `second_pass`: Whisper reads every closed
    English utterance again; its text replaces the final under the same id, revision + 1. None: it does
    so where it was fetched, unless the language is pinned to English and there are no phrases.
    `phrases`: what may be said, which that reading listens for; one a line, a tab and a weight if wanted.
    `screen_rare`: words of the screen that are listened for too, written in the same way. `screen_seen`: what else it
    shows: where two readings differ, the one with such words is taken.
    `endpointing`: when speech begins and ends. `embeddings`: beside every English final its rows of the adapter; None:
    where that was fetched.
    """

    partials: bool = True
    second_pass: bool | None = None
    phrases: tuple[Phrase, ...] = ()
    screen_rare: tuple[Phrase, ...] = ()
    screen_seen: tuple[Phrase, ...] = ()
    endpointing: Endpointing = Endpointing()
    embeddings: bool | None = False


def parse_options(options: Mapping[str, str]) -> AsrOptions:
    """Read `StageConfig.options`. Raises MediaError for an unknown key, a bad value or bad phrases."""
    if unknown := sorted(set(options) - set(KNOWN)):
        raise MediaError(f"unknown options {unknown}; asr knows {', '.join(KNOWN)}")
    partials = _choice(options, "partials", {"on": True, "off": False})
    return AsrOptions(
        partials=partials is not False,
        second_pass=_choice(options, "second_pass", {"whisper": True, "off": False}),
        phrases=parse_phrases(options.get("phrases", "")),
        screen_rare=parse_phrases(options.get("screen_rare", "")),
        screen_seen=parse_phrases(options.get("screen_seen", "")),
        endpointing=_endpointing(options),
        embeddings=_choice({"embeddings": "off"} | dict(options), "embeddings", _EMBEDDINGS),
    )


def _endpointing(options: Mapping[str, str]) -> Endpointing:
    sensitivity = options.get("endpointing_sensitivity", "standard")
    if sensitivity not in SENSITIVITIES:
        raise MediaError(
            f"option endpointing_sensitivity is {sensitivity!r}; must be one of {', '.join(SENSITIVITIES)}"
        )
    given: dict[str, float] = {}
    for key, (lowest, highest) in HISTORIES_MS.items():
        if key in options:
            value = _number(options, key)
            if not (lowest <= value <= highest or (value == 0 and key == "stop_history_eou")):
                off = " (0: no early final)" if key == "stop_history_eou" else ""
                raise MediaError(f"option {key} is {options[key]!r}; must be {lowest} to {highest} milliseconds{off}")
            given[f"{key}_s"] = value / 1000
    for key in THRESHOLDS:
        if key in options:
            given[key] = _number(options, key)
            if not LEAST_THRESHOLD <= given[key] <= 1:
                raise MediaError(f"option {key} is {options[key]!r}; must be {LEAST_THRESHOLD} to 1, a share")
    return replace(SENSITIVITIES[sensitivity], **given)


def _number(options: Mapping[str, str], key: str) -> float:
    try:
        return float(options[key])
    except ValueError:
        raise MediaError(f"option {key} is {options[key]!r}; must be a number") from None


def _choice(options: Mapping[str, str], key: str, values: Mapping[str, bool | None]) -> bool | None:
    value = options.get(key)
    if value is None:
        return None
    if value not in values:
        raise MediaError(f"option {key} is {value!r}; must be one of {', '.join(values)}")
    return values[value]
