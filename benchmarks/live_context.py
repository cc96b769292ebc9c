"""Hours of one session through the decoder service: `python -m benchmarks.live_context [--hours 8] [--perplexity]`.

A made meeting (templates, a seed) goes at full speed through the real service over gRPC: an utterance and its turn
every 3.2 s, a screen that differs in four lines every 30 s, a fact nobody repeats every 10 min. At minute 10 and hours
1, 2, 4 and 8 the service catches up, and is measured: resident memory; an append of 8 tokens, a question of 23 and its
first token on the live context; questions about the facts, as the user asks them. Between these moments events come
faster than the live context writes them, so it computes the end of each stretch only; timeline and index take all.
Then four contexts are full, the live tokens are read anew as a system without a live context would do for every
question, and `--rebuild` sends everything to a new session.

`--memory` instead gives all of it to a session whose sentence embeddings are drawn and which has no live context:
what the timeline and the index of so many hours take. `--service` starts the decoder as the user does and gives four
sessions of it a meeting each: what the process takes when all four contexts are full.

`--perplexity N` reads made text within a window: with everything kept, with eviction as it is, with eviction that
leaves the keys turned as they were, and with eviction of the header too. Prints one JSON object. Times are CPU seconds
of the process unless they are called wall.
"""

import argparse
import asyncio
import json
import math
import random
import resource
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from engines.fetch import fetch
from protos.decoder.v1 import decoder_pb2 as pb
from protos.decoder.v1 import decoder_pb2_grpc
from protos.media.v1 import media_pb2
from services.decoder.cache import Cache, HostCache
from services.decoder.context import EVICTED_AT_ONCE, HEADER, LiveContext
from services.decoder.model import SmallDecoder
from services.decoder.retrieval import Index
from services.decoder.service import SERVICE_NAME, DecoderSettings, DecoderSkin
from services.decoder.session import Session
from services.runtime import wire
from services.runtime.channel import CLIENT_OPTIONS
from services.runtime.describe import resident_bytes
from services.runtime.percept import SAMPLE_RATE, ScreenState, SpeakerTurn, Transcript
from services.runtime.sentence import SentenceEncoder
from services.runtime.server import serving
from services.runtime.settings import ServiceSettings
from tools import models
from tools.supervisor import free_addresses

