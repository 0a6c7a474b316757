"""Where an entity may begin and end, by its characters alone: rules over Python's own Unicode tables.

An edge is no control, white space, invisible character, emoji, ornament or sentence punctuation. A bracket or a
paired quote is one only with its partner inside the span, and quotes around the whole span are none of it.
"""

import unicodedata
from functools import cache

_SENTENCE_PUNCTUATION = frozenset("，。、；：,;:︐︑︒︓︔﹐﹑﹔﹕｡､")
# Accents, primes and apostrophes among them.
_LONE_QUOTES = frozenset("'＇`´｀‚‛„‟⹂′″‴‵‶‷❛❜❝❞❟❠")
# Symbols of these blocks are arrows, stars, hearts, ticks: none is part of a name.
_SYMBOL_BLOCKS = (range(0x2190, 0x2200), range(0x2600, 0x27C0))
_ACCIDENTALS = frozenset("♭♮♯")
# Mahjong to playing cards; regional indicators and enclosed signs; pictographs; what is kept for more of them.
_PICTOGRAPHS = (
    *(range(0x1F000, 0x1F100), range(0x1F1AF, 0x1F200), range(0x1F201, 0x1F210), range(0x1F249, 0x1F260)),
    *(range(0x1F266, 0x1FB00), range(0x1FC00, 0x1FFFE)),
)
_EMOJI_ELSEWHERE = frozenset(
    "⌚⌛⌨⏏⏩⏪⏫⏬⏭⏮⏯⏰⏱⏲⏳⏸⏹⏺Ⓜ▪▫▶◀◻◼◽◾⤴⤵⬅⬆⬇⬛⬜⭐⭕〰〽㊗㊙\N{COMBINING ENCLOSING KEYCAP}"
    "🅰🅱🅾🅿🆎🆑🆒🆓🆔🆕🆖🆗🆘🆙🆚🈚🈯🈲🈳🈴🈵🈶🈷🈸🈹🈺🈼🈽🈾🈿"
)
_INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"})
# Joiners, fillers, variation selectors, blanks and tags that have another category.
_INVISIBLE_ELSEWHERE = (
    *(range(0x34F, 0x350), range(0x115F, 0x1161), range(0x17B4, 0x17B6), range(0x180B, 0x1810)),
    *(range(0x2065, 0x2066), range(0x2800, 0x2801), range(0x3164, 0x3165), range(0xFE00, 0xFE10)),
    *(range(0xFFA0, 0xFFA1), range(0xFFF0, 0xFFF9), range(0xFFFC, 0xFFFD), range(0xE0000, 0xE1000)),
)

_QUOTE_PAIRS = {pair[0]: pair[1] for pair in ("“”", "‘’", "「」", "『』", "«»", "‹›", "〝〞")}
# Brackets whose names do not say left and right in the order of writing.
_IRREGULAR_PAIRS = {pair[0]: pair[1] for pair in ("<>", "⦓⦔", "⦕⦖", "༺༻", "༼༽", "᚛᚜", "﴿﴾")}
_STRAIGHT_QUOTE = '"'


@cache
def _bracket(character: str) -> tuple[str, bool, bool] | None:
    """Return the opening bracket of this pair, whether this one opens it, and whether it closes it."""
    form = unicodedata.normalize("NFKC", character).replace("〟", "〞")
    if form == _STRAIGHT_QUOTE:
        return form, True, True
    for opening, closing in (_QUOTE_PAIRS | _IRREGULAR_PAIRS).items():
        if form in (opening, closing):
            return opening, form == opening, form == closing
    category, name = unicodedata.category(form) if len(form) == 1 else "", unicodedata.name(form[0], "")
    if category not in ("Ps", "Pe") or form in _LONE_QUOTES:
        return None
    left = name if category == "Ps" else name.replace("RIGHT", "LEFT")
    return (unicodedata.lookup(left), category == "Ps", category == "Pe") if "LEFT" in left else None


def _is_quote(kind: str) -> bool:
    return kind in _QUOTE_PAIRS or kind == _STRAIGHT_QUOTE


@cache
def _never_an_edge(character: str) -> bool:
    point, category = ord(character), unicodedata.category(character)
    return (
        category in _INVISIBLE_CATEGORIES
        or any(point in block for block in _INVISIBLE_ELSEWHERE)
        or character in _SENTENCE_PUNCTUATION
        or character in _LONE_QUOTES
        or character in _EMOJI_ELSEWHERE
        or any(point in block for block in _PICTOGRAPHS)
        or (
            category in ("So", "Sm")
            and any(point in block for block in _SYMBOL_BLOCKS)
            and character not in _ACCIDENTALS
        )
    )


def bracket_partner(text: str, at: int) -> int | None:
    """Position of the bracket or quote that pairs with the one at `at`, or None.

    Full width and half width are one kind; other kinds between the two do not matter.

    >>> bracket_partner("华为（深圳)公司", 2)
    5
    """
    bracket = _bracket(text[at])
    if bracket is None:
        return None
    kind = bracket[0]
    open_ones: list[int] = []
    for position, character in enumerate(text):
        other = _bracket(character)
        if other is None or other[0] != kind:
            continue
        _, opens, closes = other
        if closes and open_ones:
            opening = open_ones.pop()
            if at in (opening, position):
                return position if at == opening else opening
        elif opens:
            open_ones.append(position)
    return None


def is_sound_span(span: str, *, begins_text: bool = False) -> bool:
    """Whether an entity may have exactly this text, by the characters at its two ends.

    Of a text that was cut inside a title, a span that begins the text may end with the bracket whose partner was
    cut off.

    >>> is_sound_span("《三体》"), is_sound_span("《三体"), is_sound_span("“俏江南”集团"), is_sound_span("“俏江南”")
    (True, False, True, False)
    >>> is_sound_span("生化奇兵2》"), is_sound_span("生化奇兵2》", begins_text=True)
    (False, True)
    """
    if not span or _never_an_edge(span[0]) or _never_an_edge(span[-1]):
        return False
    last = len(span) - 1
    first_bracket, last_bracket = _bracket(span[0]), _bracket(span[-1])
    after, before = bracket_partner(span, 0), bracket_partner(span, last)
    if first_bracket is not None:
        kind = first_bracket[0]
        if after is None or (after == last and _is_quote(kind)):
            return False
    if last_bracket is None or before is not None:
        return True
    kind, _, closes = last_bracket
    return begins_text and closes and not _is_quote(kind)


def sound_part(span: str, *, begins_text: bool = False) -> tuple[int, int]:
    """Start and end, within the span, of what is left without the characters that may not be edges.

    >>> sound_part("，《三体"), sound_part("“三体”"), sound_part("！")
    ((2, 4), (1, 3), (0, 1))
    """
    start, end = 0, len(span)
    while start < end and not is_sound_span(span[start:end], begins_text=begins_text and start == 0):
        first = span[start]
        after = bracket_partner(span[start:end], 0)
        if after == end - start - 1:
            start, end = start + 1, end - 1
        elif _never_an_edge(first) or (_bracket(first) is not None and after is None):
            start += 1
        else:
            end -= 1
    return start, end
