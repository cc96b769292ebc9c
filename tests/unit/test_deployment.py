"""Deployment files, checked without a container engine: schemas, and that they start what the code serves."""

import re
import sys
from pathlib import Path

import pytest
import yaml

from services.runtime.settings import PORTS, service_parser
from tests.deployment import (
    BIN,
    EXPERTS,
    REPOSITORY,
    check_command,
    compose,
    containers,
    of_kind,
    render,
    run_tool,
    selects,
)
from tools.models import SETS

FOLDERS = ["base", "overlays/cpu"]


# compose


def test_compose_file_follows_the_compose_specification() -> None:
    run_tool(str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", "compose.yaml")


def test_compose_starts_the_five_services_at_their_ports() -> None:
    services = compose()["services"]
    assert set(services) == {*PORTS, "models"}
    for name in PORTS:
        check_command(name, services[name]["command"])
        assert services[name]["healthcheck"]["test"] == [
            *("CMD", "python", "-m", "services.runtime.probe"),
            f"127.0.0.1:{PORTS[name]}",
        ]


def test_compose_gateway_finds_every_expert_where_it_is_published() -> None:
    services = compose()["services"]
    for name in EXPERTS:
        assert services["gateway"]["environment"][f"SENSORIUM_{name.upper()}_ADDRESS"] == f"127.0.0.1:{PORTS[name]}"
        assert services[name]["ports"] == [f"127.0.0.1:{PORTS[name]}:{PORTS[name]}"]


def test_compose_publishes_on_loopback_only() -> None:
    services = compose()["services"]
    assert all(port.startswith("127.0.0.1:") for service in services.values() for port in service.get("ports", []))
    # on the host's network a container listens wherever its command says
    on_host = [service for service in services.values() if service.get("network_mode") == "host"]
    assert all("0.0.0.0" not in word for service in on_host for word in service["command"])


@pytest.mark.parametrize("name", [*PORTS, "models"])
def test_compose_containers_have_no_rights_that_they_do_not_need(name: str) -> None:
    service = compose()["services"][name]
    assert service["read_only"] and service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    writable = [v for v in service.get("volumes", []) if not v.endswith(":ro")]
    assert writable == {
        "models": ["models:/models"],
        "gateway": ["data:/data"],
        "decoder": ["scratch:/var/tmp"],
    }.get(name, [])


def test_temporary_files_of_the_decoder_are_on_a_disk() -> None:
    decoder = compose()["services"]["decoder"]
    folders = [volume.split(":")[1] for volume in decoder["volumes"]]
    assert decoder["environment"]["TMPDIR"] in folders and decoder["environment"]["TMPDIR"] not in decoder["tmpfs"]
    volumes = of_kind("Deployment")["decoder"]["spec"]["template"]["spec"]["volumes"]
    assert {"name": "tmp", "emptyDir": {}} in volumes, "a medium of Memory would be one"


def test_the_gateway_takes_the_flags_that_it_is_given() -> None:
    command = compose()["services"]["gateway"]["command"]
    run_tool(sys.executable, *command[1:], "--help")


def test_models_job_names_a_set_that_there_is() -> None:
    job = containers(of_kind("Job")["models"])[0]["command"]
    assert job == compose()["services"]["models"]["command"]
    assert job[:-1] == ["sensorium", "models", "fetch", "--set"] and job[-1] in SETS


# Dockerfile


def test_dockerfile_passes_hadolint() -> None:
    run_tool(str(BIN / "hadolint"), "Dockerfile")


def test_image_holds_all_that_is_copied_and_runs_as_nobody_special() -> None:
    lines = (REPOSITORY / "Dockerfile").read_text().splitlines()
    ignore = (REPOSITORY / ".dockerignore").read_text().splitlines()
    copied = [word for line in lines if line.startswith("COPY") and "--from" not in line for word in line.split()[1:-1]]
    assert set(copied) == {line[1:] for line in ignore if line.startswith("!")}
    packages = {path.parent.name for path in REPOSITORY.glob("*/__init__.py")}
    assert packages - set(copied) <= {"benchmarks", "tests"}
    assert "USER 10001:10001" in lines
    froms = [line.split() for line in lines if line.startswith("FROM")]
    stages = {words[3] for words in froms if "AS" in words}
    images = {words[1] for words in froms} - stages
    assert all("/" not in image and re.search(r":\d", image) for image in images), "no registry, a fixed version"


# Kubernetes


@pytest.mark.parametrize("folder", FOLDERS)
def test_manifests_follow_the_kubernetes_schema(folder: str, tmp_path: Path) -> None:
    path = tmp_path / "rendered.yaml"
    path.write_text(yaml.safe_dump_all(render(folder)))
    run_tool(str(BIN / "kubernetes-validate"), "--strict", str(path))


@pytest.mark.parametrize("folder", FOLDERS)
def test_names_are_unique(folder: str) -> None:
    names = [(r["kind"], r["metadata"]["name"]) for r in render(folder)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", PORTS)
def test_deployment_serves_and_probes_the_documented_port(name: str) -> None:
    (container,) = containers(of_kind("Deployment")[name])
    check_command(name, container["command"])
    assert {"name": "grpc", "containerPort": PORTS[name]} in container["ports"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["grpc"] == {"port": PORTS[name]}
    service = of_kind("Service")[name]
    assert {"name": "grpc", "port": PORTS[name], "targetPort": "grpc"} in service["spec"]["ports"]
    labels = of_kind("Deployment")[name]["spec"]["template"]["metadata"]["labels"]
    assert selects(service["spec"]["selector"], labels)
    assert selects(of_kind("Deployment")[name]["spec"]["selector"]["matchLabels"], labels)


def test_gateway_balances_over_the_pods_of_each_expert() -> None:
    (gateway,) = containers(of_kind("Deployment")["gateway"])
    found = {variable["name"]: variable["value"] for variable in gateway["env"]}
    for name in EXPERTS:
        assert found[f"SENSORIUM_{name.upper()}_ADDRESS"] == f"dns:///{name}:{PORTS[name]}"
        assert of_kind("Service")[name]["spec"]["clusterIP"] == "None"


@pytest.mark.parametrize("folder", FOLDERS)
def test_gateway_may_be_called_by_every_name_that_its_service_has_in_the_cluster(folder: str) -> None:
    (gateway,) = containers(of_kind("Deployment", folder)["gateway"])
    (allowed,) = (env["value"] for env in gateway["env"] if env["name"] == "SENSORIUM_ALLOWED_HOSTS")
    service = of_kind("Service", folder)["gateway"]["metadata"]
    suffixes = ("", f".{service['namespace']}", f".{service['namespace']}.svc")
    assert set(allowed.split(",")) >= {
        *(service["name"] + suffix for suffix in suffixes),
        f"{service['name']}{suffixes[-1]}.cluster.local",
    }


@pytest.mark.parametrize("kind", ["Deployment", "Job"])
def test_pods_ask_for_resources_and_have_no_rights_that_they_do_not_need(kind: str) -> None:
    for resource in of_kind(kind).values():
        pod = resource["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] == 10001
        (container,) = pod["containers"]
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]
        assert container["image"] == "sensorium:0.1.0"
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"]
        assert context["capabilities"] == {"drop": ["ALL"]}


def test_pods_are_given_longer_to_stop_than_their_streams_to_end() -> None:
    drain_s = service_parser("asr", "").parse_args([]).drain_s
    for resource in of_kind("Deployment").values():
        assert resource["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > drain_s + 5


def test_volumes_have_claims_and_only_their_owners_write_them() -> None:
    claims = of_kind("PersistentVolumeClaim")
    for resource in (*of_kind("Deployment").values(), *of_kind("Job").values()):
        name, pod = resource["metadata"]["name"], resource["spec"]["template"]["spec"]
        claimed = {v["name"]: v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"] if "emptyDir" not in v}
        assert set(claimed.values()) <= set(claims)
        (container,) = pod["containers"]
        mounted = {mount["name"]: mount.get("readOnly", False) for mount in container["volumeMounts"]}
        assert set(mounted) == {volume["name"] for volume in pod["volumes"]}
        written = [volume for volume in claimed if not mounted[volume]]
        assert written == {"models": ["models"], "gateway": ["data"]}.get(name, [])


@pytest.mark.parametrize("name", ["gateway", "decoder"])
def test_what_keeps_sessions_is_never_there_twice(name: str) -> None:
    spec = of_kind("Deployment", "overlays/cpu")[name]["spec"]
    assert spec["replicas"] == 1 and spec["strategy"] == {"type": "Recreate"}
    assert name not in of_kind("HorizontalPodAutoscaler", "overlays/cpu")


def test_only_the_gateway_reaches_the_experts() -> None:
    policy = of_kind("NetworkPolicy")["experts"]["spec"]
    labels = {n: d["spec"]["template"]["metadata"]["labels"] for n, d in of_kind("Deployment").items()}
    labels["models"] = of_kind("Job")["models"]["spec"]["template"]["metadata"]["labels"]
    assert [n for n in labels if selects(policy["podSelector"]["matchLabels"], labels[n])] == sorted(
        EXPERTS, key=list(labels).index
    )
    ((rule),) = policy["ingress"]
    ((peer),) = rule["from"]
    assert [n for n in labels if selects(peer["podSelector"]["matchLabels"], labels[n])] == ["gateway"]
    assert policy["egress"] == [] and set(policy["policyTypes"]) == {"Ingress", "Egress"}


def test_every_deployment_has_a_disruption_budget_that_lets_nodes_be_drained() -> None:
    deployments = of_kind("Deployment")
    for name, budget in of_kind("PodDisruptionBudget").items():
        labels = deployments.pop(name)["spec"]["template"]["metadata"]["labels"]
        assert selects(budget["spec"]["selector"]["matchLabels"], labels)
        assert budget["spec"]["maxUnavailable"] == 1
    assert not deployments


def test_autoscaled_deployments_leave_their_number_to_the_autoscaler() -> None:
    deployments = of_kind("Deployment", "overlays/cpu")
    scaled = of_kind("HorizontalPodAutoscaler", "overlays/cpu")
    assert set(scaled) == {"asr", "diarization", "vision"}
    for name, scaler in scaled.items():
        assert scaler["spec"]["scaleTargetRef"]["name"] == name
        assert "replicas" not in deployments[name]["spec"]
    claim = of_kind("PersistentVolumeClaim", "overlays/cpu")["models"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
