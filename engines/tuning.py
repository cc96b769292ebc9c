"""How many threads each graph gets on this machine: measured by `sensorium engines tune`, read when a graph is opened.

The rule: the fewest milliseconds that do not cost more than 1.2 times the processor time of one thread; of equals the
fewer threads. Several services share the cores, so time that a thread wins alone is not worth any price. OpenVINO,
where the settings and a graph's manifest allow it, has to save a quarter of the processor time, as it rounds coarsely.
"""

import platform
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.cache import tuning_file
from engines.engine import SetupError
from engines.lanes import cores

MAX_COST = 1.2
# Of ONNX Runtime's processor time, what OpenVINO may take.
MOST_OF_OPENVINO = 0.75
ONNX_RUNTIME, OPENVINO = "onnxruntime", "openvino"


class TuningError(SetupError):
    """The file of choices cannot be read; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Cost:
    """The least that one run of a graph took with so many threads: milliseconds of the clock, and of the processor."""

    threads: int
    wall_ms: float
    cpu_ms: float
    runtime: str = ONNX_RUNTIME


def choose(costs: Sequence[Cost]) -> int:
    """The threads that the rule above chooses; one of the costs is of one thread."""
    ours = [cost for cost in costs if cost.runtime == ONNX_RUNTIME]
    (alone,) = [cost for cost in ours if cost.threads == 1]
    worth = [cost for cost in ours if cost.cpu_ms <= MAX_COST * alone.cpu_ms]
    return min(worth, key=lambda cost: (cost.wall_ms, cost.threads)).threads


def saves(before_cpu_ms: float, openvino_cpu_ms: float) -> bool:
    """Whether OpenVINO saves enough."""
    return openvino_cpu_ms <= MOST_OF_OPENVINO * before_cpu_ms


def openvino_saves(name: str) -> bool | None:
    """Whether OpenVINO saves enough for FOLDER/FILE on this machine; None: not measured. Raises TuningError."""
    costs = [Cost(**cost) for cost in _graphs().get(name, {"measured": []})["measured"] if cost["threads"] == 1]
    ms = {cost.runtime: cost.cpu_ms for cost in costs}
    return saves(ms[ONNX_RUNTIME], ms[OPENVINO]) if OPENVINO in ms else None


def write(measured: Mapping[str, Sequence[Cost]]) -> Path:
    """Keep what was measured and chosen for each FOLDER/FILE beside what is known of others; returns the file.

    Raises TuningError.
    """
    known = {name: [Cost(**cost) for cost in graph["measured"]] for name, graph in _graphs().items()}
    lines = [
        "# Written by `sensorium engines tune`; without this file manifests say how many threads.",
        f'processor = "{processor()}"',
        f"cores = {cores()}",
    ]
    for name, costs in (known | dict(measured)).items():
        lines += ["", "[[graph]]", f'file = "{name}"', f"threads = {choose(costs)}", "measured = ["]
        lines += [
            f"  {{ threads = {cost.threads}, wall_ms = {cost.wall_ms:.3f}, cpu_ms = {cost.cpu_ms:.3f}, "
            f'runtime = "{cost.runtime}" }},'
            for cost in costs
        ]
        lines += ["]"]
    path = tuning_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text("\n".join(lines) + "\n")
    partial.replace(path)
    return path


def chosen() -> dict[str, int]:
    """Threads by FOLDER/FILE; none without the file of choices or when it is of another machine. Raises TuningError."""
    found = {name: graph["threads"] for name, graph in _graphs().items()}
    for name, threads in found.items():
        if not isinstance(threads, int) or not 1 <= threads <= cores():
            raise TuningError(
                f"{tuning_file()}: threads of {name} is {threads!r}, must be 1 to {cores()}; "
                "run `sensorium engines tune` again"
            )
    return found


def _graphs() -> dict[str, Any]:
    path = tuning_file()
    if not path.is_file():
        return {}
    try:
        table = tomllib.loads(path.read_text())
        if (table["processor"], table["cores"]) != (processor(), cores()):
            return {}
        found = {graph["file"]: graph for graph in table.get("graph", [])}
        # what this file has to hold
        for graph in found.values():
            _ = graph["threads"], [Cost(**cost) for cost in graph["measured"]]
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise TuningError(f"{path} cannot be read ({error}); delete it and run `sensorium engines tune`") from error
    return found


def processor() -> str:
    """The processor's name, as the system has it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
