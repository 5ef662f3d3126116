import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nnet.augment import Masks, masked
from nnet.config import ModelConfig, TrainConfig
from nnet.model import Network, initialise
from nnet.train import train
from tests.nnet import synthetic


@given(st.integers(1, 400), st.integers(0, 3), st.integers(1, 50), st.integers(0, 3), st.integers(1, 50), st.integers())
def test_masks_are_whole_bands_and_gaps(frames, bands, band_width, gaps, gap_width, key):
    masks = Masks(bands, band_width, gaps, gap_width)
    feats = torch.ones(frames, 40)
    result = masked(feats, masks, (abs(key),))
    assert (feats == 1).all()
    dead_bands, dead_frames = (result == 0).all(0), (result == 0).all(1)
    assert torch.equal(result == 0, dead_bands | dead_frames.unsqueeze(1))
    if not dead_frames.all():
        assert dead_bands.sum() <= bands * band_width
    if not dead_bands.all():
        assert dead_frames.sum() <= (gaps * frames // 100 + 1) * min(gap_width, frames // 5)
    assert torch.equal(result, masked(feats, masks, (abs(key),)))


def test_short_utterances_are_masked_as_much_as_long_ones():
    """About a tenth of the frames: two gaps of five frames in a hundred, which seldom overlap."""
    for frames in (60, 130, 1000):
        drawn = [masked(torch.ones(frames, 2), Masks(gaps=2, gap_width=10), (k,)) for k in range(4000 // frames * 10)]
        assert torch.cat(drawn)[:, 0].eq(0).float().mean() == pytest.approx(0.095, abs=0.01)


def test_nothing_to_mask():
    feats = torch.ones(30, 4)
    assert masked(feats, Masks(), (1,)) is feats


@pytest.mark.parametrize("masks", [Masks(), Masks(bands=1, band_width=1)])
def test_training_draws_the_same_masks_for_the_same_seed(tmp_path, masks):
    weights = []
    for name in "ab":
        (tmp_path / name).mkdir()
        model = Network(ModelConfig(layers=1, cells=4, projection=0, delay=1), 2, 2)
        initialise(model, 1)
        config = TrainConfig(streams=4, epochs=2, masks=masks)
        train(model, synthetic.bits(8, 1), synthetic.bits(4, 1, 1), config, tmp_path / name, seed=1, threads=1)
        weights.append(torch.cat([w.flatten() for w in model.parameters()]))
    assert torch.equal(*weights)
