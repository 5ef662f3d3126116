"""Train a monophone GMM-HMM."""

import json
import shutil
from pathlib import Path

from nnet.ranges import Count, Seed
from steps.acoustic.model import lang_entry, write_gmm_model
from steps.base.cli import command
from steps.base.output import fingerprint, output_dir
from steps.base.parallel import jobs
from steps.feats.reader import training_options
from steps.gmm.blocks import TrainingInputs, compile_blocks
from steps.gmm.em import Training, clean_up, expect_maximise
from steps.gmm.mono import MonoOptions, flat_start
from steps.hmm.phone_sets import read_phone_sets
from steps.hmm.topology import read_topo
from steps.hmm.tree import monophone_tree, write_tree
from steps.lang.table_hash import phones_hash


def train_mono(
    feats: Path,
    lang: Path,
    exp: Path,
    mono: MonoOptions = MonoOptions(),
    oov_to_unk: bool = False,
    nj: Count = 1,
    seed: Seed = 1,
) -> None:
    """Train a monophone GMM-HMM on MFCCs (Kaldi's train_mono.sh).

    Starts from an even alignment, then EM iterations with Viterbi alignments and growing mixtures. The result does not
    depend on --nj. A killed run goes on after its last finished iteration.

    Parameters
    ----------
    feats : Path
        Features of the training set, from steps.make_feats.
    lang : Path
        Language directory, from steps.prepare_lang.
    exp : Path
        Model directory to write.
    mono : MonoOptions
        The training schedule.
    oov_to_unk : bool
        Take words without a pronunciation as the unknown word instead of refusing them.
    nj : int
        Number of processes.
    seed : int
        Seed of everything random.
    """
    options, topology = training_options(feats, "mfcc"), read_topo(lang / "topo")
    tree = monophone_tree(topology, read_phone_sets(lang, topology), phones_hash(lang / "phones.txt"))
    key = fingerprint(feats, lang, json.loads(json.dumps(mono, default=vars)), oov_to_unk, seed)
    with output_dir(exp, key, mark="model.json") as folder:
        shutil.copy(lang / "topo", folder / "topo")
        write_tree(folder / "tree.json", tree)
        inputs = TrainingInputs(feats, lang, folder, options, oov_to_unk)
        with jobs(nj, inputs) as run:
            blocks = compile_blocks(inputs, run)
        with jobs(nj) as run_blocks:
            training = Training(folder, blocks, inputs.silence, mono, seed, run_blocks)
            if not training.state.exists():
                flat_start(training)
            write_gmm_model(folder, expect_maximise(training), options, lang_entry(lang, exp), seed)
        clean_up(training)


if __name__ == "__main__":
    command(train_mono)
