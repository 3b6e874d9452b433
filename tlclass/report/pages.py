"""A document as Markdown beside its figures, and as one HTML file that holds them."""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd


@dataclass(frozen=True)
class Heading:
    """Level 1 is the page's title."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    """Plain text."""

    text: str


@dataclass(frozen=True)
class Items:
    """A list."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Table:
    """Cells are text."""

    frame: pd.DataFrame
    caption: str


@dataclass(frozen=True)
class Picture:
    """A PNG file; its PDF lies beside it."""

    path: Path
    caption: str


Block = Heading | Paragraph | Items | Table | Picture

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 62rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.35rem; border-top: 1px solid #ccc; padding-top: .8rem; } h3 { font-size: 1.1rem; }
h1, h2, h3, p, li, figcaption { overflow-wrap: anywhere; }
.table { overflow-x: auto; margin: 1rem 0; } table { border-collapse: collapse; font-size: .85rem; }
caption, figcaption { text-align: left; font-size: .85rem; color: #444; padding-bottom: .3rem; }
th, td { padding: .2rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: #fff; }
figure { margin: 1rem 0; } img { max-width: 100%; height: auto; }
"""


def markdown(blocks: Sequence[Block], folder: Path) -> str:
    """The document as Markdown; figures are linked relative to `folder`."""
    return "\n\n".join(_markdown(block, folder) for block in blocks) + "\n"


def _markdown(block: Block, folder: Path) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {text}"
        case Paragraph(text):
            return text
        case Items(lines):
            return "\n".join(f"- {line}" for line in lines)
        case Table(frame, caption):
            rows = [list(frame.columns), ["---"] * len(frame.columns), *frame.astype(str).to_numpy().tolist()]
            cells = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
            return "\n".join([f"*{caption}*\n", *cells])
        case Picture(path, caption):
            return f"![{caption}]({path.relative_to(folder).as_posix()})\n\n*{caption}*"


def page(blocks: Sequence[Block]) -> str:
    """The document as one HTML file that needs no other."""
    title = next((block.text for block in blocks if isinstance(block, Heading)), "report")
    body = "\n".join(_html(block) for block in blocks)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{html.escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{STYLE}</style>\n</head>\n'
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _html(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"<h{level}>{html.escape(text)}</h{level}>"
        case Paragraph(text):
            return f"<p>{html.escape(text)}</p>"
        case Items(lines):
            return "<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in lines) + "</ul>"
        case Table(frame, caption):
            return f'<div class="table"><table><caption>{html.escape(caption)}</caption>{_rows(frame)}</table></div>'
        case Picture(path, caption):
            said, data = html.escape(caption, quote=True), base64.b64encode(path.read_bytes()).decode("ascii")
            image = f'<img alt="{said}" src="data:image/png;base64,{data}">'
            return f"<figure>{image}<figcaption>{said}</figcaption></figure>"


def _rows(frame: pd.DataFrame) -> str:
    head = "".join(f"<th>{html.escape(str(name))}</th>" for name in frame.columns)
    rows = frame.astype(str).to_numpy().tolist()
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
