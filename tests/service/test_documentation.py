"""The page of calls: every call of a description, escaped, and nothing that runs or loads."""

import pytest
from fastapi import FastAPI

from auteur.service.documentation import documentation_page, openapi_of

SCHEMA = {
    "type": "object",
    "properties": {"seed": {"type": "integer"}, "portrait": {"type": "string"}},
    "examples": [{"portrait": "a</pre><script>1</script>"}],
}


@pytest.fixture(scope="module")
def page() -> str:
    app = FastAPI(title="Auteur", version="1.2.3<b>")

    @app.post("/v1/videos", summary="Make a <video>")
    def submit() -> None:
        """Adds a job & returns it."""

    @app.get("/v1/units/{name}", summary="One unit")
    def unit(name: str) -> None: ...

    return documentation_page(openapi_of(app, SCHEMA))


def test_every_call_is_listed_with_its_words_and_example(page):
    assert "<h2><b>POST</b> <code>/v1/videos</code></h2>" in page
    assert "<p>Make a &lt;video&gt;. Adds a job &amp; returns it.</p>" in page
    assert "<h2><b>GET</b> <code>/v1/units/{name}</code></h2>" in page
    assert "&#34;portrait&#34;: &#34;a&lt;/pre&gt;&lt;script&gt;1" in page
    assert page.count("<pre>") == 1, "a call without a body has no example"


def test_keys_of_jobs_and_of_previews_are_listed(page):
    for key in ("portrait", "seed", "time_sec", "quality"):
        assert f"<td><code>{key}</code></td>" in page


def test_nothing_runs_and_nothing_is_fetched(page):
    assert "Auteur 1.2.3&lt;b&gt;" in page
    for what in ("<script", "src=", "http:", "https:", "url("):
        assert what not in page
