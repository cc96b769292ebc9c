"""What drawn icons are called: names without styles and numbers, other words for them, and what is worth learning."""

import json
from pathlib import Path

import pytest

from tools.train_gui.sources import Source
from tools.train_icon.material import DEVELOPMENT, HELD_OUT, TRAINED, IconSet, drawings, name, vocabulary


def _set(style: str = "", folder: str = "package/icons") -> IconSet:
    return IconSet(Source("npm", "@scope/some-icons", "1.0.0", "MIT"), folder, style)


@pytest.mark.parametrize(
    ("stem", "style", "called"),
    [
        ("arrow-left-2-fill", r"-(line|fill)$", "arrow left"),
        ("ic_cloudUpload_24_regular", r"_(\d+_)(filled|regular)$", "ic cloud upload"),
        ("10k-outline-rounded", r"(-outline)?(-rounded|-sharp)?$", "10k"),
        ("360", "", "360"),
    ],
)
def test_a_name_tells_what_is_shown_not_how(stem: str, style: str, called: str) -> None:
    assert name(stem, _set(style)) == called


def test_packages_of_files_and_of_json_give_the_same(tmp_path: Path) -> None:
    path, body = '<path d="M2 2h4"/>', '<path d="M2 2h4"/><!-- ' + "x" * 12_000
    package = tmp_path / "scope-some-icons-1.0.0" / "package"
    (package / "icons").mkdir(parents=True)
    (package / "icons" / "bin-line.svg").write_text(f'<?xml version="1.0"?><svg viewBox="0 0 24 24">{path}</svg>')
    (package / "icons" / "poster.svg").write_text(f"<svg>{body}</svg>")
    (package / "icons.json").write_text(
        json.dumps(
            {
                "icons": {"bin-line": {"body": path}, "poster": {"body": body}, "old": {"body": path, "hidden": True}},
                "aliases": {"trash": {"parent": "bin-line"}, "nib": {"parent": "bin-line", "hFlip": True}},
                "width": 24,
                "height": 24,
            }
        )
    )
    (file,) = drawings(_set("-line$"), tmp_path)
    (entry,) = drawings(_set("-line$", "package/icons.json"), tmp_path)
    assert file.called == ("bin",) and entry.called == ("bin", "trash")
    assert path in file.svg and path in entry.svg and 'viewBox="0 0 24 24"' in entry.svg
    with pytest.raises(FileNotFoundError, match="train_icon fetch"):
        drawings(_set(folder="package/nothing"), tmp_path)


def test_all_names_are_learnt_and_tags_that_many_drawings_have() -> None:
    called = [["bin", "remove"], *[["gear", "settings"]] * 10]
    assert vocabulary(called) == {"bin", "gear", "settings"}


def test_sets_that_settings_are_chosen_or_figures_reported_by_are_not_trained_on() -> None:
    kept = {icons.source.name for icons in (*DEVELOPMENT, *HELD_OUT)}
    assert len(kept) == 4 and not kept & {icons.source.name for icons in TRAINED}
    assert all(icons.source.licence not in ("", "UNLICENSED") for icons in TRAINED)
