"""Train a triphone GMM-HMM from the alignments of another system."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

from nnet.ranges import Count, Seed
from steps.acoustic.model import lang_entry, write_gmm_model
from steps.base.cli import command
from steps.base.output import fingerprint, output_dir
from steps.base.parallel import SharedJobs, jobs
from steps.gmm.blocks import compile_blocks
from steps.gmm.em import STATE, EmOptions, Training, clean_up, estimate_alignment_model, expect_maximise
from steps.gmm.system import System
from steps.gmm.triphones import (
    AlignedTrainingInputs,
    LdaOptions,
    estimate_lda_transform,
    start,
    starting_options,
    tree_statistics,
    triphone_tree,
)
from steps.hmm.topology import read_topo
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

    A decision tree ties the states of triphones by questions about their neighbours. Then EM iterations follow, with
    growing mixtures. The features are MFCCs with deltas. With lda.dim they are spliced frames, projected by LDA and
    decorrelated by MLLT (em.mllt_iterations). Without lda.dim, alignments that were made with such a transform bring
    it along. With em.fmllr_iterations the model is speaker-adapted (SAT): fMLLR moves each speaker's features towards
    it. EXP/NAME_si (NAME is that of EXP) is then its alignment model: the same states, for speakers without a
    transform.

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
    options = starting_options(feats, speakers or ali)
    if lda.dim:
        options["deltas"] = 0  # the spliced frames take their place
    settings = json.loads(json.dumps([tree, em, lda], default=vars))
    key = fingerprint(feats, lang, ali, *([speakers] if speakers else []), settings, oov_to_unk, seed)
    with output_dir(exp, key, mark="model.json") as folder:
        inputs = AlignedTrainingInputs(
            feats=feats,
            lang=lang,
            folder=folder,
            options=options,
            oov_to_unk=oov_to_unk,
            ali=ali,
            transforms=speakers or ali,
        )
        with jobs(nj, inputs) as run:
            blocks = _prepare(inputs, tree, lda, run)
        with jobs(nj) as run_blocks:
            training = Training(folder, blocks, inputs.silence, em, seed, run_blocks)
            system = expect_maximise(training)
            if em.fmllr_iterations:
                write_alignment_model(exp, inputs, estimate_alignment_model(training, system), seed)
        write_gmm_model(folder, system, options, lang_entry(lang, exp), seed)
        clean_up(training)


def _prepare(
    inputs: AlignedTrainingInputs, tree: TreeOptions, lda: LdaOptions, run: SharedJobs[AlignedTrainingInputs]
) -> list[Path]:
    """Make what EM goes on from, as far as it is not there, and list the blocks."""
    folder, state = inputs.folder, inputs.folder / STATE
    if state.exists():
        return compile_blocks(inputs, run)
    projected = estimate_lda_transform(inputs, lda, run) if lda.dim else None
    stats = tree_statistics(inputs, projected, run)
    shutil.copy(inputs.lang / "topo", folder / "topo")
    grown = triphone_tree(stats, read_topo(folder / "topo"), inputs.silence, tree, inputs.lang)
    write_tree(folder / "tree.json", replace(grown, phones=phones_hash(inputs.lang / "phones.txt")))
    print(f"{len(stats.counts)} states of triphones seen, tied to {grown.num_pdfs}", flush=True)
    blocks = compile_blocks(inputs, run)
    start(inputs, stats, projected or inputs.transform, blocks, state, run)
    return blocks


def write_alignment_model(exp: Path, inputs: AlignedTrainingInputs, system: System, seed: int) -> None:
    """Write the alignment model of a speaker-adapted one, for speakers without a transform, into NAME_si."""
    folder = inputs.folder / f"{exp.name}_si"
    folder.mkdir(exist_ok=True)
    for name in ("topo", "tree.json"):
        shutil.copy(inputs.folder / name, folder / name)
    write_gmm_model(folder, system, inputs.options, lang_entry(inputs.lang, exp / folder.name), seed)


if __name__ == "__main__":
    command(train_triphones)
