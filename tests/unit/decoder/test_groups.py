from pathlib import Path

import numpy as np

from tools.train_decoder.groups import write
from tools.train_decoder.meetings import make
from tools.train_decoder.slides import make_with_slides
from tools.train_decoder.talk import make_with_talk


def test_groups_are_of_the_kind_of_meeting_that_is_asked_for(tmp_path: Path) -> None:
    sizes = {}
    for kind, made in (("spoken", make), ("slides", make_with_slides)):
        write(kind, "dev", range(2, 3), tmp_path / f"{kind}.npz")
        with np.load(tmp_path / f"{kind}.npz") as stored:
            sizes[kind] = len(stored["sizes"])
        assert 0 < sizes[kind] <= len(made("dev", 2).questions)
    assert sizes["spoken"] < sizes["slides"]
    write("talk", "dev", range(2, 3), tmp_path / "talk.npz", is_wide=True)
    with np.load(tmp_path / "talk.npz") as stored:
        assert 0 < len(stored["sizes"]) <= len(make_with_talk("dev", 2).questions)


def test_of_what_is_said_after_an_answer_one_line_at_most_takes_its_place(tmp_path: Path) -> None:
    write("later", "dev", range(2, 3), tmp_path / "later.npz", is_wide=True)
    with np.load(tmp_path / "later.npz") as stored:
        groups = np.split(stored["rows"][:, 4], np.cumsum(stored["sizes"])[:-1])
    right = [int(group.sum()) for group in groups]
    assert set(right) == {0, 1} and sum(right) > 50
    assert {len(group) for group in groups} <= {1, 2, 3, 4}
