"""Mappings: a TOML file in, what each column of a shop's files means out, checked key by key.

The grammar stands in docs/ingest.md.
"""

from __future__ import annotations

import difflib
import re
import tomllib
import zoneinfo
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from features.artifact import digest
from features.schemas import CHANNELS, EVENT_TYPES, EVENTS, PRODUCTS, SCHEMAS
from features.sources.errors import BadMapping
from features.sources.words import CHANNEL_WORDS, EVENT_TYPE_WORDS, IGNORE, plain

READY = Path(__file__).parent.parent / "mappings"
RULES = 1  # raise it when the same mapping and file would give other rows

FileTable = Literal[
    "products", "stock", "suppliers", "identities", "customers", "consents", "contacts"
]
Text = Annotated[str, Field(min_length=1)]
Scalar = str | int | float | bool


def _zone(name: str) -> str:
    known = zoneinfo.available_timezones()
    if name not in known:
        near = difflib.get_close_matches(name, known, 1) or ["Europe/London"]
        raise ValueError(f"want an IANA time zone such as {near[0]}, got {name!r}")
    return name


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"want a regular expression, got {text!r}: {error}") from error
    return text


def _encoding(name: str) -> str:
    try:
        "".encode(name)
    except LookupError as error:
        raise ValueError(f"want an encoding such as utf-8 or cp1252, got {name!r}") from error
    return name


Pattern = Annotated[str, AfterValidator(_pattern)]


class Section(BaseModel):
    """A part of a mapping: nothing unknown in it, nothing changed later."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Format(Section):
    """How the bytes of a file are read; unsaid things are found out."""

    kind: Literal["csv", "parquet", "jsonl"] | None = None
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    quote: Annotated[str, Field(min_length=1, max_length=1)] = '"'
    escape: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    encoding: Annotated[str, AfterValidator(_encoding)] = "utf-8"
    header: tuple[Text, ...] = ()
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ".", ",", " ", "'"] = ""
    nulls: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _separators(self) -> Self:
        if self.thousands == self.decimal:
            raise ValueError(f"thousands and decimal must differ, got {self.decimal!r} for both")
        return self


class Time(Section):
    """How times are parsed: text by format (else ISO 8601), numbers by unit, both by zone."""

    format: tuple[Text, ...] | Text | None = None
    unit: Literal["s", "ms", "us", "ns"] | None = None
    zone: Annotated[str, AfterValidator(_zone)] = "UTC"


class Ids(Section):
    """Which ids are put into upper case, and which are whole numbers that lost their type."""

    upper: tuple[Text, ...] = ()
    integer: tuple[Text, ...] = ()


class NotProducts(Section):
    """Codes that are no products, by name or by regular expression; case does not matter."""

    codes: tuple[Text, ...] = ()
    patterns: tuple[Pattern, ...] = ()


class Refunds(Section):
    """How a purchase row is recognised as a cancellation."""

    order_id: Pattern | None = None
    negative_quantity: bool = False


class Limits(Section):
    """What no honest row exceeds."""

    quantity: Annotated[float, Field(gt=0)] = 1_000_000
    unit_price: Annotated[float, Field(gt=0)] = 10_000_000
    zero_price: bool = False
    earliest: datetime = datetime(1990, 1, 1, tzinfo=UTC)
    latest: datetime = datetime(2100, 1, 1, tzinfo=UTC)

    @model_validator(mode="after")
    def _aware(self) -> Self:
        for name, time in (("earliest", self.earliest), ("latest", self.latest)):
            if time.tzinfo is None:
                raise ValueError(f"{name} must say its offset, such as {time.isoformat()}Z")
        return self


class TableMapping(Section):
    """A catalogue, stock, supplier, identity or customer file; same names where unsaid."""

    columns: dict[Text, Text] = {}
    constants: dict[Text, Scalar] = {}
    where: dict[Text, Scalar | tuple[Scalar, ...]] = {}
    time: Time | None = None
    format: Format | None = None


EventColumn = Literal[
    "event_id",
    "event_time",
    "event_type",
    "channel",
    "customer_id",
    "product_id",
    "quantity",
    "unit_price",
    "line_total",
    "order_id",
    "session_id",
    "store_id",
    "live_session_id",
    "request_id",
]
Attribute = Literal["title", "category", "brand", "supplier_id", "price"]


class Mapping(Section):
    """What the columns of a shop's files mean."""

    name: str = ""
    source_folders: Annotated[int, Field(ge=0)] = 0
    unnest: Text | None = None
    format: Format = Format()
    columns: dict[EventColumn, Text] = {}
    constants: dict[EventColumn, Scalar] = {}
    identities: dict[Annotated[str, Field(pattern="^[a-z0-9_-]+$")], Text] = {}
    attributes: dict[Attribute, Text] = {}
    time: Time = Time()
    event_types: dict[Text, Literal[(*EVENT_TYPES, IGNORE)]] = {}  # type: ignore[valid-type]
    channels: dict[Text, Literal[CHANNELS]] = {}  # type: ignore[valid-type]
    ids: Ids = Ids()
    not_products: NotProducts = NotProducts()
    refunds: Refunds = Refunds()
    limits: Limits = Limits()
    where: dict[Text, Scalar | tuple[Scalar, ...]] = {}
    tables: dict[FileTable, TableMapping] = {}

    @model_validator(mode="after")
    def _sense(self) -> Self:
        for name in ("event_time", "event_id"):
            if name in self.constants:
                raise ValueError(f"constants.{name}: want a column, one value cannot fit all rows")
        for key, words in (("event_type", EVENT_TYPE_WORDS), ("channel", CHANNEL_WORDS)):
            given = self.constants.get(key)  # type: ignore[call-overload]
            if given is not None and plain(str(given)) not in words:
                wanted = ", ".join(EVENT_TYPES if key == "event_type" else CHANNELS)
                raise ValueError(f"constants.{key}: want one of {wanted}, got {given!r}")
        for key in ("quantity", "unit_price", "line_total"):
            number = self.constants.get(key)  # type: ignore[call-overload]
            if number is not None and (isinstance(number, bool | str)):
                raise ValueError(f"constants.{key}: want a number, got {number!r}")
        for table, section in self.tables.items():
            known = SCHEMAS[table].names
            for key in (*section.columns, *section.constants):
                if key not in known:
                    raise ValueError(
                        f"tables.{table}: unknown column {key!r}; known: {', '.join(known)}"
                    )
        known = [*EVENTS.names, *PRODUCTS.names]
        for key in (*self.ids.upper, *self.ids.integer):
            if key not in known:
                raise ValueError(f"ids: unknown column {key!r}; known: {', '.join(known)}")
        return self

    def hash(self, table: str) -> str:
        """Names what it says of a table: a file that was taken with another is taken anew."""
        besides = {"name", "tables", "source_folders"}
        # without defaults, so that a key that is new in Regulars changes no hash
        said = self.model_dump(mode="json", exclude=besides, exclude_defaults=True)
        if table != "events":
            section = self.tables.get(table, TableMapping())  # type: ignore[call-overload]
            shared = {key: said.get(key) for key in ("format", "time", "ids", "limits")}
            said = {**shared, "table": section.model_dump(mode="json", exclude_defaults=True)}
        return digest({"rules": RULES, **said})


