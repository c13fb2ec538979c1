from pathlib import Path

import pytest

from serving.settings import Settings, SettingsError, read


def test_without_variables_the_defaults_hold():
    assert read({"PATH": "/bin", "REGULARS_HOST": ""}) == Settings()


def test_each_field_is_read_from_its_variable():
    settings = read(
        {
            "REGULARS_BUNDLES": "/srv/bundles",
            "REGULARS_HOST": "0.0.0.0",
            "REGULARS_PORT": "80",
            "REGULARS_LOG_LEVEL": "debug",
            "REGULARS_POLL_SECONDS": "0.1",
        }
    )
    assert settings == Settings(
        bundles=Path("/srv/bundles"), host="0.0.0.0", port=80, log_level="debug", poll_seconds=0.1
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "http"), ("PORT", "70000"), ("LOG_LEVEL", "loud"), ("POLL_SECONDS", "0")],
)
def test_a_variable_that_cannot_be_meant_is_named(name, value):
    with pytest.raises(SettingsError, match=f"REGULARS_{name} is '{value}': "):
        read({f"REGULARS_{name}": value})
