"""Train a monophone GMM-HMM."""

import json
import shutil
from functools import partial
from pathlib import Path

from steps.cli import command
from steps.corpus.split import cut
from steps.errors import InputError
from steps.feats.reader import load_features, training_options, utterance_text
from steps.hmm.acoustic_model import tree_hash
from steps.hmm.blocks import make_block, write_block
from steps.hmm.mono import MonoOptions, train
from steps.hmm.topology import read_topo
from steps.hmm.training_graph import read_pronouncer
from steps.hmm.transitions import initial_transition_model
from steps.hmm.tree import monophone_tree, read_tree, write_tree
from steps.output import fingerprint, output_dir
from steps.parallel import jobs


def train_mono(
    feats: Path,
    lang: Path,
    exp: Path,
    mono: MonoOptions = MonoOptions(),
    oov_to_unk: bool = False,
    nj: int = 1,
    seed: int = 1,
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
    options = training_options(feats, "mfcc")
    features, texts = load_features(feats, options), utterance_text(feats)
    utterances = [utterance for utterance in features if utterance in texts]
    if not utterances:
        raise InputError(f"{feats}: no utterance has both features and text")
    tree = monophone_tree(read_topo(lang / "topo"))
    key = fingerprint(feats, lang, json.loads(json.dumps(mono, default=vars)), oov_to_unk, seed)
    with output_dir(exp, key) as folder, jobs(nj) as run:
        shutil.copy(lang / "topo", folder / "topo")
        write_tree(folder / "tree.json", tree)
        blocks = [folder / f"block.{i}.npz" for i in range(len(cut(utterances)))]
        missing = [(path, names) for path, names in zip(blocks, cut(utterances), strict=True) if not path.exists()]
        run(partial(_prepare, feats, lang, folder, options, oov_to_unk), missing, "compiling graphs")
        silence = [int(line) for line in (lang / "phones" / "silence.int").read_text().split()]
        train(folder, blocks, silence, mono, seed, run)
        about = {
            "kind": "gmm",
            "features": options,
            "num_pdfs": tree.num_pdfs,
            "tree": tree_hash(folder),
            "seed": seed,
        }
        (folder / "model.json").write_text(json.dumps(about, indent=1))
        for block in blocks:
            block.unlink()


def _prepare(
    feats: Path, lang: Path, folder: Path, options: dict, oov_to_unk: bool, item: tuple[Path, list[str]]
) -> None:
    path, utterances = item
    pronouncer = read_pronouncer(lang, oov_to_unk)
    tree, model = read_tree(folder / "tree.json"), initial_transition_model(folder)
    features, texts = load_features(feats, options), utterance_text(feats)
    write_block(path, make_block(utterances, features, texts, pronouncer, tree, model))


if __name__ == "__main__":
    command(train_mono)
