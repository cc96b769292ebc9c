"""Which icon sets are drawn, and what each icon is called: its file's name in plain words, and its tags."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.train_gui.sources import Source, named

_MORE = (
    Source("npm", "@mdi/svg", "7.4.47", "Apache-2.0"),
    Source("npm", "boxicons", "2.1.4", "MIT"),
    # Later versions are under a licence of their own.
    Source("npm", "remixicon", "4.6.0", "Apache-2.0"),
)
_LEAST_NAMED = 3
_LEAST_TAGGED = 10
_OURS = {source.name: source for source in _MORE}


@dataclass(frozen=True, slots=True)
class IconSet:
    """One package of icons: `folder` holds the SVGs; `style` is a pattern of what a file's name says of its looks."""

    package: str
    folder: str
    style: str = ""
    tags: str = ""

    @property
    def source(self) -> Source:
        """Where it comes from."""
        return _OURS.get(self.package) or named(self.package)


TRAINED = (
    IconSet("lucide-static", "package/icons", tags="package/tags.json"),
    IconSet("@tabler/icons", "package/icons", tags="package/icons.json"),
    IconSet("bootstrap-icons", "package/icons", r"-fill$"),
    IconSet("@phosphor-icons/core", "package/assets", r"-(bold|duotone|fill|light|thin)$"),
    IconSet("@material-design-icons/svg", "package"),
    IconSet("ionicons", "package/dist/svg", r"-(outline|sharp)$"),
    IconSet("@primer/octicons", "package/build/svg", r"(-fill)?-\d+$"),
    IconSet("@fluentui/svg-icons", "package/icons", r"_(\d+_)(filled|regular|light)$"),
    IconSet("feather-icons", "package/dist/icons"),
    IconSet("@mdi/svg", "package/svg", r"-(outline|variant)", tags="package/meta.json"),
    IconSet("boxicons", "package/svg", r"^(bx|bxs|bxl)-"),
)
# Never trained on: the first to choose settings by, the second to report.
DEVELOPMENT = IconSet("heroicons", "package/24")
HELD_OUT = IconSet("remixicon", "package/icons", r"-(line|fill)$")


def fetch(packages: Path) -> None:
    """Download and unpack the sets that are not in `packages` yet. Raises CalledProcessError, OSError."""
    from tools.train_gui.sources import fetch as bring

    bring(packages, tuple(icons.source for icons in (*TRAINED, DEVELOPMENT, HELD_OUT)))


def files(icons: IconSet, packages: Path) -> list[Path]:
    """Its drawings, in order; of one drawn for several sizes one alone. Raises FileNotFoundError."""
    folder = packages / icons.source.folder / icons.folder
    found = sorted(path for path in folder.rglob("*.svg") if path.stat().st_size < 12_000)
    if icons.package == "@fluentui/svg-icons":
        found = [path for path in found if re.search(r"_20_(filled|regular)$", path.stem)]
    if not found:
        raise FileNotFoundError(f"no icons in {folder}: run `python -m tools.train_icon fetch`")
    return found


def name(stem: str, icons: IconSet) -> str:
    """A file's name in plain words: "arrow-left-2-fill" is "arrow left"; numbers that only tell variants apart go."""
    if icons.style:
        stem = re.sub(icons.style, "", stem)
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", re.sub(r"[-_.]+", " ", stem)).lower().split()
    kept = [word for word in words if not word.isdigit()] or words
    return " ".join(kept)


def listed(drawn: Path, icons: IconSet) -> list[list[str]]:
    """What each drawing of a set is called: its name, then its tags."""
    called: list[list[str]] = json.loads((drawn / f"{icons.source.folder}.json").read_text())
    return called


def vocabulary(called: Sequence[Sequence[str]]) -> set[str]:
    """The texts that are worth learning: names of several drawings, tags of many."""
    names = Counter(own for own, *_ in called)
    others = Counter(tag for _, *rest in called for tag in set(rest))
    return {name for name, count in names.items() if count >= _LEAST_NAMED} | {
        tag for tag, count in others.items() if count >= _LEAST_TAGGED
    }


def tags(icons: IconSet, packages: Path) -> dict[str, list[str]]:
    """File's name (without style) -> other words for what it shows, as the package lists them."""
    if not icons.tags:
        return {}
    listed = json.loads((packages / icons.source.folder / icons.tags).read_text())
    if isinstance(listed, list):
        return {entry["name"]: [re.sub(r"[-_]+", " ", alias) for alias in entry["aliases"]] for entry in listed}
    return {
        key: [str(tag).lower() for tag in (entry["tags"] if isinstance(entry, dict) else entry)]
        for key, entry in listed.items()
    }
