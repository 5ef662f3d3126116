"""Train a triphone GMM-HMM from the alignments of another system."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

from nnet.ranges import Count, Seed
from steps.acoustic.model import lang_entry, write_gmm_model
from steps.base.cli import command
from steps.base.output import fingerprint, output_dir
from steps.base.parallel import Jobs, jobs
from steps.feats.reader import training_options, utterance_speakers
from steps.gmm.blocks import Material, compile_blocks
from steps.gmm.em import STATE, EmOptions, Training, clean_up, expect_maximise, speaker_independent
from steps.gmm.transforms import Transform, check_speakers, read_transform
from steps.gmm.triphones import Aligned, LdaOptions, estimate_lda_transform, start, tree_statistics, triphone_tree
from steps.hmm.topology import read_topo, silence_phones
from steps.hmm.tree import write_tree
from steps.lang.table_hash import phones_hash
from steps.tree.growing import TreeOptions


def train_triphones(
    feats: Path,
    lang: Path,
    ali: Path,
    exp: Path,
    tree: TreeOptions = TreeOptions(),
    em: EmOptions = EmOptions(),
    lda: LdaOptions = LdaOptions(),
    speakers: Path | None = None,
    oov_to_unk: bool = False,
    nj: Count = 1,
    seed: Seed = 1,
) -> None:
    """Train a GMM-HMM of tied triphone states (Kaldi's train_deltas.sh, train_lda_mllt.sh and train_sat.sh).

    A decision tree ties the states of triphones by questions about their neighbours; then EM iterations with growing
    mixtures. The features are MFCCs with deltas; with lda.dim, spliced frames projected by LDA and decorrelated by MLLT
    (em.mllt_iterations); where the alignments were made with such features, the same. With em.fmllr_iterations each
    speaker's features are moved towards the model; EXP/NAME_si (NAME is that of EXP) then is a model of the same
    states for speakers who are not known yet.

    The result does not depend on --nj. A killed run goes on after its last finished iteration.

    Parameters
    ----------
    feats : Path
        Features of the training set, from steps.make_feats.
    lang : Path
        Language directory, from steps.prepare_lang.
    ali : Path
        Alignments of the training set, from steps.align.
    exp : Path
        Model directory to write.
    tree : TreeOptions
        The decision tree.
    em : EmOptions
        The training schedule.
    lda : LdaOptions
        Projection of spliced frames.
    speakers : Path
        Speakers' transforms to start from, from steps.adapt.
    oov_to_unk : bool
        Take words without a pronunciation as the unknown word instead of refusing them.
    nj : int
        Number of processes.
    seed : int
        Seed of everything random.
    """
    before = read_transform(speakers or ali)
    check_speakers(speakers or ali, before, feats, set(utterance_speakers(feats).values()))
    options = training_options(feats, "mfcc")
    if lda.dim or before.matrix is not None:
        options["deltas"] = 0  # the frames around take their place
    aligned = Aligned(Material(feats, lang, options, oov_to_unk), ali, silence_phones(lang))
    settings = json.loads(json.dumps([tree, em, lda], default=vars))
    key = fingerprint(feats, lang, ali, *([speakers] if speakers else []), settings, oov_to_unk, seed)
    with output_dir(exp, key, mark="model.json") as folder, jobs(nj) as run:
        training = _prepare(folder, aligned, tree, em, lda, before, seed, run)
        system = expect_maximise(training)
        if em.fmllr_iterations:
            independent = folder / f"{exp.name}_si"
            independent.mkdir(exist_ok=True)
            for name in ("topo", "tree.json"):
                shutil.copy(folder / name, independent / name)
            entry = lang_entry(lang, exp / independent.name)
            write_gmm_model(independent, speaker_independent(training, system), options, entry, seed)
        write_gmm_model(folder, system, options, lang_entry(lang, exp), seed)
        clean_up(training)


def _prepare(
    folder: Path,
    aligned: Aligned,
    tree: TreeOptions,
    em: EmOptions,
    lda: LdaOptions,
    before: Transform,
    seed: int,
    run: Jobs,
) -> Training:
    """Make all that EM goes on from, or find it there."""
    material = aligned.material
    if not (folder / STATE).exists():
        transform = estimate_lda_transform(aligned, lda, run) if lda.dim else before
        stats = tree_statistics(aligned, transform, run)
        shutil.copy(material.lang / "topo", folder / "topo")
        grown = triphone_tree(stats, read_topo(folder / "topo"), aligned.silence, tree, material.lang)
        write_tree(folder / "tree.json", replace(grown, phones=phones_hash(material.lang / "phones.txt")))
        print(f"{len(stats.counts)} states of triphones seen, tied to {grown.num_pdfs}", flush=True)
    blocks = compile_blocks(material, material.utterances(), folder, run)
    training = Training(folder, blocks, aligned.silence, em, seed, run)
    if not training.state.exists():
        start(aligned, stats, transform, blocks, training.state, run)
    return training


if __name__ == "__main__":
    command(train_triphones)
