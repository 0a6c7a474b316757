"""Write src/lower_case_table.inc: every code point whose lower case is one other code point.

Usage: python generate_lower_case_table.py > ../src/lower_case_table.inc
"""

import sys

PAIRS = [(point, chr(point).lower()) for point in range(0x110000) if not 0xD800 <= point < 0xE000]
for point, lower in PAIRS:
    if len(lower) == 1 and ord(lower) != point:
        sys.stdout.write(f"{{0x{point:X}, 0x{ord(lower):X}}},\n")
