"""A matplotlib figure as SVG inside a page: readable in the dark, and with a text for every point under the pointer."""

import io
import json
import re
from collections.abc import Sequence
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.figure import Figure

INK = "#000000"  # black lines and text take the page's colour of text
MARK = "hover"
SVG, LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"


def hover(artist: Artist, texts: Sequence[str]) -> None:
    """Give an artist texts for `inline_svg`: one for each drawn marker of a line, or one for anything else."""
    artist.set_gid(MARK + json.dumps(list(texts)))


def inline_svg(figure: Figure, name: str) -> str:
    """The figure as an SVG element for an HTML page.

    Args:
        figure: laid out already.
        name: unique in the page; put before every id.
    """
    buffer = io.BytesIO()
    with mpl.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": "tlclass"}
    ):  # no random ids: equal figures, equal files
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    root = ElementTree.fromstring(buffer.getvalue())
    for metadata in root.findall(f"{SVG}metadata"):
        root.remove(metadata)
    for element in [*root.iter()]:
        _mark(element)
    for element in root.iter():
        _plain(element, name)
    width = float(root.attrib.pop("width").removesuffix("pt"))
    root.attrib.pop("height")
    root.attrib |= {"class": "drawing", "style": f"max-width: {width * 4 / 3:.0f}px"}
    return ElementTree.tostring(root, encoding="unicode")


def _mark(element: ElementTree.Element) -> None:
    """Turn the texts in an element's id into titles of its markers, or of itself."""
    if not element.get("id", "").startswith(MARK + "["):
        return
    texts = json.loads(element.attrib.pop("id").removeprefix(MARK))
    if not texts:
        return  # a line without points
    markers = [*element.iter(f"{SVG}use")] or [element]
    if len(markers) != len(texts):
        raise RuntimeError(
            f"{len(texts)} texts for {len(markers)} markers of a figure: this is a bug, please report it"
        )
    for marker, text in zip(markers, texts, strict=True):
        marker.set("class", MARK)
        title = ElementTree.Element(f"{SVG}title")
        title.text = text
        marker.insert(0, title)


def _plain(element: ElementTree.Element, name: str) -> None:
    """No namespaces, which a page does not need; ids of this figure alone; black as the colour of text."""
    element.tag = element.tag.removeprefix(SVG)
    attributes = {}
    for key, value in element.attrib.items():
        if key == "id":
            value = f"{name}-{value}"
        elif key == LINK:
            key, value = "href", value.replace("#", f"#{name}-", 1)
        elif key in ("style", "clip-path"):
            value = re.sub(r"url\(#", f"url(#{name}-", value).replace(INK, "currentColor")
        attributes[key] = value
    element.attrib = attributes