def read_mapping(name_or_path: str) -> Mapping:
    """A ready mapping by its name, or a TOML file by its path; its section [mapping] if it has one.

    Raises BadMapping, which names the file, the key, the value and what was wanted.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml" and not path.is_file():
        path = READY / f"{name_or_path}.toml"
        if not path.is_file():
            ready = ", ".join(sorted(found.stem for found in READY.glob("*.toml")))
            raise BadMapping(
                f"no mapping {name_or_path!r}: want the path of a TOML file, or one of {ready}"
            )
    try:
        with path.open("rb") as file:
            document: dict[str, Any] = tomllib.load(file)
    except FileNotFoundError as error:
        raise BadMapping(f"no mapping file {path}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadMapping(f"{path} is not TOML: {error}") from error
    if isinstance(document.get("mapping"), dict):
        document = document["mapping"]
    try:
        return Mapping.model_validate({"name": path.stem, **document})
    except ValidationError as error:
        raise BadMapping(f"{path}: " + "; ".join(map(_said, error.errors()))) from error


def _said(problem: Any) -> str:
    """One problem in words: where, what is wrong, what stood there."""
    place = [str(step) for step in problem["loc"] if step != "[key]"]
    where = ".".join(place)
    if problem["type"] == "extra_forbidden":
        model: Any = Mapping
        for step in place[:-1]:
            model = {"tables": TableMapping}.get(step) or _section(model, step) or model
        return f"{where}: unknown key; known: {', '.join(model.model_fields)}"
    if problem["loc"] and problem["loc"][-1] == "[key]":
        return f"{where}: unknown key; {problem['msg'].replace('Input should be', 'want')}"
    message = problem["msg"].removeprefix("Value error, ").replace("Input should be", "want")
    got = "" if "got " in message or not where else f", got {problem['input']!r}"
    return f"{where}: {message}{got}" if where else message


def _section(model: Any, step: str) -> Any:
    """The model that a key of a model holds, if it holds one."""
    field = model.model_fields.get(step)
    kind = None if field is None else field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None
