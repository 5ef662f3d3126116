"""From a dictionary and the training text to the lang directory: symbols, topology, L and G."""

import json
from collections import Counter
from pathlib import Path

from steps.cli import command
from steps.corpus.tables import read_table
from steps.errors import InputError
from steps.hmm.topology import write_topo
from steps.lang.arpa import Arpa, perplexity, read_arpa, restrict, write_arpa
from steps.lang.grammar_fst import grammar_fst
from steps.lang.lexicon import Dictionary, Entry, add_lex_disambig, listing, read_dict_dir
from steps.lang.lexicon_fst import lexicon_fst, write_fst
from steps.lang.ngram import train_ngram
from steps.lang.symbols import UNK, phone_symbols, word_symbols, write_symbols
from steps.output import output_dir

LM_NAMES = {1: "unigram", 2: "bigram", 3: "trigram"}


def prepare_lang(
    train: Path,
    dict_dir: Path,
    lang: Path,
    order: int = 2,
    lm: Path | None = None,
    lm_name: str | None = None,
    oov_to_unk: bool = False,
    sil_prob: float = 0.5,
    silence_states: int = 5,
    nonsilence_states: int = 3,
) -> None:
    """Make a lang directory, as Kaldi's prepare_lang.sh and format_lm.sh do.

    It holds words.txt, phones.txt and phones/, topo, L.fst, L_disambig.fst and G.fst, the lexicon, the language model
    (lm.arpa) and what was found (lang.json). Phones do not depend on their position in the word.

    Parameters
    ----------
    train : Path
        Data directory of the training set; its text trains the language model.
    dict_dir : Path
        Kaldi dict directory: lexicon.txt or lexiconp.txt, silence_phones.txt, nonsilence_phones.txt,
        optional_silence.txt.
    lang : Path
        The directory to make.
    order : int
        Order of the n-gram model.
    lm : Path, optional
        A ready language model, LM.arpa or LM.arpa.gz, instead of one of the training text. Its words that the lexicon
        lacks are dropped and the rest renormalised.
    lm_name : str, optional
        The name that results give to the language model; by default bigram and the like, or the name of the `lm` file.
    oov_to_unk : bool
        Take training words without pronunciation as <UNK> instead of refusing them.
    sil_prob : float
        Probability of silence between words, in [0, 1).
    silence_states, nonsilence_states : int
        HMM states of silence phones and of the others.
    """
    train, dict_dir, lm = Path(train), Path(dict_dir), Path(lm) if lm else None
    if not 0 <= sil_prob < 1:
        raise InputError(f"sil_prob is {sil_prob}; the probability of silence has to be at least 0 and below 1")
    dictionary = read_dict_dir(dict_dir)
    known = {entry.word for entry in dictionary.lexicon}
    text = _read_text(train / "text")
    unknown = _words_without_pronunciation(text, known, train / "text", dictionary.lexicon_path, oov_to_unk)
    sentences = [[word if word in known else UNK for word in words] for words in text.values()]

    vocabulary = _spoken_words(dictionary) | {word for words in sentences for word in words}
    model = _read_lm(lm, vocabulary) if lm else train_ngram(sentences, vocabulary, order)
    with output_dir(lang) as part:
        phones = _write_lexicon(part, dictionary, sil_prob)
        ids = {kind: [phones[p] for p in group] for kind, group in _phone_sets(dictionary).items()}
        write_topo(part / "topo", ids["silence"], ids["nonsilence"], silence_states, nonsilence_states)
        write_arpa(part / "lm.arpa", model)
        grammar_fst(part / "lm.arpa", part / "words.txt", part / "G.fst")
        facts = {
            "lm": lm_name or (_stem(lm) if lm else LM_NAMES.get(order, f"{order}gram")),
            "order": model.order,
            "words": len(known),
            "pronunciations": len(dictionary.lexicon),
            "phones": len(ids["silence"]) + len(ids["nonsilence"]),
            "ngrams": [len(table) for table in model.probs],
            "oov_to_unk": oov_to_unk,
            **_text_facts(model, sentences, known, unknown),
        }
        (part / "lang.json").write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    _print_summary(lang, dictionary, facts)


def _read_text(path: Path) -> dict[str, list[str]]:
    text = {utt: words.split() for utt, words in read_table(path).items()}
    if not any(text.values()):
        raise InputError(f"{path}: there is no transcript in it")
    return text


