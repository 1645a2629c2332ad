"""The review page and strangers: other origins, titles that are scripts, scripts in the text."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator

import pytest
from reviewing import BROWSER, enter, picture, reviewing, settled, verdicts
from tabs import shot

pytest.importorskip("playwright", reason="playwright is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium here: apt-get install chromium"),
]


@pytest.fixture
def evil() -> Iterator[Callable[[str], str]]:
    """Serves a page of a foreign origin that holds this script; gives its address."""
    from serving import serving

    with serving({}) as served:

        def page(script: str) -> str:
            served.files["evil.html"] = f"<!doctype html><title>evil</title><script>{script}</script>".encode()
            return f"{served.url}/evil.html"

        yield page


def test_a_page_of_a_foreign_origin_can_neither_read_nor_change_anything(root, browser, evil):
    with reviewing(root) as serving:
        enter(browser, serving.addresses["anna"])
        body = json.dumps({"photo": "t:6", "verdict": "reject", "token": "t" * 16})
        script = f"""
          window.done = (async () => {{
            const found = [];
            const ask = async (path, more) => {{
              try {{ found.push((await (await fetch("{serving.origin}" + path, more)).text()).length); }}
              catch (error) {{ found.push("refused"); }}
            }};
            await ask("/api/start", {{credentials: "include"}});
            await ask("/api/decide", {{method: "POST", credentials: "include", body: {body!r},
              headers: {{"Content-Type": "application/json"}}}});
            await ask("/api/decide", {{method: "POST", mode: "no-cors", credentials: "include", body: {body!r}}});
            return found;
          }})();"""
        page = browser.new_page()
        page.route("**/evil.html", lambda route: route.continue_())
        page.goto(evil(script).replace("127.0.0.1", "localhost"))
        assert page.evaluate("window.done")[:2] == ["refused", "refused"]
        page.goto(evil(script))  # the same host, another port: the same site for the cookie, not the same origin
        assert page.evaluate("window.done")[:2] == ["refused", "refused"]
        framed = evil(f"document.write('<iframe src=\"{serving.origin}/\"></iframe>')")
        page.goto(framed)
        page.wait_for_timeout(300)
        assert all("LHQ" not in frame.title() for frame in page.frames[1:])
        assert verdicts(root) == {}


HOSTILE = [
    "<script>window.hurt = 1</script>",
    "<img src=x onerror='window.hurt = 2'>",
    "</h2><svg onload=window.hurt=3>",
    "{{7*7}} ${7*7} <b>bold</b>",
    "\u202egnp.exe \x07 bell",
]


def test_hostile_titles_and_addresses_come_through_crawl_and_review_as_harmless_text(lhq, tmp_path, browser):
    folder = tmp_path / "pictures"
    folder.mkdir()
    with (folder / "metadata.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "title", "author", "author_url", "page_url", "tags"])
        for at, text in enumerate(HOSTILE):
            (folder / f"{at}.jpg").write_bytes(picture(at, (300, 220)))
            address = "javascript:window.hurt=4" if at % 2 else "https://example.org/<script>"
            writer.writerow([f"{at}.jpg", text, text, address, address, text])
    crawl = ("crawl", tmp_path / "d", "--source", "folder", "--path", folder, "--metadata", folder / "metadata.csv")
    assert lhq(*crawl, "--workers", "0").code == 0
    ran = lhq("filter", tmp_path / "d", "--resolution", "--set", "resolution.min_side=10", "--workers", "0")
    assert ran.code == 0, ran.err
    with reviewing(tmp_path / "d", "<i>anna</i>") as serving:
        page = enter(browser, serving.addresses["<i>anna</i>"])
        page.keyboard.press("Enter")
        for at, text in enumerate(HOSTILE):
            plain = re.sub(r"\s+", " ", re.sub(r"[\x00-\x08]", "", text)).strip()
            title = page.evaluate("document.querySelector('#caption h2').textContent")
            assert re.sub(r"\s+", " ", re.sub(r"[\x00-\x08]", "", title)).strip() == plain
            links = page.evaluate("[...document.querySelectorAll('#caption a')].map((one) => one.protocol)")
            assert set(links) <= {"https:"}
            assert bool(links) == (at % 2 == 0)
            shot(page, f"hostile-{at}")
            page.keyboard.press("ArrowRight")
        page.keyboard.press("Escape")
        page.keyboard.press("k")
        settled(page)
        assert page.evaluate("window.hurt") is None
        assert (
            page.evaluate("document.querySelectorAll('#sheet script, #caption script, main svg, main i').length") == 0
        )
        assert page.troubles == []


def test_a_script_in_the_text_of_the_page_would_not_run(root, browser):
    with reviewing(root) as serving:
        page = enter(browser, serving.addresses["anna"])
        page.evaluate(
            "() => { const one = document.createElement('div');"
            "one.innerHTML = '<img src=x onerror=\"window.hurt = 1\">'; document.body.append(one); }"
        )
        for _ in range(500):  # until the browser has said that it will not run it
            if any("Content Security Policy" in one for one in page.troubles):
                break
            page.wait_for_timeout(20)
        assert any("Content Security Policy" in one for one in page.troubles)
        assert page.evaluate("window.hurt") is None
