"""Convert alignments to states of a low frame rate."""

import json
import shutil
from pathlib import Path

from nnet.ranges import Share
from steps.ali.directory import check_failed, copy_model_files, read_alignments, say_failed, write_alignments
from steps.base.cli import command
from steps.base.errors import InputError
from steps.base.output import output_dir, writing
from steps.gmm.transforms import FILE
from steps.hmm.joins import tree_phones
from steps.hmm.transitions import read_transition_model
from steps.lang.table_hash import PHONES, check_same
from steps.tree.low_rate import check_feature_rate, convert_to_low_rate, read_low_rate


def convert_ali(ali: Path, states: Path, out: Path, max_failed: Share = 0.1) -> None:
    """Convert alignments of a GMM system to the states of steps.build_tree (Kaldi's convert-ali).

    OUT/ali.scp has a transition-id a feature frame, like any alignment directory: the first three frames of a phone
    (model.skip of them) are in its entry state, the others in the state that loops. Every third frame, from the first,
    second or third one on, is a path through the states. A phone of fewer frames takes those that it lacks from the
    phone after it, at the end of an utterance from those before it. failed.json lists the utterances that are too short
    for that.

    Parameters
    ----------
    ali : Path
        Alignment directory to convert, from steps.align.
    states : Path
        The states, from steps.build_tree.
    out : Path
        Alignment directory to write.
    max_failed : float
        Stop when a larger share of the utterances cannot be converted.
    """
    check_feature_rate(ali)
    (tree, target), source, alignments = read_low_rate(states), read_transition_model(ali), read_alignments(ali)
    advice = "grow the tree on alignments of the same lang directory with steps.build_tree"
    check_same(PHONES, ali / "tree.json", tree_phones(ali), states / "tree.json", tree_phones(states), advice)
    if set(source.topology) - set(target.topology):
        raise InputError(f"{ali}: it has phones that {states} does not have; {advice}")
    with output_dir(out, mark="ali.scp") as folder:
        results = {u: convert_to_low_rate(tids, source, tree, target) for u, tids in alignments.items()}
        failed = {utterance: found for utterance, found in results.items() if isinstance(found, str)}
        say_failed(failed)
        check_failed(failed, len(results), max_failed)
        converted = {utterance: found for utterance, found in results.items() if not isinstance(found, str)}
        write_alignments(folder, out, converted)
        copy_model_files(states, folder)
        for name in ("text", FILE):
            if (ali / name).is_file():
                shutil.copy(ali / name, folder / name)
        with writing(folder / "failed.json") as file:
            file.write_text(json.dumps(failed, indent=1))
    print(f"{out}: {len(converted)} of {len(results)} alignments converted to the states of {states}")


if __name__ == "__main__":
    command(convert_ali)
