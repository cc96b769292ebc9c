"""Every model has a graph that TensorRT takes: as exact as its source, and TensorRT-RTX really builds it."""

import itertools
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines import plain_graphs, plans
from engines.backends import tensorrt_build
from engines.backends.onnxruntime import OnnxRuntimeEngine
from engines.backends.tensorrt_build import PlanBuildError, TensorRTMissingError
from engines.engine import EngineError
from engines.export.plain import PlainGraphError, check
from engines.fetch import fetch
from engines.manifest import Profile, manifests
from engines.models import model_file
from engines.plain_graphs import PlainGraphMissingError
from engines.plans import PlanCorruptError, PlanMissingError, Target
from services.runtime.image import MAX_PIXELS, MAX_SIDE_PX, MIN_SIDE_PX
from services.vision import gui, objects, text_detection
from tests.gpu.conftest import linked_cache
from tools import engines as command
from tools.errors import InputError

RTX = "tensorrt_rtx"
ADA = Target(("SM89",))
GENERATIONS = ("SM120", "SM80", "SM86", "SM89")
PROFILES = {
    f"{name}/{profile.graph}": (name, profile) for name, model in manifests().items() for profile in model.profile
}


@pytest.fixture(scope="module", autouse=True)
def cache() -> Iterator[Path]:
    """A cache with the models that have a profile and no plans."""
    fetch(name for name, _ in PROFILES.values())
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        yield linked_cache(Path(folder), patch)


@pytest.fixture(params=PROFILES, scope="module")
def profiled(request: pytest.FixtureRequest, cache: Path) -> Iterator[tuple[str, Profile]]:
    """A model's name and one of its profiles; all would write 5 GB, so what is written goes with each."""
    yield PROFILES[request.param]
    for written in ("plain", "plans"):
        shutil.rmtree(cache / written, ignore_errors=True)


def test_a_graph_for_tensorrt_is_plain_and_gives_what_its_source_gives(profiled: tuple[str, Profile]) -> None:
    name, profile = profiled
    written = plain_graphs.plain_graph(name, profile.graph)
    assert written.difference <= profile.tolerance
    check(onnx.load(written.path))
    if profile.half is not None:
        assert plain_graphs.plain_graph(name, profile.graph, "float16").difference <= profile.half
    if profile.int8 is not None:
        written = plain_graphs.plain_graph(name, profile.graph, "int8")
        assert written.difference <= profile.int8
        check(onnx.load(written.path))


OTHER_SIZES = {
    "silero-vad/silero_vad.onnx": {"batch": 3},
    "segmentation-3.0/segmentation.onnx": {"batch": 2, "samples": 20_000},
    "campplus/campplus.onnx": {"batch": 2, "frames": 355},
    "ppocrv6-tiny/rec.onnx": {"batch": 3, "width": 96},
    "moonshine-tiny-en/encoder.onnx": {"b": 2, "n": 30_000},
    "whisper-base/encoder.onnx": {"b": 1, "t": 1_000},
    "moonshine-tiny-en/decoder.onnx": {"b": 2, "n": 3, "p": 5, "q": 8, "s": 21},
    "control-states/control-states.onnx": {"n": 7},
}


@pytest.mark.parametrize("graph", OTHER_SIZES)
def test_it_gives_the_same_at_sizes_that_it_was_not_compared_at(graph: str) -> None:
    name, profile = PROFILES[graph]
    (signature,) = [known for known in manifests()[name].graph if known.file == profile.graph]
    axes = {axis: [size, size, size] for axis, size in OTHER_SIZES[graph].items()}
    feeds = plain_graphs.noise(signature, replace(profile, axes=axes))
    wanted = OnnxRuntimeEngine(model_file(name, profile.graph)).run(feeds)
    left = {key: value for key, value in feeds.items() if key not in profile.fixed}
    got = OnnxRuntimeEngine(plain_graphs.plain_graph(name, profile.graph).path).run(left)
    assert plain_graphs.difference(got, wanted, list(wanted)) <= profile.tolerance


