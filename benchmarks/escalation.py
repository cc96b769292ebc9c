"""What escalation would bring and cost, by threshold: `python -m benchmarks.escalation [--url URL --model NAME]`.

Every question of the meetings in --questions is asked once locally and once at an endpoint, over real HTTP and with the
product's own redaction; then the answers are combined for each threshold `below`. Prints a Markdown table: share
escalated, share of right answers (a right answer contains the expected words; for a question without an answer it is
"I did not hear that"), milliseconds, tokens and bytes that left, means over all questions.

Without --url the endpoint is a server in this process that reads perfectly: it returns the line with the expected words
when that was sent, else "unknown". That is the ceiling of what any model can do with the lines that the search finds.
With --small it is SmolLM2, the floor.
"""

import argparse
import asyncio
import json
import socket
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request

from engines.fetch import fetch
from protos.decoder.v1 import decoder_pb2 as pb
from services.decoder import answer as answering
from services.decoder.asking import SEARCHED, ordered
from services.decoder.audit import AuditLog
from services.decoder.escalation import (
    MAX_ANSWER_TOKENS,
    Endpoint,
    EscalationError,
    EscalationSettings,
    need,
    prepare,
)
from services.decoder.lines import Line
from services.decoder.model import SmallDecoder
from services.decoder.reader import Reader
from services.decoder.retrieval import Hit, Index
from services.decoder.router import Route, Router
from services.runtime.percept import SAMPLE_RATE
from services.runtime.sentence import SentenceEncoder

