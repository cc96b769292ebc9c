"""Learning a voice: from a file in which one person speaks, or from a speaker of a session."""

import asyncio
import io
from collections.abc import AsyncIterator, Sequence

import grpc

from protos.expert.v1 import expert_pb2, expert_pb2_grpc
from protos.media.v1 import media_pb2
from services.gateway.media import MediaFileError, Upload, open_media, read_sound, streams
from services.gateway.recognition import MIN_SPEECH_S
from services.runtime import wire
from services.runtime.percept import SAMPLE_RATE, SpeakerTurn, SpeakerVoice
from services.runtime.stage import MediaError

MAX_FILE_BYTES = 16 * 1024 * 1024
# More tells little about a voice and costs time.
MAX_FILE_S = 120
# What others may say in a file of one person: a mistake of the segmentation is no second person.
MAX_OTHERS_SHARE = 0.15
MAX_OTHERS_S = 1.0
TIMEOUT_S = 60.0
_PIECE_SAMPLES = 5 * SAMPLE_RATE


async def voice_of_file(data: bytes, diarization: grpc.aio.Channel) -> SpeakerVoice:
    """The one voice in a sound or video file.

    Raises MediaError (type, size, silence, too short, several people), grpc.aio.AioRpcError.
    """
    if not 0 < len(data) <= MAX_FILE_BYTES:
        raise MediaFileError(
            f"the file has {len(data)} bytes, must have 1 to {MAX_FILE_BYTES}; a minute of speech is plenty"
        )
    sound = await asyncio.to_thread(_decode, data)
    if len(sound) > 2 * MAX_FILE_S * SAMPLE_RATE:
        raise MediaFileError(
            f"the file is longer than {MAX_FILE_S} s; cut out a minute in which only one person speaks"
        )

    async def requests() -> AsyncIterator[expert_pb2.PerceiveRequest]:
        options = {"voices": "on", "latency_s": "5"}
        yield expert_pb2.PerceiveRequest(config=expert_pb2.PerceiveConfig(options=options))
        for start in range(0, len(sound) // 2, _PIECE_SAMPLES):
            pcm = sound[2 * start : 2 * (start + _PIECE_SAMPLES)]
            yield expert_pb2.PerceiveRequest(audio=media_pb2.AudioChunk(pcm=pcm, start_sample=start))

    turns: dict[str, SpeakerTurn] = {}
    voices: dict[str, SpeakerVoice] = {}
    stub = expert_pb2_grpc.ExpertServiceStub(diarization)
    async for response in stub.Perceive(requests(), timeout=TIMEOUT_S):
        match wire.from_proto(response.percept):
            case SpeakerTurn() as turn if turn.is_final:
                turns[turn.turn_id] = turn
            case SpeakerVoice() as voice:
                voices[voice.speaker] = voice
    return the_only_voice(list(turns.values()), voices)


def the_only_voice(turns: Sequence[SpeakerTurn], voices: dict[str, SpeakerVoice]) -> SpeakerVoice:
    """The voice of the person who speaks, by final turns. Raises MediaError."""
    spoken_s: dict[str, float] = {}
    for turn in turns:
        spoken_s[turn.speaker] = spoken_s.get(turn.speaker, 0.0) + (turn.end_sample - turn.start_sample) / SAMPLE_RATE
    if not spoken_s:
        raise MediaError("no speech was heard in the file; record a person who speaks for 10 s or so")
    who = max(spoken_s, key=lambda speaker: spoken_s[speaker])
    others_s = sum(spoken_s.values()) - spoken_s[who]
    if others_s > max(MAX_OTHERS_S, MAX_OTHERS_SHARE * spoken_s[who]):
        raise MediaError(
            f"{len(spoken_s)} people speak in the file ({spoken_s[who]:.1f} s and {others_s:.1f} s); "
            "use a recording in which only the person to remember speaks"
        )
    return long_enough(voices[who])


def long_enough(voice: SpeakerVoice) -> SpeakerVoice:
    """The voice itself. Raises MediaError when too little speech was heard to know it by."""
    if voice.speech_s < MIN_SPEECH_S:
        raise MediaError(
            f"{voice.speech_s:.1f} s of speech were heard, a voice needs {MIN_SPEECH_S:.0f} s or more; 10 s are better"
        )
    return voice


def _decode(data: bytes) -> bytes:
    """At most a little more than `MAX_FILE_S` of mono s16le at 16 kHz. Raises MediaFileError."""
    pcm = bytearray()
    file = Upload(io.BytesIO(data), "the file")
    with open_media(file) as container:
        if streams(container)[0] is None:
            raise MediaFileError("the file has no sound")
        for piece in read_sound(container, file, chunk_samples=SAMPLE_RATE):
            pcm += piece.pcm
            if len(pcm) > 2 * MAX_FILE_S * SAMPLE_RATE:
                break
    if not pcm:
        raise MediaFileError("nothing in the file could be decoded; is it damaged or empty?")
    return bytes(pcm)
