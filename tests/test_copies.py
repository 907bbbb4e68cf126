"""What of a texture is the photo's own, and in how large pieces; what an eye sees of a tile."""

import sys

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from benchmarks import copies, scores, vgg
from texture_diffusion_tools.running.errors import UserError

SIDE = 112  # of a photo, px


def texture(seed, side=SIDE):
    """Coloured blots with grain, uint8 [side, side, 3]; another seed gives more of the same."""
    rng = np.random.default_rng(seed)
    soft = gaussian_filter(rng.standard_normal((side, side, 3)), (2, 2, 0))
    return (120 + 25 * soft / soft.std() + 10 * rng.standard_normal(soft.shape)).clip(0, 255).astype(np.uint8)


def quilt(photo, side):
    """Four pieces of a photo, none of which lies where it came from, uint8 [2 side, 2 side, 3]."""
    corners = [(0, 41), (45, 3), (37, 29), (7, 50)]
    a, b, c, d = (photo[y:y + side, x:x + side] for y, x in corners)
    return np.vstack([np.hstack([a, b]), np.hstack([c, d])])


def test_what_is_smooth_is_not_taken_for_the_photo_s_smooth_parts():
    smooth, other = (gaussian_filter(texture(seed).astype(float), (3, 3, 0)).astype(np.uint8) for seed in (0, 1))
    photo = np.hstack([smooth, texture(2)])
    assert copies.copied(other, photo)["own"] < 0.05 and copies.copied(smooth, photo)["own"] == 1


def rounded(pixels):
    """A picture that was saved with a little loss."""
    return pixels // 8 * 8 + 4


def test_all_of_a_quilt_is_the_photo_s_own_and_its_largest_piece_is_one_piece():
    photo = texture(0)
    found = copies.copied(quilt(photo, 48), photo)
    assert found["own"] == 1 and found["largest piece"] == pytest.approx((48 / SIDE) ** 2)
    unaligned = copies.copied(quilt(photo, 56), photo)  # cuts go through cells
    assert unaligned["own"] > 0.97 and unaligned["largest piece"] == pytest.approx((56 / SIDE) ** 2, rel=0.1)
    assert copies.copied(rounded(quilt(photo, 48)), photo)["own"] > 0.9


def test_nothing_of_more_of_the_same_is_the_photo_s_own_and_of_a_half_copy_half_of_it_is():
    photo, other = texture(0), texture(1)
    assert copies.copied(other, photo)["own"] < 0.01 and copies.copied_by_halves(photo)["own"] < 0.01
    half = np.hstack([photo[:96, 8:56], other[:96, :48]])
    found = copies.copied(half, photo)
    assert found["own"] == pytest.approx(0.5, abs=0.03)
    assert found["largest piece"] == pytest.approx(96 * 48 / SIDE**2, rel=0.06)


# What an eye sees


@pytest.mark.slow
def test_the_second_classifier_tells_what_is_blurred_and_hardly_more_of_the_same():
    pytest.importorskip("stlpips_pytorch")
    a, b = (scores.photo_tiles(texture(seed, 384), 64, 64) for seed in (2, 3))
    soft = gaussian_filter(b.astype(float), (0, 1, 1, 0)).astype(np.uint8)
    known, same, blurred = map(vgg.features, (a, b, soft))
    assert known.shape == (len(a), 2 * (64 + 128 + 256 + 512 + 512)) and np.isfinite(known).all()
    assert 0.25 < scores.c2st(same, known) < 0.75 and scores.c2st(blurred, known) > 0.97
    assert np.array_equal(vgg.features(a[:1]), vgg.features(a[:1]))


def test_each_block_halves_the_resolution(monkeypatch):
    monkeypatch.setattr(vgg, "weights", small_weights)
    found = vgg.blocks(torch.rand(2, 3, 32, 40))
    assert [block.shape[1:] for block in found] == [(4 * k, 32 >> k - 1, 40 >> k - 1) for k in range(1, vgg.BLOCKS + 1)]


def small_weights():
    """Weights as in the file, one convolution in each block."""
    found = {"scaling_layer.shift": torch.zeros(1, 3, 1, 1), "scaling_layer.scale": torch.ones(1, 3, 1, 1)}
    channels = 3
    for block in range(1, vgg.BLOCKS + 1):
        if block > 1:
            found[f"net.slice{block}.0.filt"] = torch.ones(channels, 1, 3, 3) / 9
        found[f"net.slice{block}.1.weight"] = torch.rand(4 * block, channels, 3, 3)
        found[f"net.slice{block}.1.bias"] = torch.zeros(4 * block)
        channels = 4 * block
    return found


def test_missing_weights_are_one_sentence_with_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "stlpips_pytorch", None)
    vgg.weights.cache_clear()
    with pytest.raises(UserError, match="pip install stlpips-pytorch") as caught:
        vgg.features(np.zeros((1, 64, 64, 3), np.uint8))
    assert "\n" not in str(caught.value)
