"""Rebuild the sample meeting and the small test media from LibriSpeech clips.

    python -m tools.make_sample CLIPS

CLIPS is a folder that holds the clips named below somewhere inside it, as `<id>.flac` or with any
prefix: an unpacked LibriSpeech test-other (OpenSLR 12, CC BY 4.0) will do. Writes `samples/meeting.mkv`
with its truth `samples/meeting.json`, and `tests/data/`. Pauses and room noise come from a fixed seed;
the encoders' bytes may differ from one version to the next.
"""

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

import av
import cv2
import numpy as np
import soxr
import typer
from numpy.typing import NDArray

REPOSITORY = Path(__file__).parent.parent
SAMPLE_RATE = 16_000
OPUS_RATE = 48_000
FRAMES_PER_S = 5
WIDTH_PX, HEIGHT_PX = 1280, 720
SEED = 20_261_121
SPEECH_DBFS = -23.0
NOISE_DBFS = -66.0
MARGIN_S = 0.1
LEAD_IN_S = 1.0
TAIL_S = 1.5
SLIDE_LEAD_S = 0.4

Audio = NDArray[np.float32]
Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Slide:
    """One state of the shared screen; `rows` makes it a table of two columns."""

    slide_id: str
    title: str
    lines: tuple[str, ...] = ()
    rows: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Spoken:
    """One clip of the meeting: LibriSpeech id, its transcript, and the slide that comes up with it."""

    clip: str
    text: str
    slide: str = ""


@dataclass(frozen=True, slots=True)
class Utterance:
    """One placed clip: `start_s` and `end_s` are where its speech begins and ends in the recording."""

    spoken: Spoken
    start_s: float
    end_s: float

    @property
    def speaker(self) -> str:
        """LibriSpeech's number of the reader."""
        return self.spoken.clip.split("-")[0]


SLIDES = (
    Slide(
        "agenda",
        "Monday reading circle",
        (
            "Motto: Patience is genius",
            "North and South, a chapter",
            "A restaurant in San Francisco",
            "Lobster à la Newberg",
            "Next Monday: Moses",
        ),
    ),
    Slide(
        "novel",
        "North and South",
        ("Margaret", "Mr Hale, her father", "Mr Thornton, once a shop boy"),
    ),
    Slide(
        "novel-helstone",
        "North and South",
        ("Margaret", "Mr Hale, her father", "Mr Thornton, once a shop boy", "The old home: Helstone"),
    ),
    Slide("crayfish", "When is a lobster not a lobster?", ("A restaurant in San Francisco", "The Pacific crayfish")),
    Slide(
        "recipe",
        "Lobster à la Newberg",
        rows=(
            ("Ingredient", "Quantity"),
            ("Lobster meat", "1 pound"),
            ("Butter", "1 teaspoonful"),
            ("Cream", "1/2 pint"),
            ("Yolks of eggs", "4"),
            ("Sherry", "1 wine glass"),
        ),
    ),
    Slide("next", "Next Monday", ("Moses was afraid", "The Egyptian background of the bondage")),
)

MEETING = (
    Spoken("3080-5032-0000", "But I am hugely pleased that you have seen my lady.", "agenda"),
    Spoken("2609-156975-0001", "Hold on, hold fast, hold out. Patience is genius."),
    Spoken(
        "1688-142285-0001",
        "Margaret, said Mister Hale, as he returned from showing his guest downstairs, I could not help "
        "watching your face with some anxiety when Mister Thornton made his confession of having been a "
        "shop boy.",
        "novel",
    ),
    Spoken(
        "3080-5032-0001",
        "I knew you could not choose but like her, but yet let me tell you, you have seen but the worst of her.",
    ),
    Spoken("1688-142285-0004", "His statement of having been a shop boy was the thing I liked best of all."),
    Spoken("1688-142285-0005", "You, who were always accusing people of being shoppy at Helstone!", "novel-helstone"),
    Spoken("367-130732-0001", "When is a lobster not a lobster? When it is a crayfish.", "crayfish"),
    Spoken(
        "367-130732-0004",
        "A book could be written about this restaurant and then all would not be told, for all its secrets can "
        "never be known.",
    ),
    Spoken("3080-5032-0003", "Why did you not send me that news and a garland?"),
    Spoken("367-130732-0006", "Lobster a la Newberg.", "recipe"),
    Spoken(
        "367-130732-0007",
        "One pound of lobster meat, one teaspoonful of butter, one half pint of cream, yolks of four eggs, "
        "one wine glass of sherry, lobster fat.",
    ),
    Spoken("367-130732-0008", "Put this in a double boiler and let cook until thick, stirring constantly."),
    Spoken("367-130732-0009", "Serve in a chafing dish with thin slices of dry toast."),
    Spoken("1688-142285-0002", "You don't mean that you thought me so silly?"),
    Spoken("2609-156975-0000", "Then Moses was afraid and said, surely the thing is known.", "next"),
    Spoken("2609-156975-0003", "The Egyptian background of the bondage."),
)

