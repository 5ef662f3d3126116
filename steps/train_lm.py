"""Make the language model and its graph G."""

import json
from pathlib import Path

from steps.base.cli import command
from steps.base.errors import InputError
from steps.base.fields import split_fields
from steps.base.output import output_dir
from steps.corpus.spelling import say_respelled, spellings
from steps.lang.arpa import Arpa, perplexity, read_arpa, renamed, restrict, write_arpa
from steps.lang.grammar_fst import grammar_fst
from steps.lang.lexicon_file import read_lexicon
from steps.lang.lines import listing
from steps.lang.ngram import train_ngram
from steps.lang.symbols import UNK
from steps.lang.table_hash import words_hash
from steps.lang.transcripts import read_transcripts

ORDERS = {"unigram": 1, "bigram": 2, "trigram": 3, **{f"{order}gram": order for order in range(1, 10)}}


def train_lm(data: Path, lang: Path, out: Path, lm: str = "bigram") -> None:
    """Train an n-gram model on the training text, or take a ready one, and make G of it (Kaldi's format_lm.sh).

    Writes OUT/lm.arpa, OUT/G.fst and OUT/lm.json. Every word of the lexicon gets some probability from a model that is
    trained here; words of a ready model that the lexicon lacks are dropped and the rest renormalised.

    Parameters
    ----------
    data : Path
        Folder of the data directories; DATA/train/text is the training text.
    lang : Path
        Language directory, from steps.prepare_lang.
    out : Path
        Directory to write.
    lm : str
        unigram, bigram, trigram, 4gram, ...: trained here. Otherwise a ready model: a file LM.arpa or LM.arpa.gz, or
        the name of one in DATA/local/lm.
    """
    vocabulary = spoken_words(lang)
    known = spellings(entry.word for entry in read_lexicon(lang / "lexicon.txt"))
    sentences = [[known.get(word, UNK) for word in words] for words in read_transcripts(data / "train/text")]
    if lm in ORDERS:
        name, model = lm, train_ngram(sentences, vocabulary.union(*sentences), ORDERS[lm])
    else:
        path = find_lm(lm, data)
        name, model = lm_name(path), read_lm(path, vocabulary.union(*sentences))
    measured = perplexity(model, sentences)
    with output_dir(out, mark="G.fst") as part:
        write_arpa(part / "lm.arpa", model)
        grammar_fst(part / "lm.arpa", lang / "words.txt", part / "G.fst")
        counts = [len(table) for table in model.probs]
        oov_rate = round(measured.oov / measured.words, 6)
        facts = {
            "lm": name,
            "order": model.order,
            "ngrams": counts,
            "train_perplexity": round(measured.value, 3),
            "oov_rate": oov_rate,
            "words": words_hash(lang / "words.txt"),
        }
        (part / "lm.json").write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    ngrams = ", ".join(f"{count} {order}-grams" for order, count in enumerate(counts, start=1))
    print(
        f"{out}: {name}: {ngrams}; perplexity {measured.value:.2f} on the training text, "
        f"{oov_rate:.2%} of whose words it lacks"
    )


def spoken_words(lang: Path) -> set[str]:
    """The words that have a pronunciation with a phone of speech: not <UNK>, !SIL and the like."""
    lexicon = read_lexicon(lang / "lexicon.txt")
    speech = set(split_fields((lang / "phones" / "nonsilence.txt").read_text(encoding="utf-8")))
    return {entry.word for entry in lexicon if not speech.isdisjoint(entry.phones)}


def find_lm(lm: str, data: Path) -> Path:
    """Find a ready language model by its file or its name in DATA/local/lm."""
    folder = data / "local" / "lm"
    for path in (Path(lm), folder / f"{lm}.arpa.gz", folder / f"{lm}.arpa"):
        if path.is_file():
            return path
    there = [lm_name(path) for path in sorted(folder.glob("*.arpa*"))]
    raise InputError(f"no language model '{lm}': neither a file, nor one of {', '.join([*list(ORDERS)[:3], *there])}")


def lm_name(path: Path) -> str:
    """The name that results give to a language model of a file.

    Example
    -------
    >>> lm_name(Path("lm/corpus.arpa.gz"))
    'corpus'
    """
    return path.name.removesuffix(".gz").removesuffix(".arpa").removesuffix(".lm")


def read_lm(path: Path, vocabulary: set[str]) -> Arpa:
    """Read a ready model and restrict it to the vocabulary, saying what one and the other lack.

    Words in another Unicode form than in the vocabulary get its spelling.
    """
    model = read_arpa(path)
    names = _other_spellings(model.vocabulary, vocabulary)
    say_respelled(path, names, "the lexicon")
    model = renamed(model, names)
    if outside := sorted(model.vocabulary - vocabulary):
        print(f"{path}: {len(outside)} words that are not in the lexicon were dropped: {listing(outside, 20)}")
    if missing := sorted(vocabulary - model.vocabulary):
        print(f"{path}: lacks {len(missing)} words of the lexicon, which cannot be recognised: {listing(missing, 20)}")
    if only_longer := sorted(vocabulary & model.vocabulary - set(model.words)):
        print(
            f"{path}: lacks the 1-grams of {len(only_longer)} words of the lexicon, which can be recognised after the "
            f"words of their longer n-grams only: {listing(only_longer, 20)}"
        )
    return restrict(model, vocabulary)


def _other_spellings(words: set[str], vocabulary: set[str]) -> dict[str, str]:
    """Words of a model that the vocabulary has in another Unicode form, which the model does not have -> that form."""
    return spellings(sorted(vocabulary - words)).respelled(spellings(sorted(words - vocabulary)))


if __name__ == "__main__":
    command(train_lm)
