"""Things keep their ids while they move, and lose them when they are gone."""

from services.runtime.percept import DetectedObject
from services.vision.tracking import MAX_MISSED, ObjectTracks


def _thing(x: float, y: float, kind: int = 0, size: float = 100.0) -> DetectedObject:
    return DetectedObject("thing", kind, (x, y, x + size, y + size), 0.9)


def _ids(tracks: ObjectTracks, *things: DetectedObject) -> list[str]:
    return [thing.object_id for thing in tracks.update(things)]


def test_a_thing_that_moves_stays_itself() -> None:
    tracks = ObjectTracks()
    assert [_ids(tracks, _thing(30.0 * step, 10)) for step in range(6)] == [["o1"]] * 6


def test_two_things_that_come_near_each_other_are_not_mixed_up() -> None:
    tracks = ObjectTracks()
    for step in range(5):
        assert _ids(tracks, _thing(20.0 * step, 0), _thing(300 - 20.0 * step, 0)) == ["o1", "o2"]


def test_a_thing_of_another_class_in_its_place_is_another_one() -> None:
    tracks = ObjectTracks()
    assert _ids(tracks, _thing(0, 0, kind=0)) == ["o1"]
    assert _ids(tracks, _thing(0, 0, kind=5)) == ["o2"]


def test_a_thing_that_is_missed_for_some_pictures_keeps_its_id_and_one_that_left_does_not() -> None:
    tracks = ObjectTracks()
    assert _ids(tracks, _thing(0, 0)) == ["o1"]
    for _ in range(MAX_MISSED):
        assert _ids(tracks) == []
    assert _ids(tracks, _thing(10, 0)) == ["o1"]
    for _ in range(MAX_MISSED + 1):
        tracks.update(())
    assert _ids(tracks, _thing(10, 0)) == ["o2"] and len(tracks.tracks) == 1


def test_tracks_that_were_kept_go_on() -> None:
    tracks = ObjectTracks()
    tracks.update([_thing(0, 0), _thing(200, 0)])
    tracks.update([_thing(0, 0)])
    again = ObjectTracks(tracks.tracks, tracks.next_number)
    found = [_thing(205, 0), _thing(400, 0)]
    assert again.update(found) == tracks.update(found)
