"""The whole pipeline on real recordings: a slice of the default corpus, from data directories to word error rates."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from local.asterisk import download_asterisk, prepare_asterisk
from steps.base.errors import InputError
from steps.corpus.data_dir import read_data_dir, subset, write_data_dir

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """English prompts of 3 to 12 words: about 180 to train on, 24 for dev and 14 to test."""
    folder = tmp_path_factory.mktemp("recordings")
    try:
        corpus = download_asterisk(folder / "download", "en")
    except InputError as error:
        pytest.skip(f"the recordings cannot be downloaded here: {error}")
    prepare_asterisk(corpus, folder / "whole", "en")
    for name in ("train", "dev", "test"):
        data = read_data_dir(folder / "whole" / name)
        chosen = [utterance for utterance, text in data.text.items() if 3 <= len(text.split()) <= 12]
        write_data_dir(folder / name, subset(data, chosen))
    return folder


def test_recordings_to_word_error_rates(recordings, tmp_path):
    work = tmp_path / "work"
    sets = [item for name in ("train", "dev", "test") for item in (f"--{name}", str(recordings / name))]
    network = yaml.safe_load((ROOT / "conf/nnet/lstmp.yaml").read_text())
    nnet = tmp_path / "lstmp.yaml"
    nnet.write_text(yaml.safe_dump(network | {"training": network["training"] | {"epochs": 4}}))
    command = [ROOT / "recipes/custom/run.sh", *sets, "--lexicon", recordings / "whole/local/dict", "--workdir", work]
    command += ["--nnet", nnet]
    first = subprocess.run([*map(str, command), "--nj", "2"], capture_output=True, text=True)
    assert first.returncode == 0, first.stdout + first.stderr

    rows = {(row["model"], row["set"]): row for row in json.loads((work / "exp/results.json").read_text())}
    systems = ("mono", "tri", "lda_mllt", "sat_si", "sat", "lstmp")
    assert set(rows) == {(model, name) for model in systems for name in ("dev", "test")}
    # three minutes of speech with 500 words in the lexicon: far from good, and farther from a recogniser that is broken
    assert rows["mono", "dev"]["wer"] < 30
    assert rows["lstmp", "dev"]["wer"] < 30
    for row in rows.values():
        assert row["errors"] == row["sub"] + row["ins"] + row["del"]
        assert row["wer"] == pytest.approx(100 * row["errors"] / row["words"])
        assert row["lm"] == "bigram"
    best = min(sorted(systems), key=lambda model: rows[model, "dev"]["wer"])  # of equal ones, the first by name
    assert [row["model"] for row in rows.values() if row["chosen"]] == [best, best]

    log = [json.loads(line) for line in (work / "exp/lstmp/train.jsonl").read_text().splitlines()]
    epochs = [line for line in log if "dev_accuracy" in line]
    assert epochs[-1]["dev_accuracy"] > epochs[0]["dev_accuracy"]
    config = yaml.safe_load((work / "exp/lstmp/config.yaml").read_text())
    assert len(epochs) <= config["training"]["epochs"]

    again = subprocess.run([*map(str, command), "--nj", "1"], capture_output=True, text=True)
    assert again.returncode == 0
    assert again.stdout.count("done, skipped") == len(again.stdout.splitlines()) - 1
