"""`sensorium audit`: what left this machine for the configured endpoint."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from services.decoder.audit import AuditLog, audit_file


def entries() -> list[dict[str, Any]]:
    """All that was sent, oldest first, each with what came of it (`outcome` is None when that is not known)."""
    sent: dict[str, dict[str, Any]] = {}
    for entry in AuditLog(audit_file()).entries():
        if entry["event"] == "sent":
            sent[entry["id"]] = {**entry, "outcome": None, "bytes_received": 0, "tokens": 0, "ms": None}
            del sent[entry["id"]]["event"]
        elif entry["id"] in sent:
            sent[entry["id"]].update({key: entry[key] for key in ("outcome", "bytes_received", "tokens", "ms")})
    return list(sent.values())


def lines(found: list[dict[str, Any]]) -> Iterator[str]:
    """For people: when, where to, why, and every byte that left."""
    for entry in found:
        when = datetime.fromtimestamp(entry["unix_ms"] / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        yield (
            f"{when}  {entry['session']}  {entry['bytes']} bytes to {entry['url']} ({entry['model']}): "
            f"{entry['outcome'] or 'unknown'}; {entry['why']}"
        )
        yield f"  {json.dumps(entry['body'], ensure_ascii=True)[1:-1]}"