MOMENTS_S = (600, 3600, 7200, 14400, 28800)
SPEAKERS = {"S1": "Priya", "S2": "Tom", "S3": "Lena", "S4": "Marek"}
# A service whose memory did not grow for so long has written everything.
_SETTLED_S = 15.0
# Of media, between the times at which `--memory` waits for the index.
_CAUGHT_UP_EVERY_S = 60.0
_UTTERANCE_S, _SCREEN_S, _FIRST_FACT_S, _FACT_S = 3.2, 30.0, 60.0, 600.0
_THINGS = (
    "the invoice export,the night train,the new greenhouse,the payment page,the harbour crane,the spare pump,"
    "the survey,the second floor,the test rig,the autumn menu,the ticket queue,the solar roof,the bridge design,"
    "the archive,the delivery van,the training plan,the blue prototype,the water meter,the audit,the web shop"
).split(",")
_DOINGS = (
    "is two days late,needs another review,works better than last month,is waiting for the supplier,was tested again,"
    "should go out before the holidays,still fails now and then,was moved to the next quarter,is cheaper than before,"
    "has nobody who looks after it,was praised by the customer,makes a strange noise,got a new owner,is almost done"
).split(",")
_REASONS = (
    "because the parts came late,since nobody answered the mail,as far as I know,but we should check it once more,"
    "and I can show you the numbers,so let's decide next week,which is fine with me,and that is all from my side"
).split(",")
_FACTS = ("door code", "hotel", "budget line", "train platform", "printer password", "contact", "lab room", "deadline")
_SYLLABLES = "ka ro mi ten sal vu dor pei lan gri zo bet".split()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=8.0)
    parser.add_argument("--tokens", type=int, default=DecoderSettings().context_tokens, help="of a live context")
    parser.add_argument("--threads", type=int, default=1, help="of a model run")
    parser.add_argument("--rebuild", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--service", action="store_true", help="four sessions in a process of its own")
    parser.add_argument("--perplexity", type=int, metavar="N", help="of N tokens, within half of them")
    flags = parser.parse_args()
    fetch(models.BY_SERVICE["decoder"])
    result: dict[str, Any]
    if flags.perplexity:
        result = perplexities(SmallDecoder(), flags.perplexity)
    elif flags.memory:
        result = asyncio.run(_memory(flags.hours * 3600))
    elif flags.service:
        result = asyncio.run(_service(flags.hours * 3600, flags.tokens))
    else:
        result = asyncio.run(_session(flags.hours * 3600, flags.tokens, flags.threads, flags.rebuild))
    print(json.dumps(result, indent=1))


# -- the made meeting ------------------------------------------------------------------------------


def sentence(random: random.Random) -> str:
    """Something that somebody says."""
    thing, doing, reason = random.choice(_THINGS), random.choice(_DOINGS), random.choice(_REASONS)
    count = f" We counted {random.randrange(3, 900)} of them on {random.choice(('Monday', 'Friday', 'the 3rd'))}."
    return f"I think {thing} {doing}, {reason}.{count if random.random() < 0.3 else ''}"


def fact(number: int) -> tuple[str, str, str]:
    """What is said once, a question for it and the answer."""
    chance = random.Random(number)
    word = "".join(chance.choice(_SYLLABLES) for _ in range(3)).capitalize()
    place = "".join(chance.choice(_SYLLABLES) for _ in range(3)).capitalize()
    kind = _FACTS[number % len(_FACTS)]
    return f"The {kind} for {place} is {word}.", f"What is the {kind} for {place}?", word


def events(length_s: float) -> Iterator[tuple[float, media_pb2.Percept]]:
    """Percepts of the meeting with their times in seconds, in order."""
    chance, at_s, screen_s, fact_s = random.Random(0), 0.0, 0.0, _FIRST_FACT_S
    while at_s < length_s:
        text, speaker = sentence(chance), chance.choice(list(SPEAKERS))
        if at_s >= fact_s:
            text, fact_s = fact(round(fact_s / _FACT_S))[0], fact_s + _FACT_S
        start, name = round(at_s * SAMPLE_RATE), f"{at_s:.1f}"
        words = [
            media_pb2.Word(text=word, start_sample=start + i * 2400, end_sample=start + (i + 1) * 2400)
            for i, word in enumerate(text.split())
        ]
        end = words[-1].end_sample
        said = media_pb2.Transcript(
            utterance_id=f"u{name}", is_final=True, start_sample=start, end_sample=end, words=words, language="en"
        )
        yield at_s, media_pb2.Percept(transcript=said)
        turn = media_pb2.SpeakerTurn(
            turn_id=f"t{name}", speaker=speaker, start_sample=start, end_sample=end, is_final=True
        )
        yield at_s, media_pb2.Percept(turn=turn)
        if at_s >= screen_s:
            screen_s += _SCREEN_S
            regions = [
                media_pb2.TextRegion(
                    region_id=f"{name}-{i}",
                    text=f"{chance.choice(_THINGS)} {chance.randrange(10_000)}",
                    box=media_pb2.Box(x0=10, y0=40 * i, x1=400, y1=40 * i + 30),
                )
                for i in range(4)
            ]
            shown = media_pb2.ScreenState(start_sample=end, frame_id=f"f{name}", regions=regions)
            yield at_s, media_pb2.Percept(screen=shown)
        at_s += _UTTERANCE_S


def _moments(length_s: float) -> list[float]:
    return [moment for moment in MOMENTS_S if moment < length_s] + [length_s]


# -- the session -----------------------------------------------------------------------------------


async def _session(length_s: float, tokens: int, threads: int, rebuild: bool) -> dict[str, Any]:
    decoder, encoder = SmallDecoder(threads), SentenceEncoder(threads)
    service = ServiceSettings("decoder", "127.0.0.1:0", max_streams=8, drain_s=1.0, threads=threads)
    skin = DecoderSkin(service, DecoderSettings("small", tokens), decoder, encoder)

    def add(server: grpc.aio.Server) -> None:
        decoder_pb2_grpc.add_DecoderServiceServicer_to_server(skin, server)

    moments = _moments(length_s)
    result: dict[str, Any] = {"hours": length_s / 3600, "context_tokens": tokens, "opened_mb": _megabytes()}
    try:
        async with (
            serving(service, SERVICE_NAME, add, skin.streams) as port,
            grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=CLIENT_OPTIONS) as channel,
        ):
            stub = decoder_pb2_grpc.DecoderServiceStub(channel)
            result["moments"] = rows = [row async for row in _meeting(stub, skin, decoder, moments)]
            context = skin.session("live").context
            assert context is not None
            anew_ms, _ = _taken_ms(partial(_read_anew, decoder, context.tokens))
            result["read_anew_s"] = round(anew_ms / 1000, 1)
            result["first_token_sooner_by"] = round(anew_ms / rows[-1]["question_23_ms"]["p95"])
            others = [_full_copy(decoder, context, tokens) for _ in range(3)]
            result["with_four_full_contexts_mb"] = _megabytes()
            del others
            if rebuild:
                (result["rebuilt"],) = [row async for row in _meeting(stub, skin, decoder, [length_s], "again")]
    finally:
        skin.close()
    return result


