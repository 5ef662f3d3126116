"""CMU's AN4: census data and commands spelled and spoken by 84 people, 50 minutes, 16 kHz."""

import gzip
import re
from collections.abc import Collection
from pathlib import Path

from local.dict_dir import write_dict_dir
from local.fetch import run
from local.summary import print_summary
from steps.base.cli import command
from steps.base.errors import InputError
from steps.base.fields import split_fields
from steps.base.output import only_writer, output_dir, writing
from steps.corpus.data_dir import DataDir, subset, write_data_dir
from steps.corpus.spelling import spellings
from steps.lang.lexicon_file import read_any_lexicon

REPOSITORY = "https://github.com/cmusphinx/an4"
DEV_EVERY = 10  # every tenth training speaker, sorted by name, is a dev speaker
NO_LM_WORDS = frozenset({"HALL", "LANE", "MEMORY", "TWELVTH", "WEAN"})  # in the corpus's LM, not in its dictionary


def download_an4(folder: Path) -> Path:
    """Clone the corpus's repository; one that is there already is used again.

    Raises
    ------
    InputError
        When git is missing or the repository cannot be reached.
    """
    corpus = folder / "an4"
    if not corpus.exists():
        with output_dir(corpus) as part:
            try:
                run(["git", "clone", "--quiet", "--depth", "1", REPOSITORY, "."], part)
            except InputError as error:
                raise InputError(
                    f"cannot download AN4: {error}; get {REPOSITORY} in another way and give its folder by --corpus"
                ) from error
    return corpus


def read_utterances(corpus: Path, part: str) -> DataDir:
    """Read the official ``train`` or ``test`` part; ids are ``speaker-sentence-microphone`` as in Kaldi's recipe.

    Raises
    ------
    InputError
        With file and line, when a transcript or a recording is missing, or the two lists disagree.
    """
    ids_file, text_file = corpus / f"etc/an4_{part}.fileids", corpus / f"etc/an4_{part}.transcription"
    fileids, transcripts = _lines(ids_file), _lines(text_file)
    if len(fileids) != len(transcripts):
        raise InputError(f"{ids_file} has {len(fileids)} lines, but {text_file} {len(transcripts)}")
    wav, text, utt2spk = {}, {}, {}
    for number, (fileid, transcript) in enumerate(zip(fileids, transcripts, strict=True), start=1):
        name = fileid.rsplit("/", 1)[-1]
        found = re.fullmatch(r"(.*?)\s*\(([^()]+)\)", transcript)
        fields = name.split("-")
        if not found or found[2] != name or len(fields) != 3:
            raise InputError(f"{text_file}:{number}: '{transcript}' is not a text and '({name})', as {ids_file} has it")
        sentence, speaker, microphone = fields
        utterance = f"{speaker}-{sentence}-{microphone}"
        text[utterance] = spoken_words(found[1])
        if not text[utterance]:
            raise InputError(f"{text_file}:{number}: '{transcript}' has no words")
        wav[utterance], utt2spk[utterance] = str(_recording(corpus, fileid)), speaker
    return DataDir(path=corpus, wav=wav, text=text, utt2spk=utt2spk, segments={}, channels={})


def spoken_words(transcript: str) -> str:
    """Take the tags out of a transcript: ``<s>``, ``</s>``, ``<sil>`` and noises such as ``++BREATH++``.

    Example
    -------
    >>> spoken_words("<s> RUBOUT <sil> G M ++NOISE++ THREE </s>")
    'RUBOUT G M THREE'
    """
    return " ".join(word for word in split_fields(transcript) if not re.fullmatch(r"<.*>|\+\+.*\+\+", word))


