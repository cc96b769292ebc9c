"""Sound through our features, graphs and decoders gives what NeMo's own cache-aware streaming gives."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.export import nemo
from services.asr.cache_aware import CacheAware, Utterance
from services.asr.cache_aware_service import CacheAwareExpert
from services.asr.streaming_mel import StreamingMel
from services.runtime.percept import Checkpoint, Percept, SpeechActivity, Transcript
from services.runtime.stage import AdjustableStage, MediaError, StageConfig

LABELS = ["hybrid-rnnt", "hybrid-ctc", "rnnt", "ctc"]


def by_nemo(path: Path, head: str, speech: NDArray[np.float32]) -> list[int]:
    """The pieces that NeMo's cache-aware streaming decodes, chunk by chunk."""
    import torch
    from nemo.collections.asr.parts.utils.streaming_utils import CacheAwareStreamingAudioBuffer

    model = nemo.restore(path)
    model.encoder.set_default_att_context_size([28, 1])
    if hasattr(model, "cur_decoder"):
        model.change_decoding_strategy(decoder_type=head, verbose=False)
    buffer = CacheAwareStreamingAudioBuffer(model)
    features, length = buffer.preprocess_audio(speech)
    buffer.append_processed_signal(features[:, :, : int(length)])
    caches = model.encoder.get_initial_cache_state(batch_size=1)
    hypotheses = predictions = None
    drop = model.encoder.streaming_cfg.drop_extra_pre_encoded
    with torch.no_grad():
        for index, (chunk, lengths) in enumerate(buffer):
            predictions, _, *caches, hypotheses = model.conformer_stream_step(
                processed_signal=chunk,
                processed_signal_length=lengths,
                cache_last_channel=caches[0],
                cache_last_time=caches[1],
                cache_last_channel_len=caches[2],
                keep_all_outputs=buffer.is_buffer_empty(),
                previous_hypotheses=hypotheses,
                previous_pred_out=predictions,
                drop_extra_pre_encoded=drop if index else 0,
            )
    pieces: list[int] = predictions[0].tolist()
    if head == "rnnt":
        return pieces
    blank = len(model.tokenizer.vocab)
    return [p for p, before in zip(pieces, [blank, *pieces], strict=False) if p not in (blank, before)]


@pytest.mark.parametrize("label", LABELS)
def test_the_pieces_are_those_of_nemos_own_streaming(
    label: str, brought: dict[str, str], checkpoints: dict[str, Path], speech: NDArray[np.float32]
) -> None:
    wanted = by_nemo(checkpoints[label.split("-")[0]], label.split("-")[-1], speech)
    utterance = Utterance(CacheAware(brought[label], 1))
    for start in range(0, len(speech), 512):
        utterance.push(speech[start : start + 512])
    utterance.finish()
    assert [token.piece for token in utterance.tokens] == wanted
    assert len(set(wanted)) > 5


def test_the_streamed_features_are_nemos(
    brought: dict[str, str], checkpoints: dict[str, Path], speech: NDArray[np.float32]
) -> None:
    import torch

    model = nemo.restore(checkpoints["ctc"])
    with torch.no_grad():
        wanted, length = model.preprocessor(
            input_signal=torch.from_numpy(speech[None]), length=torch.tensor([len(speech)])
        )
    mel = StreamingMel(CacheAware(brought["ctc"], 1).mel)
    parts = [mel.push(speech[start : start + 700]) for start in range(0, len(speech), 700)]
    features = np.concatenate([*parts, mel.flush()], axis=1)
    assert features.shape[1] == int(length)
    np.testing.assert_allclose(features, wanted[0, :, : int(length)].numpy(), atol=1e-3)


def stream(name: str, samples: NDArray[np.float32], size: int, **config: Any) -> list[Percept]:
    stage = CacheAwareExpert(name).open_stage(StageConfig(**config))
    results: list[Percept] = []
    for start in range(0, len(samples), size):
        results += stage.push_audio(samples[start : start + size])
    return [*results, *stage.flush()]


@pytest.mark.parametrize("label", ["hybrid-rnnt", "ctc"])
@pytest.mark.parametrize("sound", ["speech", "monologue"])
def test_results_do_not_depend_on_chunk_size(
    label: str, sound: str, brought: dict[str, str], request: pytest.FixtureRequest
) -> None:
    samples = request.getfixturevalue(sound)
    whole = stream(brought[label], samples, len(samples))
    assert any(isinstance(r, Transcript) and r.is_final and r.words for r in whole)
    for size in (333, 4_800):
        assert stream(brought[label], samples, size) == whole


