import json
import re
import shutil

import kaldiio
import numpy as np
import pytest
import soundfile

from steps.acoustic.inputs import model_features
from steps.acoustic.model import load_acoustic_model
from steps.adapt import adapt
from steps.ali.directory import read_alignments
from steps.align import align_data
from steps.align_files import align_files
from steps.base.errors import InputError
from steps.base.parallel import jobs
from steps.corpus.ctm import read_ctm
from steps.corpus.tables import read_table
from steps.decode import decode
from steps.gmm.adaptation import speaker_statistics
from steps.gmm.blocks import TrainingInputs, compile_blocks, read_utterances
from steps.gmm.gmm import read_gmms
from steps.gmm.system import System, mllt_statistics, write_block_alignments, write_system
from steps.gmm.transforms import Transform, read_transform, write_transform
from steps.gmm.triphones import LdaOptions
from steps.hmm.topology import silence_phones
from steps.make_graph import make_graph
from steps.scoring.wer import score
from steps.search.beam import DecodingScales
from steps.train_triphones import train_triphones
from steps.tree.growing import TreeOptions
from tests.steps import synthetic

LDA = {"lda": LdaOptions(dim=12), "mllt_iterations": [1, 3]}
SAT = {"fmllr_iterations": [1, 3], "min_frames": 100}


@pytest.fixture(scope="module")
def lda(work, tmp_path_factory):
    path = tmp_path_factory.mktemp("lda") / "lda"
    synthetic.train_triphones(work, path, **LDA)
    return path


@pytest.fixture(scope="module")
def feats(work, tmp_path_factory):
    """The sets' features with two speakers, one of whom has the cepstra under an invertible linear map."""
    path = tmp_path_factory.mktemp("speakers")
    random = np.random.default_rng(3)
    mixed = np.eye(13) + 0.25 * random.normal(size=(13, 13))
    for name in ("train", "dev"):
        folder = path / name / "mfcc"
        shutil.copytree(work / "feats" / name / "mfcc", folder)
        matrices = {key: np.array(m) for key, m in kaldiio.load_scp(str(folder / "feats.scp")).items()}
        speakers = {utterance: ("other" if i % 2 else "synth") for i, utterance in enumerate(matrices)}
        changed = {u: (m @ mixed.T if speakers[u] == "other" else m).astype(np.float32) for u, m in matrices.items()}
        kaldiio.save_ark(str(folder / "feats.ark"), changed, scp=str(folder / "feats.scp"))
        totals = {}
        for u, m in changed.items():
            sums = np.zeros((2, 14))
            sums[0, :-1], sums[1, :-1], sums[0, -1] = m.sum(0), (m.astype(float) ** 2).sum(0), len(m)
            totals[speakers[u]] = totals.get(speakers[u], 0) + sums
        kaldiio.save_ark(str(folder / "cmvn.ark"), totals, scp=str(folder / "cmvn.scp"))
        (folder / "utt2spk").write_text("".join(f"{u} {s}\n" for u, s in speakers.items()))
    return path


@pytest.fixture(scope="module")
def sat(work, feats, tmp_path_factory):
    path = tmp_path_factory.mktemp("sat") / "sat"
    synthetic.train_triphones(work, path, feats / "train", **SAT)
    return path


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def arrays(folder):
    return {
        (name, key): a for name in files(folder) if name.endswith("npz") for key, a in np.load(folder / name).items()
    }


def assert_same_model(one, other):
    assert files(one) == files(other)
    for key, array in arrays(one).items():
        np.testing.assert_array_equal(array, arrays(other)[key], err_msg=str(key))
    for name in files(one):
        if not name.endswith("npz"):
            assert (one / name).read_bytes() == (other / name).read_bytes(), name


def errors(work, model, graph, out, feats=None, **options):
    decode(feats or work / "feats/dev", graph, model, out, DecodingScales(0.1, 1.0), **options)
    return score(read_table(work / "data/dev/text"), read_table(out / "text")).total.errors


