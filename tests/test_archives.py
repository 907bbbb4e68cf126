"""ZIP files of pictures: read as the folder that they hold, within limits, and under plain names."""

import random
import struct
import time
import zipfile

import pytest
from conftest import assert_refused, draw_pixels, files_in, mutated, tiny
from PIL import Image
from test_materials import draw_maps, save_maps

import texture_diffusion as td
from texture_diffusion_tools.reading import archives
from texture_diffusion_tools.running import devices
from texture_diffusion_tools.running.errors import UserError


def zipped(folder, target, inside="", **options):
    """A ZIP at target of the files of a folder, below a folder of the ZIP."""
    with zipfile.ZipFile(target, "w", **options) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, inside + path.relative_to(folder).as_posix())
    return target


@pytest.fixture
def rock(tmp_path):
    return save_maps(tmp_path / "rock", draw_maps())


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """Where it is unpacked, which is empty again in the end."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(archives.tempfile, "tempdir", str(folder))
    yield folder
    assert not [*folder.glob("texture_diffusion_*")]


def load(path):
    """The Photo of a material's ZIP."""
    with archives.unpacked(path) as folder:
        return td.load_photo(folder)


@pytest.mark.parametrize("inside", ["", "Rock_4K/", "Rock_4K/textures/"])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_zip_of_a_material_is_the_material(tmp_path, rock, inside, compression):
    (rock / "rock.blend").write_bytes(bytes(99))
    found = load(zipped(rock, tmp_path / "Stone.v2.zip", inside, compression=compression))
    expected = td.load_photo(rock)
    assert found.name == "Stone.v2" and found.digest == expected.digest and found.channels == expected.channels


def test_a_run_reads_a_zip(tmp_path, rock, tool, plain_figures):
    result = tool(zipped(rock, tmp_path / "Stone.zip"), *tiny(EPOCHS=1, PREVIEW_EVERY=9))
    assert result.code == 0 and "Rock_Color.png for colour" in result.out.splitlines()[0]
    assert len([*(tmp_path / "samples/Stone/output_texture_3x3").glob("Rock_*.png")]) == 5


def test_a_zip_of_photos_is_several_textures(tmp_path, tool):
    for name in ("grass", "metal"):
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(draw_pixels(9, 9)).save(tmp_path / f"photos/{name}.png")
    result = tool(zipped(tmp_path / "photos", tmp_path / "all.zip"), *tiny())
    assert result.out.startswith("note: IMAGE is 2 textures: grass.png, metal.png")


def test_several_materials_in_a_zip_are_listed_and_the_zip_is_named(tmp_path, tool):
    for name in ("Moss", "Rock"):
        save_maps(tmp_path / name, draw_maps())
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in [*tmp_path.glob("Moss/*"), *tmp_path.glob("Rock/*")]:
            archive.write(path, f"all/{path.parent.name}/textures/{path.name}")
    result = tool("all.zip", *tiny())
    assert_refused(result, "all.zip holds 2 materials: Moss_textures, Rock_textures")
    assert "temporary" not in result.err


@pytest.mark.parametrize("name, plain", [
    ("../../outside_Color.png", "outside_Color.png"), ("/etc/outside_Color.png", "outside_Color.png"),
    ("..\\..\\outside_Color.png", "outside_Color.png"), ("C:\\outside_Color.png", "outside_Color.png"),
    ("a:b?_Color.PNG", "a_b__Color.png"), ("a\nb_Color.png", "a_b_Color.png"), ("x" * 300 + "_Color.png", "")])
def test_names_are_never_trusted(tmp_path, temporary, name, plain):
    Image.fromarray(draw_pixels(9, 9)).save(tmp_path / "a.png")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "a.png", name)
    before = files_in(tmp_path)
    with archives.unpacked(tmp_path / "a.zip") as folder:
        (path,) = folder.iterdir()
        assert path.name == plain or not plain and len(path.name) < 130
        assert files_in(tmp_path).keys() - before.keys() == {path.relative_to(tmp_path)}


def test_links_hidden_files_and_what_is_no_picture_are_not_unpacked(tmp_path, rock):
    with zipfile.ZipFile(zipped(rock, tmp_path / "a.zip"), "a") as archive:
        for name in ("__MACOSX/._Rock_Color.png", ".Rock_Color.png", "setup.exe", "README"):
            archive.writestr(name, b"x")
        link = zipfile.ZipInfo("Rock_Height.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("Rock_Notes.psd", b"x" * 99)
    with archives.unpacked(tmp_path / "a.zip") as folder:
        added = {path.name for path in folder.iterdir()} - {path.name for path in rock.iterdir()}
        assert added == {"Rock_Height.png", "Rock_Notes.psd"} and not (folder / "Rock_Height.png").is_symlink()


def test_a_bomb_is_refused_before_it_is_unpacked_and_while_it_is(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a_Color.png", bytes(10_000_000))
    monkeypatch.setattr(archives, "MAX_BYTES", 5e6)
    with pytest.raises(UserError, match="a.zip holds more than 0.005 GB"):
        load(tmp_path / "a.zip")
    monkeypatch.setattr(archives, "checked", lambda archive, path: archive.infolist())  # as if its list had lied
    with pytest.raises(UserError, match="a.zip holds more than 0.005 GB"):
        load(tmp_path / "a.zip")


def test_too_many_files_are_refused(tmp_path, rock, monkeypatch):
    monkeypatch.setattr(archives, "MAX_FILES", 4)
    with pytest.raises(UserError, match="holds 5 pictures, and 4 are the most"):
        load(zipped(rock, tmp_path / "a.zip"))


@pytest.mark.parametrize("content, words", [
    (b"PK\5\6" + bytes(18), "no picture"), (b"PK\3\4" + bytes(50), "cannot be unpacked"),
    (b"7z\xbc\xaf'\x1c" + bytes(50), "only ZIP is read"), (b"Rar!\x1a\7\1\0", "only ZIP is read")])
def test_other_archives_and_empty_ones_are_refused_in_a_sentence(tmp_path, tool, content, words):
    (tmp_path / "a.zip").write_bytes(content)
    assert_refused(tool("a.zip", *tiny()), "a.zip", words)


def test_a_locked_zip_is_refused(tmp_path, rock):
    path = zipped(rock, tmp_path / "a.zip")
    content = path.read_bytes()
    at = content.index(b"PK\1\2")
    path.write_bytes(content[:at + 8] + struct.pack("<H", 1) + content[at + 10:])
    with pytest.raises(UserError, match="locked by a password"):
        load(path)


def test_200_mutations_of_a_zip_are_a_material_or_refused_in_one_line(tmp_path, capfd):
    maps = {name: pixels[:20, :20] for name, pixels in draw_maps().items()}
    content = zipped(save_maps(tmp_path / "rock", maps), tmp_path / "a.zip").read_bytes()
    random_, read, slowest, memory = random.Random(0), 0, 0, devices.peak_memory()
    for _ in range(200):
        (tmp_path / "b.zip").write_bytes(mutated(content, random_, lambda size, _: size - random_.randrange(4, 600)))
        start = time.process_time()
        try:
            load(tmp_path / "b.zip")
            read += 1
        except UserError as error:
            assert len(str(error).splitlines()) == 1
        slowest = max(slowest, time.process_time() - start)
    assert "".join(capfd.readouterr()) == "" and 5 < read < 195
    assert slowest < 5 and devices.peak_memory() - memory < 1e9
