"""An answer as programs get it: one JSON object, the same from the command line and over HTTP."""

import json
from collections.abc import AsyncIterator
from typing import Any

from protos.decoder.v1 import decoder_pb2 as pb
from services.gateway.formats import evidence_json, seconds
from services.gateway.transcript import evidence_from_proto
from services.runtime.stage import MediaError

# What a user calls the policies of escalation.
POLICIES = {
    "": pb.ESCALATION_UNSPECIFIED,
    "never": pb.ESCALATION_NEVER,
    "ask": pb.ESCALATION_ASK,
    "allowed": pb.ESCALATION_ALLOWED,
}


def parse_policy(word: str) -> pb.Escalation:
    """The policy of a word; an empty one leaves it to the decoder. Raises MediaError."""
    if word not in POLICIES:
        raise MediaError(f"escalation is {word!r}, must be never, ask or allowed")
    return POLICIES[word]


async def whole_answer(parts: AsyncIterator[pb.AskResponse]) -> pb.Answer:
    """The last part of an answer, which is all of it."""
    answer = pb.Answer()
    async for part in parts:
        if part.HasField("answer"):
            answer = part.answer
    return answer


def answer_json(answer: pb.Answer) -> dict[str, Any]:
    """An answer as JSON has it: times in seconds and milliseconds, boxes xyxy in pixels, unknown values null."""
    activation = answer.activation
    return {
        "answer": answer.text,
        "abstained": answer.abstained,
        "confidence": round(answer.confidence, 4) if answer.HasField("confidence") else None,
        "evidence": [_evidence_json(item) for item in answer.evidence],
        "tier": answer.tier,
        "activation": {
            "experts": list(activation.experts),
            "parameters": activation.parameters,
            "bytes_read": activation.bytes_read,
            "context_tokens": activation.context_tokens,
            "total_ms": round(activation.total_ms, 1),
            "tier": answer.tier,
            "reason": activation.reason,
            "route": _route_json(activation.route),
            "escalation": _escalation_json(activation.escalation),
        },
        "first_evidence_ms": round(activation.first_evidence_ms, 1),
        "first_token_ms": round(activation.first_token_ms, 1),
        **({"fields": [_field_json(one) for one in answer.fields]} if answer.fields else {}),
    }


def _field_json(found: pb.FieldAnswer) -> dict[str, Any]:
    return {
        "path": found.path,
        "value": json.loads(found.value),
        "abstained": found.abstained,
        "confidence": round(found.confidence, 4) if found.HasField("confidence") else None,
        "evidence": [{**_evidence_json(item), "words": item.words} for item in found.evidence],
    }


def _evidence_json(item: pb.Evidence) -> dict[str, Any]:
    shown = evidence_json(evidence_from_proto(item))
    return {**shown, "speaker": item.speaker_name or shown["speaker"]}


def _route_json(route: pb.Route) -> dict[str, Any]:
    return {
        "experts": list(route.experts),
        "scope": route.scope,
        "period": route.period,
        "start_s": seconds(route.start_sample) if route.HasField("start_sample") else None,
        "end_s": seconds(route.end_sample) if route.HasField("end_sample") else None,
        "speaker": route.speaker or None,
        "tier": route.tier,
        "confidence": round(route.confidence, 4),
    }


def _escalation_json(report: pb.EscalationReport) -> dict[str, Any]:
    return {
        "outcome": report.outcome,
        "reason": report.reason,
        "url": report.url or None,
        "bytes_sent": report.bytes_sent,
        "tokens": report.tokens,
        "audit_id": report.audit_id or None,
        "is_evidenced": report.is_evidenced,
    }
