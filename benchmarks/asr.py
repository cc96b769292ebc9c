"""Accuracy and cost of the asr stage alone, without services: `python -m benchmarks.asr --media DIR`.

DIR holds audio/manifest.jsonl as described in docs (id, audio, text, language, kind). Prints one JSON
object. Needs jiwer and whisper-normalizer. `--option second_pass=off` and the like go to the stage.
"""

import argparse
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from services.asr.service import AsrExpert, new_expert
from services.runtime.percept import SAMPLE_RATE, Transcript
from services.runtime.stage import StageConfig


def read(path: Path) -> NDArray[np.float32]:
    """16 kHz mono samples of a media file."""
    resampler = av.AudioResampler("flt", "mono", SAMPLE_RATE)
    with av.open(str(path)) as file:
        parts = [part.to_ndarray()[0] for frame in file.decode(audio=0) for part in resampler.resample(frame)]
    return np.concatenate(parts)


def finals(expert: AsrExpert, samples: NDArray[np.float32], language: str, options: dict[str, str]) -> list[Transcript]:
    """The last revision of every utterance."""
    stage = expert.open_stage(StageConfig(language=language, options=options))
    said = [p for i in range(0, len(samples), SAMPLE_RATE) for p in stage.push_audio(samples[i : i + SAMPLE_RATE])]
    said += stage.flush()
    return list({p.utterance_id: p for p in said if isinstance(p, Transcript) and p.is_final}.values())


def main() -> None:
    """Measure and print."""
    import jiwer
    from whisper_normalizer.basic import BasicTextNormalizer
    from whisper_normalizer.english import EnglishTextNormalizer

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--language", default="")
    parser.add_argument("--option", action="append", default=[])
    parser.add_argument("--every", type=int, default=1, help="take every n-th clip")
    flags = parser.parse_args()
    options = dict(option.split("=", 1) for option in flags.option)
    rows = [json.loads(line) for line in (flags.media / "audio" / "manifest.jsonl").open()]
    clips = [row for row in rows if row.get("text") and not row["kind"].startswith("diar")][:: flags.every]
    normal = {True: EnglishTextNormalizer(), False: BasicTextNormalizer()}
    texts: dict[bool, list[tuple[str, str]]] = {True: [], False: []}
    right, cpu_s, audio_s = 0, 0.0, 0.0
    expert = new_expert()
    for clip in clips:
        samples = read(flags.media / "audio" / clip["audio"])
        start = time.process_time()
        said = finals(expert, samples, flags.language, options)
        cpu_s, audio_s = cpu_s + time.process_time() - start, audio_s + len(samples) / SAMPLE_RATE
        english = clip["language"] == "en"
        text = normal[english](" ".join(final.text for final in said)) or "-"
        texts[english].append((normal[english](clip["text"]), text))
        votes = Counter[str]()
        for final in said:
            votes[final.language] += len(final.words)
        right += bool(votes) and votes.most_common(1)[0][0] == clip["language"]
    result: dict[str, Any] = {"clips": len(clips), "audio_s": round(audio_s, 1)}
    result["languages_right"] = right
    result["cpu_s_per_audio_s"] = round(cpu_s / audio_s, 3)
    if texts[True]:
        wer = jiwer.wer([a for a, _ in texts[True]], [b for _, b in texts[True]])
        result["english_wer_percent"] = round(100 * wer, 2)
    if texts[False]:
        result["other_mean_cer"] = round(float(np.mean([jiwer.cer(a, b) for a, b in texts[False]])), 3)
    print(json.dumps(result | {"options": options}))


if __name__ == "__main__":
    main()
