"""The checks of a data directory: each adds to a list of problems, and gives what is left when they are repaired."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from steps.base.errors import InputError
from steps.base.fields import split_fields, with_other_spaces
from steps.base.parallel import jobs
from steps.corpus.audio import check_audio, parse_wav_entry, segment_fault, times_fault
from steps.corpus.data_dir import Segment, invert, parse_channel, speakers
from steps.corpus.sound import MAX_MISSING, AudioInfo
from steps.corpus.tables import Row, scan_table

T = TypeVar("T")
Table = dict[str, Row]

DROPPED = "line dropped"
FILES = ("wav.scp", "segments", "reco2file_and_channel", "text", "utt2spk", "spk2utt")


@dataclass(frozen=True)
class Problem:
    """Something wrong in a data directory.

    Attributes
    ----------
    file : str
        Its name in the directory.
    line : int
        From 1; 0 stands for the whole file.
    message : str
        What is wrong.
    repair : str
        What `fix_data_dir` does about it; empty when it cannot do anything.
    warning : bool
        Whether everything works all the same.
    choice : bool
        Whether there are several repairs of which only the user can know the right one: nothing is repaired before.
    """

    file: str
    line: int
    message: str
    repair: str = ""
    warning: bool = False
    choice: bool = False

    @property
    def fixable(self) -> bool:
        """Whether `fix_data_dir` repairs it."""
        return bool(self.repair)

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {'warning: ' if self.warning else ''}{self.message}"


def load(path: Path, name: str, problems: list[Problem]) -> Table:
    """Read a table's usable lines."""
    if not (path / name).is_file():
        return {}
    # an empty transcript is reported as such, not as a line with too few fields
    rows, faults = scan_table(path / name, min_fields=1 if name == "text" else 2, verbatim=name == "wav.scp")
    derived = name == "spk2utt" and (path / "utt2spk").is_file()  # made again from utt2spk, whatever it says
    for fault in faults:
        repair = DROPPED if fault.lost else "rewritten"
        choice = fault.choice and not derived
        problems.append(Problem(name, fault.line, fault.message, "" if choice else repair, choice=choice))
    for before, row in pairwise(rows):
        if row.id < before.id:
            message = f"not sorted by code point (LC_ALL=C): '{row.id}' comes after '{before.id}'"
            problems.append(Problem(name, row.line, message, "file sorted"))
            break
    return {row.id: row for row in rows}


def parsed(name: str, table: Table, parse: Callable[[str], T], repair: str, problems: list[Problem]) -> dict[str, T]:
    """Parse the entries of a table, without those that cannot be."""
    result = {}
    for row in table.values():
        try:
            result[row.id] = parse(row.rest)
        except InputError as error:
            problems.append(Problem(name, row.line, f"'{row.id}': {error}", repair))
    return result


def read_channels(tables: dict[str, Table], problems: list[Problem]) -> dict[str, int]:
    """Read which channel of a recording to take."""
    name = "reco2file_and_channel"
    for row in tables[name].values():
        if row.id not in tables["wav.scp"]:
            message = f"recording '{row.id}' is not in wav.scp"
            problems.append(Problem(name, row.line, message, DROPPED, warning=True))
    return parsed(name, tables[name], parse_channel, DROPPED, problems)


def check_recordings(
    path: Path, wav: Table, channels: dict[str, int], allow_commands: bool, nj: int, problems: list[Problem]
) -> dict[str, AudioInfo | None]:
    """Open each recording: None for one that cannot be read, nothing for a command that is not run."""
    infos: dict[str, AudioInfo | None] = {}
    items = [(row.rest, path, channels.get(row.id), allow_commands) for row in wav.values()]
    with jobs(nj) as run:
        results = run(_check_recording, items, desc="audio")
    for row, result in zip(wav.values(), results, strict=True):
        if isinstance(result, AudioInfo):
            infos[row.id] = result
        elif not allow_commands and parse_wav_entry(row.rest, path).command is not None:
            problems.append(Problem("wav.scp", row.line, f"'{row.id}': {result}"))
        else:
            infos[row.id] = None
            problems.append(Problem("wav.scp", row.line, f"'{row.id}': {result}", "dropped with its utterances"))
    _warn_of_recordings({recording: info for recording, info in infos.items() if info}, problems)
    return infos