def test_what_is_written_and_recognised(work, lda, tmp_path, capsys):
    names = ["gmm.npz", "iterations.jsonl", "model.json", "topo", "transform.npz", "transitions.npz", "tree.json"]
    assert files(lda) == names
    log = [json.loads(line) for line in (lda / "iterations.jsonl").read_text().splitlines()]
    assert [record["iteration"] for record in log] == [1, 2, 3, 4, 5]
    assert log[-1]["gaussians"] == pytest.approx(60, abs=3)
    transform = read_transform(lda)
    assert (transform.context, transform.matrix.shape, transform.speakers) == (3, (12, 7 * 13), {})
    assert json.loads((lda / "model.json").read_text())["features"]["deltas"] == 0
    make_graph(work / "lang", work / "lm", lda, tmp_path / "graph")
    assert errors(work, lda, tmp_path / "graph", tmp_path / "out") <= 1


def test_result_does_not_depend_on_the_number_of_processes(work, lda, tmp_path):
    synthetic.train_triphones(work, tmp_path / "lda", nj=2, **LDA)
    assert_same_model(tmp_path / "lda", lda)


def test_adapted_model_does_not_depend_on_it_either(work, feats, sat, tmp_path):
    synthetic.train_triphones(work, tmp_path / "sat", feats / "train", nj=2, **SAT)
    assert_same_model(tmp_path / "sat", sat)


def test_killed_training_ends_with_the_same_model(work, lda, tmp_path, kill, capsys):
    part = tmp_path / "lda.partial"

    def amid_the_third_iteration():
        log, alignment = part / "iterations.jsonl", part / "alignment.block.0.npz"
        done = log.exists() and len(log.read_text().splitlines()) == 2
        return done and alignment.stat().st_mtime_ns > log.stat().st_mtime_ns

    kill("train_triphones", tmp_path / "lda", amid_the_third_iteration)
    synthetic.train_triphones(work, tmp_path / "lda", **LDA)
    assert "going on after iteration 2\n" in capsys.readouterr().out
    assert_same_model(tmp_path / "lda", lda)
    assert not part.exists()


def test_adaptation_takes_a_speakers_difference_away(work, feats, sat, tmp_path, capsys):
    independent = sat / "sat_si"
    make_graph(work / "lang", work / "lm", independent, tmp_path / "graph")
    first = errors(work, independent, tmp_path / "graph", tmp_path / "first", feats / "dev")
    adapt(feats / "dev", work / "lang", sat, tmp_path / "first", tmp_path / "fmllr", min_frames=100)
    second = errors(work, sat, tmp_path / "graph", tmp_path / "out", feats / "dev", speakers=tmp_path / "fmllr")
    unadapted = errors(work, sat, tmp_path / "graph", tmp_path / "without", feats / "dev")
    assert second <= 1
    assert second <= first < unadapted
    assert set(read_transform(tmp_path / "fmllr").speakers) == {"synth", "other"}


def test_training_goes_on_from_transforms_of_the_alignments(work, feats, sat, tmp_path):
    align_data(feats / "train", work / "lang", sat / "sat_si", tmp_path / "si_ali")
    adapt(feats / "train", work / "lang", sat, tmp_path / "si_ali", tmp_path / "fmllr", min_frames=100)
    align_data(feats / "train", work / "lang", sat, tmp_path / "ali", speakers=tmp_path / "fmllr")
    assert read_transform(tmp_path / "ali").speakers.keys() == {"synth", "other"}
    model = load_acoustic_model(sat)
    likelihoods = []
    for ali, speakers in ((tmp_path / "si_ali", None), (tmp_path / "ali", tmp_path / "fmllr")):
        features, tids = model_features(feats / "train", model, speakers=speakers), read_alignments(ali)
        scores = model.log_likelihoods([features[u] for u in tids])
        pdfs = [model.transitions.tid_to_pdf[t] for t in tids.values()]
        likelihoods.append(np.mean([s[np.arange(len(p)), p].mean() for s, p in zip(scores, pdfs, strict=True)]))
    assert likelihoods[1] > likelihoods[0] + 1


