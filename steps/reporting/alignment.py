"""How well a set is aligned: the figures of utterances and phones."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steps.ali.directory import Aligned, AlignedSet
from steps.ali.durations import Durations, Occurrence, occurrences, phone_durations
from steps.ali.labels import Labeller
from steps.corpus.ctm import position_in_recording
from steps.corpus.data_dir import DataDir

Row = dict[str, Any]
FORCED = 0.1  # silence with a posterior below this is speech to the model, which the transcript left no other place


def describe_alignment(
    aligned: AlignedSet, failed: Mapping[str, str], labeller: Labeller, recordings: DataDir | None
) -> Row:
    """Collect what report.json holds but for the directory's name: the set, its utterances and its phones.

    Parameters
    ----------
    aligned : AlignedSet
    failed : mapping
        Utterance id -> reason, of those that could not be aligned.
    labeller : Labeller
        Names phones and times.
    recordings : DataDir, optional
        For the utterances' places in the recordings and for those that were left out.
    """
    counts: Counter[tuple[int, tuple[int, ...]]] = Counter()
    for tids in aligned.tids.values():  # read twice, so that the phones of a large set are not all kept
        counts.update((found.phone, found.states) for found in named_occurrences(tids, labeller))
    phones = phone_durations(counts)
    medians = {phone: whole.median for phone, (whole, _) in phones.items()}
    rows = [utterance_row(utterance, found, medians, labeller) for utterance, found in aligned.items()]
    if recordings:
        for row in rows:
            row |= position_in_recording(row["utterance"], recordings)._asdict()
    return {
        "aligned": len(rows),
        **totals(rows),
        "failed": failed,
        "doubtful": aligned.doubts,
        "left_out": sorted(set(recordings.utterances) - set(aligned) - set(failed)) if recordings else [],
        "utterances": sorted(rows, key=lambda row: (row["score"], row["utterance"])),
        "phones": list(phone_rows(phones, labeller.phone_names)),
    }


def named_occurrences(tids: NDArray[Any], labeller: Labeller) -> list[Occurrence]:
    """Cut an alignment into phones; position variants of a phone are mapped to one id, the first.

    Parameters
    ----------
    tids : (T,) int
    labeller : Labeller
        Names phones.
    """
    names = labeller.phone_names
    first = {name: phone for phone, name in reversed(names.items())}
    return [found._replace(phone=first[names[found.phone]]) for found in occurrences(labeller.transitions, tids)]


def utterance_row(utterance: str, aligned: Aligned, medians: Mapping[int, float], labeller: Labeller) -> Row:
    """Say how well an utterance is aligned.

    Parameters
    ----------
    utterance : str
    aligned : Aligned
    medians : mapping
        Phone-id -> usual number of frames.
    labeller : Labeller
        Names phones and times.
    """
    frames, found = len(aligned.tids), named_occurrences(aligned.tids, labeller)
    names = [labeller.phone_names[o.phone] for o in found]
    silent = np.repeat([name == labeller.silence for name in names], [o.frames for o in found])
    forced = silent & (aligned.log_posteriors < math.log(FORCED))
    spoken = [o for o, name in zip(found, names, strict=True) if name != labeller.silence]
    longest = max(spoken, key=lambda o: o.frames / medians[o.phone], default=None)
    return {
        "utterance": utterance,
        "frames": frames,
        "seconds": round(labeller.times.boundary(frames, frames), 4),
        "score": round(float(aligned.log_posteriors.mean(dtype=np.float64)), 4),
        "log_likelihood": aligned.log_likelihood,
        "silence": round(float(silent.mean()), 4),
        "forced_silence": round(float(forced.mean()), 4),
        "stretched": None
        if longest is None
        else {
            "phone": labeller.phone_names[longest.phone],
            "frames": longest.frames,
            "usual": medians[longest.phone],
            "time": round(labeller.times.boundary(longest.first, frames), 4),
        },
    }


def totals(rows: Sequence[Row]) -> Row:
    """Average the utterances' figures over all frames."""
    weights = [row["frames"] for row in rows]
    means = {
        name: round(float(np.average([row[name] for row in rows], weights=weights)), 4)
        for name in ("score", "log_likelihood", "silence", "forced_silence")
    }
    return {"frames": sum(weights), "seconds": round(sum(row["seconds"] for row in rows), 4), **means}


def phone_rows(
    phones: Mapping[int, tuple[Durations, list[Durations | None]]], names: Mapping[int, str]
) -> Iterator[Row]:
    """Name phones and states with their durations in frames."""
    for phone, (whole, states) in phones.items():
        yield {
            "phone": names[phone],
            **whole._asdict(),
            "states": [{"state": i, **state._asdict()} for i, state in enumerate(states) if state],
        }