@pytest.mark.parametrize("label", LABELS)
def test_a_partial_never_takes_back_its_stable_words(
    label: str, brought: dict[str, str], speech: NDArray[np.float32]
) -> None:
    partials = [r for r in stream(brought[label], speech, 1_600) if isinstance(r, Transcript) and not r.is_final]
    assert len(partials) > 3
    for earlier, later in zip(partials, partials[1:], strict=False):
        if earlier.utterance_id == later.utterance_id:
            kept = earlier.stable_words
            assert later.words[:kept] == earlier.words[:kept] and later.stable_words >= kept


def test_every_final_follows_the_beginning_and_the_end_of_its_speech(
    brought: dict[str, str], speech: NDArray[np.float32]
) -> None:
    kinds = [
        r.event.name if isinstance(r, SpeechActivity) else "FINAL"
        for r in stream(brought["ctc"], speech, 1_600, options={"partials": "off"})
        if isinstance(r, SpeechActivity | Transcript)
    ]
    assert kinds == ["START_OF_SPEECH", "END_OF_SPEECH", "FINAL"] * (len(kinds) // 3) and kinds


def test_phrases_are_refused_in_the_config_and_in_mid_stream(brought: dict[str, str]) -> None:
    expert = CacheAwareExpert(brought["ctc"])
    with pytest.raises(MediaError, match="phrases"):
        expert.open_stage(StageConfig(options={"phrases": "Kubernetes"}))
    stage = expert.open_stage(StageConfig())
    assert isinstance(stage, AdjustableStage)
    with pytest.raises(MediaError, match="phrases"):
        stage.update({"phrases": "Kubernetes"})


def test_what_the_screen_shows_ends_no_stream(brought: dict[str, str]) -> None:
    stage = CacheAwareExpert(brought["ctc"]).open_stage(StageConfig(options={"screen_rare": "Kubernetes"}))
    assert isinstance(stage, AdjustableStage)
    stage.update({"screen_rare": "Helstone\t0.5", "screen_seen": "shop boy"})


@pytest.mark.parametrize("label", LABELS)
def test_words_lie_in_their_utterance_one_after_the_other_and_utterances_too(
    label: str, brought: dict[str, str], monologue: NDArray[np.float32]
) -> None:
    finals = [r for r in stream(brought[label], monologue, 16_000) if isinstance(r, Transcript) and r.is_final]
    assert len(finals) > 1
    end = 0
    for final in finals:
        assert final.start_sample >= end
        end = final.end_sample
        assert end - final.start_sample <= 26 * 16_000
        position = final.start_sample
        for word in final.words:
            assert word.start_sample < word.end_sample <= final.end_sample
            assert word.start_sample >= position or word.end_sample == final.end_sample
            position = word.start_sample
            assert word.text and word.confidence is not None and 0 <= word.confidence <= 1


def test_a_stage_made_at_any_checkpoint_goes_on_as_if_nothing_had_happened(
    brought: dict[str, str], monologue: NDArray[np.float32]
) -> None:
    name = brought["hybrid-rnnt"]
    results = stream(name, monologue, 3_200)
    checkpoints = [(i, r) for i, r in enumerate(results) if isinstance(r, Checkpoint)]
    assert checkpoints
    for index, checkpoint in checkpoints:
        rest = monologue[checkpoint.resume_sample :]
        again = stream(name, rest, 5_000, start_sample=checkpoint.resume_sample, resume_state=checkpoint.state)
        assert again == results[index + 1 :]


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"language": "fr"}, "knows en alone"),
        ({"options": {"second_pass": "whisper"}}, "reads once"),
        ({"options": {"phrases": "Sensorium"}}, "cannot listen for them"),
        ({"resume_state": b"{}"}, "resume_state"),
    ],
)
def test_what_the_model_cannot_do_is_refused_with_a_sentence(
    config: dict[str, Any], sentence: str, brought: dict[str, str]
) -> None:
    with pytest.raises(MediaError, match=sentence):
        CacheAwareExpert(brought["ctc"]).open_stage(StageConfig(**config))
