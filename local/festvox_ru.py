"""The recordings of a Russian voice for Festival (festvox-ru): 1.66 hours of read prose, one man, 16 kHz."""

import re
from dataclasses import replace
from pathlib import Path

from local.dict_dir import SILENCE, entries, write_dict_dir
from local.festvox_labels import pronunciations, read_labels, spoken_words
from local.fetch import apt_download, unpack_deb
from local.summary import print_summary
from steps.base.cli import command
from steps.base.errors import InputError
from steps.base.output import only_writer, output_dir
from steps.corpus.ctm import position_in_recording, write_ctm
from steps.corpus.data_dir import DataDir, subset, write_data_dir
from steps.corpus.split import stable_split

PACKAGE = "festvox-ru"
SPEAKER = "nsh"  # as the voice is called


def download_festvox_ru(folder: Path) -> Path:
    """Fetch and unpack the Debian package; one that is there already is used again.

    Raises
    ------
    InputError
        When it cannot be had; the message says why.
    """
    unpacked = folder / PACKAGE
    if not unpacked.exists():
        with output_dir(unpacked) as part:
            try:
                apt_download([PACKAGE], part)
                _unpack(part, part)
            except InputError as error:
                raise InputError(
                    f"cannot download the corpus: {error}. Where apt-get says 'Unable to locate package', run 'apt-get "
                    f"update' as root; or get the Debian package {PACKAGE} in another way and give its folder by "
                    "--corpus"
                ) from error
    return unpacked


def _unpack(packages: Path, folder: Path) -> None:
    for package in sorted(packages.glob(f"{PACKAGE}_*.deb")):
        unpack_deb(package, folder)


def find_voice(folder: Path) -> Path:
    """Find the voice's own folder, which holds etc/txt.done.data, wav/ and lab/.

    Raises
    ------
    InputError
        When it is not there.
    """
    prompts = sorted(folder.rglob("etc/txt.done.data"))
    if not prompts:
        raise InputError(f"{folder}: there is no etc/txt.done.data in it, the sentences of the package {PACKAGE}")
    return prompts[0].parent.parent


def read_sentences(path: Path) -> dict[str, list[str]]:
    """Read txt.done.data, a line ``( name "sentence" )`` each: name -> words.

    Raises
    ------
    InputError
        With file and line, when a line is something else, or its sentence has no words or other characters.
    """
    sentences: dict[str, list[str]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").removesuffix("\n").split("\n"), start=1):
        found = re.fullmatch(r'\(\s*(\S+)\s+"(.*)"\s*\)\s*', line)
        if not found or found[1] in sentences:
            raise InputError(f"{path}:{number}: '{line}' is not '( name \"sentence\" )' with a name of its own")
        try:
            sentences[found[1]] = spoken_words(found[2])
        except InputError as error:
            raise InputError(f"{path}:{number}: {error}") from error
    return sentences


def prepare_festvox_ru(corpus: Path, data: Path) -> None:
    """Write train, dev and test as data directories, a dict directory, and the labels as a reference for alignments.

    Parameters
    ----------
    corpus : Path
        A folder with the unpacked package.
    data : Path
        Gets ``train``, ``dev``, ``test``, ``local/dict``; ``local/reference/phones.ctm`` with the labels; and to align
        these very phones, ``local/phones``, a data directory of all utterances whose words are the labels' phones, and
        ``local/dict_phones``, in which each phone is pronounced as itself.

    Raises
    ------
    InputError
        When the folder holds something else, or an utterance lacks its recording or fitting labels.
    """
    voice = find_voice(corpus)
    sentences = read_sentences(voice / "etc/txt.done.data")
    names = {f"{SPEAKER}-{name}": name for name in sentences}
    labels = {utterance: read_labels(voice / f"lab/{name}.lab") for utterance, name in names.items()}
    wav = {utterance: str(_recording(voice, name)) for utterance, name in names.items()}
    words = {utterance: sentences[name] for utterance, name in names.items()}
    whole = DataDir(data, wav, {utt: " ".join(said) for utt, said in words.items()}, dict.fromkeys(wav, SPEAKER))
    lexicon = pronunciations(words, labels)
    sets = {name: subset(whole, utterances) for name, utterances in stable_split(whole.text).items()}
    for name, part in sets.items():
        write_data_dir(data / name, part)
    write_dict_dir(data / "local/dict", entries(lexicon))
    tokens = {utterance: [phone.text for phone in phones] for utterance, phones in labels.items()}
    times = ((position_in_recording(utterance), phone) for utterance, phones in labels.items() for phone in phones)
    write_ctm(data / "local/reference/phones.ctm", times)
    write_data_dir(data / "local/phones", replace(whole, text={utt: " ".join(said) for utt, said in tokens.items()}))
    inventory = {SILENCE, *(phone for said in tokens.values() for phone in said)}
    write_dict_dir(data / "local/dict_phones", entries({phone: [(phone,)] for phone in inventory}))
    variants = sum(map(len, lexicon.values()))
    note = f"lexicon: {len(lexicon)} words, those of all sets (closed vocabulary), {variants} pronunciations, "
    print_summary(sets, f"{note}{len(inventory) - 1} phones and silence")


def _recording(voice: Path, name: str) -> Path:
    path = (voice / f"wav/{name}.wav").absolute()
    if not path.is_file():
        raise InputError(f"{path}: there is no such recording, but etc/txt.done.data lists it")
    return path


def festvox_ru(data: Path, corpus: Path | None = None) -> None:
    """Prepare the recordings of the Russian voice that Debian packages as festvox-ru.

    Parameters
    ----------
    data : Path
        Where train, dev, test and local (the dict directory, the reference, the download) are written.
    corpus : Path, optional
        A folder with the package festvox-ru, as .deb file or unpacked; instead of downloading.
    """
    with only_writer(data):
        if corpus is None:
            corpus = download_festvox_ru(data / "local/download")
        elif not corpus.is_dir():
            raise InputError(f"--corpus {corpus}: there is no such folder")
        elif any(corpus.glob(f"{PACKAGE}_*.deb")):
            with output_dir(data / f"local/download/{PACKAGE}") as part:
                _unpack(corpus, part)
            corpus = data / f"local/download/{PACKAGE}"
        prepare_festvox_ru(corpus, data)


if __name__ == "__main__":
    command(festvox_ru)