# (question, words of which the answer must hold one, clip that says it, slide that shows it)
QUESTIONS = (
    ("Who had been a shop boy?", ("Thornton",), "1688-142285-0001", "novel"),
    ("How much cream goes into the lobster?", ("half pint", "1/2 pint"), "367-130732-0007", "recipe"),
)

SPEECH = Spoken("1688-142285-0003", "I really liked that account of himself better than anything else he said.")
TWO_SPEAKERS = (
    Spoken("1688-142285-0008", "His father dying in miserable circumstances."),
    Spoken("2033-164914-0005", "Tell me what happened, quoth Zau al-Makan."),
    Spoken("1688-142285-0009", "Why, it might have been in the workhouse."),
    Spoken("2033-164914-0004", "By Allah, replied the fireman, I tell thee the truth."),
)


def read_clip(folder: Path, clip: str) -> Audio:
    """One clip, (n,) float32 at 16 kHz, as it is. Raises FileNotFoundError."""
    path = next(iter(sorted(folder.rglob(f"*{clip}.flac"))), None)
    if path is None:
        raise FileNotFoundError(f"no file '*{clip}.flac' under {folder}; unpack LibriSpeech test-other there")
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("flt", "mono", SAMPLE_RATE)
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.float32)


def trim_and_level(audio: Audio) -> Audio:
    """Cut silence at both ends down to MARGIN_S, bring the speech to SPEECH_DBFS, fade the ends."""
    hop = SAMPLE_RATE // 50
    power = np.square(audio[: len(audio) // hop * hop].reshape(-1, hop)).mean(axis=1)
    # 10 dB above the clip's own noise, but not so low that a breath counts as speech
    loud = np.flatnonzero(power > max(10 * np.percentile(power, 5), power.max() * 10 ** (-35 / 10)))
    margin = round(MARGIN_S * SAMPLE_RATE)
    begin, end = int(loud[0]) * hop - margin, int(loud[-1] + 1) * hop + margin
    cut = np.pad(audio, margin)[begin + margin : end + margin]
    speech_rms = np.sqrt(power[loud].mean())
    gain = min(10 ** (SPEECH_DBFS / 20) / speech_rms, 0.89 / np.abs(cut).max())
    levelled: Audio = cut * np.float32(gain)
    ramp = np.linspace(0, 1, margin // 4, dtype=np.float32)
    levelled[: len(ramp)] *= ramp
    levelled[-len(ramp) :] *= ramp[::-1]
    return levelled


def lay_out(folder: Path, plan: tuple[Spoken, ...]) -> tuple[Audio, list[Utterance]]:
    """Put the clips one after another with pauses of 0.4 to 0.8 s over faint noise: (n,) at 16 kHz, truth."""
    random = np.random.default_rng(SEED)
    parts: list[Audio] = [np.zeros(round(LEAD_IN_S * SAMPLE_RATE), np.float32)]
    position, utterances = len(parts[0]), []
    for spoken in plan:
        clip = trim_and_level(read_clip(folder, spoken.clip))
        # a clip keeps MARGIN_S of its own silence on each side: it belongs to the pause
        start_s = position / SAMPLE_RATE + MARGIN_S
        end_s = (position + len(clip)) / SAMPLE_RATE - MARGIN_S
        utterances.append(Utterance(spoken, round(start_s, 3), round(end_s, 3)))
        pause = np.zeros(round((random.uniform(0.4, 0.8) - 2 * MARGIN_S) * SAMPLE_RATE), np.float32)
        parts += [clip, pause]
        position += len(clip) + len(pause)
    parts.append(np.zeros(round(TAIL_S * SAMPLE_RATE), np.float32))
    audio = np.concatenate(parts)
    noise = random.standard_normal(len(audio)).astype(np.float32) * np.float32(10 ** (NOISE_DBFS / 20))
    return audio + noise, utterances


@dataclass(frozen=True, slots=True)
class Line:
    """One written line: `box` is xyxy pixels around its ink."""

    text: str
    box: tuple[int, int, int, int]


INK, ACCENT, MUTED, PAPER, BAND = (
    (48, 34, 24),
    (130, 78, 20),
    (120, 108, 96),
    (250, 252, 253),
    (238, 242, 244),
)


def write(
    page: Picture, text: str, left: int, baseline: int, size: int, bold: bool, colour: tuple[int, int, int]
) -> Line:
    """Write one line on (h, w, 3) uint8 BGR `page` in OpenCV's own Rubik; returns where its ink is."""
    blank = np.zeros(page.shape, np.uint8)
    # a FontFace keeps the weight that it was first used with: a new one for every line
    cv2.putText(blank, text, (left, baseline), (255, 255, 255), cv2.FontFace("sans"), size, 700 if bold else 400)
    cv2.putText(page, text, (left, baseline), colour, cv2.FontFace("sans"), size, 700 if bold else 400)
    x, y, width, height = cv2.boundingRect(blank[:, :, 0])
    return Line(text, (x, y, x + width, y + height))


def draw(slide: Slide) -> tuple[Picture, list[Line]]:
    """One slide as (720, 1280, 3) uint8 BGR, and its lines from top to bottom, left to right."""
    page = np.full((HEIGHT_PX, WIDTH_PX, 3), PAPER, np.uint8)
    cv2.rectangle(page, (0, 0), (27, HEIGHT_PX), ACCENT, cv2.FILLED)
    lines = [write(page, slide.title, 96, 136, 58, True, ACCENT)]
    cv2.rectangle(page, (96, 166), (1184, 168), ACCENT, cv2.FILLED)
    for row, text in enumerate(slide.lines):
        baseline = 256 + 82 * row
        cv2.rectangle(page, (100, baseline - 22), (113, baseline - 9), ACCENT, cv2.FILLED)
        lines.append(write(page, text, 144, baseline, 40, False, INK))
    for row, cells in enumerate(slide.rows):
        baseline = 242 + 72 * row
        if row % 2 == 0:
            cv2.rectangle(page, (96, baseline - 50), (1184, baseline + 21), BAND, cv2.FILLED)
        for left, text in zip((128, 720), cells, strict=True):
            lines.append(write(page, text, left, baseline, 36, row == 0, INK))
    if slide.title != SLIDES[0].title:
        lines.append(write(page, SLIDES[0].title, 96, 684, 24, False, MUTED))
    return page, lines


def screen_times(utterances: list[Utterance], duration_s: float) -> list[tuple[Slide, float, float]]:
    """When each slide is on the screen; changes lie on whole video frames, a little before the words."""
    known = {slide.slide_id: slide for slide in SLIDES}
    begins = [
        (known[u.spoken.slide], max(0.0, round((u.start_s - SLIDE_LEAD_S) * FRAMES_PER_S) / FRAMES_PER_S))
        for u in utterances
        if u.spoken.slide
    ]
    begins[0] = (begins[0][0], 0.0)
    ends = [start_s for _, start_s in begins[1:]] + [duration_s]
    return [(slide, start_s, end_s) for (slide, start_s), end_s in zip(begins, ends, strict=True)]


def mux(path: Path, audio: Audio, screen: list[tuple[Slide, float, float]]) -> None:
    """Encode (n,) float32 at 16 kHz as Opus and the slides as VP9 into one Matroska file."""
    with av.open(str(path), "w", format="matroska", options={"fflags": "+bitexact"}) as out:
        video = out.add_stream(
            "libvpx-vp9",
            rate=FRAMES_PER_S,
            options={"crf": "30", "b": "0", "g": str(10 * FRAMES_PER_S), "deadline": "good", "cpu-used": "2"},
        )
        video.width, video.height, video.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        video.time_base = Fraction(1, FRAMES_PER_S)
        sound = out.add_stream("libopus", rate=OPUS_RATE, layout="mono", options={"b": "48k", "application": "voip"})
        for slide, start_s, end_s in screen:
            page, _ = draw(slide)
            for number in range(round(start_s * FRAMES_PER_S), round(end_s * FRAMES_PER_S)):
                picture = av.VideoFrame.from_ndarray(page, format="bgr24")
                picture.pts, picture.time_base = number, Fraction(1, FRAMES_PER_S)
                out.mux(video.encode(picture))
        out.mux(video.encode(None))
        loud = soxr.resample(audio, SAMPLE_RATE, OPUS_RATE)
        samples = av.AudioFrame.from_ndarray(loud[np.newaxis].astype(np.float32), format="fltp", layout="mono")
        samples.sample_rate, samples.pts, samples.time_base = OPUS_RATE, 0, Fraction(1, OPUS_RATE)
        out.mux(sound.encode(samples))
        out.mux(sound.encode(None))


def write_pcm(path: Path, audio: Audio, codec: Literal["pcm_s16le", "flac"]) -> None:
    """Write (n,) float32 at 16 kHz as 16-bit mono; `codec` is "pcm_s16le" (WAV) or "flac"."""
    whole = np.clip(np.round(audio * 32_767), -32_768, 32_767).astype(np.int16)
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as out:
        stream = out.add_stream(codec, rate=SAMPLE_RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(whole[np.newaxis], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, 0, Fraction(1, SAMPLE_RATE)
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def spoken_truth(utterances: list[Utterance]) -> list[dict[str, object]]:
    """The utterances as JSON objects."""
    return [
        {
            "id": u.spoken.clip,
            "speaker": u.speaker,
            "start_s": u.start_s,
            "end_s": u.end_s,
            "text": u.spoken.text,
        }
        for u in utterances
    ]


def slide_truth(lines: list[Line]) -> list[dict[str, object]]:
    """The lines of a slide as JSON objects."""
    return [{"text": line.text, "box": line.box} for line in lines]


def make_meeting(clips: Path, out: Path) -> None:
    """Write `meeting.mkv` and `meeting.json` into `out`."""
    audio, utterances = lay_out(clips, MEETING)
    # whole video frames, so that sound and picture end together
    audio = audio[: len(audio) // (SAMPLE_RATE // FRAMES_PER_S) * (SAMPLE_RATE // FRAMES_PER_S)]
    duration_s = len(audio) / SAMPLE_RATE
    screen = screen_times(utterances, duration_s)
    mux(out / "meeting.mkv", audio, screen)
    truth = {
        "media": "meeting.mkv",
        "duration_s": duration_s,
        "language": "en",
        "utterances": spoken_truth(utterances),
        "slides": [
            {"id": slide.slide_id, "start_s": start_s, "end_s": end_s, "lines": slide_truth(draw(slide)[1])}
            for slide, start_s, end_s in screen
        ],
        "questions": [
            {"question": question, "expected_any": words, "utterance": clip, "slide": slide}
            for question, words, clip, slide in QUESTIONS
        ],
    }
    (out / "meeting.json").write_text(json.dumps(truth, indent=1, ensure_ascii=False) + "\n")


def make_test_media(clips: Path, out: Path) -> None:
    """Write `speech.wav`, `two_speakers.{flac,rttm}`, `slide.png` and `truth.json` into `out`."""
    speech = trim_and_level(read_clip(clips, SPEECH.clip))
    write_pcm(out / "speech.wav", speech, "pcm_s16le")
    audio, utterances = lay_out(clips, TWO_SPEAKERS)
    write_pcm(out / "two_speakers.flac", audio, "flac")
    rttm = [
        f"SPEAKER two_speakers 1 {u.start_s:.3f} {u.end_s - u.start_s:.3f} <NA> <NA> {u.speaker} <NA> <NA>\n"
        for u in utterances
    ]
    (out / "two_speakers.rttm").write_text("".join(rttm))
    page, lines = draw(next(slide for slide in SLIDES if slide.slide_id == "recipe"))
    cv2.imwrite(str(out / "slide.png"), page, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    truth = {
        "speech.wav": {"id": SPEECH.clip, "duration_s": len(speech) / SAMPLE_RATE, "text": SPEECH.text},
        "two_speakers.flac": {
            "duration_s": len(audio) / SAMPLE_RATE,
            "utterances": spoken_truth(utterances),
        },
        "slide.png": {"width_px": WIDTH_PX, "height_px": HEIGHT_PX, "lines": slide_truth(lines)},
    }
    (out / "truth.json").write_text(json.dumps(truth, indent=1, ensure_ascii=False) + "\n")


def main(
    clips: Annotated[Path, typer.Argument(help="Folder with the LibriSpeech clips.", exists=True)],
    repository: Annotated[Path, typer.Option(help="Where samples/ and tests/data/ lie.")] = REPOSITORY,
) -> None:
    """Rebuild samples/ and tests/data/ from LibriSpeech clips."""
    make_meeting(clips, repository / "samples")
    make_test_media(clips, repository / "tests" / "data")


if __name__ == "__main__":
    typer.run(main)
