"""What the README shows is what runs."""

import re
import subprocess
import sys

from tests.conftest import DATA, ROOT
from tests.house import House

README = (ROOT / "README.md").read_text()


def test_the_client_in_the_readme_runs_as_it_stands(house: House) -> None:
    found = re.search(r"<!-- client:begin -->\s*```python\n(.*?)```", README, re.DOTALL)
    assert found is not None
    code = [line for line in found[1].splitlines() if line.strip()]
    assert len(code) <= 22
    command = [sys.executable, "-c", found[1], house.gateway, str(DATA / "speech.wav")]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.split()) > 5


def test_the_readme_names_every_model_and_licence() -> None:
    from engines.manifest import manifests

    for model in manifests().values():
        assert model.licence in README, f"{model.name}: {model.licence}"
