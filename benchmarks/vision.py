"""Accuracy and cost of the vision stage: `python -m benchmarks.vision [--screens N] [--media DIR] [--limit N]`.

Screens on which somebody works are drawn by Chromium; tables and plots go to results/vision*.md and .svg (rapidocr
beside, if it is installed). DIR/vision/manifest.jsonl names pages (`ocr_dom+gui`: words of the DOM) and photos
(`coco_det`: YOLO-format boxes); one line of JSON is printed for them, with plots of the first: the bag-of-words
character error of the live and of the accurate reading, mAP at IoU .5, process-CPU milliseconds on one thread; beside
them rapidocr, faster-paddle and tesseract, as far as they are installed.
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks import live_screens, ocr_peers
from benchmarks.bars import bars
from benchmarks.machine import describe_machine
from engines.fetch import fetch
from services.runtime.image import decode_image
from services.runtime.percept import BoxXyxy, Percept, ScreenState
from services.runtime.stage import Frame, StageConfig
from services.vision.service import VisionExpert, new_expert
from services.vision.tracking import iou

RESULTS = Path(__file__).parent / "results"
# The first of the sequences; those below were looked at.
SEED = 3000
Row = dict[str, Any]
Detections = dict[int, list[tuple[str, float, BoxXyxy]]]


def timed(run: Callable[[], Sequence[Percept]]) -> tuple[ScreenState | None, float]:
    """The state that `run` brings, if any, and its CPU milliseconds."""
    start = time.process_time()
    percepts = run()
    spent_ms = (time.process_time() - start) * 1000
    return next((percept for percept in percepts if isinstance(percept, ScreenState)), None), spent_ms


def missed_characters(words: Sequence[str], lines: Iterable[str]) -> int:
    """Characters of those words that no word of the lines read equals, wherever it stands."""
    read = Counter(word for line in lines for word in line.split())
    return sum(len(word) * count for word, count in (Counter(words) - read).items())


def lines_of(state: ScreenState) -> list[str]:
    """What every line of a state says."""
    return [region.text for region in state.regions]


def ocr(expert: VisionExpert, media: Path, rows: Sequence[Row]) -> Row:
    """Read every page as a stream of one frame, and by the peers."""
    peers = ocr_peers.installed()
    total, live_missed, accurate_missed = 0, 0, 0
    live_ms, accurate_ms = [], []
    peer_missed = dict.fromkeys(peers, 0)
    peer_ms: dict[str, list[float]] = {name: [] for name in peers}
    for row in rows:
        frame = Frame(decode_image((media / row["image"]).read_bytes()), 0)
        stage = expert.open_stage(StageConfig(tasks=("ocr",)))
        live, spent_live_ms = timed(lambda: stage.push_frame(frame))  # noqa: B023
        final, spent_accurate_ms = timed(stage.flush)
        if live is None:
            raise SystemExit(f"{row['image']}: the first frame brought no state")
        words = [word for entry in row["gt"]["words"] for word in entry[0].split()]
        total += sum(map(len, words))
        live_missed += missed_characters(words, lines_of(live))
        accurate_missed += missed_characters(words, lines_of(final or live))
        is_720p = frame.pixels.shape[:2] == (720, 1280)
        if is_720p:
            live_ms.append(spent_live_ms)
            accurate_ms.append(spent_accurate_ms)
        for name, peer in peers.items():
            start_s = ocr_peers.cpu_s()
            lines = peer(frame.pixels)
            spent_s = ocr_peers.cpu_s() - start_s
            peer_missed[name] += missed_characters(words, (text for text, _ in lines))
            if is_720p:
                peer_ms[name].append(1000 * spent_s)
    return {
        "pages": len(rows),
        "live_bag_cer": round(live_missed / total, 4),
        "accurate_bag_cer": round(accurate_missed / total, 4),
        "live_cpu_ms_720p": round(sum(live_ms) / len(live_ms)),
        "reread_cpu_ms_720p": round(sum(accurate_ms) / len(accurate_ms)),
        "peers": {
            name: {
                "bag_cer": round(peer_missed[name] / total, 4),
                "cpu_ms_720p": round(sum(peer_ms[name]) / len(peer_ms[name])),
            }
            for name in peers
        },
    }


def objects(expert: VisionExpert, media: Path, rows: Sequence[Row]) -> Row:
    """Detect on every photo."""
    start = time.process_time()
    precision = objects_precision(expert, ((row, decode_image((media / row["image"]).read_bytes())) for row in rows))
    spent_ms = (time.process_time() - start) * 1000
    return {"photos": len(rows), "map50": round(precision, 3), "cpu_ms": round(spent_ms / len(rows))}


def objects_precision(expert: VisionExpert, photos: Iterable[tuple[Row, NDArray[np.uint8]]]) -> float:
    """Mean of the average precisions of all classes in photos (h, w, 3) uint8 BGR with their rows of the manifest."""
    truths: dict[int, dict[str, list[BoxXyxy]]] = {}
    found: Detections = {}
    for row, pixels in photos:
        height, width = pixels.shape[:2]
        for class_id, x, y, w, h in row["gt"]:
            box = ((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height)
            truths.setdefault(int(class_id), {}).setdefault(row["image"], []).append(box)
        for thing in expert.objects().detect(pixels):
            found.setdefault(thing.class_id, []).append((row["image"], thing.confidence or 0.0, thing.box))
    precisions = [average_precision(found.get(class_id, []), boxes) for class_id, boxes in truths.items()]
    return sum(precisions) / len(precisions)


def average_precision(found: Sequence[tuple[str, float, BoxXyxy]], truths: dict[str, list[BoxXyxy]]) -> float:
    """Area under the precision-recall curve at IoU .5, all points."""
    left = {image: list(boxes) for image, boxes in truths.items()}
    total = sum(map(len, truths.values()))
    points, hits = [], 0
    for rank, (image, _, box) in enumerate(sorted(found, key=lambda item: -item[1]), 1):
        best = max(left.get(image, []), key=lambda truth: iou(box, truth), default=None)
        if best is not None and iou(box, best) >= 0.5:
            left[image].remove(best)
            hits += 1
        points.append((hits / total, hits / rank))
    area, last, best_after = 0.0, 1.0, 0.0
    for recall, precision in reversed(points):
        area += (last - recall) * best_after
        last, best_after = recall, max(best_after, precision)
    return area + last * best_after


def readers_svg(ocr: Row) -> tuple[str, str]:
    """What the readers of pages cost and miss, as two pictures."""
    readers = {
        "Sensorium, first reading": (ocr["live_cpu_ms_720p"], ocr["live_bag_cer"]),
        "and the second one": (ocr["live_cpu_ms_720p"] + ocr["reread_cpu_ms_720p"], ocr["accurate_bag_cer"]),
        **{name: (peer["cpu_ms_720p"], peer["bag_cer"]) for name, peer in ocr["peers"].items()},
    }
    costs = {name: {"a page of 1280 x 720": cost} for name, (cost, _) in readers.items()}
    misses = {name: {"characters missed": round(100 * share, 2)} for name, (_, share) in readers.items()}
    return bars("Cost of reading", costs, "milliseconds of a core"), bars("What is missed", misses, "%")


def screens(expert: VisionExpert, count: int) -> str:
    """The tables of `count` sequences on a screen, lossless and through VP8; drawn too, into results/."""
    machine, peer = describe_machine(), ocr_peers.installed().get("rapidocr")
    lines = [
        "# A screen on which somebody works",
        "",
        f"`python -m benchmarks.vision --screens {count}`; {machine['date']}, commit {machine['commit'] or 'unknown'}, "
        f"{machine['processor']}, one thread, load before the run {machine['load_before']}. 1280 x 720 pixels, quality "
        "`fast`; `docs/benchmarks.md` says how to read it.",
        "",
    ]
    for codec in ("", "vp8"):
        rows = live_screens.measure(expert, range(SEED, SEED + count), codec, peer)
        lines += live_screens.as_markdown(rows, codec)
        (RESULTS / f"vision-{codec or 'lossless'}.svg").write_text(live_screens.as_svg(rows, codec))
    return "\n".join(lines)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vision", description=__doc__)
    parser.add_argument("--screens", type=int, default=4, help="sequences on a live screen; 0 for none")
    parser.add_argument("--media", type=Path, help="folder of media with ground truth")
    parser.add_argument("--limit", type=int, help="pictures of each kind")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    fetch(["ppocrv6-tiny", "ppocrv6-small", "line-script", "line-ends", "nanodet-g"])
    expert = new_expert(threads=1)
    expert.open_stage(StageConfig(tasks=("ocr",)))
    if options.screens:
        tables = screens(expert, options.screens)
        (RESULTS / "vision.md").write_text(tables)
        print(tables)
    if options.media is None:
        return
    media = options.media / "vision"
    rows = [json.loads(line) for line in (media / "manifest.jsonl").open()]
    report = {}
    for name, task, run in (("ocr", "ocr_dom+gui", ocr), ("objects", "coco_det", objects)):
        chosen = [row for row in rows if row["task"] == task][: options.limit]
        if chosen:
            report[name] = run(expert, media, chosen)
    if "ocr" in report:
        for name, picture in zip(("cost", "missed"), readers_svg(report["ocr"]), strict=True):
            (RESULTS / f"vision-readers-{name}.svg").write_text(picture)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
