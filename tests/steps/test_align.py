import json
import shutil
from pathlib import Path

import kaldi_native_io
import numpy as np
import pytest
import soundfile

from nnet.config import ModelConfig, TrainConfig
from steps.acoustic.model import load_acoustic_model
from steps.ali.confidence import phone_log_posteriors
from steps.ali.directory import read_aligned, read_alignments, write_alignments
from steps.align import align_data
from steps.base.cli import command
from steps.base.errors import InputError
from steps.corpus.tables import read_table
from steps.decode import decode
from steps.feats.options import FbankOptions, MfccOptions
from steps.feats.reader import load_features
from steps.hmm.transitions import MODEL_FILES, read_transition_model, split_phones
from steps.lang.symbols import read_symbols
from steps.make_feats import make_feats
from steps.prepare_lang import prepare_lang
from steps.search.beam import DecodingScales
from steps.train_nnet import train_nnet
from tests.steps import synthetic


def kaldi(folder):
    with kaldi_native_io.SequentialInt32VectorReader(f"scp:{folder / 'ali.scp'}") as reader:
        return {key: np.array(value) for key, value in reader}


def dev_set(work, tmp_path, **texts):
    """The dev set's audio with other transcripts."""
    folder = tmp_path / "dev"
    shutil.copytree(work / "data/dev", folder)
    lines = dict(line.split(" ", 1) for line in (folder / "text").read_text().splitlines())
    lines |= {key.replace("_", "-"): text for key, text in texts.items()}
    (folder / "text").write_text("".join(f"{key} {text}\n" for key, text in sorted(lines.items())))
    return folder


def test_kaldis_reader_gives_what_ours_does(ali):
    ours, theirs = read_alignments(ali), kaldi(ali)
    assert list(ours) == list(theirs)
    assert len(ours) == synthetic.SIZES["dev"]
    for utterance, tids in ours.items():
        assert tids.dtype == np.int32
        np.testing.assert_array_equal(tids, theirs[utterance])


def test_phones_are_where_the_sounds_are(work, ali):
    model = read_transition_model(ali)
    names = {number: name for name, number in read_symbols(work / "lang/phones.txt").items()}
    alignments = read_alignments(ali)
    random = np.random.default_rng(1)  # of the dev set
    for utterance, words in synthetic.sentences("dev", synthetic.SIZES["dev"], 1).items():
        expected, begin = [], 0
        for phone, samples in synthetic.speak(words, random):
            if (phone, "SIL") != (expected[-1][0] if expected else None, phone):  # two pauses in a row are one
                expected.append((phone, begin))
            begin += len(samples)
        found = [(names[phone], first) for phone, first, _ in split_phones(model, alignments[utterance])]
        assert [phone for phone, _ in found] == [phone for phone, _ in expected]
        for (_, first), (_, sample) in zip(found[1:], expected[1:], strict=True):
            # of 80 samples to a frame; a window's middle is 100 samples after its begin
            assert abs(first - (sample - 100) / 80) < 4


def test_scores(work, ali):
    model = load_acoustic_model(work / "mono")
    features = load_features(work / "feats/dev", model.features)
    with kaldi_native_io.SequentialFloatVectorReader(f"scp:{ali / 'scores.scp'}") as reader:
        theirs = {key: np.array(value) for key, value in reader}
    aligned = read_aligned(ali)
    assert list(theirs) == list(aligned)
    for utterance, found in aligned.items():
        [matrix] = model.log_likelihoods([features[utterance]])
        frames = range(len(matrix))
        pdfs = model.transitions.tid_to_pdf[found.tids]
        assert found.log_likelihood == pytest.approx(np.mean([matrix[t, pdfs[t]] for t in frames]), abs=1e-3)
        expected = phone_log_posteriors(matrix, found.tids, model.transitions, 0.5)
        np.testing.assert_allclose(found.log_posteriors, expected, atol=1e-3)
        np.testing.assert_array_equal(found.log_posteriors, theirs[utterance])


def test_what_is_written(work, ali):
    names = {"ali.ark", "ali.scp", "scores.ark", "scores.scp", "text", "utt2loglike", "ali.json"}
    names |= {"failed.json", "doubtful.json"}
    assert {path.name for path in ali.iterdir()} == names | {"topo", "tree.json", "transitions.npz"}
    for name in ("failed.json", "doubtful.json"):
        assert json.loads((ali / name).read_text()) == {}
    assert (ali / "text").read_bytes() == (work / "data/dev/text").read_bytes()
    assert json.loads((ali / "ali.json").read_text()) == {
        "frame_shift": 0.01,
        "frame_length": 0.025,
        "posterior_scale": 0.5,
    }
    for name in ("topo", "tree.json", "transitions.npz"):
        assert (ali / name).read_bytes() == (work / "mono" / name).read_bytes()


def test_result_does_not_depend_on_the_number_of_processes(work, tmp_path, ali):
    align_data(work / "feats/dev", work / "lang", work / "mono", tmp_path / "two", nj=2)
    for name in ("ali.ark", "scores.ark", "utt2loglike"):
        assert (tmp_path / "two" / name).read_bytes() == (ali / name).read_bytes()