def test_speaker_with_too_few_frames(work, feats, sat, tmp_path, capsys):
    align_data(feats / "dev", work / "lang", sat / "sat_si", tmp_path / "ali")
    adapt(feats / "dev", work / "lang", sat, tmp_path / "ali", tmp_path / "fmllr", min_frames=1e6)
    assert "no more than 1e+06 frames, not adapted: other synth" in capsys.readouterr().out
    features = model_features(feats / "dev", load_acoustic_model(sat), speakers=tmp_path / "fmllr")
    assert dict(features.transform.speakers) == {}


def test_adaptation_to_states_of_another_model(work, lda, sat, tmp_path):
    with pytest.raises(InputError, match=r"mono_ali: its states are not those of .*sat; align with that"):
        adapt(work / "feats/train", work / "lang", sat, work / "mono_ali", tmp_path / "fmllr")
    with pytest.raises(InputError, match=r"it has no transform\.npz; estimate the speakers' transforms with"):
        align_data(work / "feats/dev", work / "lang", sat, tmp_path / "ali", speakers=work / "mono")
    write_transform(tmp_path, Transform(0, None, {"synth": np.eye(12, 13)}))
    with pytest.raises(InputError, match=r"its transforms are for another model than lda; estimate them with it"):
        align_data(work / "feats/dev", work / "lang", lda, tmp_path / "ali", speakers=tmp_path)


def test_transforms_for_another_model_or_other_speakers(work, feats, sat, tmp_path, capsys):
    align_data(feats / "dev", work / "lang", sat / "sat_si", tmp_path / "ali")
    adapt(feats / "dev", work / "lang", sat, tmp_path / "ali", tmp_path / "fmllr", min_frames=100)
    acoustic = load_acoustic_model(sat)
    capsys.readouterr()
    model_features(feats / "dev", acoustic, speakers=tmp_path / "fmllr")
    assert capsys.readouterr().out == ""
    with pytest.raises(InputError, match=r"fmllr/adapt\.json and .*sat_si/gmm\.npz: their Gaussians .* estimate the"):
        model_features(feats / "dev", load_acoustic_model(sat / "sat_si"), speakers=tmp_path / "fmllr")
    others = shutil.copytree(feats / "dev", tmp_path / "dev")
    for table in ("utt2spk", "cmvn.scp"):
        path = others / "mfcc" / table
        path.write_text(re.sub(r"\b(synth|other)\b(?=$| )", r"someone-\1", path.read_text(), flags=re.MULTILINE))
    message = r"transform\.npz and the utt2spk of .*dev have no speaker in common: other, .* and someone-other, "
    with pytest.raises(InputError, match=message):
        model_features(others, acoustic, speakers=tmp_path / "fmllr")
    with pytest.raises(InputError, match=message):
        train_triphones(others, work / "lang", work / "mono_ali", tmp_path / "tri", speakers=tmp_path / "fmllr")
    (tmp_path / "fmllr/adapt.json").unlink()  # as an earlier version left it
    model_features(feats / "dev", acoustic, speakers=tmp_path / "fmllr")
    assert "not checked that their Gaussians are the same, " in capsys.readouterr().out


def test_leaves_for_all_states_at_least(work, tmp_path):
    with pytest.raises(InputError, match="num_leaves is 3, but the tree begins with 28 leaves"):
        train_triphones(work / "feats/train", work / "lang", work / "mono_ali", tmp_path / "tri", TreeOptions(3))


def test_aligning_a_recording_adapts_to_it(work, sat, tmp_path, capsys):
    texts = read_table(work / "data/dev/text")
    samples = [soundfile.read(work / f"data/dev/{utterance}.wav")[0] for utterance in texts]
    soundfile.write(tmp_path / "long.wav", np.concatenate(samples), synthetic.RATE)
    (tmp_path / "long.txt").write_text(" ".join(texts.values()))
    align_files([tmp_path / "long.wav", tmp_path / "long.txt"], model=sat, out=tmp_path / "out")
    assert "fMLLR: 1 speakers" in capsys.readouterr().out
    words = read_ctm(tmp_path / "out/words.ctm")["long", "1"]
    assert [word.text for word in words] == " ".join(texts.values()).split()
    assert np.median([word.confidence for word in words]) > 0.5


