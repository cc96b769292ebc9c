"""`python -m benchmarks`: run the sample meeting once in real time and write what was measured."""

import argparse
import asyncio
import json
from pathlib import Path

from benchmarks.machine import describe_machine
from benchmarks.meeting import run
from benchmarks.report import as_markdown
from benchmarks.scores import score
from tools import models

REPOSITORY = Path(__file__).parent.parent


def main() -> None:
    """Measure, print the table, write meeting.json and meeting.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--meeting", type=Path, default=REPOSITORY / "samples" / "meeting.json", help="its truth")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder of the results")
    flags = parser.parse_args()
    truth = json.loads(flags.meeting.read_text())
    models.fetch(models.ENGLISH)
    print(f"streaming {flags.meeting.parent / truth['media']} in real time: about {truth['duration_s'] + 60:.0f} s")
    machine = describe_machine()
    record = asyncio.run(run(flags.meeting.parent / truth["media"], truth))
    result = {"machine": machine, **score(record, truth)}
    flags.out.mkdir(parents=True, exist_ok=True)
    (flags.out / "meeting.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    table = as_markdown(result)
    (flags.out / "meeting.md").write_text(table)
    print(table)


if __name__ == "__main__":
    main()
