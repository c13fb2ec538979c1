"""Keys: who is let in, to what, and what happens when the file of keys changes."""

import base64
import json
import os
import re
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from features import keys
from features.keys import KeysError
from serving.guard import Guard, needed
from serving.guard.start import check, loopback
from serving.metrics import Process
from serving.place import Place, places
from serving.problems import Refused
from serving.settings import Settings, SettingsError

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def place(tmp_path):
    (tmp_path / "pets" / "bundles").mkdir(parents=True)
    return Place("pets", tmp_path / "pets" / "bundles")


@pytest.fixture
def add(place):
    def add(*scopes, to=place, **more):
        return keys.add(to.keys, scopes=scopes, now=NOW, **more)

    return add


def guard(*places, now=0.0):
    return Guard(places, Process(), now=now)


def api_key(secret):
    return {b"host": b"shop", b"x-api-key": secret.encode()}


def bearer(secret, kind="Bearer"):
    return {b"authorization": f"{kind} {secret}".encode()}


def basic(secret):
    return bearer(base64.b64encode(f"anybody:{secret}".encode()).decode(), "Basic")


def refusal(call):
    with pytest.raises(Refused) as caught:
        call()
    return caught.value


def test_a_secret_is_shown_once_and_never_stored(place, add):
    key, secret = add("storefront", name="web", rate=5)
    assert re.fullmatch(f"rk_{key.id}_[A-Za-z0-9_-]{{43}}", secret)
    assert keys.looks_like_one(secret.encode())
    text = place.keys.read_text()
    assert secret[12:] not in text
    assert keys.hashed(secret.encode()).hex() in text
    assert keys.read(place.keys) == (key,)


def test_a_key_carries_its_shop_and_scopes(place, add):
    key, secret = add("storefront", "events")
    for given in (api_key(secret), bearer(secret), bearer(secret, "bearer")):
        caller = guard(place).admit(given, "events", 1.0)
        assert (caller.key_id, caller.shop, caller.supplier) == (key.id, "pets", None)
        assert caller.scopes == {"storefront", "events"}


@pytest.mark.parametrize(
    "given",
    [
        {},
        {b"authorization": b""},
        {b"authorization": b"Bearer"},
        {b"authorization": b"Bearer "},
        {b"authorization": b"Digest x"},
        {b"x-api-key": b""},
        {b"x-api-key": b"rk_"},
        {b"x-api-key": b"rk_00000000_" + b"A" * 43},
        {b"x-api-key": bytes(range(256))},
    ],
)
def test_without_a_known_key_the_answer_is_401(place, add, given):
    add("storefront")
    refused = refusal(lambda: guard(place).admit(given, "storefront", 1.0))
    assert refused.status == 401
    assert refused.headers == {"www-authenticate": 'Bearer realm="regulars"'}


def test_a_key_wrong_in_any_one_character_is_refused(place, add):
    _, secret = add("storefront")
    it = guard(place)
    for at in range(len(secret)):
        other = secret[:at] + ("A" if secret[at] != "A" else "B") + secret[at + 1 :]
        refused = refusal(lambda other=other: it.admit(api_key(other), "storefront", 1.0))
        assert refused.status == 401
    assert refusal(lambda: it.admit(api_key(secret + "A"), "storefront", 1.0)).status == 401
    assert it.admit(api_key(secret), "storefront", 1.0)


@hypothesis.given(
    st.dictionaries(
        st.sampled_from([b"authorization", b"x-api-key", b"host"]),
        st.one_of(
            st.binary(max_size=80),
            st.binary(max_size=80).map(lambda rest: b"Bearer " + rest),
            st.binary(max_size=80).map(lambda rest: b"Basic " + rest),
            st.binary(max_size=60).map(lambda rest: b"rk_" + rest),
        ),
    ),
    st.booleans(),
)
def test_whatever_is_sent_instead_of_a_key_is_401(given, basic):
    with tempfile.TemporaryDirectory() as folder:
        shop = Place("pets", Path(folder) / "bundles")
        keys.add(shop.keys, scopes=keys.SCOPES[:3], now=NOW)
        it = guard(shop)
    assert refusal(lambda: it.admit(given, "operator", 0.0, basic=basic)).status == 401


def test_no_refusal_repeats_a_secret(place, add):
    _, secret = add("storefront", rate=1)
    it = guard(place)
    it.admit(api_key(secret), "storefront", 1.0)
    for call in (
        lambda: it.admit(api_key(secret), "operator", 1.0),
        lambda: it.admit(api_key(secret), "storefront", 1.0),
        lambda: it.admit(api_key(secret[:-1] + "~"), "storefront", 1.0),
    ):
        assert secret[12:30] not in refusal(call).detail


def test_another_scope_is_403_and_says_which_is_wanted(place, add):
    key, secret = add("storefront", "events")
    refused = refusal(lambda: guard(place).admit(api_key(secret), "operator", 1.0))
    assert refused.status == 403
    assert refused.detail == (
        f"this needs a key of scope operator, {key.id} has storefront, events"
    )


