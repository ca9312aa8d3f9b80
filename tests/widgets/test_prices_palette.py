"""The chart's colours: apart for every common kind of colour vision, on white and on black."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

WIDGETS = Path(__file__).parents[2] / "vastnb" / "widgets"
GREY = "#8b949e"
APART = 22.0
"""Least distance (CIE 1976); some 2 are just noticed side by side, small dots need more."""

# Machado, Oliveira, Fernandes 2009, severity 1, for linear RGB.
SEEN_BY = {
    "most": np.eye(3),
    "protanopes": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
         [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopes": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
         [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopes": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
         [0.004733, 0.691367, 0.303900]]
    ),
}  # fmt: skip


def linear(colour: str) -> np.ndarray:
    values = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
         [0.0193339, 0.1191920, 0.9503041]]
    )  # fmt: skip
    x, y, z = (
        np.cbrt(v) if v > 0.008856 else 7.787 * v + 16 / 116
        for v in to_xyz @ rgb / [0.95047, 1.0, 1.08883]
    )
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def palette() -> list[str]:
    text = (WIDGETS / "kit" / "palette.js").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("export const PALETTE"))
    return re.findall(r"#[0-9a-f]{6}", line)


@pytest.mark.parametrize("eyes", SEEN_BY)
def test_no_two_colours_of_the_chart_look_alike(eyes: str) -> None:
    seen = {c: lab(np.clip(SEEN_BY[eyes] @ linear(c), 0, 1)) for c in [*palette(), GREY]}
    for a, b in combinations(seen, 2):
        assert np.linalg.norm(seen[a] - seen[b]) >= APART, (a, b)


def test_every_colour_is_seen_on_white_and_on_black() -> None:
    for colour in palette():
        light = float(linear(colour) @ [0.2126, 0.7152, 0.0722])
        assert 1.05 / (light + 0.05) >= 2.2, colour
        assert (light + 0.05) / (float(linear("#111111")[0]) + 0.05) >= 2.8, colour
