r"""The query language of the official client, read character by character.

A query is a row of comparisons, ``field op value``, with white space (or a comma) between them.
`split_query` finds the comparisons and their places; it knows operators, quotes and brackets, but
not what a field is (that is `conditions`). What the official client's pattern would cut short,
misread or pass over in silence is refused here, with its place.

One addition, so that every value can be written: a quoted value that begins with a backslash
is taken as it stands (``gpu_name="\New_Model"``), with ``\"`` and ``\\`` inside it for a quote
and a backslash. Elsewhere, as in the official client, an underscore in a value means a space.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from vastnb.market.tables.fields import OPERATORS, RENAMED
from vastnb.wording import nearest, refusal

_SPACE = " \t\r\n"
_FIELD = re.compile(r"[A-Za-z0-9_]+")
_SYMBOL = re.compile(r"[=<>!]+")
_ODD_SYMBOL = re.compile(r"[~:%^&|]+=?\s*")
_WORD = re.compile(
    r"(not\s?in|not\s?eq|nin|neq|eq|in|[gl]te?)(?=[\s\[\"'])",
    re.IGNORECASE,
)
_BARE = re.compile(r"[^\s]+")
_NOT_IN_BARE = re.compile(r"[=<>!\"'\[\]]")
WILDCARDS = ("any", "*", "?")


class Word(NamedTuple):
    """One value as it was written.

    Parameters
    ----------
    text : str
        Without quotes; underscores already turned into spaces, unless `literal`.
    quoted : bool
        Whether it stood in quotes (a quoted ``"any"`` is no wildcard).
    literal : bool
        Whether it began with a backslash: to be sent as it stands.
    at : int
        Where it begins.
    """

    text: str
    quoted: bool
    literal: bool
    at: int


class Clause(NamedTuple):
    """One comparison: its field as written, the operator's JSON name, its values, its place."""

    field: str
    op: str
    words: tuple[Word, ...]
    at: int


def split_query(text: str) -> list[Clause]:
    """Split a query into its comparisons.

    Parameters
    ----------
    text : str
        For example ``"gpu_name=RTX_4090 num_gpus>=2"``.

    Returns
    -------
    list of Clause
        In the order in which they stand; empty for an empty text.

    Raises
    ------
    QueryError
        If any character of it cannot be accounted for.
    """
    clauses = []
    at = _skip(text, 0)
    while at < len(text):
        clause, at = _clause(text, at)
        clauses.append(clause)
        at = _skip(text, at)
    return clauses


def write_word(value: str) -> str:
    """Write a text value so that `split_query` reads the same value from it.

    The official client reads the same too, unless the value holds what its language cannot
    express (an underscore, say); such a value is written with the backslash form.
    """
    if "_" in value or '"' in value or value in ("", *WILDCARDS) or value.strip("\\") != value:
        return literal_word(value)
    if re.search(r"[\s,=<>!'\[\]]", value.replace(" ", "")):
        return f'"{value}"'
    if value != value.strip(" "):
        return f'"{value}"'
    return value.replace(" ", "_")