def test_over_its_rate_a_key_is_429_and_told_when_to_come_again(place, add):
    key, secret = add("storefront", rate=0.25)
    _, other = add("storefront")
    it = guard(place)
    it.admit(api_key(secret), "storefront", 10.0)
    refused = refusal(lambda: it.admit(api_key(secret), "storefront", 10.5))
    assert refused.status == 429
    assert refused.headers == {"retry-after": "4"}
    assert refused.detail == f"key {key.id} may ask 0.25 times a second"
    assert it.admit(api_key(other), "storefront", 10.5), "another key has its own rate"
    assert it.admit(api_key(secret), "storefront", 14.0)


def test_what_was_refused_is_counted_by_why_and_key(place, add):
    key, secret = add("storefront", rate=1)
    it = guard(place)
    it.admit(api_key(secret), "storefront", 0.0)
    for call in (
        lambda: it.admit({}, "storefront", 0.0),
        lambda: it.admit(api_key("rk_x"), "storefront", 0.0),
        lambda: it.admit(api_key(secret), "operator", 0.0),
        lambda: it.admit(api_key(secret), "storefront", 0.0),
    ):
        refusal(call)
    assert it.process.refused == {
        ("", "no_key", ""): 1,
        ("", "wrong_key", ""): 1,
        ("pets", "scope", key.id): 1,
        ("pets", "rate", key.id): 1,
    }


def test_a_supplier_may_change_stock_of_her_own_and_an_operator_all(place, add):
    _, hers = add("supplier", supplier_id="s1")
    _, his = add("operator")
    _, both = add("operator", "supplier", supplier_id="s1")
    _, storefront = add("storefront")
    it = guard(place)
    assert it.admit(api_key(hers), needed("PUT", "/v1/stock"), 0.0).supplier == "s1"
    assert it.admit(api_key(his), needed("PUT", "/v1/stock"), 0.0).supplier is None
    assert it.admit(api_key(both), needed("PUT", "/v1/stock"), 0.0).supplier is None
    for path in ("/v1/rules", "/metrics", "/inspect"):
        assert refusal(lambda path=path: it.admit(api_key(hers), needed("PUT", path), 0.0))
    assert refusal(lambda: it.admit(api_key(storefront), needed("PUT", "/v1/stock"), 0.0))


def test_a_browser_gives_an_operators_key_as_password_where_it_only_reads(place, add):
    _, operator = add("operator", "storefront")
    it = guard(place)
    assert it.admit(basic(operator), "operator", 0.0, basic=True)
    challenge = refusal(lambda: it.admit({}, "operator", 0.0, basic=True)).headers
    assert "Basic" in challenge["www-authenticate"]
    for scope, may in (("operator", False), ("storefront", True)):
        refused = refusal(lambda s=scope, b=may: it.admit(basic(operator), s, 0.0, basic=b))
        assert "Basic" not in refused.headers["www-authenticate"]
    broken = {b"authorization": b"Basic !!!"}
    assert refusal(lambda: it.admit(broken, "operator", 0.0, basic=True)).status == 401


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/v1/customers/c1/recommendations", "storefront"),
        ("GET", "/v1/products/p1/similar", "storefront"),
        ("POST", "/v1/recommendations", "storefront"),
        ("POST", "/v1/recommendations:batch", "storefront"),
        ("POST", "/v1/events", "events"),
        ("PUT", "/v1/stock", "supplier"),
        ("GET", "/v1/stock", "operator"),
        ("PUT", "/v1/rules", "operator"),
        ("GET", "/metrics", "operator"),
        ("GET", "/inspect", "operator"),
        ("GET", "/whatever/comes", "operator"),
        ("GET", "/healthzz", "operator"),
        ("GET", "/", None),
        ("GET", "/healthz", None),
        ("GET", "/readyz", None),
        ("GET", "/openapi.json", None),
        ("GET", "/docs", None),
        ("GET", "/pages/regulars.css", None),
    ],
)
def test_each_path_needs_its_scope_and_an_unknown_one_the_operators(method, path, scope):
    assert needed(method, path) == scope


def test_without_a_file_everybody_may_do_everything_until_there_is_one(place, add):
    it = guard(place)
    assert it.open
    assert it.admit({}, "operator", 0.0).scopes == set(keys.SCOPES)
    _, secret = add("operator")
    it.look(1.0)
    assert not it.open
    assert refusal(lambda: it.admit({}, "operator", 1.0)).status == 401
    assert it.admit(api_key(secret), "operator", 1.0)


def test_a_revoked_key_is_refused_and_the_last_ones_end_opens_nothing(place, add):
    key, secret = add("operator")
    it = guard(place)
    assert keys.revoke(place.keys, key.id) == key
    it.look(1.0)
    assert not it.open
    assert refusal(lambda: it.admit(api_key(secret), "operator", 1.0)).status == 401
    assert not guard(place).open