MEETINGS = Path(__file__).parent.parent / "tests" / "unit" / "decoder" / "meetings.json"
THRESHOLDS = (0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One question: what it needed, and whether each tier was right; `expected` is "" for a question without answer."""

    hits: Sequence[Hit]
    route: Route
    local_right: bool
    reply_right: bool | None
    ms: float
    tokens: int
    nbytes: int


class SmallReader:
    """SmolLM2 as the endpoint's model: the chat as it is asked to read it, greedy."""

    def __init__(self) -> None:
        self._decoder = SmallDecoder()

    def answer(self, messages: Sequence[Mapping[str, str]]) -> str:
        """The assistant's next message."""
        decoder, tokens = self._decoder, []
        for message in messages:
            tokens += decoder.template(f"<|im_start|>{message['role']}\n")
            tokens += decoder.words(message["content"]) + decoder.template("<|im_end|>\n")
        tokens += decoder.template("<|im_start|>assistant\n")
        cache = decoder.new_cache(len(tokens) + MAX_ANSWER_TOKENS)
        unread, said = tokens, list[int]()
        while len(said) < MAX_ANSWER_TOKENS:
            token = decoder.choose(cache, decoder.embed(unread)).token
            if token == decoder.end_token:
                break
            said.append(token)
            unread = [token]
        return decoder.text(said)


class PerfectReader:
    """The endpoint without a model; `expected` and `lines` are set before each question."""

    def __init__(self) -> None:
        self.expected = ""
        self.lines: Sequence[str] = ()

    def answer(self, prompt: str) -> str:
        """The redacted line that holds the expected words, out of the prompt."""
        shown = [line.partition(") ")[2] for line in prompt.splitlines() if line[:1].isdigit()]
        for plain, redacted in zip(self.lines, shown, strict=True):
            if self.expected and self.expected.lower() in plain.lower():
                return redacted
        return "unknown"


async def measure(
    meetings: Sequence[Mapping[str, Any]], endpoint: Endpoint, encoder: SentenceEncoder, reader: PerfectReader
) -> list[Outcome]:
    """All questions once locally and once at the endpoint."""
    router, local_reader, found = Router(encoder), Reader(), []
    for meeting in meetings:
        index, names = _indexed(meeting, Index(encoder, local_reader)), dict(meeting["speakers"])
        asked = [*map(tuple, meeting["questions"]), *((question, "") for question in meeting["unanswerable"])]
        end_sample = max(line[0] for line in meeting["lines"]) * SAMPLE_RATE
        for question, expected in asked:
            route = router.route(question, names, end_sample)
            hits = ordered(index.search(question, names, SEARCHED), route)
            is_answered = answering.is_answerable(hits)
            local = answering.quoted(hits[0], names) if is_answered else ""
            prepared = prepare(endpoint.settings.model, question, hits, names)
            reader.expected, reader.lines = expected, [hit.line.text for hit in hits]
            report, started, reply = pb.EscalationReport(), time.perf_counter(), None
            try:
                reply = await endpoint.ask(f"{meeting['name']}:{question}", "allowed", "benchmark", prepared, report)
            except EscalationError:
                pass
            ms = (time.perf_counter() - started) * 1000
            reply_right = None if reply is None else reply.is_evidenced and _is_right(reply.text, expected)
            right = _is_right(local, expected)
            found.append(Outcome(hits, route, right, reply_right, ms, report.tokens, report.bytes_sent))
    return found


def _is_right(text: str, expected: str) -> bool:
    return expected.lower() in text.lower() if expected else not text


def _indexed(meeting: Mapping[str, Any], index: Index) -> Index:
    for second, who, *texts in meeting["lines"]:
        for place, text in enumerate(texts):
            kind = "screen" if who == "screen" else "speech"
            speaker, source, start = "" if who == "screen" else who, f"{second}-{place}", second * SAMPLE_RATE
            line = Line(f"{kind}:{source}", kind, text, speaker, start, start + SAMPLE_RATE, source)
            index.replace(line.line_id, [line])
    return index


def curve(outcomes: Sequence[Outcome], settings: EscalationSettings) -> list[dict[str, float]]:
    """What each threshold gives, means over all questions."""
    rows = []
    for below in THRESHOLDS:
        chosen = replace(settings, above=min(settings.above, below), below=below)
        sent = [bool(need(chosen, o.hits, o.route)) and below > 0 for o in outcomes]
        # An endpoint that does not know leaves the local answer standing.
        pairs = list(zip(outcomes, sent, strict=True))
        right = [o.reply_right if s and o.reply_right is not None else o.local_right for o, s in pairs]
        paid = [o for o, s in pairs if s]
        count = len(outcomes)
        rows.append(
            {
                "below": below,
                "escalated": sum(sent) / count,
                "right": sum(right) / count,
                "ms": sum(o.ms for o in paid) / count,
                "tokens": sum(o.tokens for o in paid) / count,
                "bytes": sum(o.nbytes for o in paid) / count,
            }
        )
    return rows


async def run(flags: argparse.Namespace) -> None:
    """Measure with the named endpoint or the perfect reader, and print."""
    encoder, reader, app = SentenceEncoder(), PerfectReader(), FastAPI()
    small = SmallReader() if flags.small else None
    meetings = [m for m in json.loads(flags.questions.read_text()) if flags.split in ("all", m["split"])]

    @app.post("/v1/chat/completions")
    async def complete(request: Request) -> dict[str, Any]:
        asked = await request.json()
        messages = asked["messages"]
        if small is not None:
            text = await asyncio.to_thread(small.answer, messages)
        else:
            text = reader.answer(messages[-1]["content"])
        words = sum(len(message["content"].split()) for message in messages) + len(text.split())
        return {"choices": [{"message": {"role": "assistant", "content": text}}], "usage": {"total_tokens": words}}

    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none"))
    served = asyncio.create_task(server.serve([listener]))
    url = flags.url or f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    settings = EscalationSettings(url=url, model=flags.model, key_file=flags.key_file, deadline_s=60.0)
    with tempfile.TemporaryDirectory() as folder:
        endpoint = Endpoint(settings, AuditLog(Path(folder) / "audit.jsonl"))
        outcomes = await measure(meetings, endpoint, encoder, reader)
    server.should_exit = True
    await served
    listener.close()
    evidenced = [o.reply_right for o in outcomes if o.reply_right is not None]
    print(f"{len(outcomes)} questions; {len(evidenced)} replies, {sum(evidenced)} evidenced and right\n")
    print("| below | escalated | right | ms | tokens | bytes |\n|---|---|---|---|---|---|")
    for row in curve(outcomes, settings):
        print(
            f"| {row['below']} | {100 * row['escalated']:.0f} % | {100 * row['right']:.1f} % | {row['ms']:.0f} | "
            f"{row['tokens']:.0f} | {row['bytes']:.0f} |"
        )


def main() -> None:
    """Parse the flags and measure."""
    summary = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.escalation", description=summary)
    parser.add_argument("--questions", type=Path, default=MEETINGS)
    parser.add_argument("--split", default="all", help="meetings of one split only")
    parser.add_argument("--small", action="store_true", help="SmolLM2 behind the server in this process")
    parser.add_argument("--url", default="", help="OpenAI-compatible endpoint to measure")
    parser.add_argument("--model", default="model")
    parser.add_argument("--key-file", default="")
    flags = parser.parse_args()
    fetch(["minilm", "reader", *(["smollm2-135m-instruct"] if flags.small else [])])
    asyncio.run(run(flags))


if __name__ == "__main__":
    main()
