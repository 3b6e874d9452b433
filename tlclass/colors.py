"""Colours that colour-blind readers can tell apart (Okabe & Ito 2008), for every figure of the package."""

from typing import Any

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILLION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"
GREY = "#7F7F7F"

OKABE_ITO = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)  # yellow is too faint on white

LINES = ("-", (0, (5, 1.5)), (0, (6, 1.5, 1, 1.5)), (0, (1.5, 1)), (0, (9, 2)))

# by the last letter of a passband's name, from blue to red: a colour and a marker
PASSBANDS = {
    "u": (PURPLE, "D"), "g": (GREEN, "o"), "r": (VERMILLION, "s"), "i": (ORANGE, "^"), "z": (SKY, "v"), "y": (BLACK, "P"),
}  # fmt: skip


def class_look(number: int) -> tuple[str, Any]:
    """Colour and line style of a class by its place in the model's order; 35 differ."""
    return OKABE_ITO[number % len(OKABE_ITO)], LINES[number % len(LINES)]


def passband_look(name: str) -> tuple[str, str]:
    """Colour and marker of a passband; other letters than ugrizy are grey crosses."""
    return PASSBANDS.get(name[-1:], (GREY, "X"))


def passband_order(name: str) -> tuple[int, str]:
    """Sort key: from blue to red, unknown letters last."""
    letters = [*PASSBANDS]
    return (letters.index(name[-1:]) if name[-1:] in letters else len(letters), name)
