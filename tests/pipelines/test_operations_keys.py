"""`regulars keys`: made, shown once, listed without secrets, taken away."""

import json
import re

import pytest

from features import keys


@pytest.fixture
def keyed(run_command, tmp_path):
    """Run `regulars keys …` in one workspace; gives what it printed."""

    def run(*words, code=0):
        result = run_command("keys", *words, "--workspace", tmp_path)
        assert result.exit_code == code, result.output
        return result.stdout if code == 0 else result.stderr

    return run


def test_a_key_is_shown_once_and_kept_as_a_hash(keyed, tmp_path):
    secret = keyed("add", "--scope", "storefront", "--scope", "events", "--rate", "100").strip()
    assert keys.looks_like_one(secret.encode())
    (key,) = keys.read(tmp_path / "keys.json")
    assert (key.scopes, key.rate) == (("storefront", "events"), 100)
    assert bytes.fromhex(key.sha256) == keys.hashed(secret.encode())
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or secret not in path.read_text()
    listed = keyed("list")
    assert key.id in listed
    assert "storefront, events" in re.sub(r"\s+", " ", listed)
    assert secret not in listed
    assert key.sha256 not in listed


def test_for_programs_there_is_json(keyed):
    made = json.loads(keyed("add", "--scope", "supplier", "--supplier", "s1", "--json", "-"))
    assert made["key"].startswith(f"rk_{made['id']}_")
    assert (made["scopes"], made["supplier_id"], made["rate"]) == (["supplier"], "s1", None)
    (listed,) = json.loads(keyed("list", "--json", "-"))["keys"]
    assert listed == {name: value for name, value in made.items() if name != "key"}


def test_a_revoked_key_is_gone_and_the_server_stays_shut(keyed, tmp_path):
    assert "answers everybody" in keyed("list")
    id = json.loads(keyed("add", "--scope", "events", "--name", "till", "--json", "-"))["id"]
    assert keyed("revoke", id).strip() == f"revoked: {id}, till"
    assert keys.read(tmp_path / "keys.json") == ()
    assert "answers nobody" in keyed("list")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["add", "--scope", "admin"], "scope must be of storefront, events, operator, supplier"),
        (["add", "--scope", "supplier"], "go together"),
        (["add", "--scope", "events", "--rate", "0"], "rate: "),
        (["revoke", "00000000"], "holds no key '00000000'"),
    ],
)
def test_what_cannot_be_meant_is_one_line(words, said, keyed):
    error = keyed(*words, code=1)
    assert error.startswith("regulars: ")
    assert said in error


@pytest.mark.parametrize("name", ["add", "list", "revoke"])
def test_each_has_help_with_an_example(name, run_command):
    result = run_command("keys", name, "--help")
    assert result.exit_code == 0
    assert f"Example: regulars keys {name}" in re.sub(r"\s+", " ", result.stdout)
