"""What makes the deployment files use NVIDIA cards, checked without a card, a cluster or a container engine."""

import json
import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from engines import preference
from tests.deployment import (
    BIN,
    EXPERTS,
    REPOSITORY,
    check_command,
    compose,
    containers,
    of_kind,
    read_all,
    render,
    run_tool,
)
from tools import cli, engines

OVERLAY = "overlays/gpu"
PLUGIN = REPOSITORY / "k8s" / OVERLAY / "device-plugin.yaml"
SLICE = "nvidia.com/gpu"
RESERVED = [{"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}]


def check_cli(words: list[str]) -> None:
    """The command line has this command and takes these flags."""
    name, *rest = words
    assert name == "sensorium"
    command: Any = get_command(cli.app)
    while hasattr(command, "commands"):
        command = command.commands[rest.pop(0)]
    command.make_context("sensorium", rest)


def check_backend(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs the graphs is first the TensorRT that `engines build` makes plans with, and never stops at the CPU."""
    monkeypatch.setenv(preference.VARIABLE, setting)
    assert preference.backends() == (engines.module_for(engines.Target(("SM89",), "a card")), preference.ONNX_RUNTIME)


def pod(resource: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = resource["spec"]["template"]["spec"]
    return spec


# compose


@pytest.fixture
def services() -> dict[str, Any]:
    found: dict[str, Any] = compose("compose.gpu.yaml")["services"]
    return found


def test_both_compose_files_and_what_they_merge_to_follow_the_specification(tmp_path: Path) -> None:
    path = tmp_path / "compose.json"
    path.write_text(json.dumps(compose("compose.gpu.yaml")))
    for file in ("compose.gpu.yaml", str(path)):
        run_tool(str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", file)


def test_compose_builds_plans_before_the_experts_start(
    services: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(services) == {*compose()["services"], "plans"}
    check_cli(services["plans"]["command"])
    assert services["plans"]["command"][1:3] == ["engines", "build"]
    assert services["plans"]["depends_on"] == {"models": {"condition": "service_completed_successfully"}}
    for name in EXPERTS:
        check_command(name, services[name]["command"])
        assert services[name]["depends_on"]["plans"] == {"condition": "service_completed_successfully"}
        check_backend(services[name]["environment"][preference.VARIABLE], monkeypatch)


def test_compose_gives_a_card_to_those_that_use_it_and_to_nobody_else(services: dict[str, Any]) -> None:
    for name, service in services.items():
        reserved = service.get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices", [])
        uses_card = name in (*EXPERTS, "plans")
        assert reserved == (RESERVED if uses_card else [])
        assert service["image"] == ("sensorium-gpu:0.1.0" if uses_card else "sensorium:0.1.0")
        assert service["build"] == ({"context": ".", "target": "gpu"} if uses_card else ".")


def test_compose_lets_only_the_jobs_write_where_plans_lie(services: dict[str, Any]) -> None:
    for name in EXPERTS:
        assert [each for each in services[name]["volumes"] if "/models" in each] == ["models:/models:ro"]
    assert services["plans"]["volumes"] == services["models"]["volumes"] == ["models:/models"]


def test_compose_containers_with_a_card_have_no_further_rights(services: dict[str, Any]) -> None:
    for service in services.values():
        assert service["read_only"] and service["cap_drop"] == ["ALL"] and "privileged" not in service
        assert "no-new-privileges:true" in service["security_opt"]


# the image


def test_image_for_cards_has_what_the_cpu_image_has_and_is_not_the_default() -> None:
    text = (REPOSITORY / "Dockerfile").read_text()
    stages = re.findall(r"^FROM (\S+)(?: AS (\S+))?$((?:\n(?!FROM).*)*)", text, re.MULTILINE)
    by_name = {name: (base, body) for base, name, body in stages}
    assert by_name["build-gpu"][0] == "build" and "'.[gpu]'" in by_name["build-gpu"][1]
    assert by_name["gpu"][0] == "system" and "COPY --from=build-gpu /opt /opt" in by_name["gpu"][1]
    assert stages[-1][:2] == ("system", "") and "COPY --from=build /opt /opt" in stages[-1][2]


def test_image_for_cards_has_the_versions_that_the_tests_have() -> None:
    text = (REPOSITORY / "Dockerfile").read_text()
    locked = dict(re.findall(r"^(\S+)==([^\s;]+)", (REPOSITORY / "requirements-gpu.lock").read_text(), re.MULTILINE))
    bindings = (REPOSITORY / "tests/gpu/test_tensorrt_names.py").read_text()
    pinned = dict(re.findall(r"([a-z0-9-]+)==([0-9.]+)", text))
    tensorrt = pinned.pop("tensorrt-cu13")
    assert f'"{tensorrt}"' in bindings, "every name that we use of TensorRT was looked up in this version"
    assert len(pinned) == 12 and pinned == {name: locked[name] for name in pinned}


def test_the_extra_brings_what_compiles_the_kernels_in_the_image_and_in_the_tests() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extra = set(project["optional-dependencies"]["nvcc"])
    tested = (REPOSITORY / "tests/gpu/requirements.in").read_text().splitlines()
    assert extra == {line for line in tested if line.startswith(("nvidia-cuda", "nvidia-nvvm"))}
    assert {name.partition("==")[0] for name in extra} == set(
        re.findall(r"(nvidia-[a-z-]+)==13", (REPOSITORY / "Dockerfile").read_text())
    )


def test_nothing_of_nvidia_is_in_the_repository() -> None:
    found = [p for p in (REPOSITORY / "engines").rglob("*") if p.suffix in (".plan", ".engine", ".fatbin", ".cubin")]
    assert found == []


# Kubernetes


def test_manifests_follow_the_kubernetes_schema(tmp_path: Path) -> None:
    path = tmp_path / "rendered.yaml"
    path.write_text(yaml.safe_dump_all(render(OVERLAY)))
    run_tool(str(BIN / "kubernetes-validate"), "--strict", str(path))
    run_tool(str(BIN / "kubernetes-validate"), "--strict", str(PLUGIN))


@pytest.mark.parametrize("name", EXPERTS)
def test_every_expert_has_one_slice_and_reads_the_plans(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    deployment = of_kind("Deployment", OVERLAY)[name]
    (container,) = containers(deployment)
    assert container["image"] == "sensorium-gpu:0.1.0"
    assert container["resources"]["limits"][SLICE] == 1
    assert {"name": "models", "mountPath": "/models", "readOnly": True} in container["volumeMounts"]
    check_backend({entry["name"]: entry["value"] for entry in container["env"]}[preference.VARIABLE], monkeypatch)
    assert {"key": SLICE, "operator": "Exists", "effect": "NoSchedule"} in pod(deployment)["tolerations"]


@pytest.mark.parametrize("name", EXPERTS)
def test_start_up_waits_for_plans_longer_than_they_may_take(name: str, tmp_path: Path) -> None:
    (container,) = containers(of_kind("Deployment", OVERLAY)[name])
    shell, command = container["command"][:4], container["command"][4:]
    check_command(name, command)
    waits_for = shlex.split(shell[2].partition(";")[0].removeprefix("until "))
    check_cli(waits_for)
    assert waits_for[1:3] == ["engines", "ready"]
    # as soon as they are there the service itself runs, with all of its words
    (tmp_path / "sensorium").symlink_to("/bin/true")
    done = subprocess.run([*shell, "echo", *command], env={"PATH": f"{tmp_path}:/bin:/usr/bin"}, stdout=subprocess.PIPE)
    assert done.stdout.decode().split() == command
    probe = container["startupProbe"]
    job = of_kind("Job", OVERLAY)["models"]["spec"]
    assert probe["grpc"] and probe["periodSeconds"] * probe["failureThreshold"] > job["activeDeadlineSeconds"]


@pytest.mark.parametrize("name", EXPERTS)
def test_a_new_pod_asks_for_no_further_slice_before_the_old_one_is_gone(name: str) -> None:
    strategy = of_kind("Deployment", OVERLAY)[name]["spec"]["strategy"]
    assert strategy == {"type": "Recreate"} or strategy["rollingUpdate"]["maxSurge"] == 0


def test_the_job_fetches_the_models_and_then_builds_plans_on_a_slice() -> None:
    job = of_kind("Job", OVERLAY)["models"]
    (fetch,), (build,) = containers(job, "initContainers"), containers(job)
    assert fetch["command"] == containers(of_kind("Job")["models"])[0]["command"]
    for container in (fetch, build):
        check_cli(container["command"])
        assert container["image"] == "sensorium-gpu:0.1.0"
        assert {"name": "models", "mountPath": "/models"} in container["volumeMounts"]
    assert build["command"][1:3] == ["engines", "build"] and build["resources"]["limits"][SLICE] == 1
    assert SLICE not in fetch["resources"]["limits"]


def test_the_example_offers_as_many_slices_as_are_asked_for() -> None:
    asked = [
        container["resources"]["limits"].get(SLICE, 0)
        for resource in render(OVERLAY)
        for container in containers(resource)
    ]
    (config,) = read_all(PLUGIN)
    assert set(config["data"]) == {"time-slicing", "mps"}
    for way, text in config["data"].items():
        ((name, sharing),) = yaml.safe_load(text)["sharing"].items()
        assert name == {"time-slicing": "timeSlicing", "mps": "mps"}[way]
        assert sharing["resources"] == [{"name": SLICE, "replicas": sum(asked)}]


def test_a_card_gives_pods_no_further_rights() -> None:
    for resource in render(OVERLAY):
        for container in (*containers(resource), *containers(resource, "initContainers")):
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"]
            assert context["capabilities"] == {"drop": ["ALL"]} and "privileged" not in context
            assert pod(resource)["securityContext"]["runAsNonRoot"] and "hostIPC" not in pod(resource)


def test_only_experts_and_the_job_differ_from_the_base() -> None:
    changed = {
        (resource["kind"], resource["metadata"]["name"])
        for resource, base in zip(render(OVERLAY), render("base"), strict=True)
        if resource != base
    }
    assert changed == {
        *(("Deployment", name) for name in EXPERTS),
        ("Job", "models"),
        ("PersistentVolumeClaim", "models"),
    }
