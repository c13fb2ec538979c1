from pathlib import Path

import pytest

from pipelines import settings, shopfile
from pipelines.settings import SettingsError, read
from pipelines.workspace import OtherShop, Workspace

TEXT = '[shop]\nname = "mine"\n[ingest]\nmapping = "synthetic"\n'


def fault(*overrides: str, text: str = TEXT) -> str:
    with pytest.raises(SettingsError) as caught:
        read(text, source="shop.toml", overrides=overrides)
    return str(caught.value)


def test_every_preset_is_a_shop_of_its_own_name() -> None:
    assert {"synthetic", "online-retail-ii", "retailrocket", "ga4"} <= set(settings.presets())
    for name in settings.presets():
        shop = read(settings.preset(name), source=name)
        assert (shop.name, shop.ingest.mapping) == (name, name)


def test_a_shop_needs_no_more_than_a_name_and_a_mapping() -> None:
    shop = read(TEXT, source="shop.toml")
    assert list(shop.models) == ["popularity", "neighbours", "als", "bpr"]
    assert (shop.judge.horizon_days, shop.judge.folds, shop.judge.metric) == (28, 2, "ndcg_at_10")
    assert (shop.gate.minimum_interactions, shop.gate.minimum_repeat_customers) == (1_000, 25)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("judge.fold=3", "judge.fold is no setting"),
        ("features.weights.buy=3", "features.weights.buy is no setting"),
        ("models.als.factor=3", "models.als: als has no hyperparameter 'factor'"),
        ("models.als.factors=many", "models.als.factors: Input should be a valid integer"),
        ('models.als.factors="64"', "models.als.factors: Input should be a valid integer"),
        ("models.als.factors=0", "models.als: factors must be at least 1, got 0"),
        ("models.sasrek={}", "models.sasrek: model must be one of als, blend, bpr"),
        ("judge.folds=0", "judge.folds: Input should be greater than or equal to 1, got 0"),
        ("judge.metric=auc", "metric must be one of ndcg_at_10"),
        ("recommend.seen=maybe", "recommend.seen: Input should be 'drop' or 'keep', got 'maybe'"),
        ("shop.name=My Shop", "shop.name: String should match pattern"),
        ("search.lightfm={}", "search.lightfm names no model"),
        ("search.als.l2={low=3, high=1}", "want low < high"),
        ("judge=3", "judge: Input should be a valid dictionary"),
        ("judge.folds.more=3", "--set judge.folds.more: folds is a value, not a section"),
        ("folds", "--set wants path.to.key=VALUE, got 'folds'"),
    ],
)
def test_a_wrong_setting_is_refused_with_the_path_to_its_key(override: str, said: str) -> None:
    assert said in fault("judge.folds=2", override)


def test_a_missing_section_is_named() -> None:
    assert "ingest is missing" in fault(text='[shop]\nname = "mine"\n')


def test_broken_toml_names_the_file() -> None:
    assert fault(text="[shop").startswith("shop.toml is not TOML")


def test_popularity_cannot_be_left_out() -> None:
    assert "models must hold popularity" in fault(text=TEXT + "[models.als]\n")


def test_overrides_are_typed_as_toml_and_leave_the_other_models() -> None:
    overrides = ("models.als.factors=128", "recommend.seen=keep", "models.als.l2=1")
    shop = read(TEXT, source="shop.toml", overrides=overrides)
    kind, parameters = shop.recipe("als")
    assert (kind, parameters["factors"], parameters["l2"]) == ("als", 128, 1)
    assert shop.recommend.seen == "keep"
    assert len(shop.models) == 4


def test_one_kind_may_stand_under_two_names() -> None:
    text = TEXT + '[models.popularity]\n[models.wide]\nkind = "als"\nfactors = 256\n'
    kind, parameters = read(text, source="shop.toml").recipe("wide")
    assert (kind, parameters["factors"]) == ("als", 256)


def test_an_override_wins_over_what_a_search_found_and_that_over_the_file() -> None:
    text = TEXT + "[models.popularity]\n[models.als]\nfactors = 8\niterations = 3\nl2 = 2.0\n"
    found = {"als": {"factors": 16, "iterations": 4}, "gone": {"factors": 1}}
    shop = read(text, source="shop.toml", found=found, overrides=("models.als.factors=32",))
    assert shop.models["als"] == {"factors": 32, "iterations": 4, "l2": 2.0}


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(SettingsError, match="a time needs its zone"):
        settings.moment("2011-12-09T12:50:00")
    assert settings.moment("2011-12-09T12:50:00+00:00").tzinfo is not None


def test_a_workspace_remembers_its_first_shop_and_refuses_another(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "shop")
    with pytest.raises(SettingsError, match="has no shop yet"):
        shopfile.open_shop(workspace)
    shopfile.open_shop(workspace, mapping="retailrocket")
    assert shopfile.open_shop(workspace).name == "retailrocket"
    with pytest.raises(OtherShop, match="belongs to shop retailrocket, got ga4"):
        shopfile.open_shop(workspace, mapping="ga4")


def test_a_mapping_beside_a_shop_file_is_found_from_anywhere(tmp_path: Path) -> None:
    (tmp_path / "shop.toml").write_text(TEXT.replace("synthetic", "columns.toml"))
    (tmp_path / "columns.toml").write_text("")
    workspace = Workspace(tmp_path / "workspace")
    shopfile.open_shop(workspace, shop=str(tmp_path / "shop.toml"))
    assert shopfile.open_shop(workspace).ingest.mapping == str(tmp_path / "columns.toml")


def test_a_mapping_of_ones_own_makes_a_shop_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "Our Till.toml").write_text("")
    shop = shopfile.open_shop(Workspace(tmp_path / "w"), mapping=str(tmp_path / "Our Till.toml"))
    assert shop.name == "our-till"


def test_what_a_search_found_is_kept_for_later_commands(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    shopfile.open_shop(workspace, mapping="synthetic")
    shopfile.keep(workspace, "als", {"factors": 16})
    shopfile.keep(workspace, "neighbours", {"weighting": "bm25", "shrink": 2.5})
    shop = shopfile.open_shop(workspace)
    assert shop.models["als"] == {"factors": 16}
    assert shop.models["neighbours"] == {"weighting": "bm25", "shrink": 2.5}
