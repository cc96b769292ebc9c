"""`sensorium demo` (`make run`): the sample meeting through the five services, told as it happens."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from protos.decoder.v1 import decoder_pb2
from protos.media.v1 import media_pb2
from protos.session.v1 import session_pb2
from services.runtime import wire
from services.runtime.percept import SAMPLE_RATE
from services.runtime.server import until_signal
from services.runtime.settings import service_address
from tools import models
from tools.client import LiveSession, gateway, in_real_time, in_thread
from tools.health import is_serving
from tools.media import probe, read
from tools.output import say
from tools.services import wait_for
from tools.state import ServiceState, held, state_folder, write
from tools.supervisor import Supervisor, page_address, require_free, service_specs

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
ASK_S = 60.0


def demo(*, stay: bool) -> None:
    """Run the sample meeting in real time, ask one question, then leave the page open (`stay`).

    Raises EngineError, ServicesError, PortTakenError, GatewayError, MediaFileError.
    """
    begun_s = time.monotonic()
    say("== models: what the English sample needs, 340 MB once, about a minute")
    fetched = models.fetch(models.ENGLISH)
    say(f"   {len(fetched)} fetched, {len(models.ENGLISH) - len(fetched)} were there, {_since(begun_s)}")
    asyncio.run(_demo(stay))


async def _demo(stay: bool) -> None:
    async with _house() as address:
        meeting = json.loads((SAMPLES / "meeting.json").read_text())
        path = SAMPLES / meeting["media"]
        say(f"== a meeting of {probe(path).duration_s or 0:.0f} s in real time: speech, speakers and screen")
        session_id = await _stream(address, path, meeting["language"])
        question = meeting["questions"][0]["question"]
        say(f"== a question: {question}")
        async with gateway(address) as stub:
            request = session_pb2.AskRequest(session_id=session_id, question=question)
            async for response in stub.Ask(request, timeout=ASK_S):
                _tell_answer(response.part)
        say(f"== kept as {session_id}: `sensorium show {session_id}` prints it again in any format")
        if stay:
            say(f"== the page is open at http://{page_address()}/#{session_id} (Ctrl-C stops everything)")
            await until_signal()


@asynccontextmanager
async def _house() -> AsyncIterator[str]:
    """Address of the gateway: the services that are up, else ours for the block."""
    address = service_address("gateway")
    if await is_serving(address):
        say("== services: they are up already")
        yield address
        return
    begun_s = time.monotonic()
    say("== services: asr, diarization, vision, decoder, gateway, about ten seconds")
    with held(state_folder()):
        specs = service_specs()
        require_free(specs)
        failing = asyncio.Event()

        def notice(states: list[ServiceState]) -> None:
            write(state_folder(), states)
            if any(state.state == "failing" for state in states):
                failing.set()

        async with Supervisor(specs, state_folder(), on_change=notice) as supervisor:
            await wait_for({spec.name: spec.address for spec in specs}, say, failing, supervisor)
            say(f"   up, {_since(begun_s)}")
            yield address


async def _stream(address: str, path: Path, language: str) -> str:
    teller = Teller()
    config = session_pb2.LiveConfig(title="Sample meeting", language=language, pace=session_pb2.PACE_LIVE)
    session = LiveSession(address, config, on_event=teller.take, on_trouble=say)
    await session.run(in_real_time(in_thread(read(path, on_damage=say))))
    teller.close()
    return session.session_id


def _tell_answer(part: decoder_pb2.AskResponse) -> None:
    """The evidence comes first, the answer after it."""
    for item in part.evidence.evidence[:3]:
        print(f"  stands on: {_clock(item.start_sample)}  {item.speaker or item.kind}  {item.text}", flush=True)
    if part.HasField("answer"):
        print(f"  answer:    {part.answer.text}", flush=True)


class Teller:
    """Prints what is final: utterances with their speaker, again when their words change, and new lines of screens."""

    def __init__(self) -> None:
        self._waiting: dict[str, media_pb2.Transcript] = {}
        self._told: dict[str, str] = {}
        self._lines: set[str] = set()

    def take(self, event: session_pb2.Event) -> None:
        """Tell one event."""
        match event.WhichOneof("event"):
            case "utterance":
                self._hear(event.utterance)
            case "screen" if not event.screen.is_partial:
                lines = [region.text for region in event.screen.regions if region.text]
                if new := [line for line in lines if line not in self._lines]:
                    print(f"{_clock(event.screen.start_sample)}  screen  {' | '.join(new)}", flush=True)
                self._lines = set(lines)
            case "expert_status":
                say(f"   {event.expert_status.message}")

    def close(self) -> None:
        """Tell what waited for its speaker in vain."""
        for utterance in list(self._waiting.values()):
            self._tell(utterance)

    def _hear(self, utterance: media_pb2.Transcript) -> None:
        told = self._told.get(utterance.utterance_id)
        if told is None:
            self._waiting[utterance.utterance_id] = utterance
            if utterance.speaker:
                self._tell(utterance)
        elif _bare(told) != _bare(wire.transcript_from_proto(utterance).text):
            self._tell(utterance, "corrected: ")

    def _tell(self, utterance: media_pb2.Transcript, note: str = "") -> None:
        self._waiting.pop(utterance.utterance_id, None)
        text = wire.transcript_from_proto(utterance).text
        self._told[utterance.utterance_id] = text
        print(f"{_clock(utterance.start_sample)}  {utterance.speaker or '?':6}  {note}{text}", flush=True)


def _bare(text: str) -> str:
    """The words alone."""
    return re.sub(r"[^\w' ]", "", text).lower()


def _clock(sample: int) -> str:
    minutes, seconds = divmod(sample // SAMPLE_RATE, 60)
    return f"{minutes:02}:{seconds:02}"


def _since(begun_s: float) -> str:
    return f"{time.monotonic() - begun_s:.0f} s"
