"""Work that may be broken off is, between two nodes of a graph, and leaves the engine as it was."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from engines.engine import Engine, TensorError
from engines.fetch import fetch
from engines.interruption import InterruptedRunError, Interruption
from engines.models import open_engine

SHORT = np.zeros((1, 3, 48, 64), np.float32)
# Seconds of work: it is still going on when it is broken off.
LONG = np.zeros((32, 3, 48, 3200), np.float32)


@pytest.fixture(scope="module")
def engine() -> Engine:
    fetch(["ppocrv6-tiny"])
    return open_engine("ppocrv6-tiny", "rec.onnx", threads=1)


def test_a_run_that_goes_on_is_broken_off_and_the_engine_works_on(engine: Engine) -> None:
    name, output = engine.inputs[0].name, engine.outputs[0].name
    before = engine.run({name: SHORT})[output]
    work = Interruption()
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(work.run, lambda: engine.run({name: LONG}))
        while not run.running():
            pass
        work.ask()
        with pytest.raises(InterruptedRunError):
            run.result()
    assert np.array_equal(engine.run({name: SHORT})[output], before)


def test_work_that_was_broken_off_begins_no_other_run_and_other_work_does(engine: Engine) -> None:
    name, output = engine.inputs[0].name, engine.outputs[0].name
    work, other = Interruption(), Interruption()
    work.ask()
    with pytest.raises(InterruptedRunError):
        work.run(lambda: engine.run({name: SHORT}))
    assert np.array_equal(other.run(lambda: engine.run({name: SHORT}))[output], engine.run({name: SHORT})[output])


def test_another_error_stays_itself(engine: Engine) -> None:
    with pytest.raises(TensorError):
        Interruption().run(lambda: engine.run({engine.inputs[0].name: SHORT[:, :2]}))
