"""Multiply the training data by changing its speed."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from nnet.ranges import Count, Positive
from steps.base.cli import command
from steps.base.options import Options
from steps.base.output import output_dir
from steps.base.parallel import jobs
from steps.corpus.data_dir import read_data_dir, write_data_dir
from steps.corpus.perturb import perturb


@dataclass(frozen=True)
class Speeds(Options):
    """How fast the utterances are played.

    Parameters
    ----------
    factors : list of float
        1.0 is the recording itself; without it, only the changed ones are written.
    """

    factors: list[Positive] = field(default_factory=lambda: [0.9, 1.0, 1.1])


def perturb_speed(
    data: Path,
    out: Path,
    speeds: Speeds = Speeds(),
    allow_commands: bool = False,
    nj: Count = 1,
) -> None:
    """Write a data directory with each utterance at several speeds (Kaldi's perturb_data_dir_speed_3way.sh).

    Utterances and speakers at another speed get ids of their own: sp0.9-UTTERANCE. The audio is written to OUT/audio as
    16-bit wav files.

    Parameters
    ----------
    data : Path
        Data directory.
    out : Path
        Data directory to write.
    speeds : Speeds
        How fast.
    allow_commands : bool
        Run commands in wav.scp.
    nj : int
        Number of processes.
    """
    source = read_data_dir(data)
    with output_dir(out, mark="wav.scp") as folder, jobs(nj, source) as run:
        (folder / "audio").mkdir()
        result = perturb(source, speeds.factors, folder / "audio", out.absolute() / "audio", allow_commands, run)
        write_data_dir(folder, replace(result, path=folder))
    print(
        f"{out}: {len(source.utterances)} utterances at speeds {', '.join(f'{factor:g}' for factor in speeds.factors)}"
    )


if __name__ == "__main__":
    command(perturb_speed)
