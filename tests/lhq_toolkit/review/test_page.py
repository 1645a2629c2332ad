"""The page in a real browser: fifty photos by keyboard, undo, reload, two people, a killed server."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest
from reviewing import BROWSER, DESKTOP, PHONE, PHOTOS, enter, free_port, reviewing, settled, until, verdicts
from tabs import shot

from pipelines.agreement import in_random_order

pytest.importorskip("playwright", reason="playwright is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium here: apt-get install chromium"),
]


def pick(page: Any, text: str) -> None:
    """Choose a list by its name."""
    listing(page, lambda: page.select_option("#list", label=text))


def listing(page: Any, act: Callable[[], Any]) -> None:
    """Do what makes a new list, and wait for it."""
    before = page.evaluate("scroller.dataset.list")
    act()
    until(page, f"scroller.dataset.list !== '{before}'")


def test_fifty_photos_by_keyboard_with_undo_reload_and_counter(root, browser):
    keys = ["k", "x", "k", "f", "k"]
    words = {"k": "keep", "x": "reject", "f": "flag"}
    wanted: dict[str, str] = {}
    shown = [f"t:{at}" for at in range(6, PHOTOS)]  # those that the filter keeps
    with reviewing(root) as serving:
        page = enter(browser, serving.addresses["anna"])
        assert "/enter" not in page.url
        assert "token" not in page.url
        assert page.inner_text("#count").startswith("0 of 54 decided")
        for at in range(50):
            if at == 20:
                page.keyboard.press("Enter")  # the rest one by one
            page.keyboard.press(keys[at % 5])
            wanted[shown[at]] = words[keys[at % 5]]
        settled(page)
        assert verdicts(root) == wanted
        assert page.inner_text("#count").startswith("50 of 54 decided, about ")
        for _ in range(3):
            page.keyboard.press("u")
        settled(page)
        for at in (49, 48, 47):
            del wanted[shown[at]]
        assert verdicts(root) == wanted
        assert "photo 53" in page.inner_text("#caption"), "back at what was undone last"
        page.keyboard.press("p")
        page.keyboard.press("x")  # another mind about the one before
        wanted[shown[46]] = "reject"
        page.keyboard.press("n")
        page.keyboard.press("k")
        wanted[shown[48]] = "keep"
        settled(page)
        assert verdicts(root) == wanted
        page.reload()
        page.wait_for_selector(".tile img[src]")
        left = [one for one in shown if one not in wanted]
        assert page.locator(".tile").count() == len(left)
        assert page.inner_text("#count").startswith(f"0 of {len(left)} decided")
        page.keyboard.press("u")  # the history outlives the page
        settled(page)
        del wanted[shown[48]]
        assert verdicts(root) == wanted
        assert page.troubles == []


def test_every_key_that_is_shown_works_and_so_does_its_button(root, browser):
    with reviewing(root) as serving:
        page = enter(browser, serving.addresses["anna"])
        shown = page.locator("#keys kbd").all_inner_texts()
        assert shown == ["K", "X", "F", "U", "←", "→", "⏎"]
        for name, verdict in (("keep", "keep"), ("reject", "reject"), ("flag", "flag")):
            page.click(f"#keys .{name}")
            settled(page)
            assert list(verdicts(root).values())[-1] == verdict
        page.click("#keys .undo")
        settled(page)
        assert len(verdicts(root)) == 2
        chosen = "document.querySelector('.tile[aria-selected=true]').id"
        assert page.evaluate(chosen) == "tile-2"
        for key, place in (("ArrowRight", 3), ("ArrowLeft", 2), ("End", 53), ("Home", 0)):
            page.keyboard.press(key)
            assert page.evaluate(chosen) == f"tile-{place}"
        page.keyboard.press("ArrowDown")
        below = int(page.evaluate(chosen).removeprefix("tile-"))
        assert 3 <= below <= 12
        page.keyboard.press("ArrowUp")
        assert abs(int(page.evaluate(chosen).removeprefix("tile-"))) <= 1
        page.click("#keys .one")
        page.wait_for_selector("#single:not([hidden])")
        page.keyboard.press("Escape")
        page.wait_for_selector("#single", state="hidden")


def test_the_lists_of_the_page(root, browser):
    with reviewing(root) as serving:
        page = enter(browser, serving.addresses["anna"])
        pick(page, "resolution: near the threshold")
        assert page.locator(".tile .name").first.inner_text() in ("photo 5", "photo 6")
        pick(page, "short side below 206 (6)")
        assert page.locator(".tile").count() == 6
        page.keyboard.press("k")
        settled(page)
        pick(page, "in the subset")
        listing(page, lambda: page.uncheck("#undecided"))
        until(page, "document.getElementById('count').textContent.startsWith('1 of 55')")
        page.select_option("#sort", label="resolution, highest first")
        until(page, "document.querySelector('.tile .name').textContent === 'photo 59'")
        page.reload()
        until(page, "document.querySelector('.tile .name')?.textContent === 'photo 59'")
        page.select_option("#list", label="by author …")
        page.fill("#author", "author 2")
        page.keyboard.press("Enter")
        until(page, "document.getElementById('count').textContent.includes('of 20 decided')")
        pick(page, "random sample")
        first = in_random_order([f"t:{at}" for at in range(PHOTOS)])[0]
        assert page.locator(".tile .name").first.inner_text() == f"photo {first}"
        page.keyboard.press("Enter")
        assert "hidden" in page.inner_text("#caption")
        assert page.troubles == []


def test_precision_and_recall_of_a_reviewed_sample(root, browser):
    with reviewing(root) as serving:
        page = enter(browser, serving.addresses["anna"])
        pick(page, "random sample")
        order = in_random_order([f"t:{at}" for at in range(PHOTOS)])[:30]
        for at in order:
            page.keyboard.press("x" if at < 20 else "k")  # the filter rejects those below 6
        settled(page)
        page.click("#numbers")
        row = page.locator("#agreement-body tbody tr").first.inner_text()
        rejected, bad = sum(at < 6 for at in order), sum(at < 20 for at in order)
        assert 0 < rejected < bad
        assert "100 % (" in row
        assert f"{rejected} of {rejected}" in row
        assert f"{rejected} of {bad}" in row
        assert "first 30 of 60 photos" in page.inner_text("#agreement-body")
        shot(page, "agreement")


def test_two_reviewers_work_at_once_and_their_disagreements_are_listed(root, browser, chromium):
    with reviewing(root, "anna", "bert") as serving:
        other = chromium.new_context(viewport=DESKTOP)
        anna, bert = enter(browser, serving.addresses["anna"]), enter(other, serving.addresses["bert"])
        for at in range(8):
            anna.keyboard.press("k")
            bert.keyboard.press("x" if at in (2, 5) else "k")
        settled(anna)
        settled(bert)
        assert (len(verdicts(root, "anna")), len(verdicts(root, "bert"))) == (8, 8)
        for page in (anna, bert):
            page.keyboard.press("f")
            settled(page)
            listing(page, lambda page=page: page.uncheck("#undecided"))
            pick(page, "disagreements (2)")
            assert page.locator(".tile .name").all_inner_texts() == ["photo 8", "photo 11"]
        anna.keyboard.press("Enter")
        assert "bert says reject" in anna.inner_text("#caption")
        anna.keyboard.press("u")  # takes back her flag, not what bert said
        settled(anna)
        assert len(verdicts(root, "anna")) == 8
        assert len(verdicts(root, "bert")) == 9


def test_a_server_killed_in_the_middle_loses_nothing(root, browser):
    port = free_port()
    with reviewing(root, port=port) as serving:
        page = enter(browser, serving.addresses["anna"])
        for _ in range(5):
            page.keyboard.press("k")
        settled(page)
        serving.stop(signal.SIGKILL)
        for _ in range(5):
            page.keyboard.press("x")  # no one is there to hear it
        page.wait_for_selector("#banner:not([hidden])")
        assert "5 decisions wait" in page.inner_text("#banner")
        shot(page, "killed")
    assert list(verdicts(root).values()) == ["keep"] * 5
    with reviewing(root, port=port) as serving:
        until(page, "document.getElementById('banner').textContent.includes('session')")
        second = enter(browser, serving.addresses["anna"])
        settled(second)
        settled(page)
        page.wait_for_selector("#banner", state="hidden")
        assert list(verdicts(root).values()) == ["keep"] * 5 + ["reject"] * 5
        page.keyboard.press("f")  # the old page goes on
        settled(page)
        assert len(verdicts(root)) == 11


def test_what_could_not_be_sent_is_sent_by_the_next_page(root, browser):
    port = free_port()
    with reviewing(root, port=port) as serving:
        page = enter(browser, serving.addresses["anna"])
        serving.stop(signal.SIGKILL)
        page.keyboard.press("x")
        page.wait_for_selector("#banner:not([hidden])")
        page.close()
    with reviewing(root, port=port) as serving:
        settled(enter(browser, serving.addresses["anna"]))
        assert verdicts(root) == {"t:6": "reject"}


def test_it_works_at_the_width_of_a_phone_by_touch(root, chromium):
    with reviewing(root) as serving:
        phone = chromium.new_context(viewport=PHONE, is_mobile=True, has_touch=True, device_scale_factor=2)
        page = enter(phone, serving.addresses["anna"])
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= PHONE["width"], "nothing sticks out"
        page.tap("#keys .keep")
        page.tap(".tile:nth-of-type(3)")
        page.tap("#keys .one")
        page.wait_for_selector("#single:not([hidden])")
        page.tap("#keys .reject")
        settled(page)
        assert sorted(verdicts(root).values()) == ["keep", "reject"]
        box = page.locator("#picture").bounding_box()
        assert box["height"] > 200
        shot(page, "phone")
        assert page.troubles == []


def test_a_photo_taken_down_meanwhile_is_refused_and_the_review_goes_on(lhq, root, browser):
    with reviewing(root) as serving:
        page = enter(browser, serving.addresses["anna"])
        assert lhq("remove", root, "--id", "t:6", "--yes").code == 0
        page.keyboard.press("k")
        until(page, "document.getElementById('said').textContent.includes('not saved')")
        page.keyboard.press("k")
        settled(page)
        assert verdicts(root) == {"t:7": "keep"}
        page.select_option("#sort", label="in reverse")
        until(page, "document.getElementById('count').textContent.includes('of 52 decided')")
