"""The README, the docstring, the requirements and the shipped prior against the script."""

import ast
import importlib.util
import re
import shlex

import numpy as np
import pytest
import torch
from conftest import ROOT, SCRIPT, constants_of, draw_photo, run_script
from PIL import Image

import texture_diffusion as td

SOURCE = SCRIPT.read_text(encoding="utf-8")
PACKAGES = {"torch", "torchvision", "numpy", "pillow", "matplotlib", "tqdm"}
PRIOR = ROOT / "checkpoints" / "prior.pt"


def requirements(name):
    lines = (line.partition("#")[0].strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def inline_metadata():
    """The lines of the script's PEP 723 block."""
    block = re.search(r"^# /// script\n((?:#.*\n)+?)# ///$", SOURCE, re.M)[1]
    return re.sub(r"^# ?", "", block, flags=re.M)


def readme():
    return (ROOT / "README.md").read_text(encoding="utf-8")


def commands(text):
    """The arguments of each command `python texture_diffusion.py ...` in text; two spaces end a command."""
    found = re.findall(r"^[ $]*(?:.*&& )?python texture_diffusion\.py(.*)$", text, re.M)
    return [shlex.split(words.partition("  ")[0], comments=True) for words in found]


def fenced(text):
    return "\n".join(re.findall(r"^```.*?\n(.*?)^```", text, re.M | re.S))


def test_the_inline_metadata_is_requirements_txt():
    dependencies = ast.literal_eval(re.search(r"^dependencies = (\[.*?\])", inline_metadata(), re.M | re.S)[1])
    assert sorted(dependencies) == sorted(requirements("requirements.txt"))
    assert re.search(r'^requires-python = ">=3\.\d+"', inline_metadata(), re.M)


def test_the_requirements_are_six_packages_with_floors():
    floors = dict(re.fullmatch(r"(\w+)>=([\d.]+)", line).groups() for line in requirements("requirements.txt"))
    assert floors.keys() == PACKAGES
    assert tuple(map(int, floors["torch"].split("."))) >= (2, 6)


def test_the_development_requirements_include_the_others():
    lines = requirements("requirements-dev.txt")
    assert "-r requirements.txt" in lines
    assert {"pytest", "ruff"} <= {re.match(r"[\w-]+", line)[0] for line in lines if not line.startswith("-r")}


def test_the_table_of_contents_is_the_banners():
    contents = re.findall(r"^    (\d+\. \w+(?: \w+)*?)(?:  .*)?$", td.__doc__.partition("Contents")[2], re.M)
    banners = re.findall(r"^# =+\n# (\d+\. .*)\n# =+$", SOURCE, re.M)
    assert contents == banners
    assert [int(banner.partition(".")[0]) for banner in banners] == list(range(1, len(banners) + 1))
    assert banners[-1].endswith("main")


def test_the_manual_s_commands_use_known_constants():
    found = commands(td.__doc__)
    assert len(found) >= 3
    for words in found:
        if words != ["--help"]:
            constants_of(*words)


def test_the_readme_s_commands_use_known_constants():
    found = commands(fenced(readme()))
    assert [] in found
    assert any("EPOCHS=0" in words for words in found)
    for words in found:
        if words != ["--help"]:
            constants_of(*words)


def test_the_readme_s_commands_install_and_test():
    assert "pip install -r requirements.txt" in fenced(readme())
    assert "pip install -r requirements-dev.txt" in fenced(readme())
    assert "python -m pytest" in fenced(readme())


def test_the_readme_s_pictures_and_files_exist():
    targets = re.findall(r"\]\(([^)#\s]+)", readme()) + re.findall(r'src="([^"]+)"', readme())
    for target in targets:
        assert "://" in target or (ROOT / target).exists(), target


def test_the_readme_names_every_constant():
    for name in vars(constants_of()):
        assert re.search(rf"\b{name}\b", readme()), name


def test_the_default_photo_is_what_its_script_draws():
    spec = importlib.util.spec_from_file_location("draw_stones", ROOT / "samples" / "draw_stones.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    shipped = np.asarray(Image.open(ROOT / "samples" / "stones.png"))
    assert shipped.shape == (512, 512, 3)
    assert np.abs(module.draw(512, 512).astype(int) - shipped).max() <= 1


def test_the_shipped_prior_is_small_and_holds_the_averaged_weights_alone():
    assert PRIOR.stat().st_size <= 25e6
    assert not {"net", "opts"} & torch.load(PRIOR, weights_only=True).keys()


@pytest.mark.parametrize("channels", [1, 3])
def test_the_shipped_prior_fits_the_default_network_in_colour_and_in_grey(channels, tmp_path):
    c = constants_of("EPOCHS=0")
    trainer = td.prepare_trainer(draw_photo(400, 400, channels=channels), c, tmp_path / "none.pt")
    assert len(trainer.prior) == 64 and trainer.net.position.isfinite().all()


def test_a_fresh_clone_draws_with_the_prior_alone(tmp_path):
    result = run_script("EPOCHS=0", "SCALE=1", "SAMPLE_STEPS=1", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert Image.open(tmp_path / "samples" / "stones" / "output_texture_1x1.png").size == (512, 512)


def test_every_promise_names_tests_that_exist():
    named = set(re.findall(r"\btest_\w+", (ROOT / "docs" / "RELIABILITY.md").read_text(encoding="utf-8")))
    written = set(re.findall(r"^def (test_\w+)", "".join(path.read_text(encoding="utf-8")
                                                        for path in (ROOT / "tests").glob("test_*.py")), re.M))
    assert len(named) > 30 and named <= written, named - written
