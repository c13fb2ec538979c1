"""Files of every shape: what is read from them, and what is said of one that cannot be read."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as fs
import pyarrow.parquet as pq
import pytest

from features.sources import BadFile, Mapping, files, ingest, read_mapping, reading
from features.tables import Tables

COLUMNS = {"event_time": "time", "product_id": "sku", "customer_id": "who"}
CONSTANTS = {"event_type": "view", "channel": "web"}
ROWS = [("2024-03-01 10:00:00", "p1", "zoë"), ("2024-03-02 11:30:00", "p2", "bob")]


def mapping(**said: Any) -> Mapping:
    return Mapping.model_validate({"columns": COLUMNS, "constants": CONSTANTS, **said})


def csv(delimiter: str = ",") -> str:
    return "\n".join(delimiter.join(row) for row in [("time", "sku", "who"), *ROWS]) + "\n"


def lines() -> str:
    return "".join(
        json.dumps(dict(zip(("time", "sku", "who"), r, strict=True))) + "\n" for r in ROWS
    )


def zst(data: bytes) -> bytes:
    return bytes(pa.compress(data, "zstd", asbytes=True))


def seen(tmp_path: Path, location: object, **said: Any) -> list[tuple[Any, ...]]:
    tables = Tables(tmp_path / "tables")
    done = ingest(tables, str(location), mapping(**said))
    assert done.rows["input"] == done.rows["events"], done
    events = tables.need("events").read().sort_by("event_time").to_pylist()
    return [
        (f"{e['event_time']:%Y-%m-%d %H:%M:%S}", e["product_id"], e["customer_id"]) for e in events
    ]


@pytest.mark.parametrize(
    ("name", "data", "format"),
    [
        ("a.csv", csv().encode(), {}),
        ("a.CSV", csv().replace("\n", "\r\n").encode(), {}),
        ("a.csv", csv(";").encode(), {}),
        ("a.csv", csv("|").encode(), {}),
        ("a.tsv", csv("\t").encode(), {}),
        ("a.csv", csv("^").encode(), {"delimiter": "^"}),
        ("a.csv", csv().encode("utf-8-sig"), {}),
        ("a.csv", csv().encode("cp1252"), {"encoding": "cp1252"}),
        ("a.csv", csv().encode("utf-16"), {"encoding": "utf-16"}),
        ("a.csv", ("\n" + csv()).encode(), {}),
        ("a.csv", csv().rstrip("\n").encode(), {}),
        ("a.csv", csv().partition("\n")[2].encode(), {"header": ["time", "sku", "who"]}),
        ("a.csv", csv().replace("bob", "'bob'").encode(), {"quote": "'"}),
        ("a.csv.gz", gzip.compress(csv().encode(), mtime=0), {}),
        (
            "a.csv.gz",
            gzip.compress(csv()[:20].encode(), mtime=0)
            + gzip.compress(csv()[20:].encode(), mtime=0),
            {},
        ),
        ("a.csv.zst", zst(csv().encode()), {}),
        ("a.csv.gz", gzip.compress(csv().encode("cp1252"), mtime=0), {"encoding": "cp1252"}),
        ("a.jsonl", lines().encode(), {}),
        ("a.ndjson", lines().encode("utf-8-sig"), {}),
        ("a.json.gz", gzip.compress(lines().encode(), mtime=0), {}),
        ("a.jsonl.zst", zst(lines().encode()), {}),
        ("a.jsonl", ("\n" + lines() + "\n\n").encode(), {}),
        ("a.dump", csv().encode(), {"kind": "csv"}),
    ],
)
def test_text_is_read_with_any_delimiter_encoding_and_compression(
    tmp_path: Path, name: str, data: bytes, format: dict[str, Any]
) -> None:
    (tmp_path / name).write_bytes(data)
    assert seen(tmp_path, tmp_path / name, format=format) == ROWS


def test_rows_are_the_same_in_small_blocks_and_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f"2024-03-01 10:{i:02}:00,p{i},c{i}" for i in range(60)]
    rows[7], rows[41] = "short", "2024-03-01,too,long,row"
    (tmp_path / "a.csv").write_text("time,sku,who\n" + "\n".join(rows))
    monkeypatch.setattr(reading, "BLOCK", 128)
    monkeypatch.setattr(reading, "ROWS", 10)
    tables = Tables(tmp_path / "tables")
    done = ingest(tables, str(tmp_path / "a.csv"), mapping())
    assert (done.rows["events"], done.reasons) == (58, {"malformed": 2})
    events = tables.need("events").read(["product_id", "source_row"]).to_pylist()
    assert all(e["product_id"] == f"p{e['source_row'] - 1}" for e in events)
    bad = tables.need("quarantine").read().to_pylist()
    assert [(b["source_row"], json.loads(b["raw"])) for b in bad] == [(8, "short"), (42, rows[41])]
    assert len(tables.need("events").parts) > 2


@pytest.mark.parametrize(
    "who", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())]
)
def test_parquet_is_read_whatever_its_types_of_text(tmp_path: Path, who: pa.DataType) -> None:
    table = pa.table(
        {
            "time": pa.array([datetime.fromisoformat(r[0]) for r in ROWS], pa.timestamp("ns")),
            "sku": [r[1] for r in ROWS],
            "who": pa.array([r[2] for r in ROWS]).cast(who),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    assert seen(tmp_path, tmp_path / "a.parquet") == ROWS


def test_an_id_in_a_float_column_has_no_point(tmp_path: Path) -> None:
    table = pa.table(
        {
            "time": [r[0] for r in ROWS],
            "sku": pa.array([85048, 79323], pa.int32()),
            "who": pa.array([13085.0, float("nan")]),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    assert [r[1:] for r in seen(tmp_path, tmp_path / "a.parquet")] == [
        ("85048", "13085"),
        ("79323", None),
    ]


def test_a_quarantined_row_is_json_even_with_a_nan_in_it(tmp_path: Path) -> None:
    table = pa.table({"time": ["never"], "sku": ["p"], "who": [float("nan")], "b": [b"\xff"]})
    pq.write_table(table, tmp_path / "a.parquet")
    tables = Tables(tmp_path / "tables")
    ingest(tables, str(tmp_path / "a.parquet"), mapping())
    [bad] = tables.need("quarantine").read().to_pylist()
    assert json.loads(bad["raw"])["who"] == "nan"


def test_a_line_that_is_no_json_object_is_malformed(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(lines() + '{"time": \n[1]\n"x"\n\nnull\n')
    tables = Tables(tmp_path / "tables")
    done = ingest(tables, str(tmp_path / "a.jsonl"), mapping())
    assert (done.rows["events"], done.reasons) == (2, {"malformed": 4})
    bad = tables.need("quarantine").read().to_pylist()
    assert [b["source_row"] for b in bad] == [3, 4, 5, 7]
    assert json.loads(bad[0]["raw"]) == '{"time": '


def test_sources_are_named_by_their_path_below_the_location(tmp_path: Path) -> None:
    for i, name in enumerate(["b.csv", "2024/a.csv", "2024/02/a.csv", "_SUCCESS", ".x/y.csv"]):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_text(csv().replace("2024", str(2000 + i)))

    def sources(location: str, folders: int = 0) -> list[str]:
        found = files.find(f"{tmp_path}/{location}", mapping().format, folders=folders)
        return [file.name for file in found]

    assert sources("in") == ["2024/02/a.csv", "2024/a.csv", "b.csv"]
    assert sources("in/") == ["2024/02/a.csv", "2024/a.csv", "b.csv"]
    assert sources("in/b.csv") == ["b.csv"]
    assert sources("in/*.csv") == ["b.csv"]
    assert sources("in/*/a.csv") == ["2024/a.csv"]
    assert sources("in/**/a.csv") == ["2024/02/a.csv", "2024/a.csv"]
    assert sources("in/2024/0[0-9]/?.csv") == ["02/a.csv"]
    assert sources("in/2024/a.csv", folders=1) == ["2024/a.csv"]
    assert sources("in/2024", folders=2) == ["in/2024/02/a.csv", "in/2024/a.csv"]


def test_a_location_is_found_from_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.csv").write_text(csv())
    monkeypatch.chdir(tmp_path)
    assert seen(tmp_path, "*.csv") == seen(tmp_path, "a.csv") == ROWS


@pytest.mark.parametrize("location", ["in", "in/a.csv", "in/*.csv"])
def test_a_url_of_an_object_store_is_fetched_and_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    (tmp_path / "bucket" / "in").mkdir(parents=True)
    (tmp_path / "bucket" / "in" / "a.csv").write_text(csv())
    store = fs.SubTreeFileSystem(str(tmp_path / "bucket"), fs.LocalFileSystem())

    def connect(url: str) -> tuple[fs.FileSystem, str]:
        assert url.startswith("s3://")
        if "*" in url:
            raise pa.ArrowInvalid("Cannot parse URI")
        return store, url.removeprefix("s3://").rstrip("/")

    monkeypatch.setattr(files, "connect", connect)
    assert seen(tmp_path, f"s3://{location}") == ROWS
    assert not (tmp_path / "tables" / ".ingest").exists()


@pytest.mark.parametrize("location", ["in", "in/a.csv", "in/*.csv"])
def test_a_file_url_is_read_where_it_lies(tmp_path: Path, location: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text(csv())
    assert seen(tmp_path, f"{tmp_path.as_uri()}/{location}") == ROWS


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.csv", b"", "a.csv is empty: want at least a header or a row"),
        ("a.csv.gz", gzip.compress(b"", mtime=0), "a.csv.gz is empty"),
        (
            "a.csv.gz",
            gzip.compress(csv().encode() * 999, mtime=0)[:-30],
            "a.csv.gz is cut short or damaged",
        ),
        ("a.csv.zst", zst(csv().encode())[:-9], "a.csv.zst is cut short or damaged"),
        ("a.csv.gz", csv().encode(), "a.csv.gz is cut short or damaged"),
        ("a.csv", csv().encode("cp1252"), "not utf-8: byte 0xeb at position 38; want .*cp1252"),
        ("a.jsonl", lines().encode() + b"\xff\n", "a.jsonl is not utf-8: byte 0xff at position"),
        ("a.csv", csv().encode()[:-4] + b"\xc3", "not utf-8: byte 0xc3"),
        ("a.csv", b"time,item,who\n", "a.csv has no column 'sku'; it has: time, item, who"),
        ("a.jsonl", b'{"time": 1, "who": 2}\n', "a.jsonl has no column 'sku'; it has: time, who"),
        ("a.csv", b"time,sku,who,sku\n", "column 'sku' stands twice"),
        ("a.parquet", b"PAR1 but no more", "a.parquet cannot be read"),
        ("a.xlsx", b"x", "a.xlsx: unsupported suffix '.xlsx'; want one of .csv"),
        ("a.txt.gz", b"x", "unsupported suffix '.txt'"),
        ("b.csv", csv().encode(), "no file matches"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error_before_anything_is_written(
    tmp_path: Path, name: str, data: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(data)
    location = tmp_path / ("a.csv" if name == "b.csv" else name)
    with pytest.raises(BadFile, match=said):
        ingest(Tables(tmp_path / "tables"), str(location), mapping())
    left = [path for path in (tmp_path / "tables").rglob("*") if path.name != ".ingest.lock"]
    assert left == []


def test_a_bad_file_among_good_ones_takes_nothing_in(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text(csv())
    pq.write_table(
        pa.table({"time": [1], "sku": ["p"], "who": ["c"]}), tmp_path / "in" / "b.parquet"
    )
    tables = Tables(tmp_path / "tables")
    with pytest.raises(BadFile, match=r"b.parquet: column 'time' is a number; want time.unit"):
        ingest(tables, str(tmp_path / "in"), mapping())
    assert list(tables.root.rglob("*.parquet")) == []
    assert tables.current("events") is None


def test_a_file_without_rows_is_taken_in(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("time,sku,who\n")
    pq.write_table(
        pa.table({"time": pa.array([], pa.string()), "sku": [], "who": []}), tmp_path / "b.parquet"
    )
    assert seen(tmp_path, tmp_path / "a.csv") == []
    assert seen(tmp_path, tmp_path / "b.parquet") == []


@pytest.mark.parametrize(
    ("said", "value", "utc"),
    [
        ({}, "2024-03-01 10:00:00", "2024-03-01 10:00"),
        ({}, "2024-03-01T10:00:00Z", "2024-03-01 10:00"),
        ({}, "2024-03-01", "2024-03-01 00:00"),
        ({"zone": "Europe/Berlin"}, "2024-03-01 10:00", "2024-03-01 09:00"),
        ({"zone": "Europe/Berlin"}, "2024-07-01 10:00", "2024-07-01 08:00"),
        ({"zone": "Europe/Berlin"}, "2024-07-01T10:00:00+05:30", "2024-07-01 04:30"),
        ({"zone": "Europe/Berlin"}, "2024-07-01 10:00:00Z", "2024-07-01 10:00"),
        ({"zone": "Europe/Berlin"}, "2024-07-01", "2024-06-30 22:00"),
        (
            {"zone": "America/New_York", "format": "%d/%m/%Y %H:%M"},
            "01/03/2024 10:00",
            "2024-03-01 15:00",
        ),
        ({"format": ["%d.%m.%Y", "%Y%m%d"]}, "20240301", "2024-03-01 00:00"),
        (
            {"format": "%Y-%m-%d %H:%M %z", "zone": "Asia/Tokyo"},
            "2024-03-01 10:00 +0200",
            "2024-03-01 08:00",
        ),
        ({"unit": "s"}, "1709287200", "2024-03-01 10:00"),
        ({"unit": "s", "zone": "Asia/Tokyo"}, "1709287200.5", "2024-03-01 10:00"),
        ({"unit": "ms"}, "1709287200000", "2024-03-01 10:00"),
        ({"unit": "us"}, "1709287200000000", "2024-03-01 10:00"),
        ({"unit": "ns"}, "1709287200000000000", "2024-03-01 10:00"),
        # 02:30 is skipped on 31 March and passes by an hour; on 27 October it is twice: the later
        ({"zone": "Europe/Berlin"}, "2024-03-31 02:30", "2024-03-31 01:30"),
        ({"zone": "Europe/Berlin"}, "2024-10-27 02:30", "2024-10-27 01:30"),
    ],
)
def test_times_are_read_by_format_unit_and_zone(
    tmp_path: Path, said: dict[str, Any], value: str, utc: str
) -> None:
    (tmp_path / "a.csv").write_text(f"time,sku,who\n{value},p,c\n")
    [found] = seen(tmp_path, tmp_path / "a.csv", time=said)
    assert found[0][:16] == utc


def test_a_time_with_a_zone_in_parquet_needs_none_in_the_mapping(tmp_path: Path) -> None:
    time = pa.array([datetime(2024, 3, 1, 10, tzinfo=UTC)], pa.timestamp("ms", tz="Asia/Tokyo"))
    pq.write_table(pa.table({"time": time, "sku": ["p"], "who": ["c"]}), tmp_path / "a.parquet")
    [found] = seen(tmp_path, tmp_path / "a.parquet", time={"zone": "Europe/Berlin"})
    assert found[0] == "2024-03-01 10:00:00"


GA4 = [
    {
        "event_timestamp": "1709287200000000",
        "event_name": "purchase",
        "platform": "WEB",
        "user_id": None,
        "user_pseudo_id": "123.456",
        "ecommerce": {"transaction_id": "T1"},
        "event_params": [
            {"key": "page", "value": {"string_value": "/", "int_value": None}},
            {"key": "ga_session_id", "value": {"string_value": None, "int_value": 77}},
        ],
        "items": [
            {"item_id": "p1", "item_name": "Tea", "price": 3.5, "quantity": 2, "item_brand": "B"},
            {"item_id": "p1", "item_name": "Tea", "price": 3.5, "quantity": 2, "item_brand": "B"},
            {"item_id": "(not set)", "item_name": "", "price": 1.0, "quantity": 1},
        ],
    },
    {
        "event_timestamp": "1709287201000000",
        "event_name": "page_view",
        "platform": "IOS",
        "user_id": "u1",
        "user_pseudo_id": "9",
        "ecommerce": {"transaction_id": None},
        "event_params": [],
        "items": [],
    },
]  # fmt: skip


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_ga4_export_gives_one_event_an_item(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    if kind == "jsonl":
        path.write_text("".join(json.dumps(record) + "\n" for record in GA4))
    else:
        typed = [
            {**record, "event_timestamp": int(str(record["event_timestamp"]))} for record in GA4
        ]
        pq.write_table(pa.Table.from_pylist(typed), path)
    tables = Tables(tmp_path / "tables")
    done = ingest(tables, str(path), read_mapping("ga4"))
    assert done.rows == {"input": 4, "events": 2, "quarantined": 2, "duplicates": 0}
    assert done.reasons == {"filtered_out": 1, "no_product": 1}
    events = tables.need("events").read().to_pylist()
    assert len({e.pop("event_id") for e in events}) == 2
    assert events[0] == events[1]
    said = {k: v for k, v in events[0].items() if v is not None}
    assert said == {
        "event_time": datetime(2024, 3, 1, 10, tzinfo=UTC),
        "event_type": "purchase",
        "channel": "web",
        "customer_id": "cookie:123.456",
        "product_id": "p1",
        "quantity": 2.0,
        "unit_price": 3.5,
        "order_id": "T1",
        "session_id": "77",
        "source": path.name,
        "source_row": 1,
    }
    [product] = tables.need("products").read(["product_id", "title", "brand", "price"]).to_pylist()
    assert product == {"product_id": "p1", "title": "Tea", "brand": "B", "price": 3.5}
    raw = [json.loads(b["raw"]) for b in tables.need("quarantine").read().to_pylist()]
    assert [r["event_name"] for r in raw] == ["purchase", "page_view"]
