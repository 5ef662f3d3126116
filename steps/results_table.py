"""Write the table of results of work directories into a Markdown file."""

from pathlib import Path

from steps.base.cli import command
from steps.base.errors import InputError
from steps.base.output import writing
from steps.reporting.marked_text import markers, put_between
from steps.reporting.results_markdown import results_markdown
from steps.reporting.work_directory import check_one_configuration, read_work_directory


def results_table(workdirs: list[Path], *, out: Path, name: str = "results") -> None:
    """Write the results of work directories of run.sh into a Markdown file, with all that made them.

    The table stands between two lines of the file, ``<!-- results NAME -->`` and ``<!-- end of results NAME -->``; the
    text around them stays as it is. A new file gets the two lines. There is a row for each model, language model and
    set, from WORKDIR/exp/results.json. Around it stand the command line of run.sh, each network's config file, size
    and dev frame accuracy, the seeds, the seconds of each stage, versions, processor, commit and date.

    Several work directories are runs of one configuration with several seeds: figures are means, with the range.

    Parameters
    ----------
    workdirs : list of Path
        Work directories, which hold data/ and exp/.
    out : Path
        The Markdown file.
    name : str
        Which table of the file it is.

    Raises
    ------
    InputError
        When a directory has no results, when two differ in more than --seed and --workdir of their commands, or in the
        utterances or words of a set, and when the file lacks the two lines.
    """
    new_file = "\n".join([*markers(name), ""])  # a wrong name is refused before anything is read
    works = [read_work_directory(path) for path in workdirs]
    check_one_configuration(works)
    try:
        before = out.read_bytes().decode() if out.exists() else new_file  # line ends stay as they are
    except UnicodeDecodeError as error:
        raise InputError(f"{out}: not UTF-8 text ({error.reason} at byte {error.start})") from error
    after = put_between(before, name, results_markdown(works), out)
    with writing(out) as part:
        part.write_bytes(after.encode())
    print(f"{out}: table '{name}', {len(works[0].rows)} rows, work directories: {' '.join(map(str, workdirs))}")


if __name__ == "__main__":
    command(results_table)