def _warn_of_recordings(infos: dict[str, AudioInfo], problems: list[Problem]) -> None:
    """Warn of what can be used and may not be as it should: each kind in a line."""

    def warn(message: str) -> None:
        problems.append(Problem("wav.scp", 0, message, warning=True))

    if short := [f"'{recording}' by {info.missing:.3f} s" for recording, info in infos.items() if info.missing > 0]:
        warn(
            f"{len(short)} recordings end before their headers say, by less than {MAX_MISSING:g} s; "
            f"what is there is used: {_some(short)}"
        )
    if silent := [f"'{recording}'" for recording, info in infos.items() if info.silent]:
        warn(f"{len(silent)} recordings hold (almost) nothing but zeros: {_some(silent)}")
    rates = Counter(info.rate for info in infos.values())
    if len(rates) > 1:
        listed = ", ".join(f"{count} of {rate} Hz" for rate, count in rates.most_common())
        warn(f"recordings of different sample rates ({listed}); features resample them to one")


def _check_recording(item: tuple[str, Path, int | None, bool]) -> AudioInfo | str:
    entry, base, channel, allow_commands = item
    try:
        return check_audio(parse_wav_entry(entry, base), channel, allow_commands)
    except InputError as error:
        return str(error)


def good_segments(
    segments: dict[str, Segment],
    tables: dict[str, Table],
    infos: dict[str, AudioInfo | None],
    problems: list[Problem],
) -> Iterator[tuple[str, Segment]]:
    """Keep the segments that are within a recording, as far as its length is known."""
    for utterance, segment in segments.items():
        fault: str | None
        if segment.recording not in tables["wav.scp"]:
            fault = f"recording '{segment.recording}' is not in wav.scp"
        elif info := infos.get(segment.recording):
            fault = segment_fault(info, segment.start, segment.end)
        else:
            fault = times_fault(segment.start, segment.end)
        if fault:
            line = tables["segments"][utterance].line
            problems.append(Problem("segments", line, f"'{utterance}': {fault}", "utterance dropped"))
        else:
            yield utterance, segment


def check_unused_recordings(segments: dict[str, Segment], wav: Table, problems: list[Problem]) -> None:
    """Warn of recordings without an utterance, where there are segments."""
    used = {segment.recording for segment in segments.values()}
    for row in wav.values() if segments else ():
        if row.id not in used:
            message = f"recording '{row.id}' is in no usable segment"
            problems.append(Problem("wav.scp", row.line, message, "recording dropped", warning=True))


def good_transcripts(path: Path, tables: dict[str, Table], source: str, problems: list[Problem]) -> dict[str, str]:
    """Keep the transcripts that are not empty and have audio."""
    table = tables["text"]
    if not (path / "text").is_file():
        problems.append(Problem("text", 0, "there is no text: nothing to train on or to score with", warning=True))
        return {}
    for row in tables[source].values():
        if row.id not in table:
            problems.append(Problem(source, row.line, f"utterance '{row.id}' has no text", "utterance dropped"))
    result = {}
    for row in table.values():
        if row.id not in tables[source]:
            message = f"text without audio: '{row.id}' is not in {source}"
            problems.append(Problem("text", row.line, message, DROPPED))
        elif not row.rest:
            problems.append(Problem("text", row.line, f"'{row.id}' has an empty transcript", "utterance dropped"))
        else:
            result[row.id] = row.rest
    return result


def check_spaces(text: Table, problems: list[Problem]) -> None:
    """Warn of words with spaces that separate nothing."""
    spaced = {row.line: words for row in text.values() if (words := with_other_spaces(split_fields(row.rest)))}
    for line, words in list(spaced.items())[:1]:
        message = f"in {len(spaced)} transcripts a word holds a space that is not ASCII's, as in '{words[0]}', one word"
        problems.append(Problem("text", line, message, warning=True))


