"""A document as Markdown beside its figures, and as one HTML file that holds them."""

import base64
import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import jinja2
import pandas as pd


@dataclass(frozen=True)
class Heading:
    """Level 1 is the page's title; `anchor` is set by `page`."""

    text: str
    level: int = 2
    anchor: str = ""


@dataclass(frozen=True)
class Paragraph:
    """Plain text."""

    text: str


@dataclass(frozen=True)
class Link:
    """To another file beside the page."""

    text: str
    href: str


@dataclass(frozen=True)
class Items:
    """A list."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Facts:
    """Names with their values."""

    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Table:
    """Cells are text; a reader can sort by any column."""

    frame: pd.DataFrame
    caption: str

    def rows(self) -> list[list[str]]:
        """All cells; what is not known is a dash."""
        known = self.frame.astype(object).where(self.frame.notna(), "-")
        rows: list[list[str]] = known.astype(str).to_numpy().tolist()
        return rows


@dataclass(frozen=True)
class Picture:
    """A PNG file, and the same as SVG for the page, whose points can be pointed at."""

    path: Path
    caption: str
    drawing: str = ""

    def encoded(self) -> str:
        """The PNG file in base64."""
        return base64.b64encode(self.path.read_bytes()).decode("ascii")


Block = Heading | Paragraph | Link | Items | Facts | Table | Picture


def markdown(blocks: Sequence[Block], folder: Path) -> str:
    """The document as Markdown; figures are linked relative to `folder`."""
    return "\n\n".join(_markdown(block, folder) for block in blocks) + "\n"


def _markdown(block: Block, folder: Path) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {text}"
        case Paragraph(text):
            return text
        case Link(text, href):
            return f"[{text}]({href})"
        case Items(lines):
            return "\n".join(f"- {line}" for line in lines)
        case Facts(pairs):
            return "\n".join(f"- {name}: `{value}`" for name, value in pairs)
        case Table(frame, caption):
            rows = [list(frame.columns), ["---"] * len(frame.columns), *block.rows()]
            cells = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
            return "\n".join([f"*{caption}*\n", *cells])
        case Picture(path, caption):
            return f"![{caption}]({path.relative_to(folder).as_posix()})\n\n*{caption}*"


def page(blocks: Sequence[Block]) -> str:
    """The document as one HTML file that needs no other and opens without a network."""
    blocks = _with_anchors(blocks)
    headings = [block for block in blocks if isinstance(block, Heading)]
    return (
        _templates()
        .get_template("page.html")
        .render(
            title=headings[0].text if headings else "report",
            contents=[heading for heading in headings if heading.level > 1],
            blocks=[(type(block).__name__, block) for block in blocks],
        )
    )


@functools.cache
def _templates() -> jinja2.Environment:
    loader = jinja2.PackageLoader("tlclass.report")
    return jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )


def _with_anchors(blocks: Sequence[Block]) -> list[Block]:
    """Give every heading an anchor of its own."""
    used: dict[str, int] = {}
    found: list[Block] = []
    for block in blocks:
        if isinstance(block, Heading):
            anchor = re.sub(r"[^a-z0-9]+", "-", block.text.lower()).strip("-") or "section"
            used[anchor] = used.get(anchor, 0) + 1
            block = replace(block, anchor=anchor if used[anchor] == 1 else f"{anchor}-{used[anchor]}")
        found.append(block)
    return found
