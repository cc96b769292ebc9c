"""What any service process says of itself."""

import resource
import sys
from pathlib import Path

from protos.expert.v1 import expert_pb2
from services.runtime.settings import sensorium_version
from services.runtime.streams import Streams


def describe_process(name: str, streams: Streams) -> expert_pb2.DescribeResponse:
    """Name, version, memory, streams and how late they are; no models."""
    return expert_pb2.DescribeResponse(
        service=name,
        version=sensorium_version(),
        resident_bytes=resident_bytes(),
        active_streams=streams.active,
        max_streams=streams.limit,
        load={"lag_s": streams.load.lag_s, "late_streams": streams.load.late_streams},
    )


def resident_bytes() -> int:
    """Resident memory of this process; its peak where the system has no /proc."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
