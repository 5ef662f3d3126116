"""How near forced alignment comes to known times: ``python -m tests.bench.festival --workdir DIR``.

Festival's voice kal_diphone speaks some 690 sentences of prose and says when it speaks which phone. A monophone and a
triphone system are trained on all but 100 of them, with phones as words and pauses among them, and align the phones of
these 100. What is in DIR is used again; without --workdir nothing is kept. Needs Debian's packages (no root).

Besides the table, the offsets' means for the kinds of sounds on both sides of a boundary. With --reversed, a monophone
system is trained on, and aligns, the same sounds played backwards as well. What is late by nature of the aligner is
late there, too; what comes of where Festival has its marks in the sounds is early there.

The last line is JSON as of
tests.bench.boundaries: for mono and tri, the shares of boundaries within 10, 20 and 50 ms of Festival's, the median of
the distances and the mean of the signed offsets, both in ms.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile
import yaml

from local.dict_dir import SILENCE, entries, write_dict_dir
from local.festvox_labels import read_labels
from steps.ali.boundaries import Agreement, agreement, boundary_offsets
from steps.align import align_data
from steps.base.errors import InputError
from steps.base.output import output_dir
from steps.corpus.ctm import Token, position_in_recording, read_ctm, write_ctm
from steps.corpus.data_dir import DataDir, subset, write_data_dir
from steps.feats.options import FbankOptions, MfccOptions
from steps.gmm.em import EmOptions
from steps.gmm.mono import MonoOptions
from steps.make_feats import make_feats
from steps.prepare_lang import prepare_lang
from steps.train_mono import train_mono
from steps.train_triphones import train_triphones
from steps.tree.growing import TreeOptions
from tests.bench.boundaries import align_phones, figures, print_table
from tests.bench.speaking import download_festival, read_prose, sentences, speak

ROOT = Path(__file__).parents[2]
SPEAKER, TEST = "kal", 100
KINDS = {
    "vowel": "aa ae ah ao aw ax axr ay eh er ey ih iy ow oy uh uw",
    "stop": "b d g k p t ch jh",
    "fricative": "dh f hh s sh th v z zh",
    "sonorant": "el em en l m n ng r w y",
    "pause": SILENCE,
}
KIND = {phone: kind for kind, phones in KINDS.items() for phone in phones.split()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--workdir", type=Path, help="where all that is made is kept; a new one is made if it is missing"
    )
    parser.add_argument("--nj", type=int, default=1, help="number of processes")
    parser.add_argument("--reversed", action="store_true", help="the same with reversed sounds")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = args.workdir or Path(folder)
        prepare(work)
        found = {}
        if args.reversed:
            found["reversed"] = compare(reversed_copy(work), ["mono"], args.nj)["mono"]
        found |= compare(work, ["mono", "tri"], args.nj)
    if args.reversed:
        both = found["mono"].mean_ms, found["reversed"].mean_ms
        aligner, marks = sum(both) / 2, (both[0] - both[1]) / 2
        print(f"\nmono is late by {aligner:+.1f} ms whichever way it is played, the marks are early by {marks:+.1f} ms")
    print(json.dumps({name: figures(found[name]) for name in ("mono", "tri")}))


def compare(work: Path, systems: Sequence[str], nj: int) -> dict[str, Agreement]:
    """Train the systems that are missing, align, and print how far boundaries are from Festival's."""
    train(work, systems, nj)
    reference = {utt: phones for (utt, _), phones in read_ctm(work / "data/local/reference/phones.ctm").items()}
    rows, kinds = {}, {}
    for name in systems:
        hypothesis = align_phones(
            work / "feats/test", work / "lang", work / "exp" / name, work / f"exp/{name}_test", nj
        )
        offsets = {utt: boundary_offsets(reference[utt], phones) for utt, phones in hypothesis.items()}
        rows[name] = len(offsets), agreement(np.concatenate([*offsets.values()]))
        kinds[name] = by_kinds(reference, offsets)
    print_kinds(kinds)
    print_table(reference, rows)
    return {name: found for name, (_, found) in rows.items()}


def prepare(work: Path) -> None:
    """Speak the sentences, and write train, test, the dictionary of phones and the times of those of test."""
    data, spoken = work / "data", work / "spoken"
    festival = download_festival(work / "download")
    if not spoken.exists():
        texts = sentences(read_prose(festival / "usr/share/dictd/devil.dict.dz"))
        # they come in the order of their hashes, so the first ones are as good as any
        speak(festival, {f"{SPEAKER}-{number:04}": text for number, text in enumerate(texts)}, spoken)
    if not data.exists():
        with output_dir(data) as part:
            write_data(spoken, part)


