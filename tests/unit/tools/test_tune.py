"""Threads of a graph are chosen by a stated rule, out of measurements of this machine, and change no result."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from engines import models, tuning
from engines.fetch import fetch
from engines.lanes import cores
from engines.manifest import manifest, manifests
from engines.models import open_engine, threads_for
from engines.tuning import Cost, TuningError, choose
from tools import tune
from tools.cli import app
from tools.errors import InputError

SMALL = ("silero-vad", "line-script")
# All cores win, where there are several.
FASTER = [Cost(1, 10, 10), *([Cost(cores(), 1, 10)] if cores() > 1 else [])]


@pytest.fixture(scope="module", autouse=True)
def _models() -> None:
    fetch(SMALL)


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of choices, which is not there yet."""
    path = tmp_path / "cache" / "tuning.toml"
    monkeypatch.setenv("SENSORIUM_TUNING", str(path))
    return path


def graphs() -> list[str]:
    return [models.file_key(manifest(name), manifest(name).graph[0].file) for name in SMALL]


def test_the_fastest_is_chosen_that_costs_at_most_a_fifth_more_than_one_thread() -> None:
    assert choose([Cost(1, 10, 10), Cost(2, 6, 12), Cost(4, 4, 12.1)]) == 2
    assert choose([Cost(1, 10, 10), Cost(2, 6, 12.5), Cost(4, 4, 20)]) == 1
    assert choose([Cost(4, 5, 10), Cost(2, 5, 9), Cost(1, 9, 10)]) == 2
    assert choose([Cost(1, 10, 10), Cost(2, 11, 9)]) == 1


def test_thread_counts_are_powers_of_two_and_all_cores() -> None:
    counts = tune.thread_counts()
    assert counts[0] == 1 and counts[-1] == cores() and counts == sorted(set(counts))
    assert all(count & (count - 1) == 0 for count in counts[:-1])


def test_tuning_measures_real_models_prints_a_table_and_keeps_the_choice(file: Path) -> None:
    done = CliRunner().invoke(app, ["engines", "tune", *SMALL])
    assert done.exit_code == 0, done.output
    assert str(file) in done.stderr
    assert done.stdout.count("chosen") == len(SMALL)
    chosen = tuning.chosen()
    assert list(chosen) == graphs()
    for name, graph in zip(SMALL, graphs(), strict=True):
        assert f"{name}/" in done.stdout and chosen[graph] in tune.thread_counts()


def test_a_graph_opens_with_what_was_chosen_unless_told_otherwise(file: Path) -> None:
    graph = "silero_vad.onnx"
    assert threads_for("silero-vad", graph) == 1
    tuning.write({graphs()[0]: FASTER})
    assert threads_for("silero-vad", graph) == cores()
    assert threads_for("silero-vad", graph, 3) == 3
    assert threads_for("line-script", "line-script.onnx") == 1


def test_tuning_one_model_keeps_what_is_known_of_others() -> None:
    first, second = graphs()
    tuning.write({first: FASTER})
    tuning.write({second: [Cost(1, 5, 5)]})
    assert tuning.chosen() == {first: cores(), second: 1}


def test_choices_of_another_machine_or_of_other_weights_are_not_used(file: Path) -> None:
    tuning.write({graphs()[0].replace("6.2.3", "6.2.2"): FASTER})
    assert threads_for("silero-vad", "silero_vad.onnx") == 1
    tuning.write({graphs()[0]: FASTER})
    file.write_text(file.read_text().replace(tuning.processor(), "Z80"))
    assert threads_for("silero-vad", "silero_vad.onnx") == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("threads = 1\n", "threads = 999\n", "threads of .* is 999, must be 1 to"),
        ("measured", "measures", "cannot be read .*; delete it and run `sensorium engines tune`"),
        ("cores =", "cores", "cannot be read .*; delete it and run `sensorium engines tune`"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_sentence(file: Path, old: str, new: str, message: str) -> None:
    tuning.write({graphs()[0]: [Cost(1, 10, 10)]})
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(TuningError, match=message):
        open_engine("silero-vad", "silero_vad.onnx")


@pytest.mark.parametrize("name", SMALL)
def test_more_threads_change_results_by_rounding_alone(name: str) -> None:
    model = manifest(name)
    (graph,) = model.graph
    feeds = tune.typical(model, graph)
    one, more = (open_engine(name, graph.file, threads=threads).run(feeds) for threads in (1, 4))
    for output, values in one.items():
        np.testing.assert_allclose(more[output], values, rtol=1e-4, atol=1e-5)


def test_every_graph_of_the_manifests_has_typical_inputs() -> None:
    for model in manifests().values():
        for graph in model.graph:
            feeds = tune.typical(model, graph)
            assert set(feeds) == {spec.name for spec in graph.input}


def test_a_model_that_is_not_here_is_named_with_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENSORIUM_MODELS", str(tmp_path))
    with pytest.raises(InputError, match="'silero-vad' is not here; run `sensorium models fetch silero-vad`"):
        tune.able(["silero-vad"])
    assert tune.able([]) == []
