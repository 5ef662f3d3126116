"""From a dictionary to the lang directory: symbols, topology and L."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

from nnet.ranges import Count, Probability
from steps.base.cli import command
from steps.base.errors import InputError
from steps.base.output import output_dir
from steps.corpus.spelling import say_respelled, spellings
from steps.hmm.topology import write_topo
from steps.lang.lexicon import Dictionary, add_lex_disambig, read_dict_dir
from steps.lang.lexicon_file import Entry
from steps.lang.lexicon_fst import lexicon_fst, write_fst
from steps.lang.lines import listing
from steps.lang.positions import (
    BOUNDARIES,
    nonsilence_variants,
    position_questions,
    silence_variants,
    with_positions,
    word_boundaries,
)
from steps.lang.symbols import UNK, phone_symbols, word_symbols, write_symbols
from steps.lang.table_hash import lang_tables
from steps.lang.transcripts import read_transcripts


def prepare_lang(
    train: Path,
    dict_dir: Path,
    lang: Path,
    oov_to_unk: bool = False,
    sil_prob: Probability = 0.5,
    silence_states: Count = 5,
    nonsilence_states: Count = 3,
    position_dependent_phones: bool = False,
) -> None:
    """Make a lang directory, as Kaldi's prepare_lang.sh does.

    It holds words.txt, phones.txt and phones/, topo, L.fst, L_disambig.fst, the lexicon and what was found (lang.json).
    The language model is made by steps.train_lm.

    Parameters
    ----------
    train : Path
        Data directory of the training set, each word of which needs a pronunciation.
    dict_dir : Path
        Kaldi dict directory: lexicon.txt or lexiconp.txt, silence_phones.txt, nonsilence_phones.txt,
        optional_silence.txt, and perhaps extra_questions.txt: sets of phones, one a line, that a tree may ask for.
    lang : Path
        The directory to make.
    oov_to_unk : bool
        Take training words without pronunciation as <UNK> instead of refusing them.
    sil_prob : float
        Probability of silence between words, in [0, 1).
    silence_states : int
        HMM states of silence phones.
    nonsilence_states : int
        HMM states of the other phones.
    position_dependent_phones : bool
        Make variants of each phone for the beginning (_B), inside (_I) and end (_E) of words and for words of one phone
        (_S). Monophones share their states; triphones may ask for the position.
    """
    train, dict_dir = Path(train), Path(dict_dir)
    dictionary = read_dict_dir(dict_dir)
    spelling = spellings(entry.word for entry in dictionary.lexicon)
    known = set(spelling)
    spoken = read_transcripts(train / "text")
    text = [[spelling.get(word, word) for word in words] for words in spoken]
    say_respelled(train / "text", spelling.respelled(chain.from_iterable(spoken)), dictionary.lexicon_path)
    unknown = _words_without_pronunciation(text, known, train / "text", dictionary.lexicon_path, oov_to_unk)
    with output_dir(lang, mark="phones.txt") as part:
        ids = _write_dictionary(part, dictionary, position_dependent_phones, sil_prob)
        write_topo(part / "topo", ids["silence"], ids["nonsilence"], silence_states, nonsilence_states)
        facts = {
            "words": len(known),
            "pronunciations": len(dictionary.lexicon),
            "phones": len(ids["silence"]) + len(ids["nonsilence"]),
            "oov_to_unk": oov_to_unk,
            "train_words": sum(map(len, text)),
            "oov_rate": round(unknown.total() / sum(map(len, text)), 6),
            "words_not_in_train": len(known.difference(*text)),
            "tables": lang_tables(part),
        }
        (part / "lang.json").write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(
        f"{dictionary.lexicon_path}: {facts['words']} words, {facts['pronunciations']} pronunciations, "
        f"{len(dictionary.silence_phones)} silence and {len(dictionary.nonsilence_phones)} other phones\n"
        f"training text: {facts['train_words']} words, {facts['oov_rate']:.2%} without pronunciation; "
        f"{facts['words_not_in_train']} lexicon words are not in it\n"
        f"wrote {lang}"
    )


def _words_without_pronunciation(
    text: list[list[str]], known: set[str], text_path: Path, lexicon_path: Path, oov_to_unk: bool
) -> Counter[str]:
    unknown = Counter(word for words in text for word in words if word not in known)
    if not unknown:
        return unknown
    found = listing([f"{word} ({count})" for word, count in sorted(unknown.items())])
    if not oov_to_unk:
        raise InputError(
            f"{text_path}: {len(unknown)} words have no pronunciation in {lexicon_path}: {found}; "
            f"add them there, or take them as {UNK} with --oov-to-unk"
        )
    if UNK not in known:
        raise InputError(
            f"{lexicon_path}: there is no {UNK} that {len(unknown)} words without pronunciation ({found}) could be "
            f"taken as; add the line '{UNK} SPN', with SPN in silence_phones.txt"
        )
    print(f"{text_path}: {len(unknown)} words without pronunciation are taken as {UNK}: {found}")
    return unknown


def _phone_sets(dictionary: Dictionary) -> dict[str, list[str]]:
    return {
        "silence": dictionary.silence_phones,
        "nonsilence": dictionary.nonsilence_phones,
        "optional_silence": [dictionary.optional_silence],
    }


def _write_dictionary(lang: Path, dictionary: Dictionary, positions: bool, sil_prob: float) -> dict[str, list[int]]:
    """Write words, phones, their sets and both L, with the phones' variants by position or without; give the sets."""
    variants = with_positions(dictionary) if positions else dictionary
    phones = _write_lexicon(lang, variants, sil_prob)
    if positions:
        _write_positions(lang, dictionary, phones)
    questions = [*variants.extra_questions, *(position_questions(dictionary) if positions else [])]
    if questions:
        _write_sets(lang / "phones/extra_questions", questions, phones)
    return {kind: [phones[p] for p in group] for kind, group in _phone_sets(variants).items()}


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


def _write_positions(lang: Path, dictionary: Dictionary, phones: dict[str, int]) -> None:
    """Write which phones are variants of one, and each one's position."""
    _write_sets(lang / "phones/sets", silence_variants(dictionary) + nonsilence_variants(dictionary), phones)
    boundaries = word_boundaries(dictionary)
    _write_lines(lang / BOUNDARIES, [f"{name} {position}" for name, position in boundaries.items()])
    numbered = [f"{phones[name]} {position}" for name, position in boundaries.items()]
    _write_lines((lang / BOUNDARIES).with_suffix(".int"), numbered)


def _write_sets(path: Path, sets: Sequence[Sequence[str]], phones: Mapping[str, int]) -> None:
    """Write sets of phones, one a line, by their names (.txt) and ids (.int)."""
    _write_lines(path.with_suffix(".txt"), [" ".join(names) for names in sets])
    _write_lines(path.with_suffix(".int"), [" ".join(str(phones[name]) for name in names) for names in sets])


def _sorted(lexicon: list[Entry]) -> list[Entry]:
    return sorted(lexicon, key=lambda entry: (entry.word, entry.phones))


def _write_lines(path: Path, lines: list[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    command(prepare_lang)