def write_data(spoken: Path, data: Path) -> None:
    """Write the data directories train and test, local/dict and local/reference/phones.ctm from what was spoken."""
    labels = {path.stem: read_labels(path) for path in sorted(spoken.glob("*.lab"))}
    wav = {utterance: str((spoken / f"{utterance}.wav").absolute()) for utterance in labels}
    text = {utterance: " ".join(phone.text for phone in phones) for utterance, phones in labels.items()}
    whole = DataDir(data, wav, text, dict.fromkeys(labels, SPEAKER))
    test = whole.utterances[:TEST]
    write_data_dir(data / "test", subset(whole, test))
    write_data_dir(data / "train", subset(whole, whole.utterances[TEST:]))
    phones = {phone for said in text.values() for phone in said.split()}
    write_dict_dir(data / "local/dict", entries({phone: [(phone,)] for phone in phones}))
    tokens = ((position_in_recording(utterance), phone) for utterance in test for phone in labels[utterance])
    write_ctm(data / "local/reference/phones.ctm", tokens)


def reversed_copy(work: Path) -> Path:
    """Make a work directory of the same sounds from their ends to their beginnings, with the phones' times."""
    spoken, data = work / "reversed/spoken", work / "reversed/data"
    if not spoken.exists():
        with output_dir(spoken) as part:
            for path in sorted((work / "spoken").glob("*.lab")):
                samples, rate = soundfile.read(path.with_suffix(".wav"), dtype="int16")
                soundfile.write(part / f"{path.stem}.wav", samples[::-1], rate)
                labels = reversed_labels(path.read_text(encoding="utf-8"), len(samples) / rate)
                (part / path.name).write_text(labels, encoding="utf-8")
    if not data.exists():
        with output_dir(data) as part:
            write_data(spoken, part)
    return work / "reversed"


def reversed_labels(labels: str, seconds: float) -> str:
    """Turn a label file of audio of some seconds into that of the audio reversed.

    Example
    -------
    >>> print(reversed_labels("#\\n0.2 100 pau\\n0.5 100 p\\n0.9 100 pau\\n", 1.0))
    #
    0.5000 100 pau
    0.8000 100 p
    1.0000 100 pau
    <BLANKLINE>
    """
    ends, _, phones = zip(*map(str.split, labels.splitlines()[1:]), strict=True)
    starts = [0.0, *map(float, ends[:-1])]
    lines = (f"{seconds - start:.4f} 100 {phone}\n" for start, phone in zip(starts, phones, strict=True))
    return "".join(["#\n", *reversed([*lines])])


def train(work: Path, systems: Sequence[str], nj: int) -> None:
    """Features, and systems (mono, tri) with the recipes' options, where they are not there yet."""
    feats, lang, exp = work / "feats", work / "lang", work / "exp"
    if not feats.exists():
        make_feats(work / "data", feats, MfccOptions(), FbankOptions(), nj)
    if not lang.exists():
        prepare_lang(work / "data/train", work / "data/local/dict", lang, sil_prob=0)
    if not (exp / "mono").exists():
        train_mono(feats / "train", lang, exp / "mono", MonoOptions(), nj=nj)
    if "tri" in systems and not (exp / "mono_ali").exists():
        align_data(feats / "train", lang, exp / "mono", exp / "mono_ali", nj=nj)
    if "tri" in systems and not (exp / "tri").exists():
        conf = yaml.safe_load((ROOT / "conf/tri.yaml").read_text(encoding="utf-8"))
        tree, em = TreeOptions(**conf["tree"]), EmOptions(**conf["em"])
        train_triphones(feats / "train", lang, exp / "mono_ali", exp / "tri", tree, em, nj=nj)


def by_kinds(
    reference: Mapping[str, Sequence[Token]], offsets: Mapping[str, np.ndarray]
) -> dict[tuple[str, str], np.ndarray]:
    """Sort offsets by the kinds of the phones before and after the boundary.

    Example
    -------
    >>> spoken = [Token("SIL", 0, 1), Token("ax", 1, 2), Token("p", 2, 3)]
    >>> by_kinds({"a": spoken}, {"a": np.array([0.01, -0.02])})
    {('pause', 'vowel'): array([0.01]), ('vowel', 'stop'): array([-0.02])}
    """
    found: dict[tuple[str, str], list[float]] = {}
    for utterance, values in offsets.items():
        for (before, after), offset in zip(pairwise(reference[utterance]), values.tolist(), strict=True):
            found.setdefault((KIND[before.text], KIND[after.text]), []).append(offset)
    return {kinds: np.array(values) for kinds, values in sorted(found.items())}


def print_kinds(systems: Mapping[str, Mapping[tuple[str, str], np.ndarray]]) -> None:
    """Print the mean offset and the share within 20 ms for each pair of kinds, of each system."""
    print(f"\n{'before':11}{'after':11}{'boundaries':>11}" + "".join(f"{name:>13}{'20 ms':>8}" for name in systems))
    for pair in next(iter(systems.values())):
        found = [agreement(kinds[pair]) for kinds in systems.values()]
        columns = "".join(f"{one.mean_ms:+10.1f} ms{one.within[20]:8.1%}" for one in found)
        print(f"{pair[0]:11}{pair[1]:11}{found[0].boundaries:11}{columns}")


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        raise SystemExit(f"error: {error}") from error
