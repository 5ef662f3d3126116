"""How much memory training takes when the corpus grows: ``python -m tests.bench.memory``.

``steps.train_nnet`` trains conf/nnet/lstmp.yaml for a fixed number of updates on a synthetic corpus on disk, in a
process of its own, and in another one on the same corpus listed ten times under other ids. All that the step does is in
it: it reads every utterance once to check it, trains, evaluates, writes checkpoint and model, and counts the pdfs.

The last line is JSON: the peaks of resident memory in MB (2^20 bytes) and the ratio of the second to the first.
"""

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

import nnet.train
from steps.ali.directory import write_alignments
from steps.base.nnet_file import read_nnet_file
from steps.corpus.tables import write_table
from steps.feats.ark import append_matrix
from steps.feats.options import FbankOptions, to_json
from steps.hmm.topology import read_topo, write_topo
from steps.hmm.transitions import transition_model, write_transition_model
from steps.hmm.tree import monophone_tree, write_tree
from steps.train_nnet import train_nnet
from tests.bench.train import CONF

UTTERANCES, FRAMES, UPDATES = 300, 400, 200  # 19 MB of features, read in training for about half of an epoch
PHONES = 41  # 125 pdfs
COPIES = 10


def main() -> None:
    if len(sys.argv) > 1:
        return measure(*map(Path, sys.argv[1:]))
    with tempfile.TemporaryDirectory() as folder:
        corpus = Corpus(Path(folder))
        print(f"{UPDATES} updates on {UTTERANCES} utterances, {UTTERANCES * FRAMES} frames", flush=True)
        once = corpus.peak(copies=1)
        print(f"peak {once:.0f} MB\n{UPDATES} updates on the same, listed {COPIES} times", flush=True)
        many = corpus.peak(copies=COPIES)
        print(f"peak {many:.0f} MB")
    print(json.dumps({"peak_mb": round(once), "peak_mb_ten_times": round(many), "ratio": round(many / once, 3)}))


def measure(*folders: Path) -> None:
    """Train in this process and print its peak in KiB, as the kernel counts."""
    model, training = read_nnet_file(CONF / "train_nnet.yaml", CONF / "nnet" / "lstmp.yaml")
    count_all, frames = nnet.train.epoch_ends, UPDATES * training.streams * training.frames

    def ends(*arguments: Any) -> list[int]:
        return [min(end, frames) for end in count_all(*arguments)]  # as if the epoch had no more

    with patch("nnet.train.epoch_ends", ends):
        train_nnet(*folders, model=model, training=replace(training, epochs=1), threads=1)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


class Corpus:
    """Features and alignments in one archive each, and as many listings of them as are asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.lang, self.archive = folder, folder / "lang", folder / "feats.ark"
        (self.lang / "phones").mkdir(parents=True)
        (self.lang / "phones" / "silence.int").write_text("1\n")
        random = np.random.default_rng(0)
        self.feats = {}
        for i in range(UTTERANCES):
            utterance, matrix = f"u{i:03}", random.normal(size=(FRAMES, 40)).astype(np.float32)
            self.feats[utterance] = f"{self.archive}:{append_matrix(self.archive, utterance, matrix)}"
        stats = np.zeros((2, 41))
        stats[0, -1], stats[1, :-1] = 100, 100  # mean 0, variance 1
        self.stats = f"{folder / 'cmvn.ark'}:{append_matrix(folder / 'cmvn.ark', 's', stats)}"

    def peak(self, copies: int) -> float:
        """Train on the corpus listed so many times, in another process; give that one's peak in MB."""
        name = f"train{copies}"
        ids = [f"c{k}-{utterance}" for k in range(copies) for utterance in self.feats]
        train, dev = self.list_set(name, ids), self.list_set(f"dev{copies}", ids[:10])
        folders = [train[0], dev[0], self.lang, train[1], dev[1], self.folder / f"exp{copies}"]
        # ru_maxrss starts from the parent's: that is less, as this process has loaded the same and trains nothing
        command = [sys.executable, "-m", "tests.bench.memory", *map(str, folders)]
        child = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        return int(child.stdout.split()[-1]) / 1024

    def list_set(self, name: str, ids: list[str]) -> tuple[Path, Path]:
        """Write the features' and the alignments' folder of a set; the ids are utterances after a prefix."""
        feats, ali = self.folder / name / "fbank", self.folder / name / "ali"
        feats.mkdir(parents=True)
        write_table(feats / "feats.scp", {i: self.feats[i.split("-")[1]] for i in ids})
        write_table(feats / "cmvn.scp", {"s": self.stats})
        write_table(feats / "utt2spk", dict.fromkeys(ids, "s"))
        (feats / "feats.json").write_text(json.dumps(to_json(FbankOptions())))
        ali.mkdir()
        write_topo(ali / "topo", [1], list(range(2, PHONES + 1)))
        topology = read_topo(ali / "topo")
        tree = monophone_tree(topology)
        write_tree(ali / "tree.json", tree)
        model = transition_model(topology, tree)
        write_transition_model(ali / "transitions.npz", model)
        write_alignments(ali, ali, RandomTids(ids, model.num_tids))
        return feats.parent, ali


class RandomTids(Mapping[str, np.ndarray]):
    """An alignment of each id without any meaning."""

    def __init__(self, ids: list[str], num_tids: int) -> None:
        self.ids, self.num_tids, self.random = ids, num_tids, np.random.default_rng(0)

    def __getitem__(self, utterance: str) -> np.ndarray:
        return self.random.integers(1, self.num_tids + 1, FRAMES)

    def __iter__(self):
        return iter(self.ids)

    def __len__(self) -> int:
        return len(self.ids)


if __name__ == "__main__":
    main()
