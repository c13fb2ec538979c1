r"""Filters: a line such as `price<=30` in, one checked condition on a product out.

    filter   = column , operator , value , { "|" , value } ;
    column   = "category" | "brand" | "supplier" | "supplier_id" | "title" | "product_id"
             | "price" | "launched_at" | "replenishable" ;
    operator = "=" | "!=" | "<" | "<=" | ">" | ">=" ;
    value    = quoted | bare ;
    quoted   = '"' , { any character but '"' and "\" | "\" , ( '"' | "\" ) } , '"' ;
    bare     = any characters but '"' and "|", the first none of "=<>!" ;

Spaces around a column, an operator and a value do not count. Values with `|` between are
alternatives: with `=` any of them, with `!=` none of them. `<`, `<=`, `>` and `>=` take one value
and are for `price` (a number such as 9.99) and `launched_at` (a day such as 2026-01-31, in UTC: a
product launched at any time of it is launched on it). `replenishable` is `true` or `false`. Text is
compared as it stands in the catalogue, with capitals. A product whose column is empty passes no
filter on that column, `!=` neither: of what is not known nothing can be said.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Literal

import msgspec

from serving.answers import LONGEST, MOST_VALUES, Filters
from serving.problems import Refused, shown

Operator = Literal["=", "!=", "<", "<=", ">", ">="]
Value = str | float | date | bool

TEXT = ("category", "brand", "supplier", "title", "product_id")
ORDERED = ("price", "launched_at")
COLUMNS = (*TEXT, *ORDERED, "replenishable")
ALIASES = {"supplier_id": "supplier"}
LINE = 4096  # characters of one filter
MOST_PRICE = 1e15
NAME = "filter"  # the parameter that errors name

_COLUMN = re.compile(r"\s*([A-Za-z_]*)\s*")
_OPERATOR = re.compile(r"(<=|>=|!=|=|<|>)\s*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"\s*', re.DOTALL)
_BETWEEN = re.compile(r"[|]?\s*")
_BARE = re.compile(r'[^"|]*')
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]{1,9})?", re.ASCII)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


class Filter(msgspec.Struct, frozen=True):
    """One condition: `column operator values`; equal ones hash alike.

    values: str for columns of text, float for price, date for launched_at, bool for replenishable;
    at least one, none twice.
    """

    column: str
    operator: Operator
    values: tuple[Value, ...]

    def __str__(self) -> str:
        """The line that `parse` reads back."""
        return f"{self.column}{self.operator}{'|'.join(map(_written, self.values))}"


def parse(line: str) -> Filter:
    """The filter that a line says; raises Refused (400) with the place where it stops."""
    if len(line) > LINE:
        raise Refused(400, f"{NAME} must have at most {LINE} characters, got {len(line)}", NAME)
    named = _match(_COLUMN, line, 0)
    column = ALIASES.get(named[1], named[1])
    if column not in COLUMNS:
        want = f"want one of {', '.join(COLUMNS)}"
        raise _wrong(line, named.start(1), f"no column {shown(named[1])}", want)
    operated = _OPERATOR.match(line, named.end())
    if operated is None:
        raise _wrong(line, named.end(), f"no operator after {column}", "want =, !=, <, <=, > or >=")
    operator: Operator = operated[1]  # type: ignore[assignment]
    if operator not in ("=", "!=") and column not in ORDERED:
        raise _wrong(line, operated.start(), f"{column} has no order", "want = or !=")
    values: dict[Value, None] = {}
    place = operated.end()
    while True:
        text, end = _value(line, place)
        values[_meant(column, text, line, place)] = None
        if end == len(line):
            break
        place = _match(_BETWEEN, line, end).end()
        if operator not in ("=", "!="):
            raise _wrong(line, end, f"{operator} takes one value", 'want no "|"')
        if len(values) == MOST_VALUES:
            raise _wrong(line, end, "too many values", f"want at most {MOST_VALUES}")
    return Filter(column, operator, tuple(values))


def shorthand(filters: Filters) -> tuple[Filter, ...]:
    """What the parameters category, brand, supplier, price_min and price_max say."""
    found = [
        Filter(name, "=", tuple(dict.fromkeys(values)))
        for name in ("category", "brand", "supplier")
        if (values := getattr(filters, name))
    ]
    if filters.price_min is not None:
        found.append(Filter("price", ">=", (filters.price_min,)))
    if filters.price_max is not None:
        found.append(Filter("price", "<=", (filters.price_max,)))
    return tuple(found)


def _value(line: str, place: int) -> tuple[str, int]:
    """The text of the value that starts at a place, and where the "|" or the end is after it."""
    if line[place : place + 1] == '"':
        quoted = _QUOTED.match(line, place)
        if quoted is None:
            raise _wrong(line, place, "the quote is not closed", 'want \\" and \\\\ inside of it')
        text, end = re.sub(r"\\(.)", r"\1", quoted[1]), quoted.end()
        if end < len(line) and line[end] != "|":
            raise _wrong(line, end, f"got {shown(line[end:])} after a value", 'want "|" or the end')
    else:
        bare = _match(_BARE, line, place)
        text, end = bare[0].rstrip(), bare.end()
        if end < len(line) and line[end] == '"':
            raise _wrong(line, end, "a quote inside a value", "want the whole value in quotes")
        if text.startswith(("=", "<", ">", "!")):
            want = "want a value; one that begins so stands in quotes"
            raise _wrong(line, place, f"got {shown(text)}", want)
    if not 1 <= len(text) <= LONGEST:
        want = f"want 1 to {LONGEST} characters"
        raise _wrong(line, place, f"a value of {len(text)} characters", want)
    return text, end


def _meant(column: str, text: str, line: str, place: int) -> Value:
    """A value as its column has it."""
    if column == "price":
        if _NUMBER.fullmatch(text) and abs(number := float(text)) <= MOST_PRICE:
            return number + 0.0  # -0 is 0
        raise _wrong(line, place, f"price is compared with {shown(text)}", "want 9.99 or the like")
    if column == "launched_at":
        try:
            if _DAY.fullmatch(text):
                return date.fromisoformat(text)
        except ValueError:  # the 31st of February
            pass
        want = "want a day such as 2026-01-31"
        raise _wrong(line, place, f"launched_at is compared with {shown(text)}", want)
    if column == "replenishable":
        if text not in ("true", "false"):
            raise _wrong(line, place, f"replenishable is {shown(text)}", "want true or false")
        return text == "true"
    return text


def _written(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")
    if isinstance(value, date):
        return value.isoformat()
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _match(pattern: re.Pattern[str], line: str, place: int) -> re.Match[str]:
    """A match of a pattern that matches everywhere."""
    found = pattern.match(line, place)
    assert found is not None
    return found


def _wrong(line: str, place: int, got: str, want: str) -> Refused:
    return Refused(400, f"{NAME} {shown(line)}: {got} at character {place + 1}, {want}", NAME)
