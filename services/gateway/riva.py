"""Riva's clients at the gateway: words and speakers, over a session that is forgotten after the call."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

import grpc
import numpy as np
from riva.client.proto import riva_asr_pb2_grpc

from protos.session.v1 import session_pb2
from services.gateway.passing import heard
from services.gateway.sessions import Sessions
from services.runtime import wire
from services.runtime.percept import SAMPLE_RATE, Transcript
from services.runtime.riva import SERVICE_NAME, RivaSkin, Samples, Wanted
from services.runtime.streams import Streams

# Live, a final waits for its speakers until their expert is so far past it, or sound is.
SPEAKERS_LATE_SAMPLES = 2 * SAMPLE_RATE
# More than a session lets its sender be ahead of its experts.
SOUND_LATE_SAMPLES = 15 * SAMPLE_RATE
# And so long after it came, in seconds: when the recogniser is the later one, the decoder has yet to join the two.
JOINED_S = 2.0


class SessionRecogniser:
    """A passing session for every call."""

    no_speakers = ""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def hear(self, wanted: Wanted, sound: AsyncIterator[Samples], *, is_live: bool) -> AsyncGenerator[Transcript]:
        """Transcripts of the session; live, finals wait for their speakers and are not replaced."""
        options = {"asr.partials": "on" if is_live and wanted.has_interim else "off"}
        # Riva's finals come once: what was said before a short pause is one only where the caller asks for it
        options |= {"asr.stop_history_eou": "0"} | {f"asr.{name}": value for name, value in wanted.endpointing.items()}
        if is_live:
            options["asr.second_pass"] = "off"
        config = session_pb2.LiveConfig(
            language=wanted.language,
            experts=["asr", "diarization"] if wanted.has_speakers else ["asr"],
            pace=session_pb2.PACE_LIVE if is_live else session_pb2.PACE_MAX,
            options=options,
            phrases=[session_pb2.Phrase(text=phrase, weight=weight) for phrase, weight in wanted.phrases.items()],
        )
        waiting = Waiting(has_speakers=wanted.has_speakers and is_live)
        async with aclosing(heard(self._sessions, config, _pcm(sound))) as events:
            async for event in events:
                match event.WhichOneof("event"):
                    case "partial":
                        yield wire.transcript_from_proto(event.partial)
                    case "utterance" if not is_live:
                        yield wire.transcript_from_proto(event.utterance)
                    case _:
                        for final in waiting.take(event):
                            yield final


class Waiting:
    """Finals of a live call in order of time, each given once, when it has its speakers or had its time."""

    def __init__(self, has_speakers: bool, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds."""
        self._has_speakers = has_speakers
        self._clock = clock
        self._finals: dict[str, Transcript] = {}
        self._came_s: dict[str, float] = {}
        self._given: set[str] = set()
        self._speakers_sample = 0
        self._sound_sample = 0
        self._has_ended = False

    def take(self, event: session_pb2.Event) -> list[Transcript]:
        """What can be given after this event."""
        match event.WhichOneof("event"):
            case "utterance" if event.utterance.utterance_id not in self._given:
                name = event.utterance.utterance_id
                self._finals[name] = wire.transcript_from_proto(event.utterance)
                self._came_s.setdefault(name, self._clock())
            case "turn":
                self._speakers_sample = max(self._speakers_sample, event.turn.end_sample)
            case "progress":
                self._sound_sample = event.progress.received_sample
            case "ended":
                self._has_ended = True
        ready = []
        for name in sorted(self._finals, key=lambda name: self._finals[name].start_sample):
            if not self._is_ready(self._finals[name]):
                break
            ready.append(self._finals.pop(name))
            del self._came_s[name]
            self._given.add(name)
        return ready

    def _is_ready(self, final: Transcript) -> bool:
        if self._has_ended or not self._has_speakers or all(word.speaker for word in final.words):
            return True
        is_late = (
            self._speakers_sample >= final.end_sample + SPEAKERS_LATE_SAMPLES
            or self._sound_sample >= final.end_sample + SOUND_LATE_SAMPLES
        )
        return is_late and self._clock() >= self._came_s[final.utterance_id] + JOINED_S


async def _pcm(sound: AsyncIterator[Samples]) -> AsyncIterator[bytes]:
    async for samples in sound:
        yield np.clip(np.rint(samples * 32768), -32768, 32767).astype("<i2").tobytes()


def add_riva(sessions: Sessions, streams: Streams, server: grpc.aio.Server) -> str:
    """Serve Riva's clients beside SessionService; returns the service's full name."""
    riva = RivaSkin(SessionRecogniser(sessions), streams)
    riva_asr_pb2_grpc.add_RivaSpeechRecognitionServicer_to_server(riva, server)
    return SERVICE_NAME
