"""The plan of a run: its stages, which are numbered once and for all, and their steps.

A plan is a list of ``NAME MODULE ARGUMENTS...``, of which the last argument is the path that the step writes. Paths are
absolute; any other argument is taken as it stands. An argument ``@FILE`` counts in the key only: a file that the step
reads although no argument names it. One stage may have several steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from steps.base.errors import InputError

STAGES = (
    *("data", "feats", "lang"),
    *("mono", "tri", "lda_mllt", "sat"),
    *("align", "nnet", "realign"),
    *("graph", "decode", "rescore", "score", "report"),
)
"""All stages; the place in this list is a stage's number, in every plan. (rescore and report are not built yet.)"""


@dataclass(frozen=True)
class Stage:
    """One line of the plan: a step of the stage that it names."""

    name: str
    module: str
    arguments: tuple[str, ...]

    @property
    def number(self) -> int:
        """The stage's number."""
        return STAGES.index(self.name)

    @property
    def output(self) -> Path:
        """What the stage writes."""
        return Path(self.arguments[-1])

    @property
    def command(self) -> list[str]:
        """The arguments of ``python``."""
        return ["-m", self.module, *(a for a in self.arguments if not a.startswith("@"))]


def read_plan(text: str) -> list[Stage]:
    r"""Read the plan: fields end with a NUL, a line with an empty field.

    Raises
    ------
    InputError
        For a stage that is not one of `STAGES`, or that comes after one with a higher number.

    Example
    -------
    >>> [(s.number, s.name) for s in read_plan("data\0m\0x\0\0mono\0m\0y\0\0mono\0m\0z\0\0")]
    [(0, 'data'), (3, 'mono'), (3, 'mono')]
    """
    stages: list[Stage] = []
    for record in filter(None, text.split("\0\0")):
        name, module, *arguments = record.split("\0")
        if name not in STAGES:
            raise InputError(f"the plan has a stage '{name}'; add it to STAGES in {__name__}")
        stages.append(Stage(name, module, tuple(arguments)))
        if len(stages) > 1 and stages[-2].number > stages[-1].number:
            raise InputError(f"the plan has stage {name} after stage {stages[-2].name}; the order is that of STAGES")
    return stages


def stage_number(stages: Sequence[Stage], wanted: str) -> int:
    """The number of a stage of the plan that is given by name or number.

    Raises
    ------
    InputError
        Lists the plan's stages when it is none of them.
    """
    for stage in stages:
        if wanted in (stage.name, str(stage.number)):
            return stage.number
    present = ", ".join(dict.fromkeys(f"{stage.number} {stage.name}" for stage in stages))
    for number, name in enumerate(STAGES):
        if wanted in (name, str(number)):
            raise InputError(f"stage {number} {name} is not part of this run; its stages are {present}")
    raise InputError(f"there is no stage '{wanted}'; the stages of this run are {present}")
