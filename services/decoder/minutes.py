"""`Topics` behind the wire: the topics of a transcript, in steps between which questions are answered."""

import asyncio
from concurrent.futures import Executor
from functools import partial

from protos.decoder.v1 import decoder_pb2 as pb
from services.decoder.topics import MAX_LINE_CHARS, MAX_LINES, Topic, topics
from services.runtime.sentence import SentenceEncoder
from services.runtime.stage import MediaError


async def topics_response(request: pb.TopicsRequest, encoder: SentenceEncoder, executor: Executor) -> pb.TopicsResponse:
    """The topics of the request's lines; each step runs in the executor by itself. Raises MediaError."""
    lines = list(request.lines)
    if len(lines) > MAX_LINES:
        raise MediaError(f"there are {len(lines)} lines, must be {MAX_LINES} or fewer")
    if (longest := max(map(len, lines), default=0)) > MAX_LINE_CHARS:
        raise MediaError(f"a line has {longest} characters, must have {MAX_LINE_CHARS} or fewer")
    loop, steps, found = asyncio.get_running_loop(), topics(lines, encoder), []
    while not isinstance(step := await loop.run_in_executor(executor, partial(next, steps, "end")), str):
        if isinstance(step, Topic):
            found.append(pb.Topic(first=step.first, end=step.end, title=step.title, title_line=step.title_line))
    return pb.TopicsResponse(topics=found)
