"""Trains the reader's low-rank changes and heads; stops after some steps and goes on from its checkpoint."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tools.train_decoder.network import SCALE, Reader

_GROUPS_A_STEP = 12
_PEAK_RATE, _RATE_FROM_START = 1e-3, 5e-4
_WARM_STEPS = 60
_SAVE_STEPS = 50
_MEASURED = 120
_LINE_WEIGHT, _SPAN_WEIGHT = 0.5, 0.5


class Groups:
    """The groups of npz files of tools.train_decoder.groups."""

    def __init__(self, paths: Sequence[Path]) -> None:
        ids, rows, sizes, before = [], [], [], 0
        for path in paths:
            with np.load(path) as stored:
                ids.append(stored["ids"])
                rows.append(stored["rows"] + [before, 0, 0, 0, 0, 0, 0])
                sizes.append(stored["sizes"])
            before += len(ids[-1])
        self.ids, self.rows, self.sizes = np.concatenate(ids), np.concatenate(rows), np.concatenate(sizes)
        self.starts = np.concatenate([[0], np.cumsum(self.sizes)])

    def batch(self, groups: np.ndarray) -> dict[str, Tensor]:
        """Padded tensors of some groups."""
        picked = np.concatenate([np.arange(self.starts[g], self.starts[g + 1]) for g in groups])
        rows = self.rows[picked]
        longest = int(rows[:, 1].max())
        ids = np.zeros((len(rows), longest), np.int64)
        for i, (start, length, *_) in enumerate(rows):
            ids[i, :length] = self.ids[start : start + length]
        place = np.arange(longest)[None]
        return {
            "ids": torch.from_numpy(ids),
            "types": torch.from_numpy((place >= rows[:, 2:3]).astype(np.int64)),
            "mask": torch.from_numpy(place < rows[:, 1:2]),
            "line": torch.from_numpy((place >= rows[:, 3:4]) & (place < rows[:, 1:2] - 1)),
            "right": torch.from_numpy(rows[:, 4].astype(np.float32)),
            "span": torch.from_numpy(rows[:, 5:7]),
            "group": torch.from_numpy(np.repeat(np.arange(len(groups)), self.sizes[groups])),
        }

    def epoch(self, seed: int) -> Iterator[dict[str, Tensor]]:
        """All groups once: like lengths together, batches in random order."""
        rng = np.random.default_rng(seed)
        length = np.array([self.rows[a:b, 1].max() for a, b in zip(self.starts[:-1], self.starts[1:], strict=True)])
        order = np.argsort(length + rng.uniform(0, 12, len(length)))
        batches = [order[i : i + _GROUPS_A_STEP] for i in range(0, len(order), _GROUPS_A_STEP)]
        for place in rng.permutation(len(batches)):
            yield self.batch(batches[place])


def losses(reader: Reader, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Of the line among the group's lines and "not said" (whose logit is 0), of each line, and of the span."""
    logits, spans = reader(batch["ids"], batch["types"], batch["mask"])
    count = int(batch["group"].max()) + 1
    right = batch["right"] > 0
    weights = logits.float().exp()
    every = torch.ones(count).index_add(0, batch["group"], weights)
    good = torch.zeros(count).index_add(0, batch["group"], weights * right)
    answerable = torch.zeros(count).index_add(0, batch["group"], batch["right"]) > 0
    listed = (every.log() - torch.where(answerable, good.clamp(min=1e-9), torch.ones(count)).log()).mean()
    line = functional.binary_cross_entropy_with_logits(logits.float(), batch["right"])
    known = right & (batch["span"][:, 0] >= 0)
    if not bool(known.any()):
        return listed, line, listed * 0
    scores = spans[known].float().masked_fill(~batch["line"][known][..., None], -1e4)
    span = functional.cross_entropy(scores[..., 0], batch["span"][known, 0])
    return listed, line, span + functional.cross_entropy(scores[..., 1], batch["span"][known, 1])


def measure(reader: Reader, groups: Groups, count: int) -> dict[str, float]:
    """On the first groups of another split: right line or rightly none; spans exactly right; mean loss."""
    reader.eval()
    with torch.no_grad():
        right = said = none = refused = exact = spans = 0
        total = 0.0
        for start in range(0, count, _GROUPS_A_STEP):
            chosen = np.arange(start, min(start + _GROUPS_A_STEP, count))
            batch = groups.batch(chosen)
            total += float(losses(reader, batch)[0]) * len(chosen)
            logits, pointed = reader(batch["ids"], batch["types"], batch["mask"])
            pointed = pointed.float().masked_fill(~batch["line"][..., None], -1e4)
            for group in range(len(chosen)):
                mine = batch["group"] == group
                best = int(torch.where(mine, logits, torch.tensor(-1e4)).argmax())
                if bool((batch["right"][mine] > 0).any()):
                    said += 1
                    right += bool(batch["right"][best] > 0)
                    if int(batch["span"][best, 0]) >= 0:
                        spans += 1
                        exact += bool((pointed[best].argmax(0) == batch["span"][best]).all())
                else:
                    none += 1
                    refused += float(logits[best]) < 0
        return {
            "loss": total / count,
            "right line": right / max(1, said),
            "refused": refused / max(1, none),
            "span": exact / max(1, spans),
        }


