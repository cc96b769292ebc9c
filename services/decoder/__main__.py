"""`python -m services.decoder`: one timeline, one live context and answers per session."""

import argparse
import asyncio
import logging
import os
import sys

import grpc

from engines.engine import EngineError
from engines.models import threads_for
from engines.residency import process
from protos.decoder.v1 import decoder_pb2_grpc
from services.decoder.asking import TIERS
from services.decoder.escalation import EscalationSettings
from services.decoder.local_model import LocalSettings
from services.decoder.model import NAME, SmallDecoder
from services.decoder.service import SERVICE_NAME, DecoderSettings, DecoderSkin
from services.runtime.sentence import SentenceEncoder
from services.runtime.server import serving, until_signal
from services.runtime.settings import ServiceSettings, service_parser, settings_from
from services.runtime.telemetry import configure_logging

log = logging.getLogger(__name__)


def main() -> None:
    """Serve until SIGTERM; exits 1 with a sentence when that is not possible."""
    flags = _parser().parse_args()
    configure_logging("decoder")
    escalation = EscalationSettings(
        flags.escalation_url,
        flags.escalation_model,
        flags.escalation_key_file,
        flags.escalation,
        flags.escalation_above,
        flags.escalation_below,
        flags.escalation_deadline_s,
        flags.escalation_budget_bytes,
        flags.escalation_budget_tokens,
    )
    local = LocalSettings(flags.local_url, flags.local_model, flags.local_deadline_s)
    decoder_settings = DecoderSettings(
        flags.tier, flags.context_tokens, flags.max_contexts, flags.idle_s, escalation, local
    )
    try:
        process()  # a memory budget that cannot be read is found out now
        asyncio.run(_serve(settings_from("decoder", flags), decoder_settings))
    except (OSError, EngineError, ValueError) as error:
        log.error("cannot start: %s", error)
        sys.exit(1)


def _parser() -> argparse.ArgumentParser:
    default, env = DecoderSettings(), os.environ.get
    parser = service_parser("decoder", "Fuses what was said and shown, and answers questions about it.")
    tier = env("SENSORIUM_TIER", default.tier)
    parser.add_argument("--tier", choices=TIERS, default=tier, help="who answers: a quoted line, or the small model")
    tokens = env("SENSORIUM_CONTEXT_TOKENS", default.context_tokens)
    parser.add_argument("--context-tokens", type=int, default=tokens, help="length of a live context")
    contexts = env("SENSORIUM_MAX_CONTEXTS", default.max_contexts)
    parser.add_argument("--max-contexts", type=int, default=contexts, help="live contexts at most")
    idle_s = env("SENSORIUM_IDLE_S", default.idle_s)
    parser.add_argument("--idle-s", type=float, default=idle_s, help="forget a session after so long without use")
    _add_escalation(parser)
    _add_local(parser)
    return parser


def _add_escalation(parser: argparse.ArgumentParser) -> None:
    default = EscalationSettings()

    def add(flag: str, value: str | float | int, help: str) -> None:
        name = f"escalation-{flag}" if flag else "escalation"
        given = os.environ.get(f"SENSORIUM_{name.upper().replace('-', '_')}", str(value))
        parser.add_argument(f"--{name}", type=type(value), default=type(value)(given), help=help)

    add("url", default.url, "OpenAI-compatible endpoint that may be asked, such as https://host/v1; empty: none")
    add("model", default.model, "its model")
    add("key-file", default.key_file, "file with its API key")
    add("", default.policy, "never, ask or allowed, where a session says nothing")
    add("above", default.above, "a best line less likely than this is hopeless")
    add("below", default.below, "a best line as likely as this needs no help")
    add("deadline-s", default.deadline_s, "the local answer stands after so long")
    add("budget-bytes", default.budget_bytes, "bytes that one session may send")
    add("budget-tokens", default.budget_tokens, "tokens that one session may use")


def _add_local(parser: argparse.ArgumentParser) -> None:
    default, env = LocalSettings(), os.environ.get
    url, model = env("SENSORIUM_LOCAL_URL", default.url), env("SENSORIUM_LOCAL_MODEL", default.model)
    parser.add_argument("--local-url", default=url, help="your own model on this machine: http://127.0.0.1:PORT/v1")
    parser.add_argument("--local-model", default=model, help="its name, where its server has several")
    deadline_s = env("SENSORIUM_LOCAL_DEADLINE_S", default.deadline_s)
    parser.add_argument("--local-deadline-s", type=float, default=deadline_s, help="the line stands after so long")


async def _serve(settings: ServiceSettings, decoder_settings: DecoderSettings) -> None:
    threads = threads_for(NAME, "decoder.onnx", settings.threads)
    models = SmallDecoder(threads), SentenceEncoder(settings.threads)
    models[1].encode(["Hello."])  # opened before the first question, which should not wait for it
    skin = DecoderSkin(settings, decoder_settings, *models)

    def add(server: grpc.aio.Server) -> None:
        decoder_pb2_grpc.add_DecoderServiceServicer_to_server(skin, server)

    try:
        async with serving(settings, SERVICE_NAME, add, skin.streams):
            await until_signal()
    finally:
        skin.close()


if __name__ == "__main__":
    main()
