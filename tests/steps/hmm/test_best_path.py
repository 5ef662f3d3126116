import kaldifst
import numpy as np

from steps.hmm.best_path import best_path


def test_incomplete_path_only_when_asked():
    fst = kaldifst.compile("0 1 1 1 0\n1 2 2 0 0\n2 0")
    scores = np.zeros((1, 2), np.float32)
    assert best_path(fst, scores, 10) is None
    assert best_path(fst, scores, 10, complete=False) == ([1], [1], 0.0)
    assert best_path(fst, np.zeros((3, 2), np.float32), 10, complete=False) is None
