"""Whose tile of a video call is outlined, and when: the name at the foot of the place that a bright line goes around.

Pure. Names are words of Latin letters, as people write them: "Priya Nair", "Jan de Vries (Host)".
"""

import bisect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.runtime.percept import BoxXyxy, ScreenState, TextRegion

MAX_FRAMINGS = 20_000
# The name ends in the lowest part of its tile and begins in the left one.
_FOOT, _LEFT = 0.3, 0.5
_LOOSE_PX = 4
_PART = r"(?:[A-Z]['’])?[A-ZÀ-Ý][a-zß-ÿ]+(?:['’-][A-ZÀ-Ý]?[a-zß-ÿ]+)*"
_MORE = rf"(?: (?:{_PART}|[A-ZÀ-Ý]\.?|de|van|von|der|la|bin|al|da|dos))*"
_TILE = re.compile(rf"^\W*(?P<name>{_PART}{_MORE})\W*(?:\([\w ,]{{1,20}}\)?)?\W*$")
# On tiles and their buttons, but nobody's name.
_NOT_NAMES = frozenset(
    "You Host Guest Me Mute Unmute Muted Stop Start Share Sharing Screen Chat Participants People More Leave Video "
    "Audio Camera Record Recording Reactions Meeting Speaker View Gallery Presenting Presentation Presenter Pin "
    "Raise Hand Settings Security Apps Rooms Notes Whiteboard End Call Join Live Captions Invite Everyone Waiting "
    "Lobby".split()
)


@dataclass(frozen=True, slots=True)
class Framing:
    """A name's tile was outlined from `start_sample` on: where its name stood, and in which line."""

    name: str
    start_sample: int
    source_id: str = ""
    box: BoxXyxy | None = None
    frame_id: str = ""


class Framings:
    """All framings of one session, in order; `name` is "" where no one tile was outlined. Bounded by MAX_FRAMINGS."""

    def __init__(self) -> None:
        self._all: list[Framing] = []

    def see(self, state: ScreenState) -> None:
        """Take a screen; older ones than the last are ignored."""
        if self._all and state.start_sample <= self._all[-1].start_sample:
            return
        framing = framed(state)
        if framing.name != (self._all[-1].name if self._all else ""):
            self._all.append(framing)
            del self._all[:-MAX_FRAMINGS]

    def between(self, start: int, end: int) -> Iterator[tuple[Framing, int]]:
        """The framings with a name that touch a span, each with the samples that they share with it."""
        place = max(0, bisect.bisect_right(self._all, start, key=lambda one: one.start_sample) - 1)
        for index in range(place, len(self._all)):
            framing = self._all[index]
            if framing.start_sample >= end:
                return
            until = self._all[index + 1].start_sample if index + 1 < len(self._all) else end
            shared = min(end, until) - max(start, framing.start_sample)
            if framing.name and shared > 0:
                yield framing, shared


def framed(state: ScreenState) -> Framing:
    """The name of the one outlined tile of a screen; "" where there is none, or more than one."""
    tiles = [(box, region) for box in state.outlined if (region := _label(box, state.regions)) is not None]
    if len({tile_name(region.text) for _, region in tiles}) != 1:
        return Framing("", state.start_sample)
    _, region = tiles[0]
    return Framing(tile_name(region.text), state.start_sample, region.region_id, region.box, state.frame_id)


def tile_name(text: str) -> str:
    """The name that the label of a tile holds; "" for other words."""
    found = _TILE.match(text)
    return "" if found is None or _NOT_NAMES.intersection(found["name"].split()) else found["name"]


def _label(box: BoxXyxy, regions: Sequence[TextRegion]) -> TextRegion | None:
    """The lowest line at the foot of a tile that is a name."""
    width, height = box[2] - box[0], box[3] - box[1]
    at_foot = [
        region
        for region in regions
        if box[0] <= region.box[0] + _LOOSE_PX
        and region.box[0] <= box[0] + _LEFT * width
        and region.box[2] <= box[2] + _LOOSE_PX
        and box[3] - _FOOT * height <= region.box[3] <= box[3] + _LOOSE_PX
        and tile_name(region.text)
    ]
    return max(at_foot, key=lambda region: region.box[3], default=None)