def test_audio_gives_the_same_as_its_features(work, tmp_path, ali):
    align_data(work / "data/dev", work / "lang", work / "mono", tmp_path / "audio")
    for utterance, tids in read_alignments(tmp_path / "audio").items():
        np.testing.assert_array_equal(tids, read_alignments(ali)[utterance])


def test_moved_directory_can_be_read(tmp_path, ali):
    moved = shutil.copytree(ali, tmp_path / "moved")
    (moved / "ali.scp").write_text((ali / "ali.scp").read_text().replace(str(ali), "/gone"))
    assert len(read_alignments(moved)["dev-00"])


def test_paths_in_the_scp_are_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ali").mkdir()
    write_alignments(Path("ali"), Path("ali"), {"b": np.arange(3), "a": np.arange(2)})
    monkeypatch.chdir("/")
    assert [(key, value.tolist()) for key, value in kaldi(tmp_path / "ali").items()] == [
        ("a", [0, 1]),
        ("b", [0, 1, 2]),
    ]


def test_another_model_at_the_same_place(work, tmp_path, copy):
    # a second call in the same process must not go on with what it read before
    model = copy("mono")
    align_data(work / "feats/dev", work / "lang", model, tmp_path / "ali")
    (model / "model.json").unlink()
    with pytest.raises(InputError, match=r"no model\.json"):
        align_data(work / "feats/dev", work / "lang", model, tmp_path / "ali")


def test_too_short_utterance_is_named_and_left_out(work, tmp_path, capsys):
    data = dev_set(work, tmp_path, dev_03="fa " * 500)
    align_data(data, work / "lang", work / "mono", tmp_path / "ali")
    failed = json.loads((tmp_path / "ali/failed.json").read_text())
    assert list(failed) == ["dev-03"]
    said = capsys.readouterr().out
    assert f"dev-03 not aligned: {failed['dev-03']}\n" in said
    assert failed["dev-03"].endswith(" frames, but its shortest state path takes 3000")
    assert f"{tmp_path}/ali: 34 of 35 utterances aligned" in said
    assert len(read_alignments(tmp_path / "ali")) == 34
    with pytest.raises(InputError, match=r"1 of 35 utterances cannot be aligned, more than the share of 0.02 allowed"):
        align_data(data, work / "lang", work / "mono", tmp_path / "strict", max_failed=0.02)
    assert not (tmp_path / "strict").exists()


def test_a_recording_without_sound_is_named_as_such(work, tmp_path):
    data = dev_set(work, tmp_path, dev_03="fa " * 500, dev_04="fa " * 500)
    samples, rate = soundfile.read(data / "dev-03.wav")
    soundfile.write(data / "dev-03.wav", 0 * samples, rate)
    (data / "wav.scp").write_text((data / "wav.scp").read_text().replace(str(work / "data/dev"), str(data)))
    rate = synthetic.RATE
    make_feats(data, tmp_path / "feats", MfccOptions(sample_rate=rate), FbankOptions(sample_rate=rate))
    for place in (data, tmp_path / "feats/dev"):
        align_data(place, work / "lang", work / "mono", tmp_path / "ali")
        failed = json.loads((tmp_path / "ali/failed.json").read_text())
        assert list(failed) == ["dev-03", "dev-04"]
        assert failed["dev-03"] == "there is no sound in it, (almost) nothing but zeros"
        assert "shortest state path takes" in failed["dev-04"]


def test_word_without_pronunciation(work, tmp_path):
    data = dev_set(work, tmp_path, dev_03="bad dab fab")
    with pytest.raises(InputError, match="utterance dev-03: no pronunciation for dab, fab; add them to the lexicon"):
        align_data(data, work / "lang", work / "mono", tmp_path / "ali")
    align_data(data, work / "lang", work / "mono", tmp_path / "ali", oov_to_unk=True)


def test_no_text(work, tmp_path):
    data = dev_set(work, tmp_path)
    (data / "text").unlink()
    with pytest.raises(InputError, match="dev/text: there is no such file"):
        align_data(data, work / "lang", work / "mono", tmp_path / "ali")


def test_lang_directory_of_another_lexicon(work, tmp_path):
    dictionary = shutil.copytree(work / "dict", tmp_path / "dict")
    (dictionary / "nonsilence_phones.txt").write_text("A B C D E F G")
    (dictionary / "lexicon.txt").write_text(synthetic.LEXICON + "fag F A G\n")
    prepare_lang(work / "data/train", dictionary, tmp_path / "lang")
    data = dev_set(work, tmp_path, dev_03="bad fag")
    with pytest.raises(InputError, match=r"lang/phones\.txt and .*mono/tree\.json: their tables of phones"):
        align_data(data, tmp_path / "lang", work / "mono", tmp_path / "ali")


def test_no_alignments_there(work, tmp_path):
    with pytest.raises(InputError, match=r"mono: not an alignment directory, it has no ali\.scp; make one"):
        read_alignments(work / "mono")
    (tmp_path / "ali.scp").write_text("")
    with pytest.raises(InputError, match=r"ali\.scp: there is no alignment in it; make them again with steps\.align"):
        read_alignments(tmp_path)


