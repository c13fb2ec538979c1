"""Pages that comparisons left in the workspace, shown by the server."""


def test_a_report_of_the_workspace_is_listed_and_shown_as_it_is(client, bundles):
    assert "None yet" in client.get("/inspect/pages").text
    folder = bundles.parent / "pages"
    folder.mkdir()
    (folder / "compare-als-rebuy.html").write_text("<h1>Ship</h1>")
    assert '/inspect/pages/compare-als-rebuy"' in client.get("/inspect/pages").text
    page = client.get("/inspect/pages/compare-als-rebuy")
    assert (page.status_code, page.text) == (200, "<h1>Ship</h1>")
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_nothing_but_a_report_can_be_had(client, bundles):
    (bundles.parent / "secret.html").write_text("no")
    for name in ("nothing", "..%2Fsecret", "%2e%2e/secret", "A"):
        assert client.get(f"/inspect/pages/{name}").status_code == 404
