"""`sensorium transcribe`: a file through the running services, as a live client would send it."""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from protos.session.v1 import session_pb2
from services.gateway.formats import render
from services.gateway.transcript import fold
from services.runtime.settings import service_address
from tools import models
from tools.client import LiveSession, in_real_time, in_thread
from tools.errors import IncompleteError, InputError
from tools.live_view import LiveView
from tools.media import CHUNK_SAMPLES, MediaInfo, probe, read
from tools.output import say, write_result
from tools.services import gateway_for, is_local

# At full speed larger pieces cost less; results do not depend on them.
FAST_CHUNK_SAMPLES = 5 * CHUNK_SAMPLES


@dataclass(frozen=True, slots=True)
class Job:
    """One file and how it is to be transcribed."""

    path: Path
    in_real_time: bool = False
    format: str = "txt"
    output: Path | None = None
    language: str = ""
    title: str = ""
    has_video: bool = True
    phrases: Sequence[tuple[str, float]] = ()
    options: dict[str, str] = field(default_factory=dict)


def transcribe(job: Job) -> bool:
    """Stream the file and print the result; False when Ctrl-C cut it short (what there is is printed).

    Raises MediaFileError, InputError, GatewayError, ServicesError, EngineError; IncompleteError after the result
    was written when an expert gave none or only a part of its own.
    """
    info = probe(job.path)
    has_video = info.has_video and job.has_video
    if not info.has_audio and not has_video:
        raise InputError(f"{job.path} has no sound, and its pictures are switched off by --no-video")
    experts = [*(("asr", "diarization") if info.has_audio else ()), *(("vision",) if has_video else ())]
    if is_local(service_address("gateway")):
        models.fetch(_models(job, experts))
    config = session_pb2.LiveConfig(
        title=job.title or job.path.name,
        language=job.language,
        experts=experts,
        pace=session_pb2.PACE_LIVE if job.in_real_time else session_pb2.PACE_MAX,
        phrases=[session_pb2.Phrase(text=text, weight=weight) for text, weight in job.phrases],
        options=_quiet(job) | job.options,
    )
    run = _Run(job, info, config)
    is_whole = True
    try:
        asyncio.run(run.stream([*experts, "decoder"]))
    except KeyboardInterrupt:
        is_whole = False
    document = fold(run.events, session_id=run.session_id, title=config.title)
    write_result(render(document, job.format, stem=job.path.stem), job.output)
    if is_whole and run.missing:
        raise IncompleteError("; ".join(run.missing.values()))
    return is_whole


def _quiet(job: Job) -> dict[str, str]:
    """Guesses cost half of the recogniser's work: without a terminal nobody sees them."""
    is_watched = job.in_real_time or sys.stderr.isatty()
    return {} if is_watched else {"asr.partials": "off"}


def _models(job: Job, experts: Sequence[str]) -> list[str]:
    needed: list[str] = [name for expert in experts for name in models.BY_SERVICE[expert]]
    if "asr" in experts:
        needed += models.for_speech(job.language)
        if job.phrases:
            # the English recogniser takes no hints
            needed += models.OTHER_LANGUAGES
    return [*needed, *models.BY_SERVICE["decoder"]]


class _Run:
    """One transcription; its events outlive a Ctrl-C."""

    def __init__(self, job: Job, info: MediaInfo, config: session_pb2.LiveConfig) -> None:
        self._job = job
        self._info = info
        self._config = config
        self._session: LiveSession | None = None
        # Experts that were away or refused at the end, and why.
        self.missing: dict[str, str] = {}
        # Told at the end: in between it would tear the view.
        self._damage: list[str] = []

    @property
    def events(self) -> Sequence[session_pb2.Event]:
        """Durable events so far."""
        return self._session.events if self._session is not None else ()

    @property
    def session_id(self) -> str:
        """The session, once it has begun."""
        return self._session.session_id if self._session is not None else ""

    async def stream(self, services: Sequence[str]) -> None:
        """Start what is missing, send all, collect all."""
        console = Console(stderr=True)
        async with gateway_for(services, say) as address:
            view = LiveView(console, self._info.duration_s) if console.is_terminal else None
            try:
                with view or nullcontext():
                    await self._send(address, view)
            finally:
                for sentence in self._damage:
                    say(sentence)

    async def _send(self, address: str, view: LiveView | None) -> None:
        def take(event: session_pb2.Event) -> None:
            if event.HasField("expert_status"):
                self.missing.pop(event.expert_status.expert, None)
                if not event.expert_status.is_available:
                    self.missing[event.expert_status.expert] = event.expert_status.message
            if view is not None:
                view.sent(session.sent_sample)
                view.take(event)
            elif event.WhichOneof("event") == "expert_status":
                say(event.expert_status.message)

        job = self._job
        self._session = session = LiveSession(
            address, self._config, on_event=take, on_trouble=view.trouble if view is not None else say
        )
        items = read(
            job.path,
            video=job.has_video,
            chunk_samples=CHUNK_SAMPLES if job.in_real_time else FAST_CHUNK_SAMPLES,
            on_damage=self._damage.append,
        )
        media = in_thread(items)
        await session.run(in_real_time(media) if job.in_real_time else media)


def read_phrases(path: Path) -> list[tuple[str, float]]:
    """Phrases of a file: one a line, with a weight after a tab if wanted; 0.0 stands for the default.

    Raises InputError.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--phrases: {path} cannot be read as text: {error}") from error
    phrases = []
    for number, line in enumerate(text.splitlines(), 1):
        phrase, _, weight = line.partition("\t")
        if not phrase.strip():
            continue
        try:
            phrases.append((phrase.strip(), float(weight) if weight.strip() else 0.0))
        except ValueError as error:
            raise InputError(f"--phrases: {path}, line {number}: the weight is {weight!r}, must be a number") from error
    return phrases


def parse_options(texts: Sequence[str]) -> dict[str, str]:
    """`EXPERT.OPTION=VALUE` as the wire has it. Raises InputError."""
    options = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or "." not in key:
            raise InputError(f"--option: {text!r} is not EXPERT.OPTION=VALUE, such as diarization.latency_s=2")
        options[key.strip()] = value.strip()
    return options
