"""QR codes: against one made by another program, and read back word by word."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.web.qr import _CODEWORDS, _MASKS, _fixed, _times, drawn, encoded

# "http://192.168.1.23:8000/collect" in version 2, level L, mask 2, by segno 1.6.6
OTHERS = """
1fca47f 105da41 174c15d 175785d 174a45d 1051b41 1fd557f 000c600
1f77baa 070ec82 11dca6b 07ba111 144b877 150ac0a 167c2ab 1587209
16519f4 001651c 1fd415f 104a319 1757bfd 1753774 1759085 1059179
1fd4aff
"""


def test_equal_to_another_programs():
    squares = encoded("http://192.168.1.23:8000/collect")
    assert squares is not None
    assert [f"{int(''.join(map(str, row.astype(int))), 2):07x}" for row in squares] == OTHERS.split()


def read(squares: np.ndarray) -> tuple[str, list[int], int]:
    """The text, all codewords, how many are for correction; following the standard's words, not the writer's code."""
    side = len(squares)
    version = (side - 17) // 4
    word = int("".join(str(int(squares[8, x])) for x in (0, 1, 2, 3, 4, 5, 7, 8)), 2)
    mask = ((word ^ (0x5412 >> 7)) >> 3) & 0b111
    known, taken = np.zeros_like(squares), np.zeros_like(squares)
    _fixed(known, taken, version, mask)
    assert (squares[taken] == known[taken]).all()
    bits = []
    x, up = side - 1, True
    while x > 0:
        x -= x == 6
        for y in range(side - 1, -1, -1) if up else range(side):
            bits += [int(squares[y, c]) ^ int(_MASKS[mask](y, c) == 0) for c in (x, x - 1) if not taken[y, c]]
        x, up = x - 2, not up
    words = [int("".join(map(str, bits[start : start + 8])), 2) for start in range(0, len(bits) // 8 * 8, 8)]
    stream = "".join(f"{one:08b}" for one in words)
    length = int(stream[4:12], 2)
    text = bytes(int(stream[12 + 8 * n : 20 + 8 * n], 2) for n in range(length))
    return text.decode(), words, _CODEWORDS[version][1]


@pytest.mark.parametrize("length", [1, 17, 18, 32, 33, 53, 54, 78, 79, 106])
def test_read_back(length: int):
    text = ("http://host:8000/collect#key=" + "aB3_" * 30)[:length]
    squares = encoded(text)
    assert squares is not None
    found, words, correction = read(squares)
    assert found == text
    root = 1
    for _ in range(correction):  # a code without errors is a polynomial with these roots
        value = 0
        for word in words:
            value = _times(value, root) ^ word
        assert value == 0
        root = _times(root, 2)


def test_too_long_for_a_small_code():
    assert encoded("x" * 107) is None
    assert encoded("é" * 54) is None


def test_lines_for_a_terminal():
    squares = encoded("x")
    assert squares is not None
    lines = drawn(squares).splitlines()
    assert len(lines) == 15  # 21 squares and 8 of light, two a line
    assert all(line.startswith("\x1b[38;5;16;48;5;231m") and line.endswith("\x1b[0m") for line in lines)
    assert lines[2].count("█") > 2
