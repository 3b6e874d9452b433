"""The documentation holds together: links lead somewhere, pages are in the navigation, what is generated is up to date."""

import functools
import json
import pkgutil
import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import tlclass
from tests.conftest import ROOT
from tlclass.cli import COMMANDS

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md")), *sorted(DOCS.rglob("*.ipynb"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")


@functools.cache
def markdown(path: Path) -> str:
    """The text of a page; of a notebook that of its Markdown cells; snippets are put in."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return re.sub(r'^--8<-- "(.+)"$', lambda match: (ROOT / match[1]).read_text(encoding="utf-8"), text, flags=re.M)


@functools.cache
def anchors(path: Path) -> set[str]:
    """Of the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", markdown(path), flags=re.M | re.S), flags=re.M)
    plain = [re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings]
    return {re.sub(r"[-\s]+", "-", heading) for heading in plain}


def links(path: Path) -> Iterator[str]:
    """The links of a page that are not to other sites."""
    for link in LINK.findall(re.sub(r"`[^`]*`", "", markdown(path))):
        if not link.startswith(("http://", "https://", "mailto:")):
            yield link


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    home = ROOT if path.name == "contributing.md" else path.parent
    for link in links(path):
        file, _, anchor = link.partition("#")
        target = (home / file).resolve() if file else path
        assert target.exists(), f"{path}: {link}"
        assert not anchor or anchor in anchors(target), f"{path}: {link}"
        inside = not path.is_relative_to(DOCS) or target.is_relative_to(DOCS)
        assert inside, f"{path}: {link} leaves docs/, which the site does not have"


def test_the_walk_names_what_there_is() -> None:
    walk = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Follow one light curve")[2]
    names = re.findall(r"`([a-z_.]+\.\w+)`", walk.partition("## Add")[0])
    paths = [name for name in names if not name.endswith((".py", ".toml"))]
    assert len(paths) > 25
    for path in paths:
        pkgutil.resolve_name(f"tlclass.{path}")


def site() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    return found


def leaves(part: Any) -> Iterator[str]:
    """The files of a navigation."""
    if isinstance(part, str):
        yield part
    else:
        for inner in part.values() if isinstance(part, dict) else part:
            yield from leaves(inner)


def test_every_page_is_in_the_navigation_once() -> None:
    listed = list(leaves(site()["nav"]))
    pages = [path.relative_to(DOCS).as_posix() for path in PAGES if path.is_relative_to(DOCS)]
    assert sorted(listed) == sorted(pages)


def test_the_configuration_reference_is_that_of_the_plan() -> None:
    made = runpy.run_path(str(DOCS / "make_reference.py"))["reference"]()
    assert (DOCS / "configuration.md").read_text(encoding="utf-8") == made, "run python docs/make_reference.py"


def test_every_setting_of_the_reference_has_a_meaning() -> None:
    table = re.findall(r"^\| `([\w.]+)` \| [^|]+ \| `[^`]*` \|(.*)\|$", markdown(DOCS / "configuration.md"), flags=re.M)
    assert len(table) > 30 and [name for name, meaning in table if not meaning.strip()] == []


def test_the_readme_is_short_and_names_only_commands_that_exist() -> None:
    text = markdown(ROOT / "README.md")
    assert len(text.split()) < 700
    commands = set(re.findall(r"^tlclass (\w+)", text, flags=re.M))
    assert commands and commands <= set(COMMANDS)


def test_commands_with_several_values_are_sweeps() -> None:
    """`tlclass train` refuses `labels=0,100` without `-m`."""
    found = 0
    for path in PAGES:
        for line in markdown(path).replace("\\\n", " ").splitlines():
            command, _, words = (
                line.partition("tlclass train ") if "tlclass train " in line else line.partition("tlclass.train ")
            )
            if command.strip() in ("", "python -m") and words:
                given = shlex.split(words, comments=True)
                found += 1
                several = [word for word in given if re.search(r"=[^\[\"'{]*,", word)]
                assert not several or "-m" in given, f"{path}: {line}"
    assert found > 40


def test_metadata_state_this_version_and_licence() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    zenodo = json.loads((ROOT / ".zenodo.json").read_text(encoding="utf-8"))
    assert citation["version"] == tlclass.__version__
    assert citation["license"] == zenodo["license"] == "BSD-3-Clause"
    assert citation["title"] == zenodo["title"]


@pytest.mark.parametrize("path", sorted((ROOT / ".github").rglob("*.yml")), ids=lambda path: path.name)
def test_workflows_call_targets_that_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert yaml.safe_load(text)
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.M))
    assert set(re.findall(r"run: make ([a-z-]+)", text)) <= targets
    assert all((ROOT / script).exists() for script in re.findall(r"run: bash (\S+)", text))


def rows(text: str, *first: str) -> dict[tuple[str, ...], str]:
    """Of the tables whose first columns are these: (first cells, column) -> cell, without bold type and standard deviation."""
    found: dict[tuple[str, ...], str] = {}
    header: list[str] = []
    for line in text.splitlines():
        cells = (
            [re.sub(r" ± .*|\*", "", cell.strip()) for cell in line.strip("|").split("|")]
            if line.startswith("|")
            else []
        )
        if not header or not cells:
            header = cells if tuple(cells[: len(first)]) == first else []
        elif set(line) - set("|-"):
            found |= {(*cells[: len(first)], column): cell for column, cell in zip(header, cells, strict=True)}
    return found


def test_the_short_tables_of_results_hold_what_the_long_ones_hold() -> None:
    long = rows(markdown(DOCS / "results" / "real_ztf.md"), "arm", "labels")
    page = markdown(DOCS / "results.md")
    main = {
        (arm, labels.removesuffix(" labels"), "macro"): cell
        for (arm, labels), cell in rows(page, "arm").items()
        if labels.endswith(" labels") and cell != "-"
    }
    early = rows(page, "arm", "labels")
    assert len(main) > 20 and len(early) > 20
    assert main == {key: long[key] for key in main}
    assert early == {key: long[key] for key in early}


def test_the_short_table_of_lsst_holds_what_the_long_ones_hold() -> None:
    page = markdown(DOCS / "results" / "plasticc.md")
    told, rest = page.split("### The redshift of the host")[1].split("### Without the redshift of the host")
    hidden = rows(rest.split("\n### ")[0], "arm", "labels")
    long = rows(told, "arm", "labels") | {
        ("transfer, without host redshifts", *key[1:]): cell for key, cell in hidden.items()
    }
    short = {key: cell for key, cell in rows(markdown(DOCS / "results.md"), "PLAsTiCC").items() if cell[0].isdigit()}
    assert len(short) > 12
    assert short == {(arm, labels): long[arm, labels.removesuffix(" labels"), "macro"] for arm, labels in short}


def test_the_table_of_the_readme_holds_what_the_results_hold() -> None:
    long = rows(markdown(DOCS / "results" / "real_ztf.md"), "arm", "labels")
    table = rows(markdown(ROOT / "README.md"), "labelled real light curves")
    names = {
        r"`arm=transfer`": "transfer",
        "`adapt=distill`": "transfer, adapted",
        "`arm=transfer_literature`": "transfer_literature",
        "LightGBM": "lightgbm",
        "the paper's": "paper",
    }
    for name, arm in names.items():
        stated = {
            labels: cell for (row, labels), cell in table.items() if name in row and labels[0].isdigit() and cell != "-"
        }
        assert len(stated) >= 3
        assert stated == {labels: f"{float(long[arm, labels, 'macro']):.2f}".lstrip("0") for labels in stated}
