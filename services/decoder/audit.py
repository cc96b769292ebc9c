"""The audit log: what left this machine, byte for byte, when, where to and why. Append-only, for its owner alone.

A JSON object a line: {"event": "sent", "id", "unix_ms", "session", "url", "model", "policy", "why", "bytes", "body"}
is on disk before the first byte leaves; {"event": "done", "id", "unix_ms", "outcome", "bytes_received", "tokens", "ms"}
follows.
"""

import errno
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = "escalations.jsonl"


def audit_file() -> Path:
    """In $SENSORIUM_STATE, else $XDG_STATE_HOME/sensorium (~/.local/state/sensorium)."""
    if chosen := os.environ.get("SENSORIUM_STATE"):
        return Path(chosen).expanduser() / FILE
    return Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser() / "sensorium" / FILE


@dataclass(frozen=True, slots=True)
class Spent:
    """What one session has sent so far."""

    nbytes: int
    tokens: int


class AuditLog:
    """One file. Raises OSError when it cannot be written or read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def sent(self, *, session: str, url: str, model: str, policy: str, why: str, body: bytes) -> str:
        """Write down what is about to be sent; returns the entry's id."""
        entry = secrets.token_hex(8)
        self._append(
            {
                "event": "sent",
                "id": entry,
                "unix_ms": time.time_ns() // 1_000_000,
                "session": session,
                "url": url,
                "model": model,
                "policy": policy,
                "why": why,
                "bytes": len(body),
                "body": body.decode(),
            }
        )
        return entry

    def done(self, entry: str, *, outcome: str, bytes_received: int, tokens: int, ms: float) -> None:
        """Write down what came back of it."""
        self._append(
            {
                "event": "done",
                "id": entry,
                "unix_ms": time.time_ns() // 1_000_000,
                "outcome": outcome,
                "bytes_received": bytes_received,
                "tokens": tokens,
                "ms": round(ms, 1),
            }
        )

    def entries(self) -> Iterator[dict[str, Any]]:
        """All entries, oldest first. A line that a full disk cut short is none: its bytes did not leave."""
        if self.path.exists():
            with self.path.open(encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    with suppress(json.JSONDecodeError):
                        yield json.loads(line)

    def spent(self, session: str) -> Spent:
        """What a session has sent so far, also before this process began."""
        nbytes, tokens, mine = 0, 0, set()
        for entry in self.entries():
            if entry["event"] == "sent" and entry["session"] == session:
                mine.add(entry["id"])
                nbytes += entry["bytes"]
            elif entry["event"] == "done" and entry["id"] in mine:
                tokens += entry["tokens"]
        return Spent(nbytes, tokens)

    def _append(self, entry: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = (json.dumps(entry, ensure_ascii=False) + "\n").encode()
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = b"\n" + line
            if os.write(descriptor, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
