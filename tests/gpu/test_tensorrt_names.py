"""Every TensorRT name that our code uses is in TensorRT 10, in 11 and in TensorRT for RTX."""

import ast
import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from engines.backends.tensorrt_build import FLAGS
from tests.conftest import ROOT

SOURCES = ("engines/backends/tensorrt.py", "engines/backends/tensorrt_build.py")
# What the variables of these files hold; `self._NAME` counts as NAME.
HOLDS = {
    "trt": "",
    "builder": "Builder",
    "config": "IBuilderConfig",
    "context": "IExecutionContext",
    "engine": "ICudaEngine",
    "error": "ParserError",
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "profile": "IOptimizationProfile",
    "runtime": "Runtime",
    "runtime_config": "IRuntimeConfig",
    "tensor": "ITensor",
}
# Used behind a check that the module is RTX's.
OF_RTX_ALONE = {
    "ComputeCapability",
    "ComputeCapability.__members__",
    "CudaGraphStrategy",
    "CudaGraphStrategy.WHOLE_GRAPH_CAPTURE",
    "IBuilderConfig.num_compute_capabilities",
    "IBuilderConfig.set_compute_capability",
    "IRuntimeConfig.cuda_graph_strategy",
}
WHEEL = "tensorrt_cu13_bindings-{}-cp311-none-manylinux_2_28_x86_64.whl"
BINDINGS = {
    "10.16.1.11": "f986d47980d042cc126506a9b84586e55ad13737a7a46826fe45457c04d66294",
    "11.4.0.106": "d072ac2a095e2be749fefc847adfb25d5ebe70303401df62ede8fe67a59f27fc",
}
PROGRAM = """
import functools, importlib, json, sys
trt = importlib.import_module(sys.argv[1])
missing = object()
look = lambda name: functools.reduce(lambda a, b: getattr(a, b, missing), name.split("."), trt)
print(json.dumps([name for name in json.load(sys.stdin) if look(name) is missing]))
"""


def names_used() -> set[str]:
    """Such as "Runtime.deserialize_cuda_engine", read out of the sources."""
    # These alone are looked up by strings.
    found = {f"BuilderFlag.{flag}" for flag in FLAGS}
    for source in SOURCES:
        for node in ast.walk(ast.parse((ROOT / source).read_text())):
            if not isinstance(node, ast.Attribute):
                continue
            path, inner = [node.attr], node.value
            while isinstance(inner, ast.Attribute):
                path.append(inner.attr)
                inner = inner.value
            if not isinstance(inner, ast.Name):
                continue
            path.append(inner.id)
            if path[-1] == "self":
                path.pop()
            holder, *rest = reversed(path)
            kind = HOLDS.get(holder.lstrip("_"))
            if kind is not None and rest:
                found.add(".".join(filter(None, [kind, *rest])))
    return found


def missing_in(module: str, folders: list[Path]) -> set[str]:
    """Names that the module lacks, looked up in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, module],
        input=json.dumps(sorted(names_used())),
        env={"PYTHONPATH": ":".join(map(str, folders)), "LD_LIBRARY_PATH": ":".join(map(str, folders))},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


@pytest.fixture(scope="module", params=BINDINGS)
def bindings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bindings of one TensorRT and stub libraries to load them with."""
    version = request.param
    folder = tmp_path_factory.mktemp(f"tensorrt-{version}")
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "download", "--no-deps"]
    subprocess.run([*command, "--dest", str(folder), f"tensorrt-cu13-bindings=={version}"], check=True, timeout=300)
    wheel = folder / WHEEL.format(version)
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() == BINDINGS[version]
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    major = version.split(".")[0]
    for library in ("nvinfer", "nvinfer_plugin", "nvonnxparser"):
        name = f"lib{library}.so.{major}"
        stub = ["cc", "-shared", "-fPIC", "-o", str(folder / name), f"-Wl,-soname,{name}"]
        subprocess.run([*stub, str(ROOT / "tests/gpu/tensorrt_stub.c")], check=True, timeout=60)
    return folder


def test_the_names_are_found_in_the_sources() -> None:
    used = names_used()
    assert len(used) > 50
    assert {"IExecutionContext.execute_async_v3", "OnnxParser.parse_from_file", "TensorIOMode.INPUT"} <= used
    assert OF_RTX_ALONE <= used


def test_tensorrt_has_them(bindings: Path) -> None:
    assert missing_in("tensorrt_bindings", [bindings]) == OF_RTX_ALONE


def test_tensorrt_that_does_not_start_is_a_sentence(bindings: Path) -> None:
    program = """
import tensorrt_bindings
from pathlib import Path
from engines.backends.tensorrt_build import PlanBuildError, build

try:
    build(tensorrt_bindings, Path("x.onnx"), {})
except PlanBuildError as error:
    assert f"TensorRT {tensorrt_bindings.__version__} does not start" in str(error)
else:
    raise SystemExit("an empty library built a plan")
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": f"{bindings}:{ROOT}", "LD_LIBRARY_PATH": str(bindings)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_tensorrt_for_rtx_has_them_all() -> None:
    assert missing_in("tensorrt_rtx", []) == set()
