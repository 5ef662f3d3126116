"""English sentences, and a speech synthesiser that says when it speaks which phone: Debian packages, not installed.

The sentences are prose of Ambrose Bierce's *The Devil's Dictionary* (dict-devil; 1911, in the public domain).
Festival's voice kal_diphone joins recorded diphones and stretches them to the durations that its models want: a
segment's end is where it puts the mark in the middle of a diphone. As it moves whole pitch periods, what is heard can
be off by half of one (5 ms).
"""

import gzip
import hashlib
import re
from pathlib import Path

from local.fetch import apt_download, run, unpack_deb
from steps.base.errors import InputError
from steps.base.output import output_dir
from steps.corpus.split import normalise_transcript

PACKAGES = ["festival", "festvox-kallpc16k", "festlex-cmu", "festlex-poslex", "dict-devil"]
BASE = ("libc6", "libgcc-s1", "libstdc++6")  # whoever runs Python has these
VOICE = "kal_diphone"
WORDS = (4, 16)  # the least and the most of a sentence
SPEAK = """(voice_{voice})
(define (speak name text)
  (let ((utterance (utt.synth (eval (list 'Utterance 'Text text)))))
    (utt.save.wave utterance (string-append name ".wav") 'riff)
    (utt.save.segs utterance (string-append name ".lab"))))
"""


def download_festival(folder: Path) -> Path:
    """Fetch and unpack Festival, its English voice, the libraries and the prose; what is there is used again.

    Raises
    ------
    InputError
        When they cannot be had; the message tells why.
    """
    unpacked = folder / "festival"
    if not unpacked.exists():
        with output_dir(unpacked) as part:
            try:
                apt_download([*PACKAGES, *_libraries(part)], part)
                for package in sorted(part.glob("*.deb")):
                    unpack_deb(package, part)
                    package.unlink()
            except InputError as error:
                raise InputError(
                    f"cannot download Festival: {error}. This needs Debian or a system like it; where apt says that "
                    "there is no such package, run 'apt-get update' as root"
                ) from error
    return unpacked


def _libraries(folder: Path) -> list[str]:
    """The libraries that Festival needs, and those that they need."""
    depends = ["apt-cache", "depends", "--important"]
    direct = re.findall(r"Depends: (lib\S+)", run([*depends, "festival"], folder))
    listed = run([*depends, "--recurse", *(name for name in direct if name not in BASE)], folder)
    return [name for name in re.findall(r"^lib\S+", listed, re.MULTILINE) if name not in BASE]


def read_prose(path: Path) -> str:
    """Read the dictionary's text.

    Raises
    ------
    InputError
        When it is missing.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; the package dict-devil should hold it")
    return gzip.decompress(path.read_bytes()).decode("utf-8", errors="replace")


def sentences(prose: str) -> list[str]:
    """Find the sentences that are plain words, in an order that depends on each sentence alone (a hash).

    Lines that are indented are verse, dialogue or a signature and left out, as is what holds digits, quotations,
    abbreviations or words in capitals: no reader would doubt how to say the rest.

    Example
    -------
    >>> sentences("HM, n.  In morals, it enforces by penalties the law\\nof moderation.  Hm!\\n\\n    Hail, high one")
    ['In morals, it enforces by penalties the law of moderation.']
    """
    found = {}
    for paragraph in re.findall(r"(?:^\S.*\n?)+", prose, re.MULTILINE):
        for sentence in re.split(r"(?<=[.!?])\s+", " ".join(paragraph.split())):
            plain = re.fullmatch(r"[A-Z][a-z]*(?:[,;:]? (?:I|[a-z]+(?:[-'][a-z]+)*))*[.!?]", sentence)
            if plain and WORDS[0] <= len(sentence.split()) <= WORDS[1]:
                found.setdefault(normalise_transcript(sentence), sentence)
    return [found[key] for key in sorted(found, key=lambda key: hashlib.sha256(key.encode()).digest())]


def script(texts: dict[str, str]) -> str:
    """Make Festival's program that speaks texts: NAME.wav, and NAME.lab with the phones' ends, as xlabel writes them.

    Example
    -------
    >>> print(script({"a": "What is it?"}).splitlines()[-1])
    (speak "a" "What is it?")
    """
    lines = [f'(speak "{name}" "{text}")\n' for name, text in texts.items()]
    return SPEAK.format(voice=VOICE) + "".join(lines)


def speak(festival: Path, texts: dict[str, str], folder: Path) -> None:
    """Speak texts: `folder` gets NAME.wav and NAME.lab of each.

    Parameters
    ----------
    festival : Path
        From `download_festival`.
    texts : dict
        Name -> sentence, without quotation marks.
    folder : Path

    Raises
    ------
    InputError
        When Festival cannot be run, or does not speak them all; with the end of what it said.
    """
    root = festival.absolute()
    with output_dir(folder) as part:
        (part / "speak.scm").write_text(script(texts), encoding="utf-8")
        libraries = ":".join(sorted({str(path.parent) for path in root.rglob("lib*.so*")}))
        # settings in the user's home could change the voice
        environment = ["env", f"HOME={part.absolute()}", f"LD_LIBRARY_PATH={libraries}"]
        places = ["--datadir", root / "usr/share/festival", "--libdir", root / "usr/lib/festival"]
        said = run([*environment, root / "usr/bin/festival", *places, "-b", "speak.scm"], part)
        silent = [name for name in texts if not ((part / f"{name}.wav").is_file() and (part / f"{name}.lab").is_file())]
        if silent:
            raise InputError(
                f"Festival did not speak {len(silent)} of {len(texts)} sentences, the first '{texts[silent[0]]}': "
                f"{' '.join(said.split())[-300:]}"
            )
