"""The reader's training learns, goes on where it stopped, and keeps what it learnt."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tools.train_decoder.network import LAYERS, LINEARS, WIDTH, Reader
from tools.train_decoder.train import Groups, export, losses, measure, stored_state, train

WORDS, LONGEST, INNER = 60, 32, 4 * WIDTH
CLS, SEP = 1, 2


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights by the names of MiniLM's, of its size but for a small vocabulary, random."""
    random = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (WORDS, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
        "embeddings.position_embeddings.weight": (LONGEST, WIDTH),
    }
    for layer in range(LAYERS):
        for name in LINEARS:
            rows = INNER if name == "intermediate.dense" else WIDTH
            columns = INNER if name == "output.dense" else WIDTH
            shapes[f"encoder.layer.{layer}.{name}.weight"] = (rows, columns)
            shapes[f"encoder.layer.{layer}.{name}.bias"] = (rows,)
    weights = {name: random.normal(0, 0.05, shape).astype(np.float32) for name, shape in shapes.items()}
    norms = [f"encoder.layer.{i}.{part}" for i in range(LAYERS) for part in ("attention.output", "output")]
    for name in ("embeddings", *norms):
        weights |= {f"{name}.LayerNorm.weight": np.ones(WIDTH, np.float32)}
        weights |= {f"{name}.LayerNorm.bias": np.zeros(WIDTH, np.float32)}
    path = tmp_path_factory.mktemp("base") / "base.npz"
    np.savez(path, **weights)  # type: ignore[arg-type]  # its stub takes **arrays for allow_pickle
    return path


def write_groups(path: Path, count: int, seed: int) -> None:
    """Questions of one word: the line that holds it answers, or none does."""
    random = np.random.default_rng(seed)
    ids: list[int] = []
    rows = []
    for number in range(count):
        asked, has_answer = int(random.integers(10, 20)), number % 3 > 0
        for place in range(4):
            is_right = has_answer and place == 0
            line = random.integers(30, WORDS, 5).tolist()
            at = int(random.integers(0, 5))
            if is_right:
                line[at] = asked
            head = [CLS, asked, SEP]
            whole = [*head, SEP, *line, SEP]
            start = len(head) + 1
            span = (start + at, start + at) if is_right else (-1, -1)
            rows.append((len(ids), len(whole), len(head), start, int(is_right), *span))
            ids += whole
    sizes = np.full(count, 4, np.int64)
    np.savez(path, ids=np.array(ids, np.int32), rows=np.array(rows, np.int64), sizes=sizes)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("groups")
    write_groups(folder / "train-0.npz", 240, 0)
    write_groups(folder / "train-1.npz", 240, 1)
    write_groups(folder / "dev.npz", 48, 2)
    return folder


def measured(base: Path, data: Path, state: dict[str, torch.Tensor]) -> dict[str, float]:
    with np.load(base) as stored:
        reader = Reader({name: torch.from_numpy(stored[name]) for name in stored.files})
    reader.load_state_dict(state)
    return measure(reader, Groups([data / "dev.npz"]), 48)


def test_an_answer_stands_among_the_words_of_its_line(data: Path) -> None:
    batch = Groups([data / "dev.npz"]).batch(np.arange(12))
    assert set(batch["line"].sum(1).tolist()) == {5} and set(batch["mask"].sum(1).tolist()) == {10}
    known = batch["span"][batch["right"] > 0]
    assert batch["line"][batch["right"] > 0].gather(1, known).all()


def test_training_learns_goes_on_and_is_kept(base: Path, data: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "reader.pt"
    train(data, base, checkpoint, 0, 1)
    before = measured(base, data, torch.load(checkpoint, weights_only=True)["reader"])
    train(data, base, checkpoint, 30, 1)
    half = torch.load(checkpoint, weights_only=True)
    train(data, base, checkpoint, 120, 1)
    saved = torch.load(checkpoint, weights_only=True)
    assert (half["step"], saved["step"]) == (30, 120) and 0 < half["spent"] < saved["spent"]
    # 40 batches are all groups once
    assert (half["epoch"], half["place"], saved["epoch"], saved["place"]) == (0, 30, 3, 0)
    after = measured(base, data, saved["reader"])
    assert after["loss"] < 0.5 * before["loss"] and after["right line"] > 0.8, (before, after)

    golden, kept = tmp_path / "golden.npz", tmp_path / "kept.npz"
    fed = {
        "in:input_ids": np.array([[CLS, 11, SEP, SEP, 11, 30, SEP]], np.int64),
        "in:token_type_ids": np.array([[0, 0, 0, 1, 1, 1, 1]], np.int64),
        "in:attention_mask": np.ones((1, 7), np.int64),
    }
    np.savez(golden, **fed)  # type: ignore[arg-type]  # as above
    export(base, checkpoint, None, 0.0, kept, golden)
    state = stored_state(kept)
    for name, value in saved["reader"].items():
        assert torch.allclose(state[name], value, rtol=2e-3, atol=1e-4), name
    with np.load(golden) as recorded:
        assert recorded["out:evidence"].shape == (1,) and recorded["out:spans"].shape == (1, 7, 2)
    # what was kept is where another training begins
    train(data, base, tmp_path / "next.pt", 0, 1, start=kept)
    begun = measured(base, data, torch.load(tmp_path / "next.pt", weights_only=True)["reader"])
    assert begun["loss"] == pytest.approx(after["loss"], rel=0.1)


def test_half_of_an_earlier_reader_lies_between_both(base: Path, data: Path, tmp_path: Path) -> None:
    states = []
    for steps in (0, 5):
        train(data, base, tmp_path / f"{steps}.pt", steps, 1)
        states.append(torch.load(tmp_path / f"{steps}.pt", weights_only=True)["reader"])
    golden = tmp_path / "golden.npz"
    ids = np.array([[CLS, 11, SEP, SEP, 11, SEP]], np.int64)
    fed = {"in:input_ids": ids, "in:token_type_ids": np.zeros_like(ids), "in:attention_mask": np.ones_like(ids)}
    np.savez(golden, **fed)  # type: ignore[arg-type]  # as above
    export(base, tmp_path / "5.pt", tmp_path / "0.pt", 0.5, tmp_path / "mean.npz", golden)
    mean = stored_state(tmp_path / "mean.npz")
    moved = 0
    for name, value in mean.items():
        assert torch.allclose(value, (states[0][name] + states[1][name]) / 2, rtol=2e-3, atol=1e-4), name
        moved += not torch.equal(states[0][name], states[1][name])
    assert moved > len(mean) / 3


def test_losses_want_the_right_line_or_none(data: Path) -> None:
    batch = Groups([data / "dev.npz"]).batch(np.arange(12))

    def of(logits: torch.Tensor) -> float:
        spans = torch.zeros(*batch["ids"].shape, 2)
        return float(losses(lambda *_: (logits, spans), batch)[0])  # type: ignore[arg-type]  # it only calls it

    right = batch["right"] * 20 - 10
    assert of(right) < 0.01 < of(torch.full_like(right, -10)) and of(-right) > 5
