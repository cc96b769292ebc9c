"""Plans on the first NVIDIA card of this machine."""

from functools import cache

from engines import plans
from engines.backends import tensorrt_build
from engines.backends.tensorrt import TensorRTEngine
from engines.kernels import heads, letterbox, past, spectrum
from engines.kernels.build import fatbin
from engines.kernels.device import CudaDevice
from engines.manifest import manifest
from engines.plain_graphs import profile_of
from engines.plans import Target


@cache
def first_card() -> CudaDevice:
    """The card of this process, with the kernels around networks. Raises DeviceError, KernelBuildError."""
    card = CudaDevice()
    for kernels in (letterbox.KERNELS, spectrum.KERNELS, heads.KERNELS, past.KERNELS):
        card.load(fatbin(kernels[0].source), [kernel.name for kernel in kernels])
    return card


def open_plan(name: str, graph: str, module: str, precision: str = "", *, workers: int = 2) -> TensorRTEngine:
    """Load the plan of one graph onto the card; `precision` as in `plans.find`.

    Raises TensorRTMissingError, DeviceError, KernelBuildError, PlanMissingError, PlanCorruptError,
    PlainGraphMissingError, ManifestError.
    """
    profile = profile_of(manifest(name), graph)
    trt = tensorrt_build.load(module)
    card = first_card()
    plan = plans.find(name, graph, module, trt.__version__, Target((card.compute_capability,), card.name), precision)
    plans.verify(plan)
    data = plan.path.read_bytes()
    return TensorRTEngine(trt, card, data, precision=plan.precision, fixed=profile.fixed, workers=workers)
