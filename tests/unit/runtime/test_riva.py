"""What a Riva call tells beside its words; nobody hears here."""

from collections.abc import AsyncGenerator, AsyncIterator

import grpc
import pytest
from riva.client.proto import riva_asr_pb2, riva_asr_pb2_grpc

from services.runtime.percept import Transcript
from services.runtime.riva import WARNING_KEY, RivaSkin, Samples, Wanted
from services.runtime.streams import Streams
from tests.conftest import DATA

WHOLE = (DATA / "speech.wav").read_bytes()


class Deaf:
    """Takes the sound."""

    no_speakers = ""

    async def hear(self, wanted: Wanted, sound: AsyncIterator[Samples], *, is_live: bool) -> AsyncGenerator[Transcript]:
        async for _ in sound:
            pass
        for _ in ():
            yield _


@pytest.mark.parametrize(
    ("data", "told"), [(WHOLE, None), (WHOLE[: len(WHOLE) // 2], "the sound ends early: its file is not whole")]
)
async def test_a_call_whose_file_was_cut_off_ends_with_a_warning(data: bytes, told: str | None) -> None:
    server = grpc.aio.server()
    riva_asr_pb2_grpc.add_RivaSpeechRecognitionServicer_to_server(RivaSkin(Deaf(), Streams(2)), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = riva_asr_pb2_grpc.RivaSpeechRecognitionStub(channel)
        config = riva_asr_pb2.RecognitionConfig(language_code="en")
        streaming = riva_asr_pb2.StreamingRecognitionConfig(config=config)
        request = riva_asr_pb2.StreamingRecognizeRequest
        parts = [data[at : at + 9_999] for at in range(0, len(data), 9_999)]
        stream = stub.StreamingRecognize(
            iter([request(streaming_config=streaming), *(request(audio_content=part) for part in parts)])
        )
        once = stub.Recognize(riva_asr_pb2.RecognizeRequest(config=config, audio=data))
        for call in (stream, once):
            assert await call.code() is grpc.StatusCode.OK
            assert dict(await call.trailing_metadata()).get(WARNING_KEY) == told
    await server.stop(None)