async def _meeting(
    stub: decoder_pb2_grpc.DecoderServiceStub,
    skin: DecoderSkin,
    decoder: SmallDecoder,
    moments: Sequence[float],
    name: str = "live",
) -> Any:
    """Send the meeting; what was measured at each moment."""
    call = stub.Observe()
    await call.write(pb.ObserveRequest(config=pb.ObserveConfig(session_id=name)))
    for speaker, called in SPEAKERS.items():
        await call.write(pb.ObserveRequest(speaker_name=pb.SpeakerName(speaker=speaker, name=called)))
    fused: asyncio.Queue[str] = asyncio.Queue()

    async def hear() -> None:
        async for response in call:
            if response.HasField("utterance"):
                fused.put_nowait(f"{response.utterance.utterance_id} {response.utterance.speaker}")

    hearing, coming, entries = asyncio.create_task(hear()), events(moments[-1]), 0
    ahead = next(coming, None)
    for moment in moments:
        started, last = time.process_time(), ""
        while ahead is not None and ahead[0] < moment:
            await call.write(pb.ObserveRequest(percept=ahead[1]))
            entries += 1
            if ahead[1].HasField("turn"):
                last = f"u{ahead[1].turn.turn_id[1:]} {ahead[1].turn.speaker}"
            ahead = next(coming, None)
        while last and await fused.get() != last:
            pass
        session = skin.session(name)
        await session.caught_up()
        taken_s = time.process_time() - started
        row = {"minute": moment / 60, "events": entries, "events_cpu_s": round(taken_s, 1)}
        row |= await _measured(stub, skin, decoder, name, moment)
        print(json.dumps(row), file=sys.stderr, flush=True)
        yield row
    await call.done_writing()
    await hearing


async def _measured(
    stub: decoder_pb2_grpc.DecoderServiceStub, skin: DecoderSkin, decoder: SmallDecoder, name: str, moment: float
) -> dict[str, Any]:
    session = skin.session(name)
    context = session.context
    assert context is not None
    words = decoder.words(
        "Who said that the second floor is waiting for the supplier and why is that so late, Priya or Tom?"
    )

    def branch(count: int) -> None:
        with context.branch() as cache:
            decoder.choose(cache, decoder.embed(words[:count]))

    append, question = ([_taken_ms(partial(branch, count)) for _ in range(10)] for count in (8, 23))
    first, evidence_ms, token_ms, cpu_ms = 0, [], [], []
    numbers = range(math.ceil((moment - _FIRST_FACT_S) / _FACT_S))
    for number in dict.fromkeys([*numbers[:3], *numbers[-3:]]):
        _, asked, wanted = fact(number)
        started = time.process_time()
        parts = [part async for part in stub.Ask(pb.AskRequest(session_id=name, question=asked, max_tokens=1))]
        cpu_ms.append((time.process_time() - started) * 1000)
        found = parts[0].evidence.evidence
        first += bool(found) and wanted in found[0].text
        activation = parts[-1].answer.activation
        evidence_ms.append(activation.first_evidence_ms)
        token_ms.append(activation.first_token_ms)
    return {
        "resident_mb": _megabytes(),
        "live_tokens": context.tokens,
        "append_8_ms": _spread([cpu for cpu, _ in append]),
        "append_8_wall_ms": _spread([wall for _, wall in append]),
        "question_23_ms": _spread([cpu for cpu, _ in question]),
        "question_23_wall_ms": _spread([wall for _, wall in question]),
        "facts_asked": len(cpu_ms),
        "facts_found_first": first,
        "asked_cpu_ms": _spread(cpu_ms),
        "asked_first_evidence_wall_ms": _spread(evidence_ms),
        "asked_first_token_wall_ms": _spread(token_ms),
    }


