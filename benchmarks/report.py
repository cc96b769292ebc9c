"""The result as Markdown tables."""

from collections.abc import Mapping
from typing import Any


def as_markdown(result: Mapping[str, Any]) -> str:
    """Tables for people; `docs/benchmarks.md` says how to read them."""
    machine, accuracy = result["machine"], result["accuracy"]
    lines = [
        "# The sample meeting, once in real time",
        "",
        f"{machine['date']}, commit {machine['commit'] or 'unknown'}, {machine['processor']}, "
        f"{machine['cores']} cores, load before the run {machine['load_before']}. "
        f"{result['meeting']['duration_s']:.0f} s of meeting took {result['meeting']['wall_s']:.1f} s; the services "
        f"served after {result['start_s']['serving']:.1f} s, their first session (it loads the models) "
        f"took {result['start_s']['first_session']:.1f} s more.",
        "",
        "| latency | n | p50 | p95 | max |",
        "|---|---|---|---|---|",
        *(_row(name, spread, 1.0, "s", 2) for name, spread in result["latency_s"].items()),
        "",
        "| hop | n | p50 | p95 | max |",
        "|---|---|---|---|---|",
        *(_row(name, spread, 1000.0, "ms", 1) for name, spread in result["hop_s"].items()),
        "",
        "| process | CPU s per minute of meeting | resident MB | at most |",
        "|---|---|---|---|",
        *(
            f"| {name} | {usage['cpu_s_per_minute']:.1f} | {usage['resident_mb']} | {usage['peak_mb']} |"
            for name, usage in result["usage"].items()
        ),
        "",
        "| accuracy | |",
        "|---|---|",
        f"| word error rate | {100 * accuracy['wer']:.1f} % of {accuracy['words']} words |",
        f"| words with the right speaker | {100 * accuracy['speaker_words_right']:.1f} % "
        f"({accuracy['speakers_found']} speakers found, {accuracy['speakers']} real) |",
        f"| screen lines read right | {100 * accuracy['screen_lines_right']:.1f} % of {accuracy['screen_lines']} |",
        f"| answers that hold the expected word | {100 * accuracy['answers_right']:.0f} % of {accuracy['questions']} |",
        f"| first evidence holds it | {100 * accuracy['first_evidence_right']:.0f} % of {accuracy['questions']} |",
    ]
    return "\n".join(lines) + "\n"


def _row(name: str, spread: Mapping[str, Any], scale: float, unit: str, digits: int) -> str:
    if not spread["n"]:
        return f"| {name} | 0 | – | – | – |"
    values = " | ".join(f"{spread[key] * scale:.{digits}f} {unit}" for key in ("p50", "p95", "max"))
    return f"| {name} | {spread['n']} | {values} |"
