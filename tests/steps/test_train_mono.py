import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from steps.base.errors import InputError
from steps.corpus.tables import read_table
from steps.gmm.em import clean_up
from steps.gmm.mono import MonoOptions
from steps.train_mono import train_mono
from tests.steps import synthetic

ARRAYS = ("gmm.npz", "transitions.npz")
QUICK = replace(synthetic.MONO, num_iterations=2)


def arrays(folder):
    return {(name, key): array for name in ARRAYS for key, array in np.load(folder / name).items()}


def assert_same_model(one, other):
    for key, array in arrays(one).items():
        np.testing.assert_array_equal(array, arrays(other)[key], err_msg=str(key))
    for name in ("topo", "tree.json", "iterations.jsonl"):
        assert (one / name).read_bytes() == (other / name).read_bytes()
    abouts = [json.loads((folder / "model.json").read_text()) for folder in (one, other)]
    assert abouts[0] | {"lang": abouts[1]["lang"]} == abouts[1]  # the way to it is another one


def records(folder):
    return [json.loads(line) for line in (folder / "iterations.jsonl").read_text().splitlines()]


def feats(work, tmp_path, **texts):
    """The training features with some transcripts changed."""
    folder = tmp_path / "feats"
    shutil.copytree(work / "feats/train/mfcc", folder)
    lines = dict(line.split(" ", 1) for line in (folder / "text").read_text().splitlines())
    lines |= {key.replace("_", "-"): text for key, text in texts.items()}
    (folder / "text").write_text("".join(f"{key} {text}\n" for key, text in lines.items()))
    return folder


def test_what_is_written(work):
    folder = work / "mono"
    names = {"gmm.npz", "transitions.npz", "topo", "tree.json", "model.json", "iterations.jsonl"}
    assert {path.name for path in folder.iterdir()} == names
    about = json.loads((folder / "model.json").read_text())
    assert (about["kind"], about["num_pdfs"], about["seed"]) == ("gmm", 2 * 5 + 6 * 3, 1)
    assert about["features"]["sample_rate"] == synthetic.RATE
    assert about["lang"] == "../lang"
    log = records(folder)
    assert [record["iteration"] for record in log] == list(range(9))
    assert log[-1]["gaussians"] == synthetic.MONO.num_gaussians
    assert log[-1]["log_likelihood"] > log[0]["log_likelihood"] + 20
    assert not any(record["failed"] for record in log)
    probs = np.exp(np.load(folder / "transitions.npz")["log_prob"])
    assert probs.min() > 0
    assert np.load(folder / "gmm.npz")["variances"].min() >= 1e-3


def test_result_does_not_depend_on_the_number_of_processes(work, tmp_path):
    train_mono(work / "feats/train", work / "lang", tmp_path / "mono", synthetic.MONO, nj=2)
    assert_same_model(tmp_path / "mono", work / "mono")


def test_killed_training_ends_with_the_same_model(work, tmp_path, kill, capsys):
    part = tmp_path / "mono.partial"
    log = part / "iterations.jsonl"
    alignment = part / "alignment.block.0.npz"

    def amid_the_fourth_iteration():
        done = log.exists() and len(log.read_text().splitlines()) == 3
        return done and alignment.stat().st_mtime_ns > log.stat().st_mtime_ns

    kill("train_mono", tmp_path / "mono", amid_the_fourth_iteration)
    train_mono(work / "feats/train", work / "lang", tmp_path / "mono", synthetic.MONO)
    said = capsys.readouterr().out
    assert "going on after iteration 2\niteration 3:" in said
    assert_same_model(tmp_path / "mono", work / "mono")
    assert not part.exists()


def test_training_killed_at_its_very_end(work, tmp_path, monkeypatch):
    # after all is written and the state is gone, the flat start must not begin with trained transitions
    from steps import train_mono as module

    def killed(training):
        clean_up(training)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "clean_up", killed)
        with pytest.raises(KeyboardInterrupt):
            train_mono(work / "feats/train", work / "lang", tmp_path / "mono", synthetic.MONO)
    assert (tmp_path / "mono.partial/transitions.npz").exists()
    train_mono(work / "feats/train", work / "lang", tmp_path / "mono", synthetic.MONO)
    assert_same_model(tmp_path / "mono", work / "mono")