def test_recordings_that_are_too_short_to_adapt_to(work, sat, tmp_path, capsys):
    """They are aligned with the alignment model, whatever the model's directory is called."""
    copied = tmp_path / "renamed"
    shutil.copytree(sat, copied)
    texts = read_table(work / "data/dev/text")
    files = []
    for name, text in (("dev-00", None), ("dev-01", "fa " * 500), ("dev-02", None)):
        shutil.copy(work / f"data/dev/{name}.wav", tmp_path)
        (tmp_path / f"{name}.txt").write_text(text or texts[name])
        files += [tmp_path / f"{name}.wav", tmp_path / f"{name}.txt"]
    with pytest.raises(InputError, match=r"1 of 3 recordings could not be aligned:\n.*dev-01\.wav: "):
        align_files(files, model=copied, out=tmp_path / "out")
    said = capsys.readouterr().out
    assert "dev-00.wav: too little speech to adapt to, aligned by " in said
    assert "first_ali" not in said
    align_files([*files[:2], *files[4:]], model=copied / "sat_si", out=tmp_path / "expected")
    for name in ("words.ctm", "phones.ctm"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "expected" / name).read_bytes()


def test_mllt_and_fmllr_statistics_weight_silence(work, lda, tmp_path):
    """Of silence, MLLT takes no frame; fMLLR counts each as one of a hundred, or not at all."""
    acoustic = load_acoustic_model(lda)
    gmms, model, silence = read_gmms(lda / "gmm.npz"), acoustic.transitions, silence_phones(work / "lang")
    align_data(work / "feats/dev", work / "lang", lda, tmp_path / "ali")
    features = model_features(work / "feats/dev", acoustic)
    tids = {utterance: aligned for utterance, aligned in read_alignments(tmp_path / "ali").items()}
    silent = {u: np.isin(model.tid_to_pdf[t], model.pdfs_of(silence)) for u, t in tids.items()}
    frames = sum(len(t) for t in tids.values())
    silences = sum(int(s.sum()) for s in silent.values())
    assert 0 < silences < frames

    def fmllr(weight, aligned=tids, kept=None):
        chosen = (("synth", features[u][kept[u]] if kept else features[u], t) for u, t in aligned.items())
        return speaker_statistics(gmms, model, chosen, model.pdfs_of(silence), weight)["synth"]

    speech = {u: ~s for u, s in silent.items()}
    without = fmllr(1.0, {u: t[speech[u]] for u, t in tids.items()}, speech)
    assert fmllr(1.0).beta == pytest.approx(frames)
    assert fmllr(0.01).beta == pytest.approx(frames - 0.99 * silences)
    np.testing.assert_allclose(fmllr(0.0).G, without.G)
    np.testing.assert_allclose(fmllr(0.01).K - without.K, 0.01 * (fmllr(1.0).K - without.K), rtol=1e-6, atol=1e-3)

    for name in ("topo", "tree.json"):
        shutil.copy(lda / name, tmp_path)
    inputs = TrainingInputs(work / "feats/dev", work / "lang", tmp_path, acoustic.features)
    assert inputs.utterances() == list(tids)
    with jobs(1, inputs) as run:
        blocks = compile_blocks(inputs, run)
    for block in blocks:
        utterances = read_utterances(block)
        write_block_alignments(block, utterances, [tids[utterance] for utterance in utterances])
    write_system(tmp_path / "state.npz", System(gmms, model, acoustic.transform))
    parts = [mllt_statistics(block, tmp_path / "state.npz", silence) for block in blocks]
    assert sum(part.beta for part in parts) == pytest.approx(frames - silences)