# --------------------------------------------------------------------------------------- aligning again with a network


@pytest.fixture(scope="module")
def network(work, ali, tmp_path_factory):
    """A network that sees 5 frames ahead, trained on the alignments of the monophone model."""
    path = tmp_path_factory.mktemp("network") / "lstm"
    model = ModelConfig(layers=1, cells=24, delay=5, forget_bias=1.0)
    training = TrainConfig(streams=4, epochs=6, initial_lr=0.02, final_lr=0.002)
    feats = work / "feats"
    train_nnet(feats / "train", feats / "dev", work / "lang", work / "mono_ali", ali, path, model, training, threads=1)
    return path


def test_a_network_aligns_where_its_source_did(work, ali, network, tmp_path, capsys):
    arguments = [work / "feats/dev", work / "lang", network, tmp_path / "ali", "--before", ali]
    command(align_data, [str(argument) for argument in arguments])
    shifts = json.loads((tmp_path / "ali/shifts.json").read_text())
    assert shifts["before"] == str(ali)
    assert shifts["utterances"] == synthetic.SIZES["dev"]
    assert abs(shifts["mean_ms"]) < 5  # half a frame: the delay is taken out again
    assert shifts["mean_absolute_ms"] < 15
    assert shifts["other_phone"] < 0.1
    said = f"{tmp_path}/ali: {shifts['boundaries']} boundaries of 35 utterances moved by {shifts['mean_ms']:+.1f} ms"
    assert said in capsys.readouterr().out
    # the states are the source's, so that a network can be trained on them and decoded with its graph
    for name in MODEL_FILES:
        assert (tmp_path / "ali" / name).read_bytes() == (work / "mono" / name).read_bytes()
    lengths = {utterance: len(tids) for utterance, tids in read_alignments(ali).items()}
    assert {utterance: len(tids) for utterance, tids in read_alignments(tmp_path / "ali").items()} == lengths


def test_a_delay_is_taken_out_alike_where_words_are_recognised(work, network, tmp_path):
    align_data(work / "feats/dev", work / "lang", network, tmp_path / "ali")
    decode(work / "feats/dev", work / "graph", network, tmp_path / "decoded", DecodingScales(0.1, 0.0))
    spoken, found = (read_table(folder / "text") for folder in (work / "data/dev", tmp_path / "decoded"))
    right = [utterance for utterance in spoken if found[utterance] == spoken[utterance]]
    assert len(right) > 20
    recognised, aligned = read_alignments(tmp_path / "decoded"), read_alignments(tmp_path / "ali")
    for utterance in right:
        np.testing.assert_array_equal(recognised[utterance], aligned[utterance])


def test_a_network_whose_delay_is_wrong_is_stopped(work, ali, network, tmp_path):
    wrong = shutil.copytree(network, tmp_path / "wrong")
    about = json.loads((wrong / "model.json").read_text())
    about["model"]["delay"] = about["delay"] = 0
    (wrong / "model.json").write_text(json.dumps(about))
    with pytest.raises(
        InputError, match=r"moved by \+\d\d\.\d ms on average, more than the 20 ms that max_shift allows"
    ):
        align_data(work / "feats/dev", work / "lang", wrong, tmp_path / "ali", before=ali)
    assert not (tmp_path / "ali").exists()
    align_data(work / "feats/dev", work / "lang", wrong, tmp_path / "ali", before=ali, max_shift=100)
    shifts = json.loads((tmp_path / "ali/shifts.json").read_text())
    assert shifts["mean_ms"] == pytest.approx(50, abs=10)  # what it says of frame t is of frame t - 5


def test_alignments_before_of_something_else(work, ali, tmp_path, copy):
    def align_again(before):
        align_data(work / "feats/dev", work / "lang", work / "mono", tmp_path / "ali", before=before)

    with pytest.raises(InputError, match=r"mono: not an alignment directory, it has no ali\.scp"):
        align_again(work / "mono")
    with pytest.raises(
        InputError, match=r"mono_ali: no phone boundary .* 0 utterances in common; give the alignments of"
    ):
        align_again(work / "mono_ali")  # of the training set
    other = copy("mono_ali")
    tree = json.loads((other / "tree.json").read_text())
    tree["pdfs"]["3"], tree["pdfs"]["4"] = tree["pdfs"]["4"], tree["pdfs"]["3"]
    (other / "tree.json").write_text(json.dumps(tree))
    with pytest.raises(InputError, match=r"mono_ali: its states are not those of .*/mono; give the alignments that it"):
        align_again(other)
    longer = shutil.copytree(ali, tmp_path / "longer")
    write_alignments(longer, longer, {utterance: np.tile(tids, 2) for utterance, tids in read_alignments(ali).items()})
    with pytest.raises(
        InputError, match=r"longer: utterance dev-00 has .* frames, but had .* before; give the alignments"
    ):
        align_again(longer)
    assert not (tmp_path / "ali").exists()
