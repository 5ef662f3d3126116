"""Report all problems of a data directory, and write a repaired copy."""

from pathlib import Path

from nnet.ranges import Count
from steps.base.cli import command
from steps.base.errors import InputError
from steps.corpus.validate import find_problems, fix_data_dir


def validate_data(
    data: Path, fix: Path | None = None, allow_commands: bool = False, check_audio: bool = True, nj: Count = 1
) -> None:
    """Report all problems of a data directory at once, with file and line; exit with status 1 when there are any.

    Warnings are for what works here and Kaldi's own tools may refuse; they do not count as problems.

    Parameters
    ----------
    data : path
        The data directory.
    fix : path, optional
        Write a repaired copy to this new directory, say what was changed or dropped, and report what problems it has.
    allow_commands : bool
        Run the commands of wav.scp.
    check_audio : bool
        Open the audio.
    nj : int
        Number of processes that open audio.

    Raises
    ------
    InputError
        When problems remain.
    """
    if fix is not None:
        for change in fix_data_dir(data, fix, allow_commands, check_audio, nj):
            print(change)
        print(f"{fix}: the repaired copy is written")
        data = fix
    found = find_problems(data, allow_commands, check_audio, nj)
    for problem in found:
        print(f"{data}/{problem}" + (f"  [--fix: {problem.repair}]" if problem.fixable else ""))
    problems = [problem for problem in found if not problem.warning]
    if problems:
        fixable = sum(problem.fixable for problem in problems)
        before = ", when you have chosen in the others" if fixable and any(p.choice for p in problems) else ""
        raise InputError(
            f"{data}: {len(problems)} problem(s), {fixable} of them repaired by '--fix NEW_DIRECTORY'{before}"
        )
    print(f"{data}: no problems, {len(found)} warning(s)")


if __name__ == "__main__":
    command(validate_data)
