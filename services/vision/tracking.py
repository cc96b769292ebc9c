"""Things that stay themselves while they move: each keeps its id from picture to picture. Pure.

Greedy matching by overlap, the surest first, as SORT's association does without its motion model (Bewley et al. 2016):
pictures come when something has changed, not at a rate. What is missed for a few pictures keeps its id.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.runtime.percept import BoxXyxy, DetectedObject

# Boxes of the same class that overlap so much belong to one thing.
MIN_IOU = 0.3
# So many pictures in a row a thing may be missed.
MAX_MISSED = 5


@dataclass(frozen=True, slots=True)
class Track:
    """A thing where it was last seen, and how many pictures ago."""

    thing: DetectedObject
    missed: int = 0


class ObjectTracks:
    """The things of one stream. `tracks` and `next_number` are all there is to keep."""

    def __init__(self, tracks: Sequence[Track] = (), next_number: int = 1) -> None:
        self.tracks = list(tracks)
        self.next_number = next_number

    def update(self, found: Sequence[DetectedObject]) -> tuple[DetectedObject, ...]:
        """Take what was found in the newest picture, surest first; returns it with ids, in the same order."""
        left = list(self.tracks)
        named = []
        for thing in found:
            same = [track for track in left if track.thing.class_id == thing.class_id]
            best = max(same, key=lambda track: iou(track.thing.box, thing.box), default=None)
            if best is None or iou(best.thing.box, thing.box) < MIN_IOU:
                object_id = f"o{self.next_number}"
                self.next_number += 1
            else:
                left.remove(best)
                object_id = best.thing.object_id
            named.append(replace(thing, object_id=object_id))
        missed = [Track(track.thing, track.missed + 1) for track in left if track.missed < MAX_MISSED]
        self.tracks = [*map(Track, named), *missed]
        return tuple(named)


def iou(a: BoxXyxy, b: BoxXyxy) -> float:
    """Common area as a part of the area that both cover."""
    common = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    whole = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
    return common / whole if whole > 0 else 0.0
