"""Accuracy and cost of the diarization stage alone, without services: `python -m benchmarks.diarization --media DIR`.

DIR holds audio/manifest.jsonl (id, audio, rttm, speakers, kind: diar_sim or diar_real). Prints one JSON object:
diarization error rate, overlap counted, at collar .25 s for concatenated meetings (diar_sim) and at collar 0 for
the others, once all corrections are in and as it was known `latency_s` after each moment. Needs pyannote.metrics.
"""

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.asr import read
from services.diarization.service import DiarizationExpert, new_expert
from services.runtime.percept import SAMPLE_RATE, SpeakerTurn
from services.runtime.stage import StageConfig

PIECE = SAMPLE_RATE // 10
Span = tuple[float, float, str]


def listen(expert: DiarizationExpert, samples: NDArray[np.float32], latency_s: str) -> tuple[list[Span], list[Span]]:
    """Spans (start s, end s, speaker) in the end, and as they were known live, piece by piece of 0.1 s."""
    stage = expert.open_stage(StageConfig(options={"latency_s": latency_s}))
    turns: dict[str, SpeakerTurn] = {}
    live: list[Span] = []
    # The sound ends when the last piece has been waited for.
    for position in range(0, len(samples) + int(float(latency_s) * SAMPLE_RATE), PIECE):
        piece = samples[position : position + PIECE]
        said = stage.push_audio(piece) if len(piece) else []
        turns |= {turn.turn_id: turn for turn in said if isinstance(turn, SpeakerTurn)}
        middle = position + PIECE / 2 - float(latency_s) * SAMPLE_RATE
        start, end = ((middle + shift * PIECE / 2) / SAMPLE_RATE for shift in (-1, 1))
        near = {t.speaker for t in turns.values() if t.start_sample <= middle < t.end_sample}
        live += [(start, end, speaker) for speaker in near]
    turns |= {turn.turn_id: turn for turn in stage.flush() if isinstance(turn, SpeakerTurn)}
    final = [turn for turn in turns.values() if turn.is_final]
    return [(t.start_sample / SAMPLE_RATE, t.end_sample / SAMPLE_RATE, t.speaker) for t in final], live


def main() -> None:
    """Measure and print."""
    from pyannote.core import Annotation, Segment
    from pyannote.metrics.diarization import DiarizationErrorRate

    def annotation(spans: list[Span]) -> Any:
        made = Annotation()
        for index, (start, end, speaker) in enumerate(spans):
            made[Segment(start, end), index] = speaker
        return made

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--latency-s", default="2", choices=["0.5", "2", "5"])
    flags = parser.parse_args()
    base = flags.media / "audio"
    rows = [json.loads(line) for line in (base / "manifest.jsonl").open()]
    rates: dict[tuple[str, str], Any] = {}
    counts: dict[str, list[list[int]]] = defaultdict(list)
    cpu_s = audio_s = 0.0
    expert = new_expert()
    for clip in [row for row in rows if row["kind"].startswith("diar")]:
        fields = [line.split() for line in (base / clip["rttm"]).read_text().splitlines()]
        truth = annotation([(float(f[3]), float(f[3]) + float(f[4]), f[7]) for f in fields])
        samples = read(base / clip["audio"])
        start = time.process_time()
        final, live = listen(expert, samples, flags.latency_s)
        cpu_s += time.process_time() - start
        audio_s += len(samples) / SAMPLE_RATE
        for when, spans in (("final", final), ("live", live)):
            collar = 0.5 if clip["kind"] == "diar_sim" else 0.0
            rate = rates.setdefault((clip["kind"], when), DiarizationErrorRate(collar=collar))
            rate(truth, annotation(spans))
        counts[clip["kind"]].append([clip["speakers"], len({speaker for *_, speaker in final})])
    result = {f"{kind}_der_{when}": round(100 * abs(rate), 2) for (kind, when), rate in rates.items()}
    cost = {"cpu_ms_per_half_second": round(cpu_s / audio_s * 500, 1), "audio_s": round(audio_s, 1)}
    speakers = {f"{kind}_speakers_true_and_found": pairs for kind, pairs in counts.items()}
    print(json.dumps({"latency_s": flags.latency_s} | result | cost | speakers))


if __name__ == "__main__":
    main()