@pytest.mark.parametrize("damage", ["gone", "cut", "newer", "unreadable"])
def test_a_damaged_file_leaves_the_keys_as_they_were_and_says_so_once(place, add, damage, caplog):
    _, secret = add("operator")
    it = guard(place)
    whole = place.keys.read_bytes()
    if damage == "gone":
        place.keys.unlink()
    elif damage == "unreadable":
        place.keys.unlink()
        place.keys.mkdir()
    else:
        place.keys.write_bytes(whole[:-9] if damage == "cut" else b'{"version": 2, "keys": []}')
    it.look(1.0)
    it.look(2.0)
    assert not it.open
    assert it.admit(api_key(secret), "operator", 2.0)
    assert str(place.keys) in it.process.keys_trouble
    assert caplog.text.count("the keys stay as they were") == 1
    if damage == "unreadable":
        place.keys.rmdir()
    place.keys.write_bytes(whole)
    it.look(3.0)
    assert it.process.keys_trouble is None


def test_reading_anew_gives_no_fresh_allowance(place, add):
    _, secret = add("storefront", rate=1)
    it = guard(place)
    it.admit(api_key(secret), "storefront", 0.0)
    add("events")
    it.look(0.1)
    assert refusal(lambda: it.admit(api_key(secret), "storefront", 0.1)).status == 429


def test_with_several_shops_the_key_says_which(tmp_path, add):
    shops = [Place(name, tmp_path / name / "bundles") for name in ("books", "toys")]
    secrets = []
    for shop in shops:
        shop.bundles.mkdir(parents=True)
        secrets.append(add("storefront", to=shop)[1])
    (tmp_path / "no-shop").mkdir()
    settings = Settings(shops=tmp_path)
    assert [place.name for place in places(settings)] == ["books", "pets", "toys"]
    with pytest.raises(KeysError, match="pets"):
        check(settings)
    it = guard(*shops)
    callers = [it.admit(api_key(secret), "storefront", 0.0).shop for secret in secrets]
    assert callers == ["books", "toys"]


def test_one_key_in_two_shops_is_refused(tmp_path, place, add):
    add("storefront")
    other = Place("copy", tmp_path / "copy" / "bundles")
    other.bundles.mkdir(parents=True)
    other.keys.write_bytes(place.keys.read_bytes())
    with pytest.raises(KeysError, match="stands in two shops"):
        guard(place, other)


@pytest.mark.parametrize("there", [False, True])
def test_a_folder_without_shops_is_refused(tmp_path, there):
    shops = tmp_path / "shops"
    if there:
        shops.mkdir()
    with pytest.raises(SettingsError, match="REGULARS_SHOPS"):
        places(Settings(shops=shops))


def test_without_keys_only_this_machine_is_answered_unless_said_otherwise(place, add):
    check(Settings(bundles=place.bundles))
    check(Settings(bundles=place.bundles, host="0.0.0.0", open=True))
    with pytest.raises(SettingsError, match=r"regulars keys add .* REGULARS_OPEN=true"):
        check(Settings(bundles=place.bundles, host="0.0.0.0"))
    add("storefront")
    check(Settings(bundles=place.bundles, host="0.0.0.0"))


@pytest.mark.parametrize(
    ("host", "only_here"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("shop.internal", False),
        ("", False),
    ],
)
def test_only_the_loopback_counts_as_this_machine(host, only_here):
    assert loopback(host) == only_here


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"scopes": []}, "scope must be of storefront, events, operator, supplier, got none"),
        ({"scopes": ["admin"]}, "got 'admin'"),
        ({"scopes": ["supplier"]}, "go together"),
        ({"scopes": ["events"], "supplier_id": "s1"}, "go together"),
        ({"scopes": ["events"], "rate": 0.0}, "rate: "),
        ({"scopes": ["events"], "rate": float("inf")}, "rate: "),
        ({"scopes": ["events"], "rate": float("nan")}, "rate: "),
        ({"scopes": ["events"], "name": "x" * 300}, "name: "),
    ],
)
def test_a_key_that_cannot_be_meant_is_not_made(place, given, said):
    with pytest.raises(KeysError, match=re.escape(said)):
        keys.add(place.keys, now=NOW, **given)
    assert not place.keys.exists()


def test_a_key_that_is_not_there_cannot_be_revoked(place, add):
    add("events")
    with pytest.raises(KeysError, match="holds no key 'ffff'"):
        keys.revoke(place.keys, "ffff")


def test_a_kill_while_writing_leaves_the_old_keys(place, add, monkeypatch):
    key, _ = add("events")

    def killed(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        add("operator")
    assert keys.read(place.keys) == (key,)
    assert [path.name for path in place.home.iterdir() if path.name != "bundles"] == ["keys.json"]


def test_the_file_can_be_read_by_people(place, add):
    add("events", name="till")
    held = json.loads(place.keys.read_text())
    assert held["version"] == 1
    assert held["keys"][0]["name"] == "till"
    assert held["keys"][0]["created"] == "2026-05-01T12:00:00+00:00"
