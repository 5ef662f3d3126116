"""Build the decoding graph HCLG."""

import json
import shutil
from pathlib import Path

from steps.base.cli import command
from steps.base.output import output_dir
from steps.hmm.graph import hclg
from steps.hmm.joins import check_lang, tree_hash
from steps.hmm.transitions import read_transition_model
from steps.hmm.tree import read_tree
from steps.lang.fst_arrays import to_arrays
from steps.lang.grammar_fst import read_grammar
from steps.lang.lexicon_fst import read_lexicon_fst, write_fst
from steps.lang.table_hash import check_labels, lang_tables


def make_graph(lang: Path, grammar: Path, model: Path, graph: Path) -> None:
    """Compose the decoding graph HCLG (Kaldi's mkgraph.sh).

    The graph belongs to a tree, a transition model, a lexicon and a language model: a GMM system and every network
    trained on its alignments share it. The scale of self-loops is that of the states (tree.json).

    Parameters
    ----------
    lang : Path
        Language directory, from steps.prepare_lang: L_disambig.fst.
    grammar : Path
        Language model, from steps.train_lm: G.fst.
    model : Path
        A model, an alignment directory, or the states of steps.build_tree: whatever holds tree.json, topo and
        transitions.npz.
    graph : Path
        Graph directory to write: HCLG.fst, words.txt, phones.txt and graph.json.
    """
    lexicon = read_lexicon_fst(lang, "L_disambig.fst")
    labels = to_arrays(lexicon)
    check_labels(labels.ilabel, lang / "L_disambig.fst", lang / "phones.txt")
    check_labels(labels.olabel, lang / "L_disambig.fst", lang / "words.txt")
    language_model, about = read_grammar(grammar, lang)
    disambiguation = [int(line) for line in (lang / "phones" / "disambig.int").read_text().split()]
    transitions = read_transition_model(model)
    check_lang(lang, model)
    result = hclg(lexicon, language_model, disambiguation, read_tree(model / "tree.json"), transitions)
    with output_dir(graph, mark="graph.json") as folder:
        write_fst(folder / "HCLG.fst", result)
        for name in ("words.txt", "phones.txt"):
            shutil.copy(lang / name, folder / name)
        about |= {"tree": tree_hash(model), "transition_ids": transitions.num_tids, **transitions.rate._asdict()}
        about |= lang_tables(lang)
        (folder / "graph.json").write_text(json.dumps(about, indent=1))
    arcs = sum(result.num_arcs(state) for state in range(result.num_states))
    print(f"{graph}: {result.num_states:,} states, {arcs:,} arcs, language model {about['lm']}")


if __name__ == "__main__":
    command(make_graph)
