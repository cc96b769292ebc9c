"""Riva's clients at the asr process: their sound goes through the same stages and the same executor."""

from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial

import grpc
from riva.client.proto import riva_asr_pb2_grpc

from services.runtime.expert import ExpertSkin
from services.runtime.percept import Transcript
from services.runtime.phrases import phrase_lines
from services.runtime.riva import SERVICE_NAME, RivaSkin, Samples, Wanted
from services.runtime.settings import service_address
from services.runtime.stage import StageConfig


class AsrRecogniser:
    """A stage of the asr expert for every call."""

    def __init__(self, skin: ExpertSkin) -> None:
        self._skin = skin

    @property
    def no_speakers(self) -> str:
        """Speakers are another expert's work; the gateway joins both."""
        return (
            "enable_speaker_diarization: this port recognises words only; "
            f"call the gateway, which serves Riva too, at {service_address('gateway')}"
        )

    async def hear(self, wanted: Wanted, sound: AsyncIterator[Samples], *, is_live: bool) -> AsyncGenerator[Transcript]:
        """Transcripts of one stage; live, a final is not replaced."""
        options = {"partials": "on" if is_live and wanted.has_interim else "off"}
        # Riva's finals come once: what was said before a short pause is one only where the caller asks for it
        options |= {"stop_history_eou": "0", **wanted.endpointing}
        if is_live:
            options["second_pass"] = "off"
        if wanted.phrases:
            options["phrases"] = phrase_lines(wanted.phrases.items())
        config = StageConfig(language=wanted.language, options=options)
        stage = await self._skin.compute(partial(self._skin.expert.open_stage, config))
        async for samples in sound:
            for percept in await self._skin.compute(partial(stage.push_audio, samples)):
                if isinstance(percept, Transcript) and not (is_live and percept.revision):
                    yield percept
        for percept in await self._skin.compute(stage.flush):
            if isinstance(percept, Transcript) and not (is_live and percept.revision):
                yield percept


def add_riva(skin: ExpertSkin, server: grpc.aio.Server) -> str:
    """Serve Riva's clients beside the expert's own service; returns the service's full name."""
    riva = RivaSkin(AsrRecogniser(skin), skin.streams)
    riva_asr_pb2_grpc.add_RivaSpeechRecognitionServicer_to_server(riva, server)
    return SERVICE_NAME
