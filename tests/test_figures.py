"""All figures of one commit: what is made, what is refused; docs/FIGURES.md against the files that hold them."""

import contextlib
import functools
import re
import subprocess
from types import SimpleNamespace

import pytest
from conftest import ROOT
from PIL import Image

from benchmarks import commits, figures, pictures, quality
from texture_diffusion_tools.running import exit_codes
from texture_diffusion_tools.running.errors import RunError

FILES = {"one": "benchmarks/ONE.md", "two": "docs/two.jpg", "three": "docs/three.png"}  # stage: what it makes


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A repository in which the stages are FILES: folder; main(*words), (exit code, sentence); made, the stages that
    ran; during, what a stage does before it writes; commit(path, text), which changes a file for good."""
    git = functools.partial(subprocess.run, cwd=tmp_path, check=True, capture_output=True)
    made, during = [], {}

    def commit(path, text):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
        git(["git", "add", "."])
        git(["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-m", path])

    def make(name, progress):
        made.append(name)
        during.get(name, lambda: None)()
        path = tmp_path / FILES[name]
        if path.suffix == ".md":
            commits.write_page(path, "One", "| a | b |")
        else:
            commits.save_picture(path, Image.new("RGB", (8, 8), "red"))
        progress(name)

    def main(*words):
        commits.commit.cache_clear()  # as a process of its own would begin
        made.clear()
        return exit_codes.outcome(lambda: figures.main(list(words)))

    git(["git", "init"])
    for path in ("texture_diffusion.py", "texture_diffusion_tools/writing/png.py", "benchmarks/quality.py",
                 "docs/MAP.md", ".gitignore"):
        commit(path, "benchmarks/cache/" if path == ".gitignore" else "first")
    bench = quality.Bench(tmp_path / "benchmarks/cache", {}, False, tmp_path)
    stages = [figures.Stage(name, [path], [1], functools.partial(make, name)) for name, path in FILES.items()]
    monkeypatch.setattr(commits, "ROOT", tmp_path)
    monkeypatch.setattr(quality, "bench_of", lambda quick: contextlib.nullcontext(bench))
    monkeypatch.setattr(figures, "stages_of", lambda *_: stages)
    yield SimpleNamespace(folder=tmp_path, main=main, made=made, during=during, commit=commit)
    commits.commit.cache_clear()


def said_by(place):
    """The commits that the files say."""
    return {commits.commit_in(place.folder / path) for path in FILES.values()}


def test_all_is_made_once_and_every_file_says_the_commit(place, capsys):
    assert place.main() == (0, "") and place.made == list(FILES)
    assert said_by(place) == {commits.commit()} and re.fullmatch("[0-9a-f]{10}", commits.commit())
    assert "[3/3] three" in capsys.readouterr().err
    assert place.main() == (0, "") and place.made == []
    (place.folder / FILES["two"]).unlink()
    assert place.main() == (0, "") and place.made == ["two"]


def test_a_stage_that_fails_says_so_and_the_same_command_goes_on_there(place):
    def fail():
        raise RunError("no room")

    place.during["two"] = fail
    code, sentence = place.main()
    assert code == 1 and sentence.startswith("two failed: no room.") and place.made == ["one", "two"]
    assert said_by(place) == {commits.commit(), None}
    place.during.clear()
    assert place.main() == (0, "") and place.made == ["two", "three"]


def test_figures_of_another_commit_are_refused_and_stay_until_they_are_made_anew(place):
    place.main()
    first, before = commits.commit(), (place.folder / FILES["one"]).read_bytes()
    place.commit("texture_diffusion_tools/writing/png.py", "second")
    code, sentence = place.main()
    assert code == 2 and FILES["one"] in sentence and first in sentence and commits.commit() in sentence
    assert "--fresh" in sentence and not place.made and (place.folder / FILES["one"]).read_bytes() == before

    def fail():
        raise RunError("no room")

    place.during["two"] = fail
    assert place.main("--fresh")[0] == 1 and said_by(place) == {first, commits.commit()} != {first}
    assert place.main()[0] == 2  # of two commits
    place.during.clear()
    assert place.main("--fresh") == (0, "") and place.made == ["two", "three"]  # what was made anew is kept
    assert said_by(place) == {commits.commit()} != {first}


def test_a_file_that_says_no_commit_is_not_taken_for_ours(place):
    (place.folder / FILES["two"]).write_bytes(b"mine")
    code, sentence = place.main()
    assert code == 2 and FILES["two"] in sentence and "no commit" in sentence
    assert (place.folder / FILES["two"]).read_bytes() == b"mine" and not place.made


def test_documents_and_tests_may_be_committed_meanwhile(place):
    place.main()
    first = commits.commit()
    for path in ("docs/MAP.md", "benchmarks/NOTES.md", "tests/test_a.py", "README.md"):
        place.commit(path, "second")
    (place.folder / "docs/draft.md").touch()
    assert place.main() == (0, "") and place.made == [] and commits.commit() == first


@pytest.mark.parametrize("path", ["texture_diffusion_tools/writing/png.py", "benchmarks/new.py"])
def test_what_is_not_committed_and_can_change_a_figure_is_refused(place, path):
    (place.folder / path).write_text("changed")
    code, sentence = place.main()
    assert code == 2 and path in sentence and "commit" in sentence and not place.made


def test_what_was_made_while_the_code_changed_is_not_kept(place):
    place.during["two"] = lambda: place.commit("texture_diffusion.py", "second")
    code, sentence = place.main()
    assert code == 1 and "changed" in sentence and not (place.folder / FILES["two"]).exists()


def test_no_repository_and_no_folder_are_said(place, tmp_path_factory, monkeypatch):
    assert place.main("no/such/folder") == (2, "there is no folder no/such/folder")
    monkeypatch.setattr(commits, "ROOT", tmp_path_factory.mktemp("copy"))
    code, sentence = place.main()
    assert code == 2 and "git" in sentence


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    """The stages as they are, with five photos for the minute."""
    folder = tmp_path_factory.mktemp("figures")
    for name in "abcde":
        Image.new("RGB", (8, 8)).save(folder / f"{name}.png")
    return figures.stages_of(quality.Bench(folder / "cache", {}, False, folder), folder)


def test_the_stages_have_files_of_their_own_and_take_as_long_as_is_said(stages):
    results = [path for stage in stages for path in stage.results]
    assert len(set(results)) == len(results)
    assert all(path in figures.__doc__ for path in results if "contact" not in path)
    seconds = sum(sum(stage.seconds) for stage in stages)
    assert f"{seconds / 3600:.1f} hours" in figures.__doc__ and seconds < 5 * 3600


def test_the_figures_that_are_committed_are_of_one_commit(stages):
    paths = [path for stage in stages for path in stage.results if "/cache/" not in path]
    paths += [f"docs/{name}.jpg" for name in pictures.PICTURES]
    assert len(paths) >= 20 and len({commits.commit_in(ROOT / path) for path in paths}) == 1


def test_every_picture_of_the_documents_is_made_by_a_command_or_is_no_texture(stages):
    shown = {match for page in ("README.md", "docs/FIGURES.md", "docs/MANUAL.md")
             for match in re.findall(r"!\[[^]]*\]\((?:docs/)?([^)]+)\)", read(page))}
    made = {path.removeprefix("docs/") for stage in stages for path in stage.results}
    made |= {f"{name}.jpg" for name in pictures.PICTURES}
    assert len(shown) >= 12
    assert {name for name in shown - made if not name.startswith(("page_", "examples_"))} == set()


def test_what_pictures_of_the_documents_need_is_said(tmp_path):
    code, sentence = exit_codes.outcome(lambda: pictures.main([str(tmp_path), "hero"]))
    assert code == 2 and "hero" in sentence and all(name in sentence for name in pictures.PICTURES)
    code, sentence = exit_codes.outcome(lambda: pictures.Desk(tmp_path, tmp_path).photo("board"))
    assert code == 2 and "board" in sentence and str(tmp_path) in sentence


def test_what_is_transparent_is_shown_over_squares():
    shown = pictures.on_squares(Image.new("RGBA", (4, 4), (255, 0, 0, 0)), side=2)
    assert [shown.getpixel(place) for place in ((0, 0), (3, 0), (0, 3), (3, 3))] == [(200,) * 3, (240,) * 3,
                                                                                    (240,) * 3, (200,) * 3]
    assert pictures.on_squares(Image.new("RGBA", (4, 4), "red")).getpixel((3, 3)) == (255, 0, 0)


# =============================================================================================
# docs/FIGURES.md
# =============================================================================================

SYSTEMS = {"image quilting": "quilting", "the patch posterior": "posterior", 'the original idea ("stacked")': "stacked",
           "denoising-diffusion-pytorch": "lucidrains", "more of the same from its generator": "true floor"}
PHOTOS = {"fine weave": "fabric", "roofing tiles": "roof", "paint on rust": "rust", "brick wall": "wall"}


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def tables_in(text):
    """The tables of a page as (heading above it, column names, rows of cells)."""
    found = []
    for match in re.finditer(r"((?:^\|.*\|\n)+)", text + "\n", re.M):
        lines = [[cell.strip(" *") for cell in line.strip("|").split(" | ")] for line in match[1].splitlines()]
        heading = re.findall(r"^#+ (.*)$", text[:match.start()], re.M)
        found.append((heading[-1] if heading else "", lines[0], lines[2:]))
    return found


def columns_of(name):
    """The columns that a header stands for: "seam 1st, 2nd" for two."""
    first, *rest = name.split(", ")
    return [first, *(f"{first.rsplit(' ', 1)[0]} {part}" for part in rest)]


def agrees(said, figure):
    """Whether a number is a figure of as many or more digits, rounded."""
    digits = len(said.partition(".")[2])
    return abs(float(said) - float(figure)) <= 0.5 * 10**-digits + 1e-9


def result_figures(text):
    """RESULTS.md: (exemplar, system) -> column -> figure."""
    found = {}
    for exemplar, (_, *columns), rows in tables_in(text):
        for system, *cells in rows:
            found.setdefault((exemplar, system), {}).update(zip(columns, cells))
    return found


def minute_figures(text):
    """MINUTE.md: photo -> column -> figures of all stages."""
    return {photo: dict(zip(columns, zip(*rows))) for photo, columns, rows in tables_in(text)}


def numbers_of_results(readme, text):
    """Of each table of systems in a text: (where, number, figure, None if there is none)."""
    figures_, known = result_figures(text), set().union(*result_figures(text).values())
    for _, (corner, *names), rows in tables_in(readme):
        columns = [columns_of(name) for name in names]
        if corner or not set(sum(columns, [])) <= known:
            continue
        exemplar = None
        for label, *cells in rows:
            *given, system = label.split(": ")
            exemplar = given[0] if given else exemplar
            row = figures_.get((exemplar, SYSTEMS.get(system, system.removeprefix("ours, "))), {})
            for part, cell in zip(columns, cells):
                for column, number in zip(part, cell.split(", "), strict=True):
                    yield f"{exemplar}, {system}, {column}", number, row.get(column)


def numbers_of_minute(readme, text):
    """The same of each table of photos."""
    known = minute_figures(text)
    for _, (corner, *columns), rows in tables_in(readme):
        if corner == "photo" and set(columns) <= set().union(*known.values()):
            for label, *cells in rows:
                row = known.get(PHOTOS.get(label, label), {})
                for column, cell in zip(columns, cells):
                    for number, figure in zip(cell.split(", "), row.get(column, cell.count(", ") * [None] + [None]),
                                              strict=True):
                        yield f"{label}, {column}", number, figure


def numbers_of_speed(readme, text):
    """The same of sentences about seconds a megapixel, and about the peers' U-Net."""
    (_, _, rows), = tables_in(text)
    known = {name: [cell.split(" (")[0].strip("~") for cell in cells] for name, *cells in rows}
    megapixel = [cells[0] for name, cells in known.items() if "s a megapixel" in name]
    for said in re.findall(r"((?:[\d.]+(?:, | and ))*[\d.]+) seconds\s+a\s+megapixel", readme):
        for number in re.split(", | and ", said):
            yield "seconds a megapixel", number, min(megapixel, key=lambda value: abs(float(value) - float(number)))
    ours, peer, *_ = map(float, known["training, tiles/s"])
    for number in re.findall(r"(\d+)\s+times\s+the\s+tiles\s+a\s+second", readme):
        yield "times the tiles a second", number, ours / peer