def train(data: Path, base: Path, checkpoint: Path, steps: int, threads: int, start: Path | None = None) -> None:
    """Train up to some steps in all, counted over restarts; the rate falls to zero there.

    Without a checkpoint it begins from the weights of `start` (engines/weights/reader.npz), at a rate for going on.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(5)
    reader = _reader(base)
    if start is not None:
        reader.load_state_dict(_widened(stored_state(start), reader.state_dict()))
    peak = _PEAK_RATE if start is None else _RATE_FROM_START
    held, groups = Groups([data / "dev.npz"]), Groups(sorted(data.glob("train*.npz")))
    params = [p for p in reader.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(params, lr=peak, weight_decay=0.01)
    step, before, epoch, place = 0, 0.0, 0, 0
    if checkpoint.exists():
        saved: dict[str, Any] = torch.load(checkpoint, weights_only=True)
        reader.load_state_dict(saved["reader"])
        optimiser.load_state_dict(saved["optimiser"])
        step, before, epoch, place = saved["step"], saved["spent"], saved["epoch"], saved["place"]
    begun = time.process_time()
    mean = np.zeros(3)

    def save() -> None:
        torch.save(
            {
                "reader": reader.state_dict(),
                "optimiser": optimiser.state_dict(),
                "step": step,
                "spent": before + time.process_time() - begun,
                "epoch": epoch,
                "place": place,
            },
            checkpoint,
        )

    reader.train()
    while step < steps:
        for number, batch in enumerate(groups.epoch(epoch)):
            if number < place:
                continue
            if step == steps:
                break
            for group in optimiser.param_groups:
                group["lr"] = peak * min(1.0, (step + 1) / _WARM_STEPS) * (1 - step / steps)
            listed, line, span = losses(reader, batch)
            optimiser.zero_grad()
            (listed + _LINE_WEIGHT * line + _SPAN_WEIGHT * span).backward()
            torch.nn.utils.clip_grad_norm_(params, 1.0)
            optimiser.step()
            step, place = step + 1, number + 1
            mean += np.array([listed.item(), line.item(), span.item()])
            if step % _SAVE_STEPS == 0:
                spent = before + time.process_time() - begun
                mean /= _SAVE_STEPS
                print(
                    f"step {step} cpu {spent:.0f} s list {mean[0]:.3f} line {mean[1]:.3f} span {mean[2]:.3f}",
                    flush=True,
                )
                mean = np.zeros(3)
                save()
        else:
            epoch, place = epoch + 1, 0
    save()
    print(
        {name: round(value, 4) for name, value in measure(reader, held, min(_MEASURED, len(held.sizes))).items()},
        flush=True,
    )


def stored_state(path: Path) -> dict[str, Tensor]:
    """What `export` kept, as the reader's state: names and factors of before, float32."""
    state = {}
    with np.load(path) as stored:
        for name in stored.files:
            value = torch.from_numpy(stored[name].astype(np.float32))
            if name.endswith((".up", ".down")):
                linear, _, part = name.rpartition(".")
                value = value / (SCALE if part == "up" else 1.0)
                state[f"linears.{linear.replace('.', '-')}.{part}"] = value
            else:
                state[name] = value
    return state


def _widened(stored: dict[str, Tensor], fresh: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a smaller rank in fewer layers at the beginning of those that change nothing yet."""
    out = dict(fresh)
    for name, value in stored.items():
        out[name] = fresh[name].clone()
        out[name][tuple(slice(length) for length in value.shape)] = value
    return out


def export(base: Path, checkpoint: Path, earlier: Path | None, share: float, out: Path, golden: Path) -> None:
    """Keep the changes as "NAME.up" x "NAME.down" and the heads, float16; record what they give for golden's inputs.

    With the `earlier` checkpoint that this one went on from, keep the mean of both, `share` of it: what was
    learnt first is forgotten less (weight averaging, arXiv 2203.05482).
    """
    saved = torch.load(checkpoint, weights_only=True)["reader"]
    if earlier is not None:
        before = stored_state(earlier) if earlier.suffix == ".npz" else torch.load(earlier, weights_only=True)["reader"]
        saved = {name: torch.lerp(value, before[name], share) for name, value in saved.items()}
    reader = _reader(base).eval()
    reader.load_state_dict(saved)
    with np.load(golden) as stored:
        fed = {name: stored[name] for name in stored.files if name.startswith("in:")}
    names = ("input_ids", "token_type_ids", "attention_mask")
    ids, types, mask = (torch.from_numpy(fed[f"in:{name}"]) for name in names)
    with torch.no_grad():
        evidence, spans = reader(ids, types, mask > 0)
    np.savez_compressed(golden, **fed, **{"out:evidence": evidence.numpy(), "out:spans": spans.numpy()})
    arrays = {}
    for name, value in saved.items():
        plain = name.removeprefix("linears.").replace("-", ".")
        factor = SCALE if plain.endswith(".up") else 1.0
        arrays[plain] = (value.float() * factor).numpy().astype(np.float16)
    np.savez_compressed(out, **arrays)


def _reader(base: Path) -> Reader:
    with np.load(base) as stored:
        return Reader({name: torch.from_numpy(stored[name]) for name in stored.files})