def good_utt2spk(path: Path, tables: dict[str, Table], source: str, problems: list[Problem]) -> dict[str, str]:
    """Give every utterance its speaker, from the tables; one of its own where they name no speaker."""
    table = tables["utt2spk"]
    named = invert({row.id: row.rest for row in tables["spk2utt"].values()})
    times = Counter(utterance for row in tables["spk2utt"].values() for utterance in set(split_fields(row.rest)))
    known = {utterance: speaker for utterance, speaker in named.items() if times[utterance] == 1}
    if not (path / "utt2spk").is_file():
        repair = "made from spk2utt" if tables["spk2utt"] else "each utterance counts as a speaker of its own"
        problems.append(Problem("utt2spk", 0, "there is no utt2spk", repair))
        if not tables["spk2utt"]:
            return {utterance: utterance for utterance in tables[source]}
    for row in table.values():
        if row.id not in tables[source]:
            message = f"utterance '{row.id}' is not in {source}"
            problems.append(Problem("utt2spk", row.line, message, DROPPED))
        elif len(split_fields(row.rest)) > 1:
            message = f"'{row.id}' has more than one speaker: '{row.rest}'; give one, a name without a space"
            problems.append(Problem("utt2spk", row.line, message, choice=True))
    for row in tables[source].values():
        if row.id not in table and row.id not in known:
            where = "utt2spk" if (path / "utt2spk").is_file() else "spk2utt"
            number = "several speakers" if where == "spk2utt" and row.id in named else "no speaker"
            message = f"utterance '{row.id}' has {number} in {where}"
            problems.append(Problem(source, row.line, message, choice=True))
        elif row.id not in table and (path / "utt2spk").is_file():
            message = f"utterance '{row.id}' has no speaker in utt2spk"
            problems.append(Problem(source, row.line, message, "taken from spk2utt"))
    return known | {row.id: row.rest for row in table.values()}


def check_spk2utt(path: Path, tables: dict[str, Table], problems: list[Problem]) -> None:
    """Compare spk2utt with utt2spk: what is missing is made again; where they contradict each other, it is a choice."""
    if not (path / "spk2utt").is_file():
        problems.append(Problem("spk2utt", 0, "there is no spk2utt", "made again from utt2spk"))
        return
    if not (path / "utt2spk").is_file():
        return
    utt2spk = {row.id: row.rest for row in tables["utt2spk"].values()}
    unclear = {
        utterance for utterance, speaker in utt2spk.items() if len(split_fields(speaker)) > 1
    }  # reported already
    expected = speakers({utterance: speaker for utterance, speaker in utt2spk.items() if utterance not in unclear})
    for speaker in sorted({*expected, *tables["spk2utt"]}):
        row = tables["spk2utt"].get(speaker, Row(0, speaker, ""))
        has, wanted = set(split_fields(row.rest)) - unclear, set(expected.get(speaker, []))
        lacking, extra = sorted(wanted - has), sorted(has - wanted)
        differences = [f"{word} {_some(utts)}" for word, utts in (("lacks", lacking), ("has also", extra)) if utts]
        if differences:
            message = f"does not agree with utt2spk: speaker '{speaker}' {' and '.join(differences)}"
            choice = bool(utt2spk.keys() & set(extra))
            hint = "; remove spk2utt, if utt2spk is right" if choice else ""
            repair = "" if choice else "made again from utt2spk"
            problems.append(Problem("spk2utt", row.line, message + hint, repair, choice=choice))


def _some(ids: list[str]) -> str:
    return ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")


def check_speaker_order(utt2spk: Table, problems: list[Problem]) -> None:
    """Warn, as Kaldi's validate_data_dir.sh does, where sorting by utterance does not sort by speaker."""
    rows = sorted(utt2spk.values(), key=lambda row: row.id)
    for before, row in pairwise(rows):
        if row.rest < before.rest:
            message = (
                f"'{row.id}' of speaker '{row.rest}' sorts after '{before.id}' of speaker '{before.rest}'; Kaldi wants "
                "speakers in the order of their utterances: make the speaker's id a prefix of the utterance's"
            )
            problems.append(Problem("utt2spk", row.line, message, warning=True))
            return
