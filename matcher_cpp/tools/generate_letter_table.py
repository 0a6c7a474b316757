"""Write src/letter_table.inc: the letters of scripts that have capitals and small ones, and accents.

Usage: python3.11 generate_letter_table.py > ../src/letter_table.inc

Input: the Unicode database of the Python that runs it (3.11 has 14.0.0; the file says which one made it).
"""

from __future__ import annotations

import sys
import unicodedata

ACCENTS = range(0x300, 0x370)
"""Combining marks that follow letters of these scripts."""


def is_cased_letter(point: int) -> bool:
    """Tell whether it is a capital, small or title-case letter, or an accent."""
    return point in ACCENTS or unicodedata.category(chr(point)) in ("Lu", "Ll", "Lt")


def main() -> None:
    """Write the ranges, both ends included."""
    runs: list[tuple[int, int]] = []
    for point in filter(is_cased_letter, range(0x110000)):
        if runs and runs[-1][1] == point - 1:
            runs[-1] = (runs[-1][0], point)
        else:
            runs.append((point, point))
    out = sys.stdout
    out.write(f"// Unicode {unicodedata.unidata_version} (https://www.unicode.org/license.txt). ")
    out.write("Written by matcher_cpp/tools/generate_letter_table.py; do not edit.\n")
    out.writelines(f"{{0x{first:X}, 0x{last:X}}},\n" for first, last in runs)


if __name__ == "__main__":
    main()