KINDS = {"benchmarks/RESULTS.md": numbers_of_results, "benchmarks/MINUTE.md": numbers_of_minute,
         "benchmarks/SPEED.md": numbers_of_speed}


def disagreements(kind, readme):
    found = list(KINDS[kind](readme, read(kind)))
    return len(found), [(where, number, figure) for where, number, figure in found
                        if figure is None or not agrees(number, figure)]


@pytest.mark.parametrize("kind, least", [("benchmarks/RESULTS.md", 50), ("benchmarks/MINUTE.md", 50),
                                         ("benchmarks/SPEED.md", 0)])
def test_the_figures_that_are_told_are_those_of_the_files(kind, least):
    pages = [path for path in ("README.md", "docs/FIGURES.md", "docs/MANUAL.md") if (ROOT / path).exists()]
    count, wrong = disagreements(kind, "\n\n".join(map(read, pages)))
    assert count >= least and not wrong


TABLES = {  # with a number that is right, one that is wrong, and one that is missing
    "benchmarks/RESULTS.md": "| | seam 1st, 2nd |\n|---|---|\n| **gravel: image quilting** | {} |\n",
    "benchmarks/MINUTE.md": "| photo | novelty |\n|---|---|\n| fine weave | {} |\n",
    "benchmarks/SPEED.md": "It takes {} seconds\na megapixel.",
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_figure_that_is_wrong_is_found(kind):
    text = read(kind)
    if kind.endswith("RESULTS.md"):
        right = [result_figures(text)["gravel", "quilting"][name] for name in ("seam 1st", "seam 2nd")]
    elif kind.endswith("MINUTE.md"):
        right = minute_figures(text)["fabric"]["novelty"]
    else:
        right = [re.search(r"megapixels, s a megapixel \| ~?([\d.]+)", text)[1]]
    assert disagreements(kind, TABLES[kind].format(", ".join(right))) == (len(right), [])
    wrong = [*right[:-1], f"{float(right[-1]) + 0.51:.2f}"]
    count, found = disagreements(kind, TABLES[kind].format(", ".join(wrong)))
    assert count == len(right) and [number for _, number, _ in found] == wrong[-1:]


def test_rounding_is_as_written():
    assert agrees("0.99", "0.994") and agrees("23", "22.6") and agrees("1.0", "1.0") and not agrees("0.98", "0.994")
    assert columns_of("seam 1st, 2nd") == ["seam 1st", "seam 2nd"] and columns_of("colour") == ["colour"]
