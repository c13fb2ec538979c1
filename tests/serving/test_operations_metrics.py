"""Metrics: plain numbers in, text that Prometheus reads out."""

from prometheus_client.parser import text_string_to_metric_families

from serving.metrics import BUCKETS, Metrics, Process


def samples(metrics):
    """Every sample, by name and labels."""
    families = text_string_to_metric_families(metrics.text().decode())
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
        if sample.name.startswith("regulars")
    }


def test_surfaces_have_histograms_and_strangers_share_one():
    metrics = Metrics()
    metrics.configured(["home", "cart"])
    for name in ("home", "home", *(f"made-up-{i}" for i in range(1000))):
        metrics.surface(name, 0.003)
    found = samples(metrics)
    assert found["regulars_surface_seconds_count", ("surface", "home")] == 2
    assert found["regulars_surface_seconds_count", ("surface", "other")] == 1000
    assert len([key for key in found if key[0] == "regulars_surface_seconds_count"]) == 2


def test_a_histogram_counts_what_is_at_most_as_long_as_each_bound():
    metrics = Metrics()
    times = [0.0, *BUCKETS, 0.0015, 7.0]
    for seconds in times:
        metrics.request("/x", 200, seconds)
    found = samples(metrics)
    for bound in (*BUCKETS, float("inf")):
        text = "+Inf" if bound == float("inf") else str(bound)
        slow = sum(seconds <= bound for seconds in times)
        assert found["regulars_request_seconds_bucket", ("le", text), ("route", "/x")] == slow
    assert round(found["regulars_request_seconds_sum", ("route", "/x")], 6) == round(sum(times), 6)


def test_every_part_has_its_numbers():
    metrics = Metrics("pets")
    metrics.swapped("b1", "als", "3", now=2000.0, as_of=1000.0)
    metrics.exposures_written, metrics.exposures_dropped = 7, 2
    metrics.events["taken"] = 5
    metrics.stock_version, metrics.stock_as_of, metrics.degraded = 4, 1500.0, True
    metrics.rules_troubles = 1
    metrics.process.shed, metrics.process.running, metrics.process.lag = 9, 3, 0.5
    metrics.process.keys_trouble = "gone"
    expected = {
        "regulars_bundle_as_of_seconds": 1000,
        "regulars_bundle_taken_seconds": 2000,
        "regulars_exposures_written_total": 7,
        "regulars_exposures_dropped_total": 2,
        "regulars_stock_version": 4,
        "regulars_stock_as_of_seconds": 1500,
        "regulars_state_degraded": 1,
        "regulars_rules_troubles": 1,
        "regulars_requests_shed_total": 9,
        "regulars_requests_running": 3,
        "regulars_loop_lag_seconds": 0.5,
        "regulars_keys_trouble": 1,
    }
    found = samples(metrics)
    assert {name: found[name,] for name in expected} == expected
    assert found["regulars_events_total", ("outcome", "taken")] == 5


def test_what_is_unknown_has_no_number():
    found = samples(Metrics())
    assert ("regulars_bundle_as_of_seconds",) not in found
    assert ("regulars_stock_as_of_seconds",) not in found


def test_a_shop_sees_its_own_refused_keys_and_nobody_elses():
    process = Process()
    pets, toys = Metrics("pets", process), Metrics("toys", process)
    process.refuse("pets", "rate", "0a0a0a0a")
    process.refuse("", "no_key", "")
    name = "regulars_requests_refused_total"
    assert samples(pets)[name, ("key", "0a0a0a0a"), ("why", "rate")] == 1
    assert b"0a0a0a0a" not in toys.text()
    assert samples(toys)[name, ("key", ""), ("why", "no_key")] == 1


def test_the_process_memory_is_there():
    assert b"process_resident_memory_bytes" in Metrics().text()
