"""How many live streams one asr process carries: `python -m benchmarks.capacity [--media DIR]`.

For each number of streams, that many clients send speech in real time (0.1 s a message, each from another place of
the media) to one real `services.asr` process. A final's latency counts from the end of its last word, as the
recogniser placed it, to its arrival. The knee is the largest number whose p95 stays under the limit. Writes
capacity.json, capacity.md and capacity.svg. Run it on a machine that does nothing else.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
from numpy.typing import NDArray

from benchmarks.asr import read
from benchmarks.machine import describe_machine
from protos.expert.v1 import expert_pb2 as pb
from protos.expert.v1 import expert_pb2_grpc
from protos.media.v1 import media_pb2
from services.runtime.channel import CLIENT_OPTIONS
from tools import models
from tools.supervisor import free_addresses

REPOSITORY = Path(__file__).parent.parent
RATE_HZ, CHUNK = 16_000, 1_600
LIMIT_S = 0.8


@dataclass(slots=True)
class Heard:
    """What the clients of one run got; seconds."""

    final_latency_s: list[float] = field(default_factory=list)
    partials: int = 0
    refused: int = 0


async def talk(
    stub: expert_pb2_grpc.ExpertServiceStub, samples: NDArray[np.int16], language: str, heard: Heard
) -> None:
    """One live client."""
    began = time.monotonic()

    async def media() -> AsyncIterator[pb.PerceiveRequest]:
        yield pb.PerceiveRequest(config=pb.PerceiveConfig(language=language))
        for start in range(0, len(samples), CHUNK):
            end = min(start + CHUNK, len(samples))
            await asyncio.sleep(max(0.0, began + end / RATE_HZ - time.monotonic()))
            chunk = media_pb2.AudioChunk(pcm=samples[start:end].tobytes(), start_sample=start)
            yield pb.PerceiveRequest(audio=chunk)

    try:
        async for response in stub.Perceive(media()):
            transcript = response.percept.transcript
            if transcript.is_final and transcript.words and transcript.revision == 0:
                spoken_s = transcript.words[-1].end_sample / RATE_HZ
                if spoken_s < len(samples) / RATE_HZ - 1.0:  # those that the end of the media cut off tell nothing
                    heard.final_latency_s.append(time.monotonic() - began - spoken_s)
            heard.partials += response.percept.HasField("transcript") and not transcript.is_final
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
            raise
        heard.refused += 1


async def measure(address: str, process: psutil.Process, media: NDArray[np.int16], count: int, flags: Any) -> Any:
    """One run of `count` clients: a row of the table."""
    length = int(flags.seconds * RATE_HZ)
    async with grpc.aio.insecure_channel(address, options=CLIENT_OPTIONS) as channel:
        stub = expert_pb2_grpc.ExpertServiceStub(channel)
        heard, late = Heard(), []
        before = process.cpu_times()
        calls = []
        for i in range(count):
            samples = np.roll(media, -i * len(media) // count)[:length]
            calls.append(asyncio.create_task(talk(stub, samples, flags.language, heard)))
            await asyncio.sleep(0.37)
        while not all(call.done() for call in calls):
            described = await stub.Describe(pb.DescribeRequest())
            late.append((described.load["lag_s"], described.load["late_streams"]))
            await asyncio.wait(calls, timeout=0.5)
        await asyncio.gather(*calls)
        after = process.cpu_times()
        described = await stub.Describe(pb.DescribeRequest())
    latency = np.array(heard.final_latency_s or [float("nan")])
    cpu_s = after.user + after.system - before.user - before.system
    minutes = max(1, count - heard.refused) * flags.seconds / 60
    return {
        "streams": count,
        "refused": heard.refused,
        "finals": len(heard.final_latency_s),
        "final_p50_s": round(float(np.percentile(latency, 50)), 3),
        "final_p95_s": round(float(np.percentile(latency, 95)), 3),
        "partials_per_minute": round(heard.partials / minutes, 1),
        "cpu_s_per_stream_minute": round(cpu_s / minutes, 2),
        "lag_max_s": round(max((lag for lag, _ in late), default=0.0), 2),
        "late_streams_mean": round(float(np.mean([n for _, n in late] or [0.0])), 2),
        "decoded_together": round(described.load["decoded_together"], 2),
        "resident_mb": described.resident_bytes // 1_000_000,
    }


def media_of(folder: Path | None) -> NDArray[np.int16]:
    """The sample meeting, or all English clips of a folder with pauses of half a second: (n,) 16 kHz."""
    if folder is None:
        parts = [read(REPOSITORY / "samples" / "meeting.mkv")]
    else:
        rows = [json.loads(line) for line in (folder / "audio" / "manifest.jsonl").open()]
        clips = [row for row in rows if row.get("text") and row["language"] == "en" and row["kind"] == "read"]
        silence = np.zeros(RATE_HZ // 2, np.float32)
        parts = [part for clip in clips for part in (read(folder / "audio" / clip["audio"]), silence)]
    return (np.clip(np.concatenate(parts), -1, 1) * 32_767).astype(np.int16)


def as_markdown(result: Any) -> str:
    """The table, with what it must be read with."""
    machine, rows = result["machine"], result["runs"]
    names = list(rows[0])
    return "\n".join(
        [
            "# Live streams of one asr process",
            "",
            f"{machine['date']}, commit {machine['commit'] or 'unknown'}, {machine['processor']}, {machine['cores']} "
            f"cores (clients on the same ones), load before the run {machine['load_before']}, language "
            f"{result['language'] or 'detected'}. Knee (p95 of end of speech to final at most {LIMIT_S} s, nobody "
            f"refused): {result['knee']} streams.",
            "",
            "![p95 over streams](capacity.svg)",
            "",
            "| " + " | ".join(name.replace("_", " ") for name in names) + " |",
            "|" + "---|" * len(names),
            *("| " + " | ".join(str(row[name]) for name in names) + " |" for row in rows),
            "",
        ]
    )


def as_svg(rows: list[Any]) -> str:
    """p50 and p95 of finals over the number of streams, and the limit."""
    width, height, left, bottom = 640, 360, 60, 320
    top_s = max(LIMIT_S * 1.5, *(row["final_p95_s"] for row in rows if row["finals"]), 0)
    most = max(row["streams"] for row in rows)

    def at(streams: float, seconds: float) -> str:
        return f"{left + streams / most * (width - left - 20):.0f},{bottom - seconds / top_s * (bottom - 20):.0f}"

    def line(key: str, colour: str) -> str:
        points = " ".join(at(row["streams"], row[key]) for row in rows if row["finals"])
        return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'

    def text(x: float, y: float, words: str, colour: str = "#333") -> str:
        return f'<text x="{x:.0f}" y="{y:.0f}" fill="{colour}">{words}</text>'

    start, end = at(0, LIMIT_S).split(","), at(most, LIMIT_S).split(",")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" ',
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<path d="M{left},20 V{bottom} H{width - 20}" fill="none" stroke="#333"/>',
        f'<path d="M{",".join(start)} L{",".join(end)}" stroke="#999" stroke-dasharray="4"/>',
        line("final_p50_s", "#2a7"),
        line("final_p95_s", "#c33"),
        *(text(float(at(row["streams"], 0).split(",")[0]) - 4, bottom + 16, str(row["streams"])) for row in rows),
        *(text(20, float(at(0, s).split(",")[1]) + 4, f"{s:.1f} s") for s in (0.0, LIMIT_S, top_s)),
        text(width / 2 - 50, height - 6, "live streams"),
        text(left + 10, 34, "end of speech to final, p95", "#c33"),
        text(left + 10, 50, "p50", "#2a7"),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capacity", description=__doc__)
    parser.add_argument("--media", type=Path, help="folder with audio/manifest.jsonl; the sample meeting if not given")
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 2, 4, 8, 12, 16])
    parser.add_argument("--seconds", type=float, default=40.0, help="length of one run")
    parser.add_argument("--language", default="en", help='"" lets it detect')
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    flags = parser.parse_args()
    models.fetch(models.ENGLISH)
    media, machine, address = media_of(flags.media), describe_machine(), free_addresses(1)[0]
    command = [sys.executable, "-m", "services.asr", "--address", address, "--max-streams", str(max(flags.streams))]
    rows: list[Any] = []
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        try:
            process = psutil.Process(server.pid)
            for count in (0, *flags.streams):
                warm_up = argparse.Namespace(seconds=5.0, language=flags.language)
                row = asyncio.run(_ready(address, process, media, count or 1, flags if count else warm_up))
                if count:
                    rows.append(row)
                    print(json.dumps(row), flush=True)
        finally:
            server.terminate()
    good = [row["streams"] for row in rows if row["finals"] and not row["refused"] and row["final_p95_s"] <= LIMIT_S]
    result = {"machine": machine, "language": flags.language, "knee": max(good, default=0), "runs": rows}
    flags.out.mkdir(parents=True, exist_ok=True)
    (flags.out / "capacity.json").write_text(json.dumps(result, indent=1) + "\n")
    (flags.out / "capacity.md").write_text(as_markdown(result))
    (flags.out / "capacity.svg").write_text(as_svg(rows))
    print(as_markdown(result))


async def _ready(address: str, process: psutil.Process, media: NDArray[np.int16], count: int, flags: Any) -> Any:
    async with grpc.aio.insecure_channel(address) as channel, asyncio.timeout(60):
        await channel.channel_ready()
    return await measure(address, process, media, count, flags)


if __name__ == "__main__":
    main()
