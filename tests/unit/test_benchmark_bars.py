"""Bars of a benchmark: as long as their values say, and well-formed whatever the names hold."""

from xml.etree import ElementTree

from benchmarks.bars import bars

NS = "{http://www.w3.org/2000/svg}"


def test_bars_are_to_one_scale_and_named() -> None:
    drawn = ElementTree.fromstring(bars("Cost", {"ours": {"a": 10.0, "b": 20.0}, "<theirs>": {"a": 40.0}}, "ms"))
    background, *rectangles = drawn.iter(f"{NS}rect")
    lengths = [float(each.attrib["width"]) for each in rectangles]
    assert background.attrib["fill"] == "#fff"
    assert lengths[2:] == [lengths[4] / 4, lengths[4] / 2, lengths[4]]
    words = [each.text for each in drawn.iter(f"{NS}text")]
    assert words == ["Cost, ms", "a", "b", "ours", "10", "20", "<theirs>", "40"]
    # the same series has the same colour in every group
    fills = [each.attrib["fill"] for each in rectangles]
    assert fills[0] == fills[2] == fills[4] != fills[1] == fills[3]
