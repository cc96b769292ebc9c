"""A session's way to the decoder loses nothing that the store has."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc

from protos.decoder.v1 import decoder_pb2, decoder_pb2_grpc
from protos.media.v1 import media_pb2
from protos.session.v1 import session_pb2 as pb
from services.gateway.decoder_link import MAX_WAITING, DecoderLink, observation


class Decoder(decoder_pb2_grpc.DecoderServiceServicer):
    """Notes the utterances of each Observe stream."""

    def __init__(self) -> None:
        self.streams: list[list[str]] = []
        self.has_begun = asyncio.Event()

    async def Observe(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[decoder_pb2.ObserveResponse]:
        told: list[str] = []
        self.streams.append(told)
        async for request in requests:
            self.has_begun.set()
            if request.HasField("percept"):
                told.append(request.percept.transcript.utterance_id)
        for _ in ():
            yield decoder_pb2.ObserveResponse()


async def _nothing(*_: object) -> None:
    return None


async def test_a_session_that_ends_while_its_queue_overflows_is_told_whole() -> None:
    kept: list[pb.Event] = []

    async def history() -> AsyncIterator[pb.Event]:
        for event in kept:
            yield event

    decoder, server = Decoder(), grpc.aio.server()
    decoder_pb2_grpc.add_DecoderServiceServicer_to_server(decoder, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        link = DecoderLink(
            "s", channel, history, on_fused=_nothing, on_terms=_nothing, on_name=_nothing, on_status=_nothing
        )
        running = asyncio.create_task(link.run())
        await decoder.has_begun.wait()
        for number in range(MAX_WAITING):
            event = pb.Event(utterance=media_pb2.Transcript(utterance_id=f"u{number}"))
            kept.append(event)
            request = observation(event)
            assert request is not None
            link.observe(request)
        link.finish()
        async with asyncio.timeout(20):
            await running
    await server.stop(None)
    assert decoder.streams[-1] == [f"u{number}" for number in range(MAX_WAITING)]