def test_likelihood_never_falls_while_alignment_and_mixtures_stay(work, tmp_path):
    options = MonoOptions(num_iterations=8, max_increase_iteration=2, num_gaussians=45, realign_iterations=[1, 2])
    train_mono(work / "feats/train", work / "lang", tmp_path / "mono", replace(options, min_occupancy=0))
    values = [record["log_likelihood"] for record in records(tmp_path / "mono")][3:]
    assert np.diff(values).min() > -1e-5
    assert values[-1] > values[0]


def test_another_seed_gives_another_model(work, tmp_path):
    train_mono(work / "feats/train", work / "lang", tmp_path / "one", QUICK)
    train_mono(work / "feats/train", work / "lang", tmp_path / "two", QUICK, seed=2)
    assert (arrays(tmp_path / "one")["gmm.npz", "means"] != arrays(tmp_path / "two")["gmm.npz", "means"]).any()


def test_too_short_utterance_is_named_and_left_out(work, tmp_path, capsys):
    counts = read_table(work / "feats/train/mfcc/utt2num_frames")
    frames = int(counts.pop("train-07"))
    words = frames // 9 + 1
    data = feats(work, tmp_path, train_07="bad " * words)
    train_mono(data, work / "lang", tmp_path / "mono", QUICK)
    reason = f"{frames} frames, but its shortest state path takes {words * 9}"
    assert capsys.readouterr().out.count(f"train-07 not aligned: {reason}\n") == 1
    assert [record["failed"] for record in records(tmp_path / "mono")] == [{"train-07": reason}] * 2
    assert records(tmp_path / "mono")[0]["frames"] == sum(map(int, counts.values()))


def test_too_many_failures_stop(work, tmp_path):
    data = feats(work, tmp_path, train_07="bad " * 99, train_08="bad " * 99)
    message = (
        r"2 of 40 utterances cannot be aligned, more than the share of 0.04 allowed; the first is train-07: \d+ fr"
    )
    with pytest.raises(InputError, match=message):
        train_mono(data, work / "lang", tmp_path / "mono", replace(QUICK, max_failed=0.04))
    assert not (tmp_path / "mono").exists()
    train_mono(data, work / "lang", tmp_path / "mono", replace(QUICK, max_failed=0.05))


def test_block_of_failures(work, tmp_path):
    data = feats(work, tmp_path, **{f"train_{i:02}": "bad " * 99 for i in range(32)})
    train_mono(data, work / "lang", tmp_path / "mono", replace(QUICK, max_failed=0.9))
    data = feats(work, tmp_path / "all", **{f"train_{i:02}": "bad " * 99 for i in range(40)})
    with pytest.raises(InputError, match="40 of 40 utterances cannot be aligned"):
        train_mono(data, work / "lang", tmp_path / "all/mono", replace(QUICK, max_failed=1.0))


def test_word_without_pronunciation(work, tmp_path):
    data = feats(work, tmp_path, train_07="bad dab", train_30="fab")
    with pytest.raises(InputError, match="utterance train-07: no pronunciation for dab; add them to the lexicon, or"):
        train_mono(data, work / "lang", tmp_path / "mono", QUICK)
    train_mono(data, work / "lang", tmp_path / "mono", QUICK, oov_to_unk=True)


def test_no_text(work, tmp_path):
    data = feats(work, tmp_path)
    (data / "text").write_text("other bad\n")
    with pytest.raises(InputError, match="feats: no utterance has both features and text"):
        train_mono(data, work / "lang", tmp_path / "mono", QUICK)
    (data / "text").unlink()
    with pytest.raises(InputError, match=r"feats/text: there is no such file"):
        train_mono(data, work / "lang", tmp_path / "mono", QUICK)


def test_no_lang_directory(work, tmp_path):
    with pytest.raises(InputError, match=r"lang/topo: there is no such file; make it with steps\.prepare_lang"):
        train_mono(work / "feats/train", tmp_path / "lang", tmp_path / "mono", QUICK)
    assert not (tmp_path / "mono").exists()