def test_tensorrt_builds_it_ahead_of_time_for_every_generation(profiled: tuple[str, Profile]) -> None:
    name, profile = profiled
    plan = plans.build(name, profile.graph, RTX, Target(GENERATIONS))
    plans.verify(plan)
    assert plan in plans.plans() and plans.is_current(plan)
    assert plan.capabilities == GENERATIONS
    assert plans.find(name, profile.graph, plan.module, plan.version, Target(("SM89",), "some card")) == plan


def test_and_for_turing_in_half_precision(profiled: tuple[str, Profile]) -> None:
    name, profile = profiled
    plan = plans.build(name, profile.graph, RTX, Target(("SM75",)), precision="float16")
    assert plan.precision == "float16" and plan.capabilities == ("SM75",)


@pytest.mark.parametrize(
    ("graph", "network_size"),
    [
        ("ppocrv6-tiny/det.onnx", text_detection.network_size),
        ("gui-elements/gui-elements.onnx", gui.network_size),
        ("nanodet-g/nanodet.onnx", objects.network_size),
    ],
)
def test_a_plan_holds_every_picture_that_the_service_takes(
    graph: str, network_size: Callable[[int, int], tuple[int, int]]
) -> None:
    _, profile = PROFILES[graph]
    sides = [MIN_SIDE_PX, *range(64, MAX_SIDE_PX, 61), MAX_SIDE_PX]
    for width, height in itertools.product(sides, sides):
        if width * height <= MAX_PIXELS:
            net_w, net_h = network_size(width, height)
            assert any(
                axes["width"][0] <= net_w <= axes["width"][2] and axes["height"][0] <= net_h <= axes["height"][2]
                for axes in profile.sizes
            ), (width, height, net_w, net_h)


EIGHT_BITS = [graph for graph, (_, profile) in PROFILES.items() if profile.int8 is not None]


@pytest.mark.parametrize("graph", EIGHT_BITS)
def test_in_eight_bits_it_builds_for_every_generation_that_has_them(graph: str) -> None:
    name, profile = PROFILES[graph]
    plan = plans.build(name, profile.graph, RTX, Target(GENERATIONS), precision="int8")
    assert plan.precision == "int8" and plans.is_current(plan)
    assert plans.find(name, profile.graph, RTX, plan.version, ADA, "int8") == plan


def test_a_plan_is_built_once_and_leaves_nothing_half_written(own_cache: Path) -> None:
    said: list[str] = []
    first = plans.build(
        "silero-vad", "silero_vad.onnx", RTX, ADA, on_progress=lambda what, done, total: said.append(what)
    )
    assert said[0] == "graph" and len(said) > 1
    written = first.path.stat().st_mtime_ns
    assert plans.build("silero-vad", "silero_vad.onnx", RTX, ADA) == first
    assert first.path.stat().st_mtime_ns == written
    assert sorted(path.suffix for path in (own_cache / "plans").iterdir()) == [".json", ".plan"]
    assert {path.suffix for path in (own_cache / "plain").rglob("*") if path.is_file()} == {".json", ".onnx"}
    assert plans.build("silero-vad", "silero_vad.onnx", RTX, Target(("SM86",))).key != first.key


def test_plans_are_ready_when_every_graph_has_one_for_the_card(own_cache: Path) -> None:
    (missing,) = command.lacking(["silero-vad"], ADA, RTX)
    assert "`sensorium engines build --aot SM89 silero-vad`" in missing
    plans.build("silero-vad", "silero_vad.onnx", RTX, ADA)
    assert command.lacking(["silero-vad"], ADA, RTX) == []
    assert len(command.lacking(["silero-vad"], Target(("SM86", "SM89")), RTX)) == 1
    assert len(command.lacking(["silero-vad", "ppocrv6-tiny"], ADA, RTX)) == 2


def test_without_models_nothing_is_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENSORIUM_MODELS", str(tmp_path))
    assert command.lacking([], ADA, RTX) == ["no model is here; run `sensorium models fetch --set english`"]


def test_a_changed_plan_is_found(own_cache: Path) -> None:
    plan = plans.build("silero-vad", "silero_vad.onnx", RTX, ADA)
    assert command.verify() == ([plan], [])
    plan.path.write_bytes(plan.path.read_bytes()[:-1])
    with pytest.raises(PlanCorruptError, match="sensorium engines build --aot SM89 silero-vad"):
        plans.verify(plan)
    good, (sentence,) = command.verify()
    assert good == [] and str(plan.path) in sentence


