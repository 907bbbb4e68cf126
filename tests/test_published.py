"""Published textures are scored from a folder: what is read, what is refused, what is printed."""

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from benchmarks import published, scores, vgg
from texture_diffusion_tools.running import exit_codes


def texture(seed, side):
    rng = np.random.default_rng(seed)
    return (120 + 60 * gaussian_filter(rng.standard_normal((side, side, 3)), (1, 1, 0))).clip(0, 255).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Two exemplars, of which one method has both and another one has one."""
    for path, pixels in {"exemplars/a": texture(0, 128), "exemplars/b": texture(1, 128), "copy/a": texture(0, 128),
                         "copy/b": texture(1, 128), "new/a": texture(2, 160)}.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / f"{path}.png")
    return tmp_path


def outcome(folder):
    return exit_codes.outcome(lambda: published.main([str(folder)]))


def rows_of(text):
    """(first cell, all cells by their columns) of each row of the tables in a text."""
    tables = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [(cells[0], dict(zip(tables[0], cells))) for cells in tables if cells[0] != "method"]


def test_a_table_for_each_exemplar_and_the_means_of_each_method(folder, monkeypatch, capsys):
    def judged(pixels, layout, tile, real):
        assert tile == 32 and len(layout.passes) == 1 and not layout.real().any()
        return dict.fromkeys(scores.DIGITS, float(len(pixels)))

    monkeypatch.setattr(scores, "judged", judged)
    for name in ("reference", "floor", "ceiling"):
        monkeypatch.setattr(scores, name, lambda *_: {})
    assert outcome(folder) == (0, "")
    rows = rows_of(capsys.readouterr().out)
    assert [first for first, _ in rows] == ["floor", "ceiling", "copy", "new", "floor", "ceiling", "copy", "copy (2)",
                                            "new (1)"]
    assert rows[-1][1]["own"] == "160.00" and rows[-2][1]["own"] == "128.00" and "seam 1st" not in rows[0][1]


@pytest.mark.slow
def test_a_copy_is_all_the_exemplar_s_own_and_more_of_the_same_is_not(folder, monkeypatch, capsys):
    monkeypatch.setattr(vgg, "features", lambda tiles: tiles.reshape(len(tiles), -1)[:, ::7].astype(float))
    assert outcome(folder) == (0, "")
    rows = dict(rows_of(capsys.readouterr().out))
    assert rows["copy (2)"]["own"] == "1.00" and rows["copy (2)"]["largest piece"] == "1.000"
    assert float(rows["new (1)"]["own"]) < 0.05 < float(rows["copy (2)"]["own"])
    assert float(rows["copy (2)"]["novelty"]) < float(rows["new (1)"]["novelty"])


def test_what_is_missing_or_too_small_is_one_sentence(folder, tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")
    code, sentence = outcome(empty)
    assert code == 2 and "exemplars" in sentence and str(empty) in sentence
    (empty / "exemplars").mkdir()
    assert outcome(empty)[0] == 2 and "no texture" in outcome(empty)[1]

    Image.fromarray(texture(3, 160)).save(folder / "new" / "c.png")
    code, sentence = outcome(folder)
    assert code == 2 and "c.png" in sentence and "same name" in sentence
    (folder / "new" / "c.png").unlink()
    Image.fromarray(texture(0, 100)).save(folder / "exemplars" / "a.png")
    code, sentence = outcome(folder)
    assert code == 2 and "a.png" in sentence and "100" in sentence and "128" in sentence
