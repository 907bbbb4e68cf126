"""The documents, the docstring, the requirements and the shipped prior against the script and the folders."""

import ast
import hashlib
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
FOLDERS = (".", "docs", "examples", "prior", "benchmarks", "samples", "comfyui")
DOCUMENTS = [str(path.relative_to(ROOT)) for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.md"))]


def requirements(name):
    lines = (line.partition("#")[0].strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def inline_metadata():
    """The lines of the script's PEP 723 block."""
    block = re.search(r"^# /// script\n((?:#.*\n)+?)# ///$", SOURCE, re.M)[1]
    return re.sub(r"^# ?", "", block, flags=re.M)


def written(document):
    return (ROOT / document).read_text(encoding="utf-8")


def readme():
    return written("README.md")


def commands(text):
    """The arguments of each command `python texture_diffusion.py ...` in text; two spaces end a command."""
    found = re.findall(r"^[ $]*(?:.*&& )?python texture_diffusion\.py(.*)$", text, re.M)
    return [shlex.split(words.partition("  ")[0], comments=True) for words in found]


def fenced(text):
    return "\n".join(re.findall(r"^```.*?\n(.*?)^```", text, re.M | re.S))


def prose(text):
    """A document without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)


def links(text):
    """Where the links and pictures of a document lead, but for those to other sites: (path, anchor)."""
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(text)) + re.findall(r'\b(?:src|href)="([^"]+)"', prose(text))
    return [target.partition("#")[::2] for target in targets if "://" not in target]


def anchors(text):
    """What the headings of a document are called in links, as GitHub does it."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


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


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_commands_of_a_document_use_known_constants(document):
    for words in commands(fenced(written(document))):
        if words != ["--help"]:
            constants_of(*words)


@pytest.mark.parametrize("document", ["README.md", "docs/MANUAL.md", "docs/HOW.md", "docs/FIGURES.md"])
def test_what_is_given_a_value_is_a_constant(document):
    named = set(re.findall(r"\b([A-Z][A-Z_]+) ?= ?\S", written(document))) - {"NAME"}
    assert named <= vars(constants_of()).keys() | {"USE_LIBUV"}  # which is the system's


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_programs_that_a_document_starts_are_there(document):
    for name in re.findall(r"\bpython\s+-m\s+(\w+(?:\.\w+)*)", written(document)):
        place = ROOT / name.replace(".", "/")
        there = place.with_suffix(".py").exists() or (place / "__main__.py").exists()
        assert there or name in {"pytest", "hatchling"}, name
    for name in re.findall(r"\bpython\s+([\w/]+\.py)\b", written(document)):
        assert (ROOT / name).exists(), name


def test_the_readme_s_commands_install_run_and_test():
    lines = fenced(readme()).splitlines()
    assert lines[0] == "pip install -r requirements.txt && python texture_diffusion.py"
    assert "pip install -r requirements-dev.txt && python -m pytest" in lines
    assert len(commands(fenced(readme()))) >= 10 and len(commands(fenced(written("docs/MANUAL.md")))) >= 15


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_links_and_pictures_of_a_document_lead_somewhere(document):
    for path, anchor in links(written(document)):
        target = (ROOT / document).parent / path if path else ROOT / document
        assert target.exists(), path
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), f"{path}#{anchor}"


def test_the_documents_are_found_from_the_readme():
    named = {(ROOT / path).resolve() for path, _ in links(readme()) if path}
    apart = {"README.md", "samples/README.md"}
    assert {ROOT / document for document in DOCUMENTS if document not in apart} <= named


def test_every_picture_of_the_documents_is_shown():
    shown = {((ROOT / document).parent / path).resolve() for document in DOCUMENTS
             for path, _ in links(written(document)) if path}
    assert {path for path in (ROOT / "docs").iterdir() if path.suffix in {".jpg", ".png"}} <= shown


def test_the_manual_s_table_is_what_main_says_of_every_constant():
    lines = re.findall(r"^    ([A-Z_]+) += (.+?) +# (.+)$", SOURCE[SOURCE.index("\ndef main("):], re.M)
    assert [name for name, *_ in lines] == list(vars(constants_of()))
    rows = "".join(f"| {name} | `{value}` | {meaning.replace(' | ', ' / ')} |\n" for name, value, meaning in lines)
    assert rows in written("docs/MANUAL.md")


def test_the_readme_is_short():
    assert len(readme().split()) <= 1900


@pytest.mark.slow
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
    trainer = td.prepare_trainer(td.Model((draw_photo(400, 400, channels=channels).exemplar,), c), tmp_path / "none.pt")
    assert len(trainer.prior) == 64 and trainer.net.position.isfinite().all()


def test_a_fresh_clone_draws_with_the_prior_alone(tmp_path):
    result = run_script("EPOCHS=0", "SCALE=1", "SAMPLE_STEPS=1", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert Image.open(tmp_path / "samples" / "stones" / "output_texture_1x1.png").size == (512, 512)


def test_every_promise_names_tests_that_exist():
    named = set(re.findall(r"\btest_\w+", written("docs/RELIABILITY.md")))
    there = set(re.findall(r"^def (test_\w+)", "".join(path.read_text(encoding="utf-8")
                                                      for path in (ROOT / "tests").glob("test_*.py")), re.M))
    assert len(named) > 30 and named <= there, named - there


def test_what_was_tried_begins_with_an_index_that_leads_to_every_section():
    index, *sections = written("docs/ABLATIONS.md").split("\n## ")
    told = {anchor for _, anchor in links(index)}
    assert {anchors(f"## {section}").pop() for section in (part.partition("\n")[0] for part in sections)} == told


def test_the_model_card_is_of_the_prior_that_is_shipped():
    card, state = written("docs/PRIOR.md"), torch.load(PRIOR, weights_only=True)
    assert hashlib.sha256(PRIOR.read_bytes()).hexdigest() in card
    million = sum(weights.numel() for weights in state["ema"].values()) / 1e6
    assert f"{million:.1f} million" in card and f"{PRIOR.stat().st_size / 1e6:.1f} MB" in card
    assert f"WIDTHS={state['constants']['WIDTHS']}".replace(" ", "") in card