def _read_anew(decoder: SmallDecoder, count: int) -> None:
    cache = decoder.new_cache(count)
    decoder.extend(cache, decoder.embed([100 + i % 1000 for i in range(count)]))


def _full_copy(decoder: SmallDecoder, context: LiveContext, tokens: int) -> Cache:
    """The memory of another context that is as long as contexts get."""
    cache = decoder.new_cache(context.cache.capacity)
    _buffers(cache)[..., :tokens, :] = _buffers(context.cache)[..., :tokens, :]
    return cache


def _buffers(cache: Cache) -> NDArray[np.float16]:
    assert isinstance(cache, HostCache), "unset SENSORIUM_BACKEND"
    return cache.buffers


def _megabytes() -> float:
    return round(resident_bytes() / 1e6)


def _taken_ms(job: Callable[[], None]) -> tuple[float, float]:
    """Milliseconds of the processor and of the clock."""
    cpu, wall = time.process_time(), time.perf_counter()
    job()
    return (time.process_time() - cpu) * 1000, (time.perf_counter() - wall) * 1000


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {f"p{share}": round(float(np.percentile(values, share)), 1) for share in (50, 95)}


# -- memory of the service -------------------------------------------------------------------------


async def _service(length_s: float, tokens: int) -> dict[str, Any]:
    """Resident memory of `python -m services.decoder` when it serves, and when four sessions are written."""
    (address,) = free_addresses(1)
    command = [sys.executable, "-m", "services.decoder", "--tier=small", f"--address={address}"]
    process = await asyncio.create_subprocess_exec(*command, f"--context-tokens={tokens}")
    try:
        async with grpc.aio.insecure_channel(address, options=CLIENT_OPTIONS) as channel:
            await channel.channel_ready()
            stub = decoder_pb2_grpc.DecoderServiceStub(channel)
            opened = await _resident(stub)
            for name in SPEAKERS:
                heard = stub.Observe(_requests(name, length_s))
                async for _ in heard:
                    pass
                await _asked(stub, name)
            before, written = 0, opened
            while written > before:  # the contexts are written behind the answers
                before = written
                await asyncio.sleep(_SETTLED_S)
                written = await _resident(stub)
            for name in SPEAKERS:
                await _asked(stub, name)
            full = await _resident(stub)
            result = {"opened_mb": opened, "with_four_full_contexts_mb": full}
    finally:
        process.terminate()
        await process.wait()
    return result | {"peak_mb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6)}


async def _requests(name: str, length_s: float) -> AsyncIterator[pb.ObserveRequest]:
    yield pb.ObserveRequest(config=pb.ObserveConfig(session_id=name))
    for _, percept in events(length_s):
        yield pb.ObserveRequest(percept=percept)


async def _resident(stub: decoder_pb2_grpc.DecoderServiceStub) -> int:
    described: pb.DescribeResponse = await stub.Describe(pb.DescribeRequest())
    return round(described.service.resident_bytes / 1e6)


async def _asked(stub: decoder_pb2_grpc.DecoderServiceStub, name: str) -> None:
    async for _ in stub.Ask(pb.AskRequest(session_id=name, question=fact(0)[1], max_tokens=8)):
        pass


# -- memory of timeline and index ------------------------------------------------------------------


class _DrawnEmbeddings(SentenceEncoder):
    """Unit vectors out of a seed in the place of a model's: memory does not depend on what they mean."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)

    def encode(self, sentences: Sequence[str]) -> NDArray[np.float32]:
        drawn = self._random.standard_normal((len(sentences), self.dimension)).astype(np.float32)
        unit: NDArray[np.float32] = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
        return unit


async def _memory(length_s: float) -> dict[str, Any]:
    with ThreadPoolExecutor(1) as executor:
        session = Session("live", executor, executor, Index(_DrawnEmbeddings()), lambda: None, lambda word: False)
        coming, rows, before, caught_up_s = events(length_s), [], resident_bytes(), 0.0
        ahead, utterances, lines = next(coming, None), 0, 0
        for moment in _moments(length_s):
            while ahead is not None and ahead[0] < moment:
                if ahead[0] >= caught_up_s + _CAUGHT_UP_EVERY_S:
                    # as while a meeting runs: what waits for the index would be hours otherwise
                    await session.caught_up()
                    caught_up_s = ahead[0]
                match wire.from_proto(ahead[1]):
                    case Transcript() as said:
                        session.add_transcript(said)
                        utterances += 1
                    case SpeakerTurn() as turn:
                        session.add_turn(turn)
                    case ScreenState() as state:
                        session.add_screen(state)
                        lines += len(state.regions)
                ahead = next(coming, None)
            await session.caught_up()
            grown = round((resident_bytes() - before) / 1e6, 1)
            row = {"minute": moment / 60, "utterances": utterances, "screen_lines": lines, "grown_mb": grown}
            print(json.dumps(row), file=sys.stderr, flush=True)
            rows.append(row)
        session.close()
    return {"hours": length_s / 3600, "cpu_s": round(time.process_time(), 1), "moments": rows}


# -- perplexity ------------------------------------------------------------------------------------


def perplexities(decoder: SmallDecoder, count: int) -> dict[str, Any]:
    """Perplexity of the second half of `count` tokens of made text."""
    chance = random.Random(1)
    lines: list[list[int]] = []
    while sum(map(len, lines)) < count:
        lines.append(decoder.words(f"{SPEAKERS[chance.choice(list(SPEAKERS))]}: {sentence(chance)}\n"))
    window = count // 2
    return {
        "tokens": count,
        "window": window,
        "everything kept": perplexity(decoder, lines, count * 2, Cache.drop),
        "evicted": perplexity(decoder, lines, window, Cache.drop),
        "evicted, keys not turned": perplexity(decoder, lines, window, _drop_only),
        "evicted, header too": perplexity(decoder, lines, window, lambda cache, _, n: cache.drop(0, n)),
    }


def perplexity(
    decoder: SmallDecoder, lines: Sequence[list[int]], window: int, drop: Callable[[Cache, int, int], None]
) -> float:
    """E to the mean negative log-likelihood of the second half of lines; the first token of a line is not counted."""
    cache, losses, header = decoder.new_cache(window + 1024), [], decoder.template(HEADER)
    decoder.extend(cache, decoder.embed(header))
    lengths: list[int] = []
    for number, line in enumerate(lines):
        if cache.length + len(line) > window:
            gone = 0
            while gone < EVICTED_AT_ONCE:
                gone += lengths.pop(0)
            drop(cache, len(header), gone)
        lengths.append(len(line))
        logits = decoder.extend(cache, decoder.embed(line), all_logits=True).astype(np.float64)[:-1]
        if number >= len(lines) // 2:
            top = logits.max(axis=-1)
            total = top + np.log(np.exp(logits - top[:, None]).sum(axis=-1))
            losses += list(total - logits[np.arange(len(line) - 1), line[1:]])
    return round(float(np.exp(np.mean(losses))), 3)


def _drop_only(cache: Cache, first: int, count: int) -> None:
    buffers = _buffers(cache)
    buffers[..., first : cache.length - count, :] = buffers[..., first + count : cache.length, :].copy()
    cache.length -= count


if __name__ == "__main__":
    main()
