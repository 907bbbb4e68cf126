"""ICC profiles with 16 bits a channel: the colours that littlecms has with 8."""

import struct

import numpy as np
import pytest
from conftest import draw_pixels, fixed, profile
from PIL import Image, ImageCms

from texture_diffusion_tools.reading import deep, profiles

PRIMARIES = {  # XYZ of red, green and blue as seen by D50
    "Adobe RGB": ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)),
    "Display P3": ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)),
    "ProPhoto RGB": ((0.79767, 0.28804, 0.0), (0.13519, 0.71188, 0.0), (0.03134, 0.00009, 0.82491))}
COLOURS = draw_pixels(40, 50)
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def para(kind, *numbers):
    return b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + fixed(*numbers)


def table(count, gamma):
    values = np.round(np.linspace(0, 1, count) ** gamma * 65535).astype(int)
    return b"curv\0\0\0\0" + struct.pack(f">I{count}H", count, *values) + bytes(2 * (count % 2))


CURVES = {"linear": b"curv\0\0\0\0\0\0\0\0", "gamma": b"curv\0\0\0\0" + struct.pack(">IH", 1, 563) + b"\0\0",
          "table": table(1024, 1.8), "odd table": table(33, 2.2), "type 0": para(0, 2.2),
          "type 1": para(1, 2.2, 1.1, -0.1), "type 2": para(2, 2.2, 1.1, -0.1, 0), "type 3": para(3, *SRGB_CURVE),
          "type 4": para(4, *SRGB_CURVE, 0, 0)}


def by_littlecms(pixels, icc):
    return np.asarray(profiles.to_srgb(Image.fromarray(pixels), icc, [])).astype(int)


@pytest.mark.parametrize("name, curve", [("Adobe RGB", "gamma"), ("ProPhoto RGB", "gamma"),
                                         *(("Display P3", curve) for curve in CURVES)])
def test_16_bits_become_the_colours_that_littlecms_finds_with_8(name, curve):
    icc, notes = profile("RGB ", name, primaries=PRIMARIES[name], curve=CURVES[curve]), []
    found = profiles.deep_to_srgb(COLOURS.astype(np.uint16) * 257, icc, notes)
    assert found.dtype == np.uint16 and notes == [f"its colours were converted from {name} to sRGB"]
    assert np.abs(found / 257 - by_littlecms(COLOURS, icc)).max() <= 1.01  # levels of 255


@pytest.mark.parametrize("tag, formula", [
    (para(1, 2, 1, -0.25), lambda x: (x - 0.25) ** 2 if x >= 0.25 else 0),
    (para(2, 2, 0.5, -0.25, 0.125), lambda x: (x / 2 - 0.25) ** 2 + 0.125 if x >= 0.5 else 0.125),
    (para(3, 2, 0.5, 0.25, 0.75, 0.5), lambda x: (x / 2 + 0.25) ** 2 if x >= 0.5 else 0.75 * x),
    (para(4, 2, 0.5, 0.25, 0.75, 0.5, 0.125, 0.0625),
     lambda x: (x / 2 + 0.25) ** 2 + 0.125 if x >= 0.5 else 0.75 * x + 0.0625)])
def test_curves_are_those_of_the_standard(tag, formula):
    curve = profiles.curve_of(tag)
    assert curve.shape == (65536,)
    for value in (0, 1, 9999, 30000, 32767, 32768, 50000, 65535):
        assert curve[value] == pytest.approx(formula(value / 65535), abs=1e-6)


def test_what_differs_in_the_low_byte_still_does():
    """Display P3 has the curve of sRGB: grey stays as it is, but for the rounding of the primaries."""
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    icc = profile("RGB ", "Display P3", primaries=PRIMARIES["Display P3"], curve=para(3, *SRGB_CURVE))
    found = profiles.deep_to_srgb(np.stack([ramp] * 3, -1), icc, []).astype(int)
    assert np.abs(found - ramp[..., None]).max() <= 16
    assert len(np.unique(found[..., 1])) > 60_000


@pytest.mark.parametrize("icc", [None, ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()])
def test_no_profile_and_srgb_change_nothing(icc):
    pixels, notes = COLOURS.astype(np.uint16) * 250, []
    assert profiles.deep_to_srgb(pixels, icc, notes) is pixels and not notes


@pytest.mark.parametrize("broken", [b"rubbish" * 50, b"\0", profile("GRAY", "of another kind"),
                                    profile("RGB ", "cut short")[:200]])
def test_a_broken_profile_costs_no_bits(broken):
    pixels, notes = COLOURS.astype(np.uint16) * 250, []
    assert profiles.deep_to_srgb(pixels, broken, notes) is pixels
    assert len(notes) == 1 and "left out" in notes[0]


def test_a_grey_value_stays_whatever_its_profile_and_that_is_said():
    pixels, notes = COLOURS[..., 0].astype(np.uint16), []
    assert profiles.deep_to_srgb(pixels, profile("GRAY", "Dot Gain 20%"), notes) is pixels
    assert "Dot Gain 20%" in notes[0] and "left out" in notes[0]


@pytest.mark.parametrize("changes", [{"more": {b"A2B0": bytes(32)}}, {"curve": b"what\0\0\0\0" + bytes(8)}])
def test_a_profile_of_more_than_curves_and_a_matrix_is_not_taken_for_one(changes):
    with pytest.raises((ValueError, KeyError, struct.error)):
        profiles.curves_and_matrix(profile("RGB ", "tables", **changes))


def test_mutated_profiles_are_used_or_left_out():
    rng, icc = np.random.default_rng(0), profile("RGB ", "Display P3", curve=table(64, 2))
    pixels, used = COLOURS[:4, :4].astype(np.uint16) * 257, 0
    for _ in range(60):
        mutated = bytearray(icc)
        mutated[rng.integers(len(icc))] ^= 1 << rng.integers(8)
        notes = []
        try:
            found = profiles.deep_to_srgb(pixels, bytes(mutated[:rng.integers(len(icc) // 2, 2 * len(icc))]), notes)
        except deep.OnlyEightBits as reason:
            notes.append(str(reason))
        else:
            used += "converted" in " ".join(notes)
            assert found.shape == pixels.shape and found.dtype == np.uint16
        assert len(notes) <= 1 and all("\n" not in note for note in notes)
    assert used > 15