def literal_word(value: str) -> str:
    """Write a text value so that nothing about it is interpreted."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"\\{escaped}"'


def _skip(text: str, at: int) -> int:
    while at < len(text) and (text[at] in _SPACE or text[at] == ","):
        at += 1
    return at


def _blank(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _clause(text: str, start: int) -> tuple[Clause, int]:
    found = _FIELD.match(text, start)
    if found is None:
        raise refusal(
            f"A field name was expected, not {text[start]!r}. Put a value with spaces or signs in "
            'double quotes, or use underscores: gpu_name="RTX 4090", RTX_4090.',
            text=text,
            at=start,
        )
    field = found.group()
    if text.startswith("/$", found.end()):
        name = f"{field}/$"
        raise refusal(
            f"There is no field {name!r} to search by.",
            suggestions=[RENAMED[name]] if name in RENAMED else (),
            text=text,
            at=start,
        )
    op, at = _operator(text, field, start, found.end())
    at = _blank(text, at)
    if at >= len(text) or text[at] == ",":
        raise refusal(f"The value of {field!r} is missing.", text=text, at=at)
    if text[at] == "[":
        words, at = _bracketed(text, at)
        many = len(words) > 1
    elif text[at] in "\"'":
        word, at = _quoted(text, at)
        words, many = [word], False
    else:
        words, at = _bare(text, at)
        many = len(words) > 1
    if at < len(text) and text[at] not in _SPACE and text[at] != ",":
        raise refusal(
            "Text directly after a closing quote or bracket; put a space between two filters.",
            text=text,
            at=at,
        )
    if many and op not in ("in", "notin"):
        raise refusal(
            f"{field!r} is compared with several values, which only 'in' and 'notin' take: "
            f"{field} in [{','.join(w.text.replace(' ', '_') for w in words)}].",
            text=text,
            at=words[1].at,
        )
    return Clause(field, op, tuple(words), start), at


def _operator(text: str, field: str, start: int, at: int) -> tuple[str, int]:
    after = _blank(text, at)
    symbol = _SYMBOL.match(text, after)
    if symbol is not None:
        name = OPERATORS.get(symbol.group())
        if name is None:
            likely = [s for s in (">=", "<=", "!=", "=") if set(symbol.group()) == set(s)]
            raise refusal(
                f"There is no operator {symbol.group()!r}. Use = != < <= > >= in notin.",
                suggestions=likely,
                text=text,
                at=after,
            )
        return name, symbol.end()
    word = _WORD.match(text, after) if after > at else None
    if word is not None:
        return OPERATORS[" ".join(word.group().lower().split())], word.end()
    odd = _ODD_SYMBOL.match(text, after)
    if odd is not None:
        raise refusal(
            f"There is no operator {odd.group().strip()!r}. Use = != < <= > >= in notin. For part "
            "of a GPU name use '=': gpu_name=A100 finds every A100.",
            suggestions=[f"{field}={text[odd.end() :].split()[0]}"]
            if text[odd.end() :].split()
            else (),
            text=text,
            at=after,
        )
    following = _FIELD.match(text, after)
    if following is None or after == at:
        raise refusal(
            f"{field!r} is compared with nothing: a filter is field, operator, value, as in "
            "num_gpus>=2. Put a value with spaces in double quotes, or use underscores.",
            text=text,
            at=start,
        )
    raise refusal(
        f"There is no operator {following.group()!r} after {field!r}. Use = != < <= > >= in "
        "notin. (Put a value with spaces in double quotes, or use underscores.)",
        suggestions=nearest(following.group(), ("in", "notin", "not in", "gte", "lte", "neq"), 1),
        text=text,
        at=after,
    )


def _quoted(text: str, start: int) -> tuple[Word, int]:
    quote = text[start]
    literal = text[start + 1 : start + 2] == "\\"
    at = start + 2 if literal else start + 1
    chars: list[str] = []
    while at < len(text) and text[at] != quote:
        if literal and text[at] == "\\" and text[at + 1 : at + 2] in ("\\", '"', "'"):
            at += 1
        chars.append(text[at])
        at += 1
    if at >= len(text):
        raise refusal("This quote is never closed.", text=text, at=start)
    inner = "".join(chars)
    if not inner and not literal:
        raise refusal("The value in the quotes is empty.", text=text, at=start)
    return Word(inner if literal else inner.replace("_", " "), True, literal, start), at + 1


def _bare(text: str, start: int) -> tuple[list[Word], int]:
    found = _BARE.match(text, start)
    assert found is not None  # the caller has seen a character that is no space
    raw = found.group()
    bad = _NOT_IN_BARE.search(raw)
    if bad is not None:
        raise refusal(
            f"{bad.group()!r} inside a value. Put a space between two filters, and a value with "
            "signs in double quotes.",
            text=text,
            at=start + bad.start(),
        )
    words = _by_comma(raw, start)
    if not words:
        raise refusal("A value is missing.", text=text, at=start)
    return words, found.end()


def _by_comma(raw: str, start: int) -> list[Word]:
    words = []
    at = start
    for piece in raw.split(","):
        stripped = piece.strip()
        if stripped:
            where = at + piece.index(stripped)
            words.append(Word(stripped.replace("_", " "), False, False, where))
        at += len(piece) + 1
    return words


def _bracketed(text: str, start: int) -> tuple[list[Word], int]:
    words: list[Word] = []
    at = _skip(text, start + 1)
    while at < len(text) and text[at] != "]":
        if text[at] in "\"'":
            word, at = _quoted(text, at)
            words.append(word)
            at = _blank(text, at)
            if at < len(text) and text[at] not in ",]":
                raise refusal("A comma belongs between two values.", text=text, at=at)
        else:
            end = min((i for i in (text.find(c, at) for c in ",]") if i >= 0), default=len(text))
            bad = _NOT_IN_BARE.search(text, at, end)
            if bad is not None:
                raise refusal(f"{bad.group()!r} inside a list.", text=text, at=bad.start())
            words += _by_comma(text[at:end].rstrip(), at)
            at = end
        at = _skip(text, at)
    if at >= len(text):
        raise refusal("This bracket is never closed.", text=text, at=start)
    if not words:
        raise refusal("The list is empty.", text=text, at=start)
    return words, at + 1
