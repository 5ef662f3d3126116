"""What a prepared corpus holds, in a few lines."""

from collections.abc import Collection, Mapping

from steps.base.fields import split_fields
from steps.corpus.audio import audio_info, parse_wav_entry
from steps.corpus.data_dir import DataDir
from steps.corpus.spelling import spellings


def hours(data: DataDir, allow_commands: bool = False) -> float:
    """Sum the duration of the utterances of a set."""
    recordings = {
        recording: audio_info(parse_wav_entry(entry, data.path), allow_commands).seconds
        for recording, entry in data.wav.items()
    }
    if not data.segments:
        return sum(recordings.values()) / 3600
    ends = {utt: recordings[s.recording] if s.end == -1 else s.end for utt, s in data.segments.items()}
    return sum(ends[utt] - s.start for utt, s in data.segments.items()) / 3600


def unseen_rate(text: Mapping[str, str], seen: Collection[str]) -> float:
    """Give the percentage of running words that are not in `seen`.

    Example
    -------
    >>> unseen_rate({"a": "one two three four"}, {"one", "two", "four"})
    25.0
    """
    words = [word for transcript in text.values() for word in split_fields(transcript)]
    return 100 * sum(word not in seen for word in words) / max(1, len(words))


def print_summary(sets: Mapping[str, DataDir], lexicon_note: str, allow_commands: bool = False) -> None:
    """Print a table of the sets; those other than train with their rate of words that training does not have.

    Parameters
    ----------
    sets : mapping
        Name -> set; ``train`` is among them.
    lexicon_note : str
        Where the lexicon's words come from, as the last line.
    allow_commands : bool
        Run the commands in wav.scp to know their durations.
    """
    seen = spellings(word for transcript in sets["train"].text.values() for word in split_fields(transcript))
    columns = ("utterances", "hours", "speakers", "words", "vocabulary", "unseen in train")
    print(f"{'set':12}" + "".join(f"{column:>{len(column) + 3}}" for column in columns))
    for name, data in sets.items():
        words = [word for transcript in data.text.values() for word in split_fields(transcript)]
        unseen = "" if name == "train" else f"{unseen_rate(data.text, seen):.1f}%"
        print(
            f"{name:12}{len(data.utterances):13}{hours(data, allow_commands):8.3f}{len(data.spk2utt):11}"
            f"{len(words):8}{len(set(words)):13}{unseen:>18}"
        )
    print(lexicon_note)
