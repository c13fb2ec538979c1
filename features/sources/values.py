"""Values: a name or a type in, the SQL that finds a raw value and what kind it is out.

A name is a column of the file (`Price`), a field inside one (`ecommerce.transaction_id`), or the
value of a key in a list of key and value records (`event_params[ga_session_id]`, as in GA4).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.types as pt

from features.sources.errors import BadFile

VALUES = ("string_value", "int_value", "double_value", "float_value")


@dataclass(frozen=True, slots=True)
class Value:
    """One raw value: its SQL, and what kind of thing it gives."""

    sql: str
    kind: Literal["text", "whole", "real", "flag", "instant", "local", "json"]


def quoted(value: object) -> str:
    """A text as an SQL literal."""
    return "'" + str(value).replace("'", "''") + "'"


def typed(sql: str, kind: pa.DataType) -> Value:
    """A column of a type of Arrow as a raw value; text of every type is VARCHAR."""
    if pt.is_dictionary(kind):
        return typed(sql, kind.value_type)
    if pt.is_integer(kind):
        return Value(sql, "whole")
    if pt.is_floating(kind) or pt.is_decimal(kind):
        return Value(f"{sql}::DOUBLE", "real")
    if pt.is_boolean(kind):
        return Value(sql, "flag")
    if pt.is_timestamp(kind):
        return Value(sql, "local" if kind.tz is None else "instant")
    if pt.is_date(kind):
        return Value(sql, "local")
    if pt.is_nested(kind):
        return Value(f"to_json({sql})::VARCHAR", "json")
    if pt.is_binary(kind) or pt.is_large_binary(kind):
        return Value(f"TRY(decode({sql}))", "text")
    return Value(
        sql if pt.is_string(kind) or pt.is_large_string(kind) else f"{sql}::VARCHAR", "text"
    )


def inside(json: str, name: str) -> Value:
    """The text at a path within JSON; `list[key]` takes the value that stands with a key."""
    keyed = re.fullmatch(r"(?P<list>[^\[\]]*)\[(?P<key>[^\[\]]+)\]", name)
    if keyed is None:
        return Value(f"json_extract_string({json}, {quoted(_steps(name))})", "text")
    records = json if keyed["list"] == "" else path(json, keyed["list"])
    found = (
        f"list_filter(json_extract({records}, '$[*]'), lambda r:"
        f" json_extract_string(r, '$.key') = {quoted(keyed['key'])})[1]"
    )
    values = [f"json_extract_string({found}, '$.value.{kind}')" for kind in VALUES]
    return Value(f"coalesce({', '.join(values)})", "text")


def path(json: str, name: str) -> str:
    """The JSON at a path within JSON."""
    return f"json_extract({json}, {quoted(_steps(name))})"


def _steps(name: str) -> str:
    """A dotted name as a JSON path, each step quoted: `a.b c` is `$."a"."b c"`."""
    return "$" + "".join('."' + step.replace('"', '\\"') + '"' for step in name.split("."))


def need(source: str, names: tuple[str, ...] | None, wanted: Sequence[str]) -> None:
    """Raise BadFile for a column that the mapping wants and a file with these names lacks."""
    for name in wanted:
        head = re.split(r"[.\[]", name)[0]
        if names is not None and name not in names and head not in names:
            there = ", ".join(names)
            raise BadFile(f"{source} has no column {name!r}; it has: {there}")