def _read(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; --corpus takes a folder laid out as {REPOSITORY}")
    return path.read_text(encoding="utf-8")


def _lines(path: Path) -> list[str]:
    return [line for line in _read(path).split("\n") if split_fields(line)]


def _recording(corpus: Path, fileid: str) -> Path:
    for suffix in (".wav", ".sph"):
        path = (corpus / "wav" / f"{fileid}{suffix}").absolute()
        if path.is_file():
            return path
    raise InputError(f"{path.with_suffix('.wav')}: there is no such recording (nor as .sph), but etc/ lists it")


def dev_speakers(speakers: Collection[str]) -> set[str]:
    """Choose the speakers of dev: the tenth, twentieth and so on by code point.

    Example
    -------
    >>> sorted(dev_speakers([f"s{i:02}" for i in range(1, 25)]))
    ['s10', 's20']
    """
    return set(sorted(speakers)[DEV_EVERY - 1 :: DEV_EVERY])


def restrict_unigrams(arpa: str, dropped: Collection[str]) -> str:
    r"""Take words out of an ARPA model, as Kaldi's AN4 recipe does: the others keep their probabilities.

    Meant for models whose longer n-grams do not hold the words.

    Raises
    ------
    InputError
        When the text is not in the ARPA format.

    Example
    -------
    >>> arpa = "About.\n\\data\\\nngram 1=2\n\n\\1-grams:\n-0.3 A 0\n-0.3 WEAN 0\n\n\\end\\\n"
    >>> print(restrict_unigrams(arpa, {"WEAN"}), end="")
    \data\
    ngram 1=1
    <BLANKLINE>
    \1-grams:
    -0.3 A 0
    <BLANKLINE>
    \end\
    """
    _, mark, body = f"\n{arpa}".partition("\n\\data\\\n")  # what comes before is commentary
    if not mark:
        raise InputError("the language model has no \\data\\ line: it is not in the ARPA format")
    lines = ["\\data\\", *body.removesuffix("\n").split("\n")]
    kept = [line for line in lines if not set(split_fields(line)[1:]) & set(dropped)]
    fewer = len(lines) - len(kept)
    counted = [re.sub(r"^ngram 1=(\d+)", lambda found: f"ngram 1={int(found[1]) - fewer}", line) for line in kept]
    return "".join(f"{line}\n" for line in counted)


def prepare_an4(corpus: Path, data: Path) -> None:
    """Write train, dev and test as data directories, a dict directory, and the corpus's language model.

    Parameters
    ----------
    corpus : Path
        Laid out as in the repository: ``etc/an4_{train,test}.{fileids,transcription}``, ``etc/an4.dic``,
        ``etc/an4.lm`` and ``wav/``.
    data : Path
        Gets ``train``, ``dev``, ``test``, ``local/dict`` and ``local/lm/corpus.arpa.gz``.

    Raises
    ------
    InputError
        When something is missing, or a word of the transcripts is not in the dictionary.
    """
    official = {part: read_utterances(corpus, part) for part in ("train", "test")}
    dev = dev_speakers(official["train"].spk2utt)
    train = official["train"]
    sets = {
        "train": subset(train, [utt for utt in train.utterances if train.utt2spk[utt] not in dev]),
        "dev": subset(train, [utt for utt in train.utterances if train.utt2spk[utt] in dev]),
        "test": official["test"],
    }
    lexicon, form = read_any_lexicon(corpus / "etc/an4.dic")
    known = spellings(entry.word for entry in lexicon)
    spoken = {word for part in sets.values() for text in part.text.values() for word in split_fields(text)}
    if unknown := sorted(word for word in spoken if word not in known):
        raise InputError(f"{corpus}/etc/an4.dic lacks {len(unknown)} words of the transcripts: {' '.join(unknown)}")
    model = restrict_unigrams(_read(corpus / "etc/an4.lm"), NO_LM_WORDS)
    for name, part in sets.items():
        write_data_dir(data / name, part)
    write_dict_dir(data / "local/dict", lexicon)
    with writing(data / "local/lm/corpus.arpa.gz") as file:
        file.write_bytes(gzip.compress(model.encode("utf-8"), mtime=0))
    print(f"dev speakers, every tenth of the training speakers: {' '.join(sorted(dev))}")
    print_summary(sets, f"lexicon: {len(known)} words of etc/an4.dic, read as {form}")


def an4(data: Path, corpus: Path | None = None) -> None:
    """Prepare CMU's AN4.

    Parameters
    ----------
    data : Path
        Where train, dev, test and local (the dict directory, the corpus's language model) are written.
    corpus : Path, optional
        A folder laid out as github.com/cmusphinx/an4; without it, that repository is cloned.
    """
    with only_writer(data):
        prepare_an4(corpus or download_an4(data / "local/download"), data)


if __name__ == "__main__":
    command(an4)
