"""The tier before the last: a larger model that the user runs on this machine, such as a GGUF in a llama.cpp server.

It is asked over HTTP on a loopback address alone, so nothing leaves: no policy, no redaction, no audit. It is asked
when the best line is neither sure to answer nor hopeless, or the answer is spread over several lines, and believed only
when every word of its answer stands in the lines that it was given.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from services.decoder.escalation import LOOPBACK, ChatServer, EscalationError, Reply, prepare, read_reply
from services.decoder.retrieval import Hit


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """Where the model is served ("http://127.0.0.1:8081/v1"; "" for none), its name, and how long it may take."""

    url: str = ""
    model: str = "local"
    deadline_s: float = 20.0


class LocalModel(ChatServer):
    """The model behind a loopback address. Raises ValueError for another address."""

    def __init__(self, settings: LocalSettings) -> None:
        if settings.url and (urlsplit(settings.url).scheme, urlsplit(settings.url).hostname in LOOPBACK) != (
            "http",
            True,
        ):
            raise ValueError(f"the local model's URL is {settings.url!r}, must be http on this machine: {LOOPBACK[0]}")
        super().__init__(settings.url)
        self._settings = settings

    async def ask(self, question: str, hits: Sequence[Hit], names: Mapping[str, str]) -> Reply:
        """What it makes of the lines. Raises EscalationError: late, not reached, or not backed by the lines."""
        prepared = prepare(self._settings.model, question, hits, names, is_redacted=False)
        try:
            async with asyncio.timeout(self._settings.deadline_s):
                reply, _ = read_reply(prepared, await self.exchange(prepared.body))
        except TimeoutError as error:
            raise EscalationError(f"the local model did not answer within {self._settings.deadline_s:g} s") from error
        except OSError as error:
            raise EscalationError(f"the local model cannot be reached ({type(error).__name__})") from error
        if not reply.is_evidenced:
            raise EscalationError("the lines do not back what the local model said")
        return reply
