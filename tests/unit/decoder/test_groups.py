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