def test_a_plan_of_an_earlier_graph_is_out_of_date_and_not_used(own_cache: Path) -> None:
    plan = plans.build("silero-vad", "silero_vad.onnx", RTX, ADA)
    for notes in (own_cache / "plain").rglob("*.json"):
        notes.write_text(notes.read_text().replace(plan.onnx_sha256, "0" * 64))
    assert [found["is_current"] for found in command.listing()] == [False]
    with pytest.raises(PlanMissingError, match=r"has no plan of tensorrt_rtx .* for SM89"):
        plans.find("silero-vad", "silero_vad.onnx", RTX, plan.version, ADA)


def test_what_is_refused_is_named_with_its_node() -> None:
    trt = tensorrt_build.load(RTX)
    with pytest.raises(PlanBuildError, match=r"node \d+ \(MatMulNBits\) is refused"):
        tensorrt_build.build(trt, model_file("minilm", "minilm.onnx"), [], ("SM89",))
    with pytest.raises(PlanBuildError, match="'SM99' is none of what TensorRT-RTX .* SM89"):
        tensorrt_build.build(trt, plain_graphs.plain_graph("gui-elements", "gui-elements.onnx").path, [{}], ("SM99",))
    with pytest.raises(PlanBuildError, match="input 'image' has a free axis 'height' without sizes"):
        tensorrt_build.build(trt, plain_graphs.plain_graph("gui-elements", "gui-elements.onnx").path, [{}], ("SM89",))
    with pytest.raises(PlanBuildError, match="SM75 multiplies no float32: build with --half"):
        plans.build("silero-vad", "silero_vad.onnx", RTX, Target(("SM75",)))


def test_a_graph_that_cannot_be_made_plain_says_why() -> None:
    def model(kind: str, weights: np.ndarray) -> onnx.ModelProto:
        made = helper.make_graph(
            [helper.make_node(kind, ["x", "w"] if kind == "Mul" else ["x"], ["y"], name="the node")],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])],
            [helper.make_tensor_value_info("y", TensorProto.INT64 if kind == "NonZero" else TensorProto.FLOAT, None)],
            [numpy_helper.from_array(weights, "w")],
        )
        return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)])

    with pytest.raises(PlainGraphError, match="node 'the node' is :NonZero"):
        check(model("NonZero", np.zeros(1, np.float32)))
    with pytest.raises(PlainGraphError, match="weight 'w' has eight bits"):
        check(model("Mul", np.ones(1, np.int8)))


def test_a_precision_that_a_model_must_not_have_is_a_sentence() -> None:
    with pytest.raises(PlainGraphMissingError, match="silero-vad/silero_vad.onnx has no int8 graph"):
        plans.build("silero-vad", "silero_vad.onnx", RTX, ADA, precision="int8")
    with pytest.raises(InputError, match="'silero-vad' has no int8 graph for TensorRT; models with one are"):
        command.chosen(["silero-vad"], "int8")
    with pytest.raises(InputError, match="say either --half or --int8"):
        command.precision(half=True, int8=True)


def test_without_tensorrt_the_error_says_what_to_install() -> None:
    with pytest.raises(TensorRTMissingError, match="`pip install tensorrt-cu13`"):
        tensorrt_build.load("tensorrt")
    with pytest.raises(TensorRTMissingError, match="must be one of tensorrt, tensorrt_rtx"):
        tensorrt_build.load("torch")


@pytest.mark.parametrize(
    ("device", "aot", "message"),
    [
        ("", "", "say either --device cuda"),
        ("cuda", "SM89", "say either --device cuda"),
        ("gpu", "", "--device is 'gpu', must be cuda"),
        ("cuda", "", "there is no NVIDIA driver on this machine"),
    ],
)
def test_a_target_that_is_none_is_a_sentence(device: str, aot: str, message: str) -> None:
    with pytest.raises((InputError, EngineError), match=re.escape(message)):
        command.target(device, aot)
