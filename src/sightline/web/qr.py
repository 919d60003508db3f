"""QR codes (ISO/IEC 18004) of short addresses, for phones to read off a terminal: byte mode, versions 1 to 5, level L.

These versions have one block of codewords, so nothing is interleaved. Knows no terminals but their block characters.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Squares = NDArray[np.bool_]  # (side, side); True is dark

_CODEWORDS = {1: (19, 7), 2: (34, 10), 3: (55, 15), 4: (80, 20), 5: (108, 26)}  # version -> of data, of error correction
_LEVEL_L = 0b01
_QUIET = 4  # squares of light around the code
_MASKS = (
    lambda y, x: (y + x) % 2,
    lambda y, x: y % 2 + 0 * x,
    lambda y, x: x % 3 + 0 * y,
    lambda y, x: (y + x) % 3,
    lambda y, x: (y // 2 + x // 3) % 2,
    lambda y, x: y * x % 2 + y * x % 3,
    lambda y, x: (y * x % 2 + y * x % 3) % 2,
    lambda y, x: ((y + x) % 2 + y * x % 3) % 2,
)


def encoded(text: str) -> Squares | None:
    """The code of `text` without the light around it; None when it is longer than 106 bytes."""
    data = text.encode()
    version = next((one for one, (room, _) in _CODEWORDS.items() if len(data) + 2 <= room), None)
    if version is None:
        return None
    words = _codewords(data, *_CODEWORDS[version])
    bits = np.unpackbits(np.array(words, np.uint8)).astype(bool)
    candidates = [_laid_out(version, bits, mask) for mask in range(len(_MASKS))]
    return min(candidates, key=_penalty)


def drawn(squares: Squares) -> str:
    """The code as lines for a terminal, black on white whatever its colours are; two squares high a character."""
    padded = np.pad(squares, _QUIET)
    padded = np.pad(padded, ((0, len(padded) % 2), (0, 0)))
    signs = np.array(list(" ▀▄█"))[padded[::2] + 2 * padded[1::2].astype(int)]
    return "".join(f"\x1b[38;5;16;48;5;231m{''.join(line)}\x1b[0m\n" for line in signs)


def _codewords(data: bytes, room: int, correction: int) -> list[int]:
    """Mode, length, data, end, padding; then the Reed-Solomon remainder over GF(256) with x^8 + x^4 + x^3 + x^2 + 1."""
    bits = f"0100{len(data):08b}" + "".join(f"{byte:08b}" for byte in data) + "0000"
    words = [int(bits[start : start + 8], 2) for start in range(0, len(bits), 8)]
    words += [(0xEC, 0x11)[number % 2] for number in range(room - len(words))]
    generator = [1]
    root = 1
    for _ in range(correction):
        generator = [a ^ _times(b, root) for a, b in zip([*generator, 0], [0, *generator], strict=True)]
        root = _times(root, 2)
    rest = words + [0] * correction
    for place in range(room):
        factor = rest[place]
        for offset, coefficient in enumerate(generator):
            rest[place + offset] ^= _times(factor, coefficient)
    return words + rest[room:]


def _times(a: int, b: int) -> int:
    product = 0
    while b:
        product ^= a * (b & 1)
        a = (a << 1) ^ (0x11D if a & 0x80 else 0)
        b >>= 1
    return product


def _laid_out(version: int, bits: NDArray[np.bool_], mask: int) -> Squares:
    side = 17 + 4 * version
    squares, taken = np.zeros((side, side), bool), np.zeros((side, side), bool)
    _fixed(squares, taken, version, mask)
    rows, columns = np.indices((side, side))
    flips = _MASKS[mask](rows, columns) == 0
    stream = iter(bits)
    for number, right in enumerate([*range(side - 1, 6, -2), 5, 3, 1]):  # pairs of columns, up and down in turn
        for y in range(side)[:: -1 if number % 2 == 0 else 1]:
            for x in (right, right - 1):
                if not taken[y, x]:
                    squares[y, x] = bool(next(stream, False)) ^ bool(flips[y, x])
    return squares


def _fixed(squares: Squares, taken: Squares, version: int, mask: int) -> None:
    """Finders, alignment, timing, format: what stands in every code."""
    side = len(squares)
    for y, x in ((0, 0), (0, side - 7), (side - 7, 0)):
        taken[max(0, y - 1) : y + 8, max(0, x - 1) : x + 8] = True
        _rings(squares, y + 3, x + 3, (3, 1, 0))
    if version > 1:
        taken[side - 9 : side - 4, side - 9 : side - 4] = True
        _rings(squares, side - 7, side - 7, (2, 0))
    squares[6, 8 : side - 8] = squares[8 : side - 8, 6] = np.arange(8, side - 8) % 2 == 0
    taken[6, :] = taken[:, 6] = True
    info = (_LEVEL_L << 3) | mask
    rest = info << 10
    for shift in range(4, -1, -1):  # BCH (15, 5)
        if rest >> (shift + 10) & 1:
            rest ^= 0x537 << shift
    word = ((info << 10) | rest) ^ 0x5412
    across = [0, 1, 2, 3, 4, 5, 7, *range(side - 8, side)]  # columns in row 8, the highest bit first
    down = [*range(side - 1, side - 8, -1), 8, 7, 5, 4, 3, 2, 1, 0]  # rows in column 8
    for place, (x, y) in enumerate(zip(across, down, strict=True)):
        squares[8, x] = squares[y, 8] = bool(word >> (14 - place) & 1)
        taken[8, x] = taken[y, 8] = True
    squares[side - 8, 8] = taken[side - 8, 8] = True


def _rings(squares: Squares, y: int, x: int, dark: tuple[int, ...]) -> None:
    """Square rings around a middle, dark at these distances from it."""
    reach = max(dark)
    distance = np.abs(np.indices((2 * reach + 1, 2 * reach + 1)) - reach).max(axis=0)
    squares[y - reach : y + reach + 1, x - reach : x + reach + 1] = np.isin(distance, dark)


def _penalty(squares: Squares) -> int:
    """How hard a code is to read: runs of one colour, blocks of 2 x 2, an unequal share of dark (rules 1, 2 and 4)."""
    found = 0
    for lines in (squares, squares.T):
        for line in lines:
            lengths = np.diff(np.flatnonzero(np.diff(line.astype(int), prepend=2, append=2)))
            found += int((lengths[lengths >= 5] - 2).sum())
    same = squares[1:, 1:] == squares[:-1, :-1]
    same &= (squares[1:, 1:] == squares[1:, :-1]) & (squares[1:, 1:] == squares[:-1, 1:])
    return found + 3 * int(same.sum()) + 10 * int(abs(squares.mean() - 0.5) * 20)
