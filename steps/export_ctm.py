"""Write the times of words and phones."""

from pathlib import Path

from steps.ali.directory import read_aligned
from steps.ali.export import write_labels
from steps.ali.labels import labeller_of
from steps.base.cli import command
from steps.base.errors import InputError
from steps.base.output import output_dir
from steps.corpus.data_dir import read_data_dir


def export_ctm(ali: Path, lang: Path, out: Path, data: Path | None = None, utterances: list[str] | None = None) -> None:
    """Write the words and phones of an alignment with their times and confidences, as CTM and as TextGrids.

    OUT/words.ctm and OUT/phones.ctm have lines of recording, channel, start, duration, token and confidence (Kaldi's
    get_train_ctm.sh); OUT/textgrid/UTTERANCE.TextGrid, for Praat or ELAN, the tiers words and phones. Silence between
    words is a phone in phones.ctm, and an empty interval in the TextGrids.

    A boundary between two frames lies in the middle of the part that both windows cover: 7.5 ms after the second one
    begins, with windows of 25 ms every 10 ms. The confidence is the geometric mean of the posteriors of the frames'
    phones.

    Parameters
    ----------
    ali : Path
        Alignment directory, from steps.align.
    lang : Path
        Language directory that it was aligned with.
    out : Path
        The directory to write.
    data : Path
        Data directory with the audio. If it has segments, the CTM files have times in the recording. Otherwise, and in
        TextGrids, times are in the utterance.
    utterances : list
        Export these only.
    """
    aligned = read_aligned(ali)
    recordings = read_data_dir(data) if data else None
    if unknown := [utterance for utterance in utterances or () if utterance not in aligned]:
        raise InputError(f"{ali}: there is no utterance '{unknown[0]}' in it, or it could not be aligned")
    labeller = labeller_of(aligned, lang)
    chosen = sorted(set(aligned if utterances is None else utterances))
    labels = {u: labeller.labels(u, aligned.text[u], aligned[u]) for u in chosen}
    with output_dir(out, mark="words.ctm") as folder:
        if unwritten := write_labels(folder, labels, labeller, recordings):
            raise InputError("\n".join(unwritten.values()))
    words = sum(len(found.words) for found in labels.values())
    print(f"{out}: {words} words of {len(labels)} utterances")


if __name__ == "__main__":
    command(export_ctm)
