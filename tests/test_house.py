"""The house: the script imports the rooms, no room imports the script, and no circle runs among them."""

import ast
import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT, SCRIPT, environment, slow_but

HOUSE = ROOT / "texture_diffusion_tools"
ROOMS = sorted(HOUSE.rglob("*.py"))
PACKAGES = {"torch", "numpy", "PIL", "matplotlib", "tqdm"}
OPTIONAL = {("photos.py", "formats_of"): {"pillow_heif"},  # imported where they are needed, and not missed elsewhere
            ("exr.py", "package"): {"OpenEXR"}, ("tiffs.py", "package"): {"tifffile"},
            ("raws.py", "package"): {"rawpy"}, ("toml_files.py", "reader"): {"tomllib", "tomli"}}
PRODUCT = [SCRIPT, *ROOMS]


def imports(path):
    """What a file imports, at its top and inside functions: full names such as "torch.nn"."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = path.relative_to(ROOT).parts[:-node.level] if node.level else ()
            base = ".".join(filter(None, [*above, node.module]))
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def rooms_of(path):
    """Names of the rooms that a file imports."""
    rooms = {".".join(room.relative_to(ROOT).with_suffix("").parts): room.stem for room in ROOMS}
    return {rooms[name] for name in imports(path) if name in rooms}


def test_no_room_imports_the_script_or_anything_above_it():
    above = {"texture_diffusion", "benchmarks", "examples", "tests"}
    for room in ROOMS:
        assert not above & {name.split(".")[0] for name in imports(room)}, room.name
        assert "sys.modules" not in room.read_text(encoding="utf-8"), room.name


def test_the_rooms_are_on_floors_without_a_circle():
    left = {room.stem: rooms_of(room) - {"__init__"} for room in ROOMS if room.stem != "__init__"}
    while left:
        ground = {name for name, below in left.items() if not below & left.keys()}
        assert ground, f"a circle: {left}"
        left = {name: below for name, below in left.items() if name not in ground}


def test_every_room_is_used():
    used = set().union(*(rooms_of(path) for path in PRODUCT))
    assert used == {room.stem for room in ROOMS} - {"__init__"}


def test_the_lines_of_rooms_have_at_most_100_characters():
    longest = {room.stem: max(map(len, room.read_text(encoding="utf-8").splitlines()), default=0) for room in ROOMS}
    assert not {name for name, length in longest.items() if length > 100}


@pytest.mark.parametrize("path", PRODUCT, ids=lambda path: path.name)
def test_the_product_imports_nothing_but_the_five_packages(path):
    foreign = {name.split(".")[0] for name in imports(path)} - set(sys.stdlib_module_names)
    optional = set().union(*(packages for (room, _), packages in OPTIONAL.items() if room == path.name))
    assert foreign <= PACKAGES | {"texture_diffusion_tools"} | optional
    assert not {"pickle", "dill", "joblib", "subprocess", "urllib", "socket"} & set(imports(path))


@pytest.mark.parametrize("room, function", OPTIONAL)
def test_an_optional_package_is_imported_once_inside_the_function_that_can_do_without(room, function):
    tree = ast.parse(next(HOUSE.rglob(room)).read_text(encoding="utf-8"))
    inside = next(node for node in tree.body if getattr(node, "name", "") == function)
    guarded = [node for node in ast.walk(inside) if isinstance(node, ast.Try)
               and any(getattr(handler.type, "id", "") == "ImportError" for handler in node.handlers)]
    for package in OPTIONAL[room, function]:
        where = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))
                 and package in ast.unparse(node)]
        assert len(where) == 1 and any(where[0] in node.body for node in guarded)


@pytest.mark.parametrize("path", PRODUCT, ids=lambda path: path.name)
def test_no_module_changes_another(path):
    """An assignment to a name of an imported module: module.name = ..."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = {alias.asname or alias.name.split(".")[0] for node in ast.walk(tree)
               if isinstance(node, (ast.Import, ast.ImportFrom)) for alias in node.names}
    for node in ast.walk(tree):
        for target in getattr(node, "targets", []):
            if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
                assert target.value.id not in modules, f"{path.name}, line {node.lineno}"


@pytest.mark.parametrize("take_away", slow_but(["texture_diffusion_tools", "texture_diffusion_tools/writing/png.py"],
                                               "texture_diffusion_tools/writing/png.py"))
def test_the_script_without_its_rooms_says_so_in_one_sentence(tmp_path, take_away):
    shutil.copy(SCRIPT, tmp_path)
    shutil.copytree(ROOT / "texture_diffusion_tools", tmp_path / "texture_diffusion_tools")
    gone = tmp_path / take_away
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    result = subprocess.run([sys.executable, tmp_path / "texture_diffusion.py"], cwd=tmp_path, env=environment(),
                            capture_output=True, text=True, timeout=200)
    assert result.returncode == 2 and len(result.stderr.splitlines()) == 1
    assert "texture_diffusion_tools" in result.stderr and "copy" in result.stderr and "download" in result.stderr


def test_the_map_has_a_line_for_each_room_and_names_only_what_is_there():
    text = (ROOT / "docs" / "MAP.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `?(\w+)\.py`? \|", text, re.M)) == {room.stem for room in ROOMS} - {"__init__"}
    sources = "".join(path.read_text(encoding="utf-8") for path in PRODUCT)
    for name in re.findall(r"`(\w+)(?:\(\))?`", text):
        assert re.search(rf"\b{name}\b", sources), name
