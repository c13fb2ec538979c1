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
            "REGULARS_LOG_FORMAT": "json",
            "REGULARS_POLL_SECONDS": "0.1",
            "REGULARS_SHOPS": "/srv/shops",
            "REGULARS_OPEN": "true",
            "REGULARS_ORIGINS": "https://shop.example, http://localhost:3000,",
            "REGULARS_TRACES": "http://collector:4318/v1/traces",
            "REGULARS_REDIS": "redis://state:6379/0",
            "REGULARS_MOST_WAITING": "16",
            "REGULARS_MOST_HOURS": "48",
            "REGULARS_DRAIN_SECONDS": "5",
        }
    )
    assert settings == Settings(
        bundles=Path("/srv/bundles"),
        host="0.0.0.0",
        port=80,
        log_level="debug",
        log_format="json",
        poll_seconds=0.1,
        shops=Path("/srv/shops"),
        open=True,
        origins=("https://shop.example", "http://localhost:3000"),
        traces="http://collector:4318/v1/traces",
        redis="redis://state:6379/0",
        most_waiting=16,
        most_hours=48.0,
        drain_seconds=5.0,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "70000"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("POLL_SECONDS", "0"),
        ("POLL_SECONDS", "nan"),
        ("OPEN", "perhaps"),
        ("MOST_WAITING", "0"),
        ("MOST_HOURS", "0"),
        ("DRAIN_SECONDS", "-1"),
        ("TRACES", "grpc://collector:4317"),
    ],
)
def test_a_variable_that_cannot_be_meant_is_named(name, value):
    with pytest.raises(SettingsError, match=f"REGULARS_{name} is '{value}': "):
        read({f"REGULARS_{name}": value})


@pytest.mark.parametrize(
    "origin",
    ["*", "shop.example", "https://shop.example/", "https://shop.example/path", "null", "https://"],
)
def test_an_origin_is_an_address_and_never_a_star(origin):
    with pytest.raises(SettingsError, match="REGULARS_ORIGINS holds "):
        read({"REGULARS_ORIGINS": f"https://good.example,{origin}"})


@pytest.mark.parametrize(
    "origin",
    ["https://shop.example", "http://localhost:3000", "http://[::1]:8080", "https://a-b.example"],
)
def test_an_origin_may_have_a_port(origin):
    assert read({"REGULARS_ORIGINS": origin}).origins == (origin,)


@pytest.mark.parametrize(("text", "said"), [("true", True), ("false", False), ("1", True)])
def test_a_switch_is_said_in_words_or_digits(text, said):
    assert read({"REGULARS_OPEN": text}).open is said
