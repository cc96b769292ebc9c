"""What a service with models says of itself."""

from collections.abc import Sequence

from engines.manifest import manifest
from engines.residency import process
from protos.expert.v1 import expert_pb2
from services.runtime.describe import describe_process
from services.runtime.stage import ModelInfo
from services.runtime.streams import Streams


def describe(name: str, models: Sequence[ModelInfo], streams: Streams) -> expert_pb2.DescribeResponse:
    """The Describe answer of a service that has models."""
    described = describe_process(name, streams)
    described.load["weights_read_bytes"] = process().opened_bytes
    described.load["weights_open_bytes"] = process().open_bytes
    for info in models:
        source = manifest(info.name)
        described.models.add(
            name=info.name,
            version=source.version,
            licence=source.licence,
            backend=info.backend,
            precision=info.precision,
            parameters=source.parameters,
            is_loaded=info.is_loaded and not process().is_closed(info.name),
            tasks=info.tasks,
        )
    return described
