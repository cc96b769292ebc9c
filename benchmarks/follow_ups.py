"""Questions that go on from an earlier one, alone and as the gateway asks them (services/gateway/follow_ups.py).

`python -m benchmarks.follow_ups` asks the pairs of follow_ups.json about meetings written by hand and prints for each
part: right line first, offered, and of follow-ups without an answer those refused; and how many of the whole questions
of these meetings would be taken for a follow-up. The wording was chosen on the development part alone.
"""

import json
from pathlib import Path
from typing import Any

from benchmarks.answers import written_lines
from engines.fetch import fetch
from services.decoder import answer as answering
from services.decoder.reader import Reader
from services.decoder.retrieval import Hit, Index
from services.gateway.follow_ups import Turn, is_follow_up, resolved
from services.runtime.sentence import SentenceEncoder

_HERE = Path(__file__).parent
_MEETINGS = (_HERE / "answers_by_hand.json", _HERE.parent / "tests/unit/decoder/meetings.json")


def measured(split: str, meetings: dict[str, Any], encoder: SentenceEncoder, reader: Reader) -> str:
    """One line a way of asking."""
    counts = {way: [0, 0, 0] for way in ("alone", "resolved")}
    pairs = unanswerable = 0
    for record in json.loads((_HERE / "follow_ups.json").read_text()):
        if record["split"] != split:
            continue
        meeting, index = meetings[record["meeting"]], Index(encoder, reader)
        for line in written_lines(meeting):
            index.replace(line.line_id, [line])

        def hits(question: str, index: Index = index, names: dict[str, str] = meeting["speakers"]) -> list[Hit]:
            return index.search(question, names)

        pairs += len(record["pairs"])
        unanswerable += len(record["unanswerable"])
        for first, question, *part in (*record["pairs"], *record["unanswerable"]):
            best = hits(first)
            told = answering.quoted(best[0], meeting["speakers"]) if answering.is_answerable(best) else ""
            for way, asked in (("alone", question), ("resolved", resolved(question, [Turn(first, told)]))):
                found = hits(asked)
                if part:
                    is_right = part[0].lower() in found[0].line.text.lower()
                    counts[way][0] += is_right
                    counts[way][1] += is_right and answering.is_answerable(found)
                else:
                    counts[way][2] += not answering.is_answerable(found)
    return "\n".join(
        f"{split:12} {way:9} right first {first}, offered {offered} of {pairs}; refused {refused} of {unanswerable}"
        for way, (first, offered, refused) in counts.items()
    )


def main() -> None:
    """Print what was measured."""
    fetch(["minilm", "reader"])
    meetings = {meeting["name"]: meeting for file in _MEETINGS for meeting in json.loads(file.read_text())}
    encoder, reader = SentenceEncoder(), Reader()
    for split in ("development", "held out"):
        print(measured(split, meetings, encoder, reader))
    whole = [
        question
        for meeting in meetings.values()
        for question in (*(asked for asked, _ in meeting["questions"]), *meeting["unanswerable"])
    ]
    taken = [question for question in whole if is_follow_up(question)]
    print(f"whole questions taken for a follow-up: {len(taken)} of {len(whole)}", *taken, sep="\n  ")


if __name__ == "__main__":
    main()
