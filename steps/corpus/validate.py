"""All that is wrong with a data directory at once, and a repaired copy of it."""

from collections.abc import Sequence
from pathlib import Path

import soundfile

from steps.base.errors import InputError
from steps.base.output import output_dir
from steps.corpus import checks
from steps.corpus.checks import FILES, Problem, Table
from steps.corpus.data_dir import LEFT_OUT, DataDir, left_out, parse_segment, write_data_dir, write_left_out
from steps.corpus.tables import scan_table


def find_problems(
    path: str | Path, allow_commands: bool = False, check_audio: bool = True, nj: int = 1
) -> list[Problem]:
    """List all problems of a data directory, by file and line.

    Parameters
    ----------
    path : path
        The directory.
    allow_commands : bool
        Run the commands of wav.scp; without it each is a problem.
    check_audio : bool
        Open the audio. All samples are read of compressed files and those of floating-point numbers; of PCM the header
        and as many as show that there is sound.
    nj : int
        Processes that open audio.

    Raises
    ------
    InputError
        When there is no such directory.
    """
    return examine(path, allow_commands, check_audio, nj)[0]


def fix_data_dir(
    path: str | Path, out: str | Path, allow_commands: bool = False, check_audio: bool = True, nj: int = 1
) -> list[str]:
    """Write a copy of a data directory without its fixable problems.

    Its table ``left_out`` holds the transcripts of the utterances that were dropped, so that a test set keeps all its
    words (see `steps.corpus.data_dir.left_out`). Lines of text whose ids are in no other table are not among them.

    Returns
    -------
    list of str
        What was changed or dropped, with file, line and reason.

    Raises
    ------
    InputError
        When `out` is there already, no utterance would remain, or a problem has several repairs: which is right only
        the user can know.
    """
    if Path(out).exists():
        raise InputError(f"{out}: is there already; the repaired copy needs a new directory")
    return write_repaired(*examine(path, allow_commands, check_audio, nj), Path(out))


def write_repaired(problems: Sequence[Problem], data: DataDir, out: Path) -> list[str]:
    """Do as `fix_data_dir` with what `examine` gave."""
    path = data.path
    if choices := [f"  {path}/{problem}" for problem in problems if problem.choice]:
        number = f"{len(choices)} problem{'s' if choices[1:] else ''}"
        listed = "\n".join(choices)
        raise InputError(f"{path}: cannot be repaired before you choose what is right in {number}:\n{listed}")
    if not data.utt2spk:
        reasons = "\n".join(f"  {path}/{problem}" for problem in problems)
        raise InputError(f"{path}: cannot be repaired, no utterance would remain:\n{reasons}")
    with output_dir(out, mark="wav.scp") as part:
        write_data_dir(part, data)
        text = {row.id: row.rest for row in checks.load(path, "text", []).values() if row.rest}
        lost = _own_utterances(path) - set(data.text)
        write_left_out(part, {**left_out(path), **{utt: text[utt] for utt in text if utt in lost}})
    known = {*FILES, LEFT_OUT}
    others = sorted(p.name for p in path.iterdir() if p.is_file() and p.name not in known and not _is_audio(p))
    return [
        *(f"{path}/{problem}: {problem.repair}" for problem in problems if problem.fixable),
        *(f"{path}/{name}: not copied" for name in others),
    ]


def _own_utterances(path: Path) -> set[str]:
    """Give the ids that a directory has besides its text, be their lines usable or not.

    The text of a whole corpus may lie beside the wav.scp of a part of it; the other lines are not of this set.
    """
    files = [path / name for name in ("wav.scp", "segments", "utt2spk") if (path / name).is_file()]
    return {row.id for file in files for row in scan_table(file)[0]}


def _is_audio(path: Path) -> bool:
    """Tell by the name whether a file is audio, which stays where it is."""
    return path.suffix[1:].upper() in soundfile.available_formats()


def examine(
    path: str | Path, allow_commands: bool = False, check_audio: bool = True, nj: int = 1
) -> tuple[list[Problem], DataDir]:
    """Do as `find_problems`, and give what remains of the directory without them."""
    path = Path(path)
    if not path.is_dir():
        raise InputError(f"{path}: there is no such directory")
    problems: list[Problem] = []
    tables = {name: checks.load(path, name, problems) for name in FILES}
    if tables["wav.scp"]:
        data = _consistent(path, tables, problems, allow_commands, check_audio, nj)
    else:
        data = DataDir(path, {}, {}, {})
        problems.append(Problem("wav.scp", 0, "there is no wav.scp, or no usable line in it"))
    return sorted(problems, key=lambda problem: (FILES.index(problem.file), problem.line)), data


def _consistent(
    path: Path, tables: dict[str, Table], problems: list[Problem], allow_commands: bool, audio: bool, nj: int
) -> DataDir:
    """Keep the utterances that all tables agree on and whose audio can be read."""
    wav = tables["wav.scp"]
    lost = any(problem.file == "segments" and problem.repair == checks.DROPPED for problem in problems)
    source = "segments" if tables["segments"] or lost else "wav.scp"
    segments = checks.parsed("segments", tables["segments"], parse_segment, "utterance dropped", problems)
    channels = checks.read_channels(tables, problems)
    infos = checks.check_recordings(path, wav, channels, allow_commands, nj, problems) if audio else {}
    bad = {recording for recording, info in infos.items() if info is None}
    segments = dict(checks.good_segments(segments, tables, infos, problems))
    checks.check_unused_recordings(segments, wav, problems)
    transcripts = checks.good_transcripts(path, tables, source, problems)
    checks.check_spaces(tables["text"], problems)

    kept = {utt for utt in segments if segments[utt].recording not in bad} if source == "segments" else set(wav) - bad
    if (path / "text").is_file():
        kept &= set(transcripts)
    utt2spk = checks.good_utt2spk(path, tables, source, problems)
    checks.check_spk2utt(path, tables, problems)
    checks.check_speaker_order(tables["utt2spk"], problems)

    segments = {utt: segments[utt] for utt in kept if utt in segments}
    recordings = {segment.recording for segment in segments.values()} if source == "segments" else kept
    return DataDir(
        path,
        wav={recording: wav[recording].rest for recording in sorted(recordings)},
        text={utt: transcripts[utt] for utt in kept if utt in transcripts},
        utt2spk={utt: utt2spk[utt] for utt in kept if utt in utt2spk},
        segments=segments,
        channels={recording: channel for recording, channel in channels.items() if recording in recordings},
    )
