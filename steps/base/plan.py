"""The plan of a run: its steps in the order in which they run, each of a numbered stage.

A plan is a list of ``NAME MODULE ARGUMENTS...``, of which the last argument is the path that the step writes. Paths are
absolute; any other argument is taken as it stands. An argument ``@FILE`` counts in the key only: a file that the step
reads although no argument names it. One stage may have several steps, one after the other.
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
"""All stages. The place here is the number by which a stage is shown and chosen, in every plan; the order in which they
run is that of the plan. (rescore and report are not built yet.)"""


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
        For a stage that is not one of `STAGES`, or whose steps stand apart.

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
        if stages and name != stages[-1].name and any(name == stage.name for stage in stages):
            raise InputError(f"the plan has stage {name} again after stage {stages[-1].name}; put its steps together")
        stages.append(Stage(name, module, tuple(arguments)))
    return stages


def steps_of(stages: Sequence[Stage], wanted: str) -> range:
    r"""Where in the plan the steps of a stage are, which is given by name or number.

    Raises
    ------
    InputError
        Lists the plan's stages when it is none of them.

    Example
    -------
    >>> steps_of(read_plan("data\0m\0x\0\0mono\0m\0y\0\0mono\0m\0z\0\0"), "mono")
    range(1, 3)
    """
    found = [position for position, stage in enumerate(stages) if wanted in (stage.name, str(stage.number))]
    if found:
        return range(found[0], found[-1] + 1)
    present = ", ".join(dict.fromkeys(f"{stage.number} {stage.name}" for stage in stages))
    for number, name in enumerate(STAGES):
        if wanted in (name, str(number)):
            raise InputError(f"stage {number} {name} is not part of this run; its stages are {present}")
    raise InputError(f"there is no stage '{wanted}'; the stages of this run are {present}")