def _words_without_pronunciation(
    text: dict[str, list[str]], known: set[str], text_path: Path, lexicon_path: Path, oov_to_unk: bool
) -> Counter[str]:
    unknown = Counter(word for words in text.values() for word in words if word not in known)
    if not unknown:
        return unknown
    found = listing([f"{word} ({count})" for word, count in sorted(unknown.items())])
    if not oov_to_unk:
        raise InputError(
            f"{text_path}: {len(unknown)} words have no pronunciation in {lexicon_path}: {found}; "
            f"add them there, or take them as {UNK} with --oov_to_unk"
        )
    if UNK not in known:
        raise InputError(
            f"{lexicon_path}: there is no {UNK} that {len(unknown)} words without pronunciation ({found}) could be "
            f"taken as; add the line '{UNK} SPN', with SPN in silence_phones.txt"
        )
    print(f"{text_path}: {len(unknown)} words without pronunciation are taken as {UNK}: {found}")
    return unknown


def _spoken_words(dictionary: Dictionary) -> set[str]:
    """The words that have a pronunciation with a phone of speech: not <UNK>, !SIL and the like."""
    speech = set(dictionary.nonsilence_phones)
    return {entry.word for entry in dictionary.lexicon if not speech.isdisjoint(entry.phones)}


def _read_lm(path: Path, vocabulary: set[str]) -> Arpa:
    model = read_arpa(path)
    outside = sorted(set(model.words) - vocabulary)
    if outside:
        print(f"{path}: {len(outside)} words that are not in the lexicon were dropped: {listing(outside, 20)}")
    if missing := sorted(vocabulary - set(model.words)):
        print(f"{path}: lacks {len(missing)} words of the lexicon, which cannot be recognised: {listing(missing, 20)}")
    return restrict(model, vocabulary)


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".arpa").removesuffix(".lm")


def _phone_sets(dictionary: Dictionary) -> dict[str, list[str]]:
    return {
        "silence": dictionary.silence_phones,
        "nonsilence": dictionary.nonsilence_phones,
        "optional_silence": [dictionary.optional_silence],
    }


def _write_lexicon(lang: Path, dictionary: Dictionary, sil_prob: float) -> dict[str, int]:
    """Write the symbol tables, phone lists, lexicon and both L; give the phone symbols."""
    marked, highest = add_lex_disambig(dictionary.lexicon)
    sets = _phone_sets(dictionary)
    sets["disambig"] = [f"#{i}" for i in range(highest + 2)]  # #0 for back-off, the last one for optional silence
    words = word_symbols(entry.word for entry in dictionary.lexicon)
    phones = phone_symbols(sets["silence"], sets["nonsilence"], sets["disambig"])
    write_symbols(lang / "words.txt", words)
    write_symbols(lang / "phones.txt", phones)
    (lang / "phones").mkdir()
    for kind, members in sets.items():
        _write_lines(lang / "phones" / f"{kind}.txt", members)
        _write_lines(lang / "phones" / f"{kind}.int", [str(phones[phone]) for phone in members])
    _write_lines(lang / "lexicon.txt", [" ".join([entry.word, *entry.phones]) for entry in _sorted(dictionary.lexicon)])
    if UNK in words:
        _write_lines(lang / "oov.txt", [UNK])
    silence = dictionary.optional_silence
    write_fst(lang / "L.fst", lexicon_fst(dictionary.lexicon, phones, words, sil_prob, silence))
    with_disambig = lexicon_fst(marked, phones, words, sil_prob, silence, sets["disambig"][-1])
    write_fst(lang / "L_disambig.fst", with_disambig)
    return phones


def _sorted(lexicon: list[Entry]) -> list[Entry]:
    return sorted(lexicon, key=lambda entry: (entry.word, entry.phones))


def _write_lines(path: Path, lines: list[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


def _text_facts(model: Arpa, sentences: list[list[str]], known: set[str], unknown: Counter[str]) -> dict[str, float]:
    measured = perplexity(model, sentences)
    return {
        "train_words": measured.words,
        "train_perplexity": round(measured.value, 3),
        "oov_rate": round(unknown.total() / measured.words, 6),
        "lm_oov_rate": round(measured.oov / measured.words, 6),
        "words_not_in_train": len(known.difference(*sentences)),
    }


def _print_summary(lang: Path, dictionary: Dictionary, facts: dict) -> None:
    counts = ", ".join(f"{count} {order}-grams" for order, count in enumerate(facts["ngrams"], start=1))
    print(
        f"{dictionary.lexicon_path}: {facts['words']} words, {facts['pronunciations']} pronunciations, "
        f"{len(dictionary.silence_phones)} silence and {len(dictionary.nonsilence_phones)} other phones\n"
        f"training text: {facts['train_words']} words, {facts['oov_rate']:.2%} without pronunciation; "
        f"{facts['words_not_in_train']} lexicon words are not in it\n"
        f"language model {facts['lm']}: {counts}; perplexity {facts['train_perplexity']:.2f} on the training text, "
        f"{facts['lm_oov_rate']:.2%} of whose words it lacks\n"
        f"wrote {lang}"
    )


if __name__ == "__main__":
    command(prepare_lang)
