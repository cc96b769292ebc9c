"""Deployment files read the way that Kustomize and Compose merge them, for tests without a container engine."""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from services.runtime.settings import PORTS, service_parser

REPOSITORY = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
EXPERTS = [name for name in PORTS if name != "gateway"]

Resource = dict[str, Any]


def read_all(path: Path) -> list[Resource]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def patched(resource: Resource, operations: list[dict[str, Any]]) -> Resource:
    """The part of JSON Patch (RFC 6902) that the overlays use: members of objects, also inside of lists."""
    for operation in operations:
        *parents, last = [key.replace("~1", "/") for key in operation["path"].strip("/").split("/")]
        target: Any = resource
        for key in parents:
            target = target[int(key) if isinstance(target, list) else key]
        match operation["op"]:
            case "replace" if last in target:
                target[last] = operation["value"]
            case "add" if isinstance(target, list):
                target.insert(int(last), operation["value"])
            case "add":
                target[last] = operation["value"]
            case "remove" if last in target:
                del target[last]
            case other:
                raise ValueError(f"cannot {other} {operation['path']}")
    return resource


def rendered(folder: Path) -> list[Resource]:
    """What `kubectl kustomize FOLDER` prints, for the few features that these kustomizations use."""
    (rules,) = read_all(folder / "kustomization.yaml")
    known = {"apiVersion", "kind", "namespace", "resources", "images", "patches"}
    assert set(rules) <= known, f"this merge knows nothing of {set(rules) - known}"
    resources: list[Resource] = []
    for name in rules["resources"]:
        path = folder / name
        resources += rendered(path) if path.is_dir() else read_all(path)
    for resource in resources:
        if resource["kind"] != "Namespace":
            resource["metadata"]["namespace"] = rules["namespace"]
    for patch in rules.get("patches", []):
        targets = [
            r
            for r in resources
            if r["kind"] == patch["target"]["kind"] and re.fullmatch(patch["target"]["name"], r["metadata"]["name"])
        ]
        assert targets, f"no resource for {patch['target']}"
        operations = patch["patch"] if "patch" in patch else (folder / patch["path"]).read_text()
        for resource in targets:
            patched(resource, yaml.safe_load(operations))
    for resource in resources:
        for container in (*containers(resource), *containers(resource, "initContainers")):
            for image in rules.get("images", []):
                if container["image"] == image["name"]:
                    container["image"] = f"{image['name']}:{image['newTag']}"
    return resources


def containers(resource: Resource, kind: str = "containers") -> list[dict[str, Any]]:
    template = resource.get("spec", {}).get("template", {})
    return list(template.get("spec", {}).get(kind, []))


@cache
def render(folder: str) -> tuple[Resource, ...]:
    return tuple(rendered(REPOSITORY / "k8s" / folder))


def of_kind(kind: str, folder: str = "base") -> dict[str, Resource]:
    return {r["metadata"]["name"]: r for r in render(folder) if r["kind"] == kind}


def selects(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return selector.items() <= labels.items()


@cache
def compose(*overrides: str) -> dict[str, Any]:
    """`docker compose -f compose.yaml -f OVERRIDE... config`, for the few features that these files use."""
    (document,) = read_all(REPOSITORY / "compose.yaml")
    for override in overrides:
        (over,) = read_all(REPOSITORY / override)
        document = merged(document, over)
    return dict(document)


def merged(base: Any, over: Any, key: str = "") -> Any:
    """Objects are merged by their members, volumes by where they are mounted; a newer command or value replaces."""
    if key == "build":
        base, over = ({"context": side} if isinstance(side, str) else side for side in (base, over))
    if key == "volumes" and isinstance(base, list):
        by_place = {volume.split(":")[1]: volume for volume in (*base, *over)}
        return list(by_place.values())
    if isinstance(base, dict) and isinstance(over, dict):
        return base | {k: merged(base[k], value, k) if k in base else value for k, value in over.items()}
    if isinstance(base, list) and isinstance(over, list) and key not in ("command", "test"):
        raise ValueError(f"this merge knows nothing of lists of {key}")
    return over


def check_command(name: str, command: list[str]) -> None:
    """The flags of a service's command are ones that its parser takes; its port is the documented one."""
    assert command[:3] == ["python", "-m", f"services.{name}"]
    flags, others = service_parser(name, "").parse_known_args(command[3:])
    assert flags.address.rpartition(":")[2] == str(PORTS[name])
    assert not others or (name == "gateway" and others[0] == "--http")


def run_tool(*command: str) -> None:
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
