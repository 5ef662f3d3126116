"""Networks with an output every 30 ms, on the states of a GMM system and on states of their own: aligning, decoding."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from nnet.config import ModelConfig, TrainConfig
from nnet.model import load_model, log_posteriors
from nnet.steps import nearest_steps
from steps.acoustic.model import load_acoustic_model
from steps.ali.boundaries import boundary_offsets
from steps.ali.directory import read_aligned, read_alignments
from steps.ali.durations import occurrences
from steps.ali.labels import labeller_of
from steps.align import align_data
from steps.base.errors import InputError
from steps.build_tree import build_tree
from steps.convert_ali import convert_ali
from steps.corpus.ctm import Token
from steps.corpus.tables import read_table
from steps.decode import decode
from steps.feats.reader import load_features
from steps.hmm.transitions import read_transition_model, split_phones
from steps.hmm.viterbi import AlignOptions
from steps.make_graph import make_graph
from steps.scoring.wer import score
from steps.search import decoding
from steps.search.beam import DecodingScales
from steps.train_nnet import train_nnet
from steps.tree.growing import TreeOptions
from tests.steps import synthetic

THIRD = ModelConfig(layers=1, cells=24, stack=6, ahead=3, skip=3, delay=1, forget_bias=1.0)
TRAINING = TrainConfig(streams=3, frames=10, epochs=12, initial_lr=0.02, final_lr=0.002)
SCALES = {"gmm": DecodingScales(0.2, 0.0), "chain": DecodingScales(0.4, 0.0)}


@pytest.fixture(scope="module")
def made(work, ali, tmp_path_factory):
    """Alignments, a network and a graph for either kind of states."""
    path = tmp_path_factory.mktemp("low_rate")
    build_tree(work / "feats/train", work / "lang", work / "mono_ali", path / "tree", TreeOptions(30, min_gain=20))
    make_graph(work / "lang", work / "lm", path / "tree", path / "chain_graph")
    (path / "gmm_graph").symlink_to(work / "graph")
    for name, source in (("train", work / "mono_ali"), ("dev", ali)):
        (path / f"gmm_{name}").symlink_to(source)
        convert_ali(source, path / "tree", path / f"chain_{name}")
    feats = work / "feats/train", work / "feats/dev"
    for kind in ("gmm", "chain"):
        both = path / f"{kind}_train", path / f"{kind}_dev"
        train_nnet(*feats, work / "lang", *both, path / f"{kind}_net", THIRD, TRAINING, threads=1)
    return path


@pytest.fixture(scope="module", params=["gmm", "chain"])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def aligned(work, made, kind):
    path = made / f"{kind}_aligned"
    align_data(work / "feats/dev", work / "lang", made / f"{kind}_net", path, before=made / f"{kind}_dev")
    return path


@pytest.fixture(scope="module")
def decoded(work, made, kind):
    path = made / f"{kind}_decoded"
    decode(work / "feats/dev", made / f"{kind}_graph", made / f"{kind}_net", path, SCALES[kind])
    return path


def frames_of_dev(work):
    return {u: int(n) for u, n in read_table(work / "feats/dev/fbank/utt2num_frames").items()}


def test_with_all_phases_every_frame_has_an_output_of_its_own(made, tmp_path):
    folder = shutil.copytree(made / "gmm_net", tmp_path / "net")
    about = json.loads((folder / "model.json").read_text())
    about["model"]["phases"] = "all"
    (folder / "model.json").write_text(json.dumps(about))
    rng = np.random.default_rng(1)
    network, _ = load_model(made / "gmm_net")
    for n in (1, 2, 3, 50):
        x = rng.normal(size=(n, network.input_dim)).astype(np.float32)
        (scores,) = load_acoustic_model(folder).scores([x])
        assert scores.shape == (n, network.num_pdfs)
        for t in range(n):
            at_phase = log_posteriors(network, [torch.from_numpy(x)], phase=t % 3)[0]
            np.testing.assert_allclose(scores[t], at_phase[t // 3], atol=1e-5)
        (repeated,) = load_acoustic_model(made / "gmm_net").scores([x])
        np.testing.assert_allclose(scores[::3], repeated[::3], atol=1e-5)


def test_scores_are_at_the_rate_of_the_states(work, made, kind):
    model = load_acoustic_model(made / f"{kind}_net")
    x = next(iter(load_features(work / "feats/dev", model.features).values()))
    [scores] = model.scores([x])
    assert len(scores) == (len(x) if kind == "gmm" else -(-len(x) // 3))


def test_boundaries_stay_where_they_were(work, made, aligned):
    shifts = json.loads((aligned / "shifts.json").read_text())
    assert shifts["utterances"] == synthetic.SIZES["dev"]
    assert shifts["boundaries"] > 200
    assert abs(shifts["mean_ms"]) < 5  # half a frame: delay and phase are taken out again
    assert shifts["mean_absolute_ms"] < 15
    assert {u: len(tids) for u, tids in read_alignments(aligned).items()} == frames_of_dev(work)
    # against the GMM's own boundaries: mapping does not move them either
    source, before = read_transition_model(made / "gmm_dev"), read_alignments(made / "gmm_dev")
    model, after = read_transition_model(aligned), read_alignments(aligned)
    offsets = []
    for utterance, tids in before.items():
        tokens = [
            [Token(str(p), a, a + n) for p, a, n in found]
            for found in (split_phones(source, tids), split_phones(model, after[utterance]))
        ]
        offsets.append(boundary_offsets(*tokens))
    assert abs(np.concatenate(offsets).mean()) < 0.5


def test_alignments_are_outputs_repeated(kind, aligned):
    model = read_transition_model(aligned)
    for tids in read_alignments(aligned).values():
        outputs = nearest_steps(len(tids), 3)
        if kind == "chain":
            np.testing.assert_array_equal(tids, tids[::3][outputs])
        first = [start for _, start, _ in split_phones(model, tids)]
        if kind == "chain":  # a phone begins where the repeated outputs change
            assert set(first) <= {0, *(np.flatnonzero(np.diff(outputs)) + 1)}
        found = occurrences(model, tids)
        assert sum(phone.frames for phone in found) == sum(sum(phone.states) for phone in found) == len(tids)


def test_times_and_confidences_of_words(work, kind, aligned):
    alignments = read_aligned(aligned)
    labeller = labeller_of(alignments, work / "lang")
    assert alignments.times.shift == 0.01  # of the frames, whatever the rate of the states
    for utterance, found in alignments.items():
        assert len(found.log_posteriors) == len(found.tids)
        labels = labeller.labels(utterance, alignments.text[utterance], found)
        assert [word.text for word in labels.words] == alignments.text[utterance].split()
        assert labels.end == pytest.approx((len(found.tids) - 1) * 0.01 + 0.025)
        if kind == "chain":  # steps of 30 ms, each boundary in the middle between two outputs
            for phone in labels.phones[1:]:
                step = (phone.start - 0.0075 + 0.01) / 0.03
                assert step == pytest.approx(round(step))


def test_words(work, kind, decoded):
    reference, found = read_table(work / "data/dev/text"), read_table(decoded / "text")
    assert score(reference, found).total.errors <= 4
    frames = frames_of_dev(work)
    assert {u: len(tids) for u, tids in read_alignments(decoded).items()} == frames
    about = json.loads((decoded / "decode.json").read_text())
    assert about["audio_seconds"] == pytest.approx(sum(frames.values()) / 100)


def test_what_is_recognised_is_aligned_alike(work, made, kind, decoded):
    spoken, found = read_table(work / "data/dev/text"), read_table(decoded / "text")
    right = [utterance for utterance in spoken if found[utterance] == spoken[utterance]]
    assert len(right) > 20
    frames = 3 if kind == "chain" else 1  # that an output stands for
    options = AlignOptions(acoustic_scale=SCALES[kind].acoustic_scale / frames)  # that of decoding
    align_data(work / "feats/dev", work / "lang", made / f"{kind}_net", made / f"{kind}_again", options)
    recognised, alignments = read_alignments(decoded), read_alignments(made / f"{kind}_again")
    model = read_transition_model(decoded)
    for utterance in right:
        expected = model.tid_to_pdf[alignments[utterance]]
        assert (model.tid_to_pdf[recognised[utterance]] == expected).mean() > 0.98


def test_kept_scores_give_the_same(work, made, kind, decoded, tmp_path):
    """Those of other frames than rows are split as they were joined."""
    inputs = decoding.DecodingInputs(
        data=work / "feats/dev", graph_dir=made / f"{kind}_graph", model_dir=made / f"{kind}_net"
    )
    utterances = list(inputs.features)[:5]
    first = decoding._block_scores(inputs, utterances, tmp_path / "block.npz", 10**9)
    assert (tmp_path / "block.npz").exists()
    again = decoding._block_scores(inputs, utterances, tmp_path / "block.npz", 10**9)
    assert first.frames == again.frames == [len(inputs.features[u]) for u in utterances]
    for a, b in zip(first.matrices, again.matrices, strict=True):
        np.testing.assert_array_equal(a, b)


def test_models_of_another_rate_are_refused(work, made, tmp_path):
    feats = work / "feats/train", work / "feats/dev"
    chain = made / "chain_train", made / "chain_dev"
    for skip in (1, 2):
        config = replace(THIRD, skip=skip)
        with pytest.raises(
            InputError, match=rf"chain_train: its states .* every 3 frames, but this model has skip {skip}; train"
        ):
            train_nnet(*feats, work / "lang", *chain, tmp_path / "net", config, TRAINING, threads=1)
    wrong = shutil.copytree(made / "chain_net", tmp_path / "wrong")
    about = json.loads((wrong / "model.json").read_text())
    about["model"]["skip"] = 1
    (wrong / "model.json").write_text(json.dumps(about))
    with pytest.raises(InputError, match=r"wrong: its states are for a network with an output every 3 frames"):
        align_data(work / "feats/dev", work / "lang", wrong, tmp_path / "ali")
