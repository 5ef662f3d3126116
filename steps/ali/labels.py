"""Words and phones of aligned utterances, with times and confidences."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import kaldifst
import numpy as np

from steps.ali.directory import Aligned, AlignedSet
from steps.ali.word_times import FrameTimes, divide, phone_labels
from steps.base.errors import InputError
from steps.base.fields import split_fields
from steps.corpus.ctm import Token
from steps.hmm.joins import check_lang
from steps.hmm.training_graph import TrainingLexicon, read_training_lexicon
from steps.hmm.transitions import TransitionModel, read_transition_model, split_phones
from steps.lang.lines import numbered_lines
from steps.lang.positions import plain_names
from steps.lang.symbols import is_disambiguation, read_symbols


class Labels(NamedTuple):
    """An utterance's words, and its phones, which fill it from beginning to end; silence is a phone, but no word."""

    words: list[Token]
    phones: list[Token]

    @property
    def end(self) -> float:
        """Where the last frame ends, in seconds."""
        return self.phones[-1].end


@dataclass(frozen=True)
class Labeller:
    """Finds the words and phones of alignments.

    Attributes
    ----------
    lang : Path
    transitions : TransitionModel
        What transition-ids mean.
    times : FrameTimes
    lexicon : TrainingLexicon
    labelled : StdVectorFst
        From `phone_labels`.
    phone_names : dict
        Phone-id -> phone, without its position in the word.
    silence : str
        The optional silence.
    """

    lang: Path
    transitions: TransitionModel
    times: FrameTimes
    lexicon: TrainingLexicon
    labelled: kaldifst.StdVectorFst
    phone_names: dict[int, str]
    silence: str

    def labels(self, utterance: str, text: str, aligned: Aligned) -> Labels:
        """The words and phones of an utterance.

        A confidence is the geometric mean of the posteriors of its frames' phones::

            c = exp( 1/n Σ_t log p(phone_t | x_t) )

        Parameters
        ----------
        utterance : str
            The id, for messages.
        text : str
            The transcript.
        aligned : Aligned

        Raises
        ------
        InputError
            When the phones of the alignment are no pronunciation of the transcript.
        """
        phones = split_phones(self.transitions, aligned.tids)
        ids = self.lexicon.word_ids(utterance, text)
        spans = divide([phone for phone, _, _ in phones], ids, self.labelled)
        if spans is None:
            raise InputError(
                f"utterance {utterance}: the phones of its alignment are no pronunciation of its transcript in "
                f"{self.lang}; use the lang directory that it was aligned with"
            )
        bounds = [*(first for _, first, _ in phones), len(aligned.tids)]

        def token(text: str, begin: int, end: int) -> Token:
            first, last = bounds[begin], bounds[end]
            confidence = float(np.exp(aligned.log_posteriors[first:last].mean(dtype=np.float64)))
            start, stop = (self.times.boundary(frame, len(aligned.tids)) for frame in (first, last))
            return Token(text, start, stop, confidence)

        return Labels(
            [token(word, i, i + count) for word, (i, count) in zip(split_fields(text), spans, strict=True)],
            [token(self.phone_names[phone], i, i + 1) for i, (phone, _, _) in enumerate(phones)],
        )

    def tiers(self, labels: Labels) -> dict[str, list[Token]]:
        """The tiers of a TextGrid: words, and phones without the optional silence."""
        return {"words": labels.words, "phones": [phone for phone in labels.phones if phone.text != self.silence]}


def read_labeller(lang: Path, model: Path, times: FrameTimes) -> Labeller:
    """Prepare for the alignments of a model.

    Parameters
    ----------
    lang : Path
        Language directory that it was aligned with.
    model : Path
        Model or alignment directory.
    times : FrameTimes
        Where frames lie.

    Raises
    ------
    InputError
        When the lang directory lacks a file or a phone of the model, or numbers the phones in another way.
    """
    transitions = read_transition_model(model)
    # words that it lacks were aligned as the unknown word, or not at all
    lexicon = read_training_lexicon(lang, oov_to_unk=True)
    check_lang(lang, model)
    symbols = read_symbols(lang / "phones.txt")
    plain = plain_names(lang, symbols)
    names = {number: plain[phone] for phone, number in symbols.items() if not is_disambiguation(phone)}
    if unknown := sorted(set(transitions.topology) - set(names)):
        raise InputError(
            f"{lang}/phones.txt has no phone {unknown[0]}, which {model} has; use the lang directory of its training"
        )
    path = lang / "phones" / "optional_silence.txt"
    silence = " ".join(text for _, text in numbered_lines(path) if text)
    if silence not in names.values():
        raise InputError(f"{path}: '{silence}' is not one of the phones in phones.txt; make {lang} again")
    return Labeller(lang, transitions, times, lexicon, phone_labels(lexicon.fst), names, silence)


def labeller_of(aligned: AlignedSet, lang: Path) -> Labeller:
    """Prepare for the utterances of an alignment directory."""
    return read_labeller(lang, aligned.folder, aligned.times)
