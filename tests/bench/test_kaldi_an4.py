from pathlib import Path

from steps.corpus.data_dir import read_data_dir, write_data_dir
from tests.bench.kaldi_an4 import beside_kaldi, plan, union
from tests.steps import synthetic


def test_all_of_train_and_dev_is_trained_on_and_dev_only_chose_the_weights(tmp_path):
    given, out = tmp_path / "given", tmp_path / "out"
    synthetic.write_corpus(given)
    train, dev = (read_data_dir(given / "data" / name) for name in ("train", "dev"))
    (given / "data/test").mkdir()
    (given / "data/local/dict").mkdir(parents=True)
    write_data_dir(out / "given/train", union(train, dev))
    assert read_data_dir(out / "given/train").utterances == sorted(train.utterances + dev.utterances)

    commands = plan(given, out)
    modules = [command[2] for command in commands]
    assert modules[0] == "local.custom"
    assert modules.count("steps.train_mono") == 1
    assert modules.count("steps.train_triphones") == 3
    assert modules.count("steps.decode") == 3 + 3  # sat: a first pass, a second, and the last
    assert modules[-1] == "steps.score"
    assert not {"steps.tune", "steps.train_nnet", "steps.perturb_speed"} & set(modules)
    for command in commands[1:]:
        if "--tuned" in command:
            tuned = Path(command.pop(command.index("--tuned") + 1))
            assert tuned.is_relative_to(given / "exp")
            assert tuned.name == "tune_unigram_dev"
        assert str(given) not in " ".join(command)
        assert "dev" not in str(Path(command[-1]).relative_to(out))


def test_figures():
    results = [{"model": name, "wer": 100 / 9} for name in ("lda_mllt", "mono", "sat", "sat_si", "tri")]
    assert beside_kaldi(results)["sat"] == {"wer": 11.11, "kaldi": 5.95}
