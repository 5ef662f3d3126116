"""Report how well a data directory is aligned."""

from pathlib import Path

from nnet.ranges import Whole
from steps.ali.directory import read_aligned
from steps.ali.labels import labeller_of
from steps.base.cli import command
from steps.base.files import read_json, write_json, write_text
from steps.corpus.data_dir import read_data_dir
from steps.reporting.alignment import describe_alignment
from steps.reporting.alignment_tables import markdown, summary

WORST = 30  # utterances by each figure


def alignment_report(ali: Path, lang: Path, out: Path, data: Path | None = None, worst: Whole = WORST) -> None:
    """Report which utterances of an alignment fit badly, which are missing and why, and how long phones last.

    Writes OUT/report.md, to read, and OUT/report.json with all utterances.

    An utterance's score is the mean log posterior of its frames' phones, 0 at best. Forced silence is the share of
    frames that the alignment takes for silence and the model for something else (a posterior below 0.1): mostly words
    that the transcript lacks. The most stretched phone is the one that lasts longest against the median of its kind.

    Parameters
    ----------
    ali : Path
        Alignment directory, from steps.align.
    lang : Path
        Language directory that it was aligned with.
    out : Path
        The directory to write into.
    data : Path
        Data directory with the audio, for the utterances' places in the recordings and for those that were left out.
    worst : int
        How many utterances report.md lists by each of these three.
    """
    aligned = read_aligned(ali)
    failed = read_json(ali / "failed.json")
    recordings = read_data_dir(data) if data else None
    labeller = labeller_of(aligned, lang)
    report = {"alignment": str(ali), **describe_alignment(aligned, failed, labeller, recordings)}
    write_json(out / "report.json", report)
    write_text(out / "report.md", markdown(report, worst))
    print(summary(report))
    print(f"{out}: report.md and report.json are written")


if __name__ == "__main__":
    command(alignment_report)
