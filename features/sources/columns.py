"""Columns: a mapping's column names and a chunk's types in, SQL that reads a value out.

A name is a column of the file (`Price`), a field inside one (`ecommerce.transaction_id`), the
value of a key in a list of key and value records (`event_params[ga_session_id]`, as in GA4
exports), or a field of the record that `unnest` takes one by one (`items.item_id`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pyarrow.types as pt

from features.sources.errors import BadFile
from features.sources.mapping import Format, Ids, Limits, Scalar, Time
from features.sources.reading import Chunk
from features.sources.values import Value, inside, path, quoted, typed

STEPS = 5
ODD = (b"\t", b"\n", b"\r", "\xa0".encode())
SPACES = "' ' || chr(9) || chr(10) || chr(13) || chr(160)"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FACTORS = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}


@dataclass(slots=True)
class Columns:
    """How to read the columns of one shape of chunk; methods give SQL over `relation`.

    The engine computes an expression as often as it stands in a CASE, so every step of reading a
    value is a column of its own, computed once in one of a few nested selects.
    """

    source: str
    chunk: Chunk
    format: Format
    ids: Ids
    unnest: str | None = None
    steps: list[dict[str, str]] = field(default_factory=lambda: [{} for _ in range(STEPS)])

    def relation(self) -> str:
        """The chunk's rows; with `unnest` one for each record in the list, at least one.

        To be asked for last: it computes what the other methods named.
        """
        rows = "chunk"
        if self.chunk.lines:  # doc: the line, where it is an object
            rows = (
                "(SELECT *, CASE WHEN json_valid(c0) THEN CASE WHEN json_type(c0) = 'OBJECT'"
                " THEN c0 END END AS doc FROM chunk)"
            )
        sql = f"SELECT *, 0 AS ord FROM {rows}"
        if self.unnest is not None:
            records = self.find(self.unnest, nested=True).sql
            sql = (
                "SELECT * EXCLUDE (many), unnest(many) AS one, generate_subscripts(many, 1) AS ord"
                " FROM (SELECT * EXCLUDE (many), CASE WHEN coalesce(len(many), 0) = 0"
                " THEN [NULL::JSON] ELSE many END AS many"
                f" FROM (SELECT *, json_extract({records}, '$[*]') AS many FROM {rows}))"
            )
        for named in self.steps:
            if named:
                added = ", ".join(f"{expression} AS {name}" for expression, name in named.items())
                sql = f"SELECT *, {added} FROM ({sql})"
        return f"({sql})"

    def let(self, step: int, sql: str) -> str:
        """The name of a column that holds an expression, computed after those of smaller steps."""
        named = self.steps[step]
        return named.setdefault(sql, f"v{step}_{len(named)}")

    @property
    def raw(self) -> str:
        """The row as JSON, as it stands in the file."""
        if self.chunk.lines:
            return "CASE WHEN json_valid(c0) THEN c0 ELSE to_json(c0)::VARCHAR END"
        pairs = []
        for j, name in enumerate(self.chunk.names):
            value = f"c{j}"
            if pt.is_floating(self.chunk.table.schema.field(j).type):  # JSON knows no NaN
                value = (
                    f"CASE WHEN isfinite(c{j}) THEN to_json(c{j}) ELSE to_json(c{j}::VARCHAR) END"
                )
            pairs.append(f"{quoted(name)}, {value}")
        said = f"json_object({', '.join(pairs)})::VARCHAR"
        return f"CASE WHEN bad IS NULL THEN {said} ELSE to_json(bad)::VARCHAR END"

    @property
    def malformed(self) -> str:
        """Whether the row is none: too few or too many values, or a line that is no JSON object."""
        if self.chunk.lines:
            return "(doc IS NULL)"
        return "(bad IS NOT NULL)"

    def find(self, name: str, *, nested: bool = False) -> Value:
        """What a name means in this chunk; raises BadFile for a column that is not there."""
        if self.unnest is not None and name.startswith(self.unnest + ".") and not nested:
            return inside("one", name[len(self.unnest) + 1 :])
        if self.chunk.lines:
            return Value(path("doc", name), "json") if nested else inside("doc", name)
        if name in self.chunk.names:
            place = self.chunk.names.index(name)
            value = typed(f"c{place}", self.chunk.table.schema.field(place).type)
            return Value(f"to_json(c{place})", "json") if nested else value
        head = re.split(r"[.\[]", name)[0]
        if head in self.chunk.names and head != name:
            place = self.chunk.names.index(head)
            if typed(f"c{place}", self.chunk.table.schema.field(place).type).kind == "json":
                rest = name[len(head) :]
                return inside(f"to_json(c{place})", rest.removeprefix("."))
        there = ", ".join(self.chunk.names)
        raise BadFile(f"{self.source} has no column {name!r}; it has: {there}")

    def text(self, name: str) -> str:
        """The value as text without outer spaces; null where blank or one of format.nulls."""
        value = self.find(name)
        if value.kind == "real":  # an id that a float column holds has no ".0"
            return self.let(
                2,
                f"CASE WHEN isnan({value.sql}) THEN NULL"
                f" WHEN {value.sql} = trunc({value.sql}) AND abs({value.sql}) < 1e15"
                f" THEN {value.sql}::BIGINT::VARCHAR ELSE {value.sql}::VARCHAR END",
            )
        if value.kind not in ("text", "json"):
            return self.let(2, f"{value.sql}::VARCHAR")
        raw = self.let(0, value.sql)
        text = self.let(1, f"trim({raw}, {SPACES})" if self._odd_spaces(name) else f"trim({raw})")
        blank = ", ".join(quoted(null) for null in ("", *self.format.nulls))
        return self.let(2, f"CASE WHEN {text} NOT IN ({blank}) THEN {text} END")

    def _odd_spaces(self, name: str) -> bool:
        """Whether a column may hold other spaces than the plain one, which are dearer to trim."""
        if self.chunk.lines or name not in self.chunk.names:
            return True
        data = self.chunk.table.column(self.chunk.names.index(name))
        if not (pt.is_string(data.type) or pt.is_large_string(data.type)):
            return True
        held = (buffer for chunk in data.chunks if (buffer := chunk.buffers()[2]) is not None)
        return any(mark in text for text in map(bytes, held) for mark in ODD)

    def id(self, name: str, column: str) -> str:
        """The text of an id, by the rules of [ids] for the column that it becomes."""
        text = self.text(name)
        if column in self.ids.integer:
            text = f"regexp_replace({text}, '^(-?[0-9]+)[.]0+$', '\\1')"
        return f"upper({text})" if column in self.ids.upper else text

    def number(self, name: str) -> tuple[str, str]:
        """The value as a number, and whether there is a value that is no number."""
        value = self.find(name)
        if value.kind in ("whole", "real", "flag"):
            number = self.let(3, f"{value.sql}::DOUBLE")
            return (f"CASE WHEN NOT isnan({number}) THEN {number} END", "false")
        text = clean = self.text(name)
        if self.format.thousands:
            clean = f"replace({clean}, {quoted(self.format.thousands)}, '')"
        if self.format.decimal == ",":  # then a point is none, and makes no number
            clean = f"translate({clean}, ',.', '.,')"
        number = self.let(3, f"TRY_CAST({clean} AS DOUBLE)")
        return (
            f"CASE WHEN NOT isnan({number}) THEN {number} END",
            f"({text} IS NOT NULL AND coalesce(isnan({number}), true))",
        )

    def time(self, name: str, time: Time, limits: Limits) -> tuple[str, str]:
        """The value as a time in UTC, and whether there is a value at all.

        A local time that the zone skips moves on by the gap; one that it has twice is the later.
        """
        value = self.find(name)
        there = f"{self.text(name) if value.kind in ('text', 'real') else value.sql} IS NOT NULL"
        low, high = (quoted(t.isoformat()) for t in (limits.earliest, limits.latest))
        within = f"BETWEEN TIMESTAMPTZ {low} AND TIMESTAMPTZ {high}"
        if value.kind in ("whole", "real") or (time.unit is not None and value.kind != "instant"):
            if time.unit is None:
                raise BadFile(
                    f"{self.source}: column {name!r} is a number; want time.unit: s, ms, us or ns"
                )
            least, most = (
                (t - EPOCH).total_seconds() * 1e6 for t in (limits.earliest, limits.latest)
            )
            micros = self.let(4, f"round(({self.number(name)[0]}) * {FACTORS[time.unit]!r})")
            parsed = (
                f"CASE WHEN {micros} BETWEEN {least!r} AND {most!r}"
                f" THEN make_timestamp({micros}::BIGINT)::TIMESTAMPTZ END"
            )
            return parsed, there
        if value.kind == "instant":
            parsed = f"{value.sql}::TIMESTAMPTZ"
        elif value.kind == "local":
            parsed = _zoned(self.let(3, f"{value.sql}::TIMESTAMP"), time.zone)
        elif value.kind == "flag":
            parsed = "NULL::TIMESTAMPTZ"
        elif time.format is not None:
            formats = [time.format] if isinstance(time.format, str) else list(time.format)
            parts = []
            for format in formats:
                local = self.let(3, f"try_strptime({self.text(name)}, {quoted(format)})")
                has_zone = "%z" in format or "%Z" in format
                parts.append(f"{local}::TIMESTAMPTZ" if has_zone else _zoned(local, time.zone))
            parsed = f"coalesce({', '.join(parts)})"
        else:
            text = self.text(name)
            parsed = f"TRY_CAST({text} AS TIMESTAMPTZ)"
            if time.zone != "UTC":
                says = f"regexp_matches({text}, ':.*(?i:z|utc|gmt|[+-][0-9]{{2}}(:?[0-9]{{2}})?)$')"
                local = _zoned(self.let(3, f"TRY_CAST({text} AS TIMESTAMP)"), time.zone)
                parsed = f"CASE WHEN {says} THEN {parsed} ELSE {local} END"
        parsed = self.let(4, parsed)
        return f"CASE WHEN {parsed} {within} THEN {parsed} END", there

    def flag(self, name: str) -> tuple[str, str]:
        """The value as true or false, and whether there is a value that is neither."""
        text = self.let(3, f"lower({self.text(name)})")
        yes, no = "('true', 't', 'yes', 'y', '1')", "('false', 'f', 'no', 'n', '0')"
        flag = f"CASE WHEN {text} IN {yes} THEN true WHEN {text} IN {no} THEN false END"
        return flag, f"({text} IS NOT NULL AND ({flag}) IS NULL)"

    def where(self, wanted: dict[str, Scalar | tuple[Scalar, ...]]) -> str:
        """Whether the row is one that the mapping takes."""
        parts = []
        for name, values in wanted.items():
            many = values if isinstance(values, tuple) else (values,)
            texts = [str(v).lower() if isinstance(v, bool) else str(v) for v in many]
            parts.append(
                f"coalesce(({self.text(name)}) IN ({', '.join(map(quoted, texts))}), false)"
            )
        return " AND ".join(parts) or "true"


def _zoned(sql: str, zone: str) -> str:
    """A local time as an instant; far-off times, which no zone knows, stay as if in UTC."""
    if zone == "UTC":
        return f"({sql})::TIMESTAMPTZ"
    known = "BETWEEN TIMESTAMP '1800-01-01' AND TIMESTAMP '2300-01-01'"
    return f"CASE WHEN ({sql}) {known} THEN timezone({quoted(zone)}, {sql}) END"
