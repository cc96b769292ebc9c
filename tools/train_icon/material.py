"""Which icon sets are drawn, and what each icon is called: its file's name in plain words, and its tags."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.train_gui.sources import Source, named

_MORE = (
    Source("npm", "@mdi/svg", "7.4.47", "Apache-2.0"),
    Source("npm", "boxicons", "2.1.4", "MIT"),
    # Later versions are under a licence of their own.
    Source("npm", "remixicon", "4.6.0", "Apache-2.0"),
)
_LEAST_TAGGED = 10
# Larger drawings are illustrations.
_MOST_BYTES = 12_000
# Number words at the end of a name that only tell variants apart.
_NUMBERED = r"-(one|two|three|four|five|six|seven|eight)$"


@dataclass(frozen=True, slots=True)
class IconSet:
    """One package of icons: `folder` holds the SVGs; `style` is a pattern of what a file's name says of its looks.

    A `folder` that is a JSON file holds all drawings, as Iconify's packages have them.
    """

    source: Source
    folder: str
    style: str = ""
    tags: str = ""


@dataclass(frozen=True, slots=True)
class Drawing:
    """One icon: its SVG, and what it is called: the name, then its tags."""

    svg: str
    called: tuple[str, ...]


def _own(name: str, folder: str, style: str = "", tags: str = "") -> IconSet:
    ours = {source.name: source for source in _MORE}
    return IconSet(ours.get(name) or named(name), folder, style, tags)


def _iconify(pin: str, licence: str, style: str = "") -> IconSet:
    name, _, version = pin.partition("@")
    return IconSet(Source("npm", f"@iconify-json/{name}", version, licence), "package/icons.json", style)


TRAINED = (
    _own("lucide-static", "package/icons", tags="package/tags.json"),
    _own("@tabler/icons", "package/icons", tags="package/icons.json"),
    _own("bootstrap-icons", "package/icons", r"-fill$"),
    _own("@phosphor-icons/core", "package/assets", r"-(bold|duotone|fill|light|thin)$"),
    _own("@material-design-icons/svg", "package"),
    _own("ionicons", "package/dist/svg", r"-(outline|sharp)$"),
    _own("@primer/octicons", "package/build/svg", r"(-fill)?-\d+$"),
    _own("@fluentui/svg-icons", "package/icons", r"_(\d+_)(filled|regular|light)$"),
    _own("feather-icons", "package/dist/icons"),
    _own("@mdi/svg", "package/svg", r"-(outline|variant)", tags="package/meta.json"),
    _own("boxicons", "package/svg", r"^(bx|bxs|bxl)-"),
    _iconify("akar-icons@1.2.7", "MIT", r"-fill$"),
    _iconify("ant-design@1.2.9", "MIT", r"-(outlined|filled|twotone)$"),
    _iconify("basil@1.2.4", "CC-BY-4.0", r"-(solid|outline)$"),
    _iconify("carbon@1.2.29", "Apache-2.0", r"-(filled|alt|glyph|outline)$"),
    _iconify("cil@1.2.3", "CC-BY-4.0"),
    _iconify("clarity@1.2.4", "MIT", r"-(line|solid|outline)(-badged|-alerted)?$"),
    _iconify("codicon@1.2.74", "CC-BY-4.0"),
    _iconify("ep@1.2.4", "MIT", r"-filled$"),
    _iconify("eva@1.2.3", "MIT", r"-(outline|fill)$"),
    _iconify("f7@1.2.2", "MIT", r"-fill$"),
    _iconify("fa6-brands@1.2.6", "CC-BY-4.0"),
    _iconify("fa6-regular@1.2.4", "CC-BY-4.0"),
    _iconify("fa6-solid@1.2.4", "CC-BY-4.0"),
    _iconify("gg@1.2.2", "MIT"),
    _iconify("gravity-ui@1.2.15", "MIT", r"-fill$"),
    _iconify("grommet-icons@1.2.4", "Apache-2.0"),
    _iconify("hugeicons@1.2.35", "MIT"),
    _iconify("icon-park-outline@1.2.4", "Apache-2.0", _NUMBERED),
    _iconify("icon-park-solid@1.2.4", "Apache-2.0", _NUMBERED),
    _iconify("iconamoon@1.2.2", "CC-BY-4.0", r"-(bold|duotone|fill|light|thin)$"),
    _iconify("ix@1.2.12", "MIT", r"-filled$"),
    _iconify("jam@1.2.3", "MIT", r"-f$"),
    _iconify("lets-icons@1.2.2", "CC-BY-4.0", r"(-(duotone|light|fill|line|thin|alt))+$"),
    _iconify("lineicons@1.2.6", "MIT"),
    _iconify("majesticons@1.2.5", "MIT", r"-line$"),
    _iconify("material-symbols@1.2.93", "Apache-2.0", r"(-outline)?(-rounded|-sharp)?$"),
    _iconify("mingcute@1.2.8", "Apache-2.0", r"-(line|fill)$"),
    _iconify("mynaui@1.2.19", "MIT", r"-solid$"),
    _iconify("simple-icons@1.2.102", "CC0-1.0"),
    _iconify("solar@1.2.13", "CC-BY-4.0", r"-(bold-duotone|line-duotone|bold|linear|broken|outline)$"),
    _iconify("streamline@1.2.5", "CC-BY-4.0", r"(-remix)?(-solid)?$"),
    _iconify("tdesign@1.2.19", "MIT", r"-filled$"),
    _iconify("teenyicons@1.2.2", "MIT", r"-(solid|outline)$"),
)
# Never trained on: the first two to choose settings by, the others to report.
DEVELOPMENT = (_own("heroicons", "package/24"), _iconify("uil@1.2.3", "Apache-2.0", r"-alt$"))
HELD_OUT = (_own("remixicon", "package/icons", r"-(line|fill)$"), _iconify("iconoir@1.2.11", "MIT", r"-solid$"))


def fetch(packages: Path) -> None:
    """Download and unpack the sets that are not in `packages` yet. Raises CalledProcessError, OSError."""
    from tools.train_gui.sources import fetch as bring

    bring(packages, tuple(icons.source for icons in (*TRAINED, *DEVELOPMENT, *HELD_OUT)))


def drawings(icons: IconSet, packages: Path) -> list[Drawing]:
    """All of a set, in order; of one drawn for several sizes one alone. Raises FileNotFoundError."""
    place = packages / icons.source.folder / icons.folder
    if not place.exists():
        raise FileNotFoundError(f"no icons in {place}: run `python -m tools.train_icon fetch`")
    if place.is_file():
        return _from_iconify(icons, json.loads(place.read_text()))
    paths = sorted(path for path in place.rglob("*.svg") if path.stat().st_size < _MOST_BYTES)
    if icons.source.name == "@fluentui/svg-icons":
        paths = [path for path in paths if re.search(r"_20_(filled|regular)$", path.stem)]
    by_stem = tags(icons, packages)
    found = []
    for path in paths:
        svg = path.read_text()
        called = (name(path.stem, icons), *by_stem.get(path.stem, ()))
        found.append(Drawing(svg[svg.index("<svg") :], called))
    return found


def _from_iconify(icons: IconSet, held: dict[str, Any]) -> list[Drawing]:
    others: dict[str, list[str]] = {}
    for alias, entry in held.get("aliases", {}).items():
        # Turned and mirrored ones are other pictures.
        if not {"rotate", "hFlip", "vFlip"} & entry.keys():
            others.setdefault(entry["parent"], []).append(name(alias, icons))
    found = []
    for stem, entry in held["icons"].items():
        if entry.get("hidden") or len(entry["body"]) >= _MOST_BYTES:
            continue
        left, top = (entry.get(key, held.get(key, 0)) for key in ("left", "top"))
        width, height = (entry.get(key, held.get(key, 16)) for key in ("width", "height"))
        box = f"{left} {top} {width} {height}"
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}">{entry["body"]}</svg>'
        found.append(Drawing(svg, (name(stem, icons), *others.get(stem, ()))))
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
    """The texts that are learnt: all names, and tags of many drawings."""
    others = Counter(tag for _, *rest in called for tag in set(rest))
    return {own for own, *_ in called} | {tag for tag, count in others.items() if count >= _LEAST_TAGGED}


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
