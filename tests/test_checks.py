"""What is told of any picture: where it shows that it is laid beside itself, how it repeats, what strikes the eye."""

import json

import numpy as np
import pytest
from conftest import draw_pixels, tiny
from PIL import Image

from texture_diffusion_tools.writing import checks


def waves(side=128, seed=0):
    """A rough texture that wraps around, uint8 [side, side, 3]."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.fft2(rng.standard_normal((3, side, side)))
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None])
    x = np.fft.ifft2(spectrum / (0.03 + frequency)).real
    return (127 + 40 * x / x.std()).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)


@pytest.fixture
def judged(tmp_path):
    """The figures of a picture of these pixels."""
    def judge(pixels):
        Image.fromarray(pixels).save(tmp_path / "picture.png")
        return checks.check(str(tmp_path / "picture.png"))

    return judge


@pytest.mark.parametrize("cut, tileable", [(np.s_[:, :], "xy"), (np.s_[:, :90], "y"), (np.s_[:90], "x"),
                                           (np.s_[:90, :90], "none")])
def test_a_picture_is_tileable_where_it_meets_itself_and_not_where_it_was_cut(judged, cut, tileable):
    found = judged(waves()[cut])
    assert found["tileable"] == tileable
    assert (float(found["seam_x_1st"]) > 1.2) == ("x" not in tileable)


def test_what_repeats_itself_is_found_with_how_far_away(judged):
    once = judged(waves(256))
    again = judged(np.tile(waves(96), (2, 3, 1)))
    assert float(once["repetition"]) < 0.5 < 0.95 < float(again["repetition"])
    assert [abs(int(n)) % 96 for n in again["repetition_at"].split(", ")] == [0, 0]


def test_what_strikes_the_eye_is_found_where_it_is_in_a_large_picture_too(judged):
    pixels = draw_pixels(1400, 1400)
    assert judged(pixels)["striking_parts"] == 0
    pixels[500:660, 900:1060] = (255, 0, 0)
    found = judged(pixels)
    x, y, side = map(int, found["oddest_at"].split(", "))
    assert found["striking_parts"] >= 1 and x < 980 < x + side and y < 580 < y + side


@pytest.mark.parametrize("mode", ["L", "P", "RGBA"])
def test_any_picture_can_be_judged(tmp_path, mode):
    Image.fromarray(waves(64)).convert(mode).save(tmp_path / "odd.png")
    assert checks.check(str(tmp_path / "odd.png"))["size"] == "64 x 64"


def test_one_colour_is_tileable_and_nothing_in_it_strikes_the_eye(judged):
    found = judged(np.full((80, 60, 3), 90, np.uint8))
    assert found["tileable"] == "xy" and found["striking_parts"] == 0


def test_check_prints_figures_or_one_object_and_writes_nothing(tool, tmp_path):
    Image.fromarray(waves()).save(tmp_path / "waves.png")
    before = sorted(tmp_path.rglob("*"))
    plain, as_json = tool("CHECK=waves.png"), tool("CHECK=waves.png", "--json")
    assert plain.code == as_json.code == 0 and "tileable: xy" in plain.out
    assert json.loads(as_json.out)["figures"][0]["tileable"] == "xy"
    assert sorted(tmp_path.rglob("*")) == before


def test_json_is_all_that_a_run_prints_on_stdout(tool):
    result = tool(*tiny(IMAGE="photo.png", EPOCHS=1, JSON=True))
    told = json.loads(result.out)
    (figures,) = told["figures"]
    assert result.code == 0 and told["error"] == "" and figures["seed"] == 0
    assert figures["output"].endswith("output_texture_3x3.png") and figures["output"] in told["files"].values()
    assert type(figures["seam_ratio_1st"]) is float and "expected:" in " ".join(told["notes"])


def test_json_says_what_was_wrong(tool):
    result = tool("CHECK=nothing.png", "JSON=True")
    assert result.code == 2 and json.loads(result.out)["error"] in result.err
