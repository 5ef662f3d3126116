"""Files of conf/ and the defaults of the commands, which are the truth: a file says where it wants something else."""

import inspect
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
import yaml

from steps.adapt import adapt
from steps.align import align_data
from steps.build_tree import build_tree
from steps.decode import decode
from steps.score import score
from steps.train_mono import train_mono
from steps.train_triphones import train_triphones
from steps.tune import tune

CONF = Path(__file__).parents[2] / "conf"
# what each file changes; all else in it repeats a default, for those who come to change it
CHANGED = {
    ("adapt", adapt): "",
    ("align", align_data): "",
    ("search", decode): "",
    ("search", tune): "",
    ("tuning", tune): "",
    ("mono", train_mono): "mono.boost_silence",
    ("tri", train_triphones): "tree.num_leaves em.num_gaussians",
    ("lda_mllt", train_triphones): "tree.num_leaves em.num_gaussians em.mllt_iterations lda.dim",
    ("sat", train_triphones): "tree.num_leaves em.fmllr_iterations em.power",
    ("score", score): "",
    ("tree_30ms", build_tree): "",
}


def flat(values, prefix=""):
    """Option -> value, for options in groups and for dataclasses."""
    if is_dataclass(values):
        values = {field.name: getattr(values, field.name) for field in fields(values)}
    if not isinstance(values, dict):
        return {prefix[:-1]: values}
    return {name: value for key, inner in values.items() for name, value in flat(inner, f"{prefix}{key}.").items()}


@pytest.mark.parametrize(("file", "command"), CHANGED)
def test_a_file_repeats_the_defaults_or_is_known_to_change_them(file, command):
    defaults = flat({p.name: p.default for p in inspect.signature(command).parameters.values()})
    written = flat(yaml.safe_load((CONF / f"{file}.yaml").read_text()))
    changed = {name for name, value in written.items() if value != defaults[name]}
    assert changed == set(CHANGED[file, command].split()), "change conf and default together, or list it above"
