"""A release: one version everywhere, and a wheel whose command does what the script does."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from types import SimpleNamespace

import pytest
from conftest import ROOT, SCRIPT, environment
from test_docs import inline_metadata, requirements

import texture_diffusion_tools
from texture_diffusion_tools.running import constants, program

try:
    import tomllib
except ImportError:  # Python 3.10, where pytest brings it
    import tomli as tomllib

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_packages_are_those_of_requirements_txt():
    assert sorted(PROJECT["project"]["dependencies"]) == sorted(requirements("requirements.txt"))
    assert f'requires-python = "{PROJECT["project"]["requires-python"]}"' in inline_metadata()


def test_the_extras_ask_for_what_the_requirements_of_the_page_and_of_the_tests_do():
    extras = PROJECT["project"]["optional-dependencies"]
    page = {line for line in requirements("requirements-page.txt") if not line.startswith("-r")}
    assert set(extras["page"]) == page
    formats = [extras[name] for name in ("heic", "exr", "raw", "tiff", "config")]
    assert {line for extra in formats for line in extra} <= set(requirements("requirements-dev.txt"))
    assert extras["all"] == [f"texture-diffusion[{','.join(name for name in extras if name != 'all')}]"]


def test_the_workflow_pins_its_actions_ends_in_time_and_is_shell_that_can_be_read():
    text = (ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8")
    actions = re.findall(r"uses: (\S+)", text)
    assert actions and all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action) for action in actions)
    assert text.count("timeout-minutes:") == text.count("runs-on:") == 3

    blocks = re.findall(r"^( +)(?:- )?run: \|\n((?:\1 .*\n)+)", text, re.M)
    scripts = [block for _, block in blocks] + re.findall(r"run: ([^|\n]+)\n", text)
    assert len(scripts) == text.count(" run: ") >= 6
    if not shutil.which("bash") or os.name == "nt":
        pytest.skip("there is no bash to read it")
    subprocess.run(["bash", "-n"], input="\n".join(scripts), text=True, check=True)


def test_the_version_is_in_one_place_and_the_last_entry_of_the_changes():
    assert "version" not in PROJECT["project"]
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "texture_diffusion_tools/__init__.py"
    changes, citation = ((ROOT / name).read_text(encoding="utf-8") for name in ("CHANGELOG.md", "CITATION.cff"))
    version, date = re.search(r"^## (\S+) - (\S+)$", changes, re.M).groups()
    assert version == texture_diffusion_tools.__version__
    assert f"\nversion: {version}\n" in citation and f'\ndate-released: "{date}"\n' in citation


def test_the_readme_s_citation_is_that_of_citation_cff():
    citation, readme = ((ROOT / name).read_text(encoding="utf-8") for name in ("CITATION.cff", "README.md"))
    entry = readme[readme.index("@software{"):].partition("```")[0]
    for key, name in [("title", "title"), ("  - name", "author"), ("version", "version"), ("license", "license")]:
        assert re.search(rf"\b{name} = {{+([^}}]+)}}", entry)[1] == re.search(rf"^{key}: (.+)$", citation, re.M)[1]
    assert f"year = {{{re.search('date-released: .([0-9]{4})', citation)[1]}}}" in entry


def test_version_says_what_is_installed(capsys):
    with pytest.raises(SystemExit) as end:
        constants.settings(test_version_says_what_is_installed, {}, ["--version"])
    version, *others = capsys.readouterr().out.rstrip("\n").split(", ")
    assert end.value.code == 0 and version == f"texture_diffusion {texture_diffusion_tools.__version__}"
    assert [other.split()[0] for other in others] == ["torch", "Python"]


@pytest.mark.parametrize("started, typed", [
    ("texture_diffusion.py", "python texture_diffusion.py"),
    ("my tools/texture_diffusion.py", "python 'my tools/texture_diffusion.py'"),
    ("/usr/bin/texture-diffusion", "texture-diffusion"),
    ("texture-diffusion.exe", "texture-diffusion"),
    ("examples/sprites.py", "python texture_diffusion.py")])
def test_advice_names_the_script_as_the_person_did(monkeypatch, started, typed):
    monkeypatch.setattr(sys, "argv", [started])
    assert program.typed() == typed


@pytest.mark.parametrize("word, quoted", [
    ("EPOCHS=50", "EPOCHS=50"), (r"C:\new\a.jpg", r"C:\new\a.jpg"), ("IMAGE=my rock.jpg", '"IMAGE=my rock.jpg"'),
    ("a&b.jpg", '"a&b.jpg"'), ("it's.jpg", '"it\'s.jpg"'), ("CORNERS=((0,1),(2,3))", '"CORNERS=((0,1),(2,3))"'),
    ("C:\\my photos\\", '"C:\\my photos\\\\"'), ("石.png", "石.png"), ("", '""'),
    ("D:\\a(1)\\", '"D:\\a(1)\\\\"'), ('a \\"b"', '"a \\\\\\"b\\""')])
def test_on_windows_a_command_has_the_quotes_of_its_shells(monkeypatch, word, quoted):
    monkeypatch.setattr(program, "WINDOWS", True)
    monkeypatch.setattr(sys, "argv", [r"texture_diffusion.py"])
    assert program.typed(word, "SEED=1") == f"python texture_diffusion.py {quoted} SEED=1"
    if " " in word:
        assert quoted == subprocess.list2cmdline([word])


def built(kind, source, target):
    """What hatchling makes of the sources in a folder."""
    if not importlib.util.find_spec("hatchling"):
        pytest.skip("hatchling is not installed")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", target], cwd=source, check=True,
                   capture_output=True, timeout=200)
    return next(path for path in target.iterdir() if path.suffix in (".whl", ".gz"))


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The wheel, made of the source distribution, unpacked, and its command: command(*args, **environment)."""
    folder = tmp_path_factory.mktemp("installed")
    with tarfile.open(built("sdist", ROOT, folder / "sdist")) as sources:
        sources.extractall(folder)
    wheel = built("wheel", next(path for path in folder.iterdir() if path.name != "sdist"), folder / "wheel")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(folder / "site")
        entry = next(archive.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    module, function = re.search(r"^texture-diffusion = ([\w.]+):(\w+)$", entry, re.M).groups()
    started, empty = folder / "texture-diffusion", folder / "empty"
    started.write_text(f"import sys\nfrom {module} import {function}\nsys.exit({function}())\n")  # as pip does
    empty.mkdir()

    def command(*args, first="", program=started):
        path = os.pathsep.join(filter(None, [str(first), str(folder / "site")]))
        return subprocess.run([sys.executable, str(program), *args], cwd=empty, env=environment(PYTHONPATH=path),
                              capture_output=True, text=True, timeout=200)

    return SimpleNamespace(names=names, size=wheel.stat().st_size, command=command, empty=empty,
                           site=folder / "site")


@pytest.mark.slow
def test_the_wheel_holds_the_script_its_rooms_the_page_the_photo_and_the_prior_and_nothing_else(installed):
    rooms = {path.relative_to(ROOT).as_posix() for path in (ROOT / "texture_diffusion_tools").rglob("*")
             if path.is_file() and "__pycache__" not in path.parts}
    names = ("samples/stones.png", "checkpoints/prior.pt", "checkpoints/maps.pt")
    shipped = {f"texture_diffusion_tools/shipped/{path}" for path in names}
    page = {f"texture_diffusion_tools/page/{path.name}" for path in (ROOT / "page").iterdir() if path.is_file()}
    assert "texture_diffusion_tools/py.typed" in rooms  # programs see the hints
    assert {name for name in installed.names if ".dist-info/" not in name} == {SCRIPT.name} | rooms | shipped | page
    assert installed.size < 30e6


@pytest.mark.slow
def test_the_command_finds_its_photo_and_prior_in_any_folder_and_advises_what_can_be_typed(installed):
    other = installed.command("WIDTHS=(8,16)")
    assert other.returncode == 2 and "shipped" in other.stderr and "in the prior" in other.stderr
    assert {path.name for path in installed.empty.iterdir()} == {"samples", "checkpoints"}


def test_the_page_comes_with_the_command_and_starts_the_script_that_pip_installed(installed, tmp_path):
    (tmp_path / "fastapi.py").write_text("raise ImportError('no fastapi', name='fastapi')")
    result = installed.command("page", "--help", first=tmp_path)
    assert result.returncode == 2 and 'pip install "texture-diffusion[page]"' in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1

    pytest.importorskip("psutil")
    (tmp_path / "where.py").write_text("from texture_diffusion_tools.page import runs\nprint(runs.SCRIPT)")
    assert installed.command(program=tmp_path / "where.py").stdout.strip() == str(installed.site / SCRIPT.name)


@pytest.mark.slow
@pytest.mark.parametrize("torch, code, words", [
    ("import signal; signal.raise_signal(signal.SIGTERM)", 143, []),
    ("raise ImportError('no torch')", 2, ["pip install torch"])])
def test_the_command_ends_while_packages_are_imported_as_the_script_does(installed, tmp_path, torch, code, words):
    (tmp_path / "torch.py").write_text(torch)
    result = installed.command(first=tmp_path)
    assert result.returncode == code and len(result.stderr.splitlines()) == len(words)
    assert all(word in result.stderr for word in words)


@pytest.mark.parametrize("word, code, words", [
    ("--help", 0, "SAMPLE_STEPS"), ("--version", 0, texture_diffusion_tools.__version__),
    ("SAMPLE_STEP=3", 2, "nearest is SAMPLE_STEPS")])
def test_the_command_answers_before_packages_are_imported_as_the_script_does(installed, tmp_path, word, code, words):
    (tmp_path / "torch.py").write_text("raise ImportError('too early')")
    result = installed.command(word, first=tmp_path)
    assert result.returncode == code and words in result.stdout + result.stderr
