"""What expected phrases bring, on the asr stage alone: `python -m benchmarks.phrases --media DIR`.

DIR holds audio/manifest.jsonl and audio/rare_words.jsonl (id, rare_words, screen_words: the phrases,
most of them not said). Prints one JSON object. Settings were chosen on the clips of even number
(`--part chosen`); report those of odd number (`--part held-out`). Needs jiwer and whisper-normalizer.
"""

import argparse
import json
import time
from pathlib import Path

from benchmarks.asr import finals, read
from services.asr.service import new_expert

PARTS = {"all": slice(None), "chosen": slice(0, None, 2), "held-out": slice(1, None, 2)}


def main() -> None:
    """Measure and print."""
    import jiwer
    from whisper_normalizer.english import EnglishTextNormalizer

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--part", choices=PARTS, default="all")
    parser.add_argument("--language", default="")
    parser.add_argument("--option", action="append", default=[])
    flags = parser.parse_args()
    options = dict(option.split("=", 1) for option in flags.option) | {"partials": "off"}
    audio = flags.media / "audio"
    clips = {row["id"]: row for row in map(json.loads, (audio / "manifest.jsonl").open())}
    lists = [json.loads(line) for line in (audio / "rare_words.jsonl").open()][PARTS[flags.part]]
    normal = EnglishTextNormalizer()
    expert = new_expert()
    rare_words = other_words = 0
    heard, wrong, invented, cpu_s = [0, 0], [0, 0], [0, 0], [0.0, 0.0]
    for row in lists:
        clip = clips[row["id"]]
        samples = read(audio / clip["audio"])
        reference, rare = normal(clip["text"]), {normal(word) for word in row["rare_words"]}
        listed = {normal(word) for word in row["screen_words"]}
        counts = [sum(word in rare for word in reference.split()), sum(word not in rare for word in reference.split())]
        rare_words, other_words = rare_words + counts[0], other_words + counts[1]
        for k, more in enumerate(({}, {"phrases": "\n".join(row["screen_words"])})):
            start = time.process_time()
            said = finals(expert, samples, flags.language, options | more)
            cpu_s[k] += time.process_time() - start
            text = normal(" ".join(final.text for final in said)) or "-"
            invented[k] += len((set(text.split()) - set(reference.split())) & listed)
            aligned = jiwer.process_words(reference, text)
            for chunk in aligned.alignments[0]:
                if chunk.type == "insert":
                    wrong[k] += chunk.hyp_end_idx - chunk.hyp_start_idx
                for word in aligned.references[0][chunk.ref_start_idx : chunk.ref_end_idx]:
                    heard[k] += word in rare and chunk.type == "equal"
                    wrong[k] += word not in rare and chunk.type != "equal"
    result = {
        "clips": len(lists),
        "rare_words": rare_words,
        "rare_recall_percent": [round(100 * n / rare_words, 1) for n in heard],
        "other_error_percent": [round(100 * n / other_words, 2) for n in wrong],
        "phrases_invented": invented,
        "cpu_s": [round(s, 1) for s in cpu_s],
        "language": flags.language,
        "options": options,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
