"""The viewer in a real browser: far to both sides, without a seam, drawn anew and undone, bounded, shareable."""

from __future__ import annotations

import base64
import io
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from reviewing import BROWSER, DESKTOP, PHONE, Serving, browsing, until
from tabs import shot
from viewing import (
    FRAME,
    SCALE,
    SPAN,
    STRIP,
    TILE,
    apart,
    columns,
    decoded,
    drag_by_touch,
    enter,
    generator_of,
    make_run,
    place,
    settled,
    shown,
    viewing,
)

from models.anchors import Anchors, redrawn

pytest.importorskip("playwright", reason="playwright is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium here: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("view") / "run")


@pytest.fixture(scope="module")
def served(run: Path) -> Iterator[Serving]:
    with viewing(run, viewers=4) as serving:
        yield serving


@pytest.fixture(scope="module")
def generator(run: Path) -> Any:
    return generator_of(run)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browsing() as browser:
        yield browser


@pytest.fixture(scope="module")
def desk(chromium: Any, served: Serving) -> Iterator[Any]:
    """A browser that came in, for someone who wants things to keep still."""
    context = chromium.new_context(viewport=DESKTOP, reduced_motion="reduce")
    enter(context, served.addresses["0"]).close()
    yield context
    context.close()


@pytest.fixture
def page(desk: Any, served: Serving) -> Iterator[Any]:
    """A new page of it."""
    page = enter(desk, served.origin)
    yield page
    page.close()


def test_two_hundred_frames_right_fifty_left_re_roll_and_back(page, generator):
    box = page.locator("#strip").bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 20)
    for _ in range(100):
        page.mouse.wheel(0, 2 * FRAME * SCALE)
    until(page, "document.getElementById('frame').value === '200.00'")
    strip, first = shown(page)
    assert apart(strip, columns(generator, first, strip.shape[1])) <= 1
    for _ in range(50):
        page.mouse.wheel(-FRAME * SCALE, 0)
    until(page, "document.getElementById('frame').value === '150.00'")
    strip, first = shown(page)
    assert apart(strip, columns(generator, first, strip.shape[1])) <= 1
    shot(page, "viewer")
    page.keyboard.press("r")
    edits = place(page)["edits"]
    stretch = redrawn(*map(int, edits.split(".")))
    seen = first, first + strip.shape[1]
    assert seen[0] <= stretch.first * SPAN <= seen[1]
    assert seen[0] <= (stretch.first + stretch.count - 1) * SPAN <= seen[1]
    other, _ = shown(page)
    anchors = Anchors(edits=(stretch,))
    assert apart(other, columns(generator, first, other.shape[1], anchors=anchors)) <= 1
    assert apart(other, strip) > 10
    shot(page, "viewer-redrawn")
    page.keyboard.press("u")
    assert "edits" not in place(page)
    np.testing.assert_array_equal(shown(page)[0], strip)
    assert page.troubles == []


def test_what_is_beyond_the_reach_of_a_selection_stays_to_the_bit(page):
    before, first = shown(page)
    box = page.locator("#strip").bounding_box()
    middle = box["x"] + box["width"] / 2  # x = 0: anchor 0 stands here
    page.click("#select")
    page.mouse.move(middle - 30, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(middle + 40, box["y"] + 40, steps=4)
    page.mouse.up()
    assert page.locator("#selection").is_visible()
    shot(page, "viewer-selection")
    page.click("#redraw")
    assert place(page)["edits"].startswith("0.1.")
    after, again = shown(page)
    assert again == first, "a selection moves nothing"
    differ = first + np.flatnonzero((before != after).any((0, 2)))
    assert (differ.min(), differ.max()) == (-SPAN, SPAN - 1)
    assert page.locator("#marks div").count() == 1
    page.click("#undo")
    np.testing.assert_array_equal(shown(page)[0], before)
    assert page.locator("#marks div").count() == 0
    assert page.is_disabled("#undo")
    page.keyboard.press("u")
    assert "nothing to undo" in page.inner_text("#said")
    assert page.troubles == []


@pytest.mark.parametrize("x", ["-31.4375", "64.5", "0"])
def test_between_tiles_nothing_shows_at_any_fraction_of_a_pixel(page, chromium, generator, x):
    """The screen shows what it would show of one whole picture, at the same place."""
    page.goto(re.sub("#.*", "", page.url) + f"#x={x}&seed=2")
    settled(page)
    page.evaluate("document.activeElement.blur()")
    box = page.locator("#strip").bounding_box()
    clip = {**box, "y": box["y"] + 6, "height": box["height"] - 12}
    ours = decoded(page.screenshot(clip=clip))
    left = float(x) - box["width"] / SCALE / 2
    first, width = int(np.floor(left)) - 9, int(box["width"] / SCALE) + 20
    assert (first // TILE) != (first + width) // TILE, "no border of tiles is in view"
    whole = io.BytesIO()
    Image.fromarray(columns(generator, first, width, seed=2)).save(whole, "PNG")
    plain = chromium.new_page(viewport=DESKTOP)
    plain.set_content(
        "<body style='margin:0;background:#0f0'><div style='position:absolute;overflow:hidden;"
        f"left:{box['x']}px;top:{box['y']}px;width:{box['width']}px;height:{box['height']}px'>"
        f"<canvas width={width} height={FRAME} style='display:block;transform-origin:0 0;width:{width * SCALE}px;"
        f"height:{FRAME * SCALE}px;transform:translateX({(first - left) * SCALE}px)'></canvas></div>"
    )
    address = f"data:image/png;base64,{base64.b64encode(whole.getvalue()).decode()}"
    plain.evaluate(
        """async (address) => { const one = Object.assign(new Image(), {src: address}); await one.decode();
        document.querySelector('canvas').getContext('2d').drawImage(one, 0, 0); }""",
        address,
    )
    theirs = decoded(plain.screenshot(clip=clip))
    plain.close()
    assert apart(ours, theirs) <= 2
    assert ours.std() > 10


def test_it_moves_by_keys_drag_and_box_to_negative_places_too(page, generator):
    width = page.evaluate(f"{STRIP}.clientWidth") / SCALE
    for key, by in (("ArrowRight", 10), ("ArrowLeft", -10), ("PageDown", 0.9 * width), ("PageUp", -0.9 * width)):
        before = float(place(page)["x"])
        page.keyboard.press(key)
        assert float(place(page)["x"]) == pytest.approx(before + by, abs=0.1), key
    box = page.locator("#strip").bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 800, box["y"] + 50, steps=5)
    page.mouse.up()
    assert float(place(page)["x"]) == pytest.approx(-100, abs=0.1), "what is held goes along"
    page.fill("#frame", "-1000000000000.5")
    page.keyboard.press("Enter")
    assert float(place(page)["x"]) == -1000000000000.5 * FRAME
    strip, first = shown(page)
    assert apart(strip, columns(generator, first, strip.shape[1])) <= 1
    assert page.get_attribute("#strip", "aria-valuetext") == "frame -1000000000000.50 of seed 0"
    page.focus("#strip")
    page.keyboard.press("Home")
    assert place(page)["x"] == "0"
    assert page.troubles == []


def test_it_goes_on_by_itself_after_a_throw_and_tells_frame_rate_and_latency(chromium, served):
    context = chromium.new_context(viewport=DESKTOP)
    page = enter(context, served.addresses["1"])
    held = page.evaluate(
        """async () => { const box = document.getElementById('strip');
        const wait = () => new Promise((on) => setTimeout(on, 5));
        box.setPointerCapture = () => {};
        const send = (kind, clientX) => box.dispatchEvent(new PointerEvent(kind, {clientX, pointerId: 7, button: 0}));
        send('pointerdown', 900);
        for (const x of [800, 700, 600, 500]) { await wait(); send('pointermove', x); }
        send('pointerup', 500);
        return 400 / 6 / 16; }"""
    )
    until(page, f"Number(document.getElementById('frame').value) > {held + 0.1}")
    page.keyboard.press("Home")
    until(page, "document.getElementById('frame').value === '0.00'")
    until(page, "/^\\d+\\/s$/.test(document.getElementById('rate').textContent)")
    until(page, "/^\\d+ ms \\(server \\d+\\)$/.test(document.getElementById('latency').textContent)")
    assert page.troubles == []
    context.close()


@pytest.mark.parametrize("gap", [2, 4, 16, 100])
def test_what_glides_arrives_at_any_frame_rate(page, gap):
    """Steps smaller than what places are kept to would be rounded away, and the strip would never stand still."""
    told = page.evaluate(
        """async (gap) => {
        const {Strip} = await import('/strip.js');
        const steps = [], real = window.requestAnimationFrame;
        window.requestAnimationFrame = (step) => steps.push(step);
        const element = () => document.createElement('div');
        const tiles = {at: () => null, want: () => {}};
        const facts = {tile: 16, frame: 16, tiles: 1000, span: null};
        const box = document.body.appendChild(element()).appendChild(element());
        const strip = new Strip(facts, tiles, {box, canvas: document.createElement('canvas'), marks: element(),
          selection: element()}, {moved: () => {}});
        strip.calm = {matches: false};
        strip.scale = 6;
        strip.show({seed: '0', x: 3, truncation: 1, redrawn: []});
        strip.glide(0);
        let now = 0, farther = 0;
        for (; steps.length && now < 5000; now += gap) {
          const before = Math.abs(strip.place.x);
          steps.shift()(now);
          farther += Math.abs(strip.place.x) > before;
        }
        window.requestAnimationFrame = real;
        box.parentElement.remove();
        return {x: strip.place.x, farther, still: steps.length === 0, soon: now <= 1000};
        }""",
        gap,
    )
    assert told == {"x": 0, "farther": 0, "still": True, "soon": True}


def test_an_address_is_shared_with_seed_place_truncation_and_edits(page, generator):
    fragment = "#seed=18446744073709551615&x=-77.25&truncation=0.6&edits=-3.1.5,-2.2.6"
    page.goto(re.sub("#.*", "", page.url) + fragment)
    strip, first = shown(page)
    assert page.evaluate("location.hash") == fragment
    anchors = Anchors(edits=(redrawn(-3, 1, 5), redrawn(-2, 2, 6)))
    wanted = columns(generator, first, strip.shape[1], 2**64 - 1, truncation=0.6, anchors=anchors)
    assert apart(strip, wanted) <= 1
    page.reload()
    page.wait_for_selector("#strip[data-pending]")
    np.testing.assert_array_equal(shown(page)[0], strip)
    page.keyboard.press("u")
    page.keyboard.press("Control+z")
    assert "edits" not in place(page), "undo goes back beyond the moment of loading"
    assert page.input_value("#truncation") == "0.6"
    page.fill("#truncation", "1")
    assert place(page)["truncation"] == "1"
    plain, _ = shown(page)
    assert apart(plain, columns(generator, first, plain.shape[1], 2**64 - 1)) <= 1
    page.fill("#seed", "8")
    page.keyboard.press("Enter")
    assert apart(shown(page)[0], columns(generator, first, plain.shape[1], 8)) <= 1
    page.go_back()
    until(page, "document.getElementById('seed').value === '18446744073709551615'")
    page.click("#another")
    assert re.fullmatch(r"\d{1,10}", place(page)["seed"])
    assert page.troubles == []


WRONG = {
    "seed=-1": "seed",
    f"seed={2**64}": "seed",
    "x=NaN": "x in",
    "x=1e300": "x in",
    "x=999999999999999999": "x in",
    "truncation=NaN": "truncation",
    "truncation=7": "truncation",
    "edits=1.1": "edits",
    "edits=" + "1.1.1," * 5000: "edits",
    "edits=<script>window.hurt=1</script>": "edits",
}


def test_what_is_wrong_in_an_address_is_said_and_left_out(page):
    for fragment, says in WRONG.items():
        page.goto(re.sub("#.*", "", page.url) + f"#{fragment}")
        until(page, f"document.getElementById('said').textContent.startsWith('{says}')")
        assert place(page) == {"seed": "0", "x": "0", "truncation": "1"}
        page.goto(re.sub("#.*", "", page.url) + "#seed=0&x=0")
        until(page, "document.getElementById('said').textContent === ''")
    assert page.evaluate("window.hurt") is None
    assert page.troubles == []


def test_what_is_wrong_in_a_box_is_said_and_changes_nothing(page):
    for box, text in (("#seed", "minus one"), ("#seed", "-1"), ("#frame", "1e99"), ("#frame", "99999999999999999999")):
        page.fill(box, text)
        page.keyboard.press("Enter")
        assert page.get_attribute(box, "aria-invalid") == "true"
        assert "a number from" in page.inner_text("#said") or "a whole number from" in page.inner_text("#said")
    assert place(page) == {"seed": "0", "x": "0", "truncation": "1"}
    assert page.troubles == []


def test_the_download_is_the_visible_part_at_the_panoramas_own_pixels(page, generator):
    page.goto(re.sub("#.*", "", page.url) + "#x=100.5&seed=4")
    settled(page)
    with page.expect_download() as found:
        page.click("#download")
    name = found.value.suggested_filename
    said = re.fullmatch(r"alis-seed4-x(-?\d+)-(\d+)x16\.png", name)
    assert said, name
    first, width = int(said[1]), int(said[2])
    data = Path(found.value.path()).read_bytes()
    assert data.startswith(b"\x89PNG")
    visible = page.evaluate(f"{STRIP}.clientWidth") / SCALE
    assert visible - 2 <= width <= visible
    assert 100.5 - visible / 2 <= first <= 100.5 - visible / 2 + 1
    assert apart(decoded(data), columns(generator, first, width, seed=4)) <= 1
    assert page.troubles == []


def test_however_far_one_scrolls_page_and_server_hold_a_bounded_number_of_tiles(page):
    page.evaluate(
        """() => { window.open = 0; window.most = 0;
        const make = window.createImageBitmap, close = ImageBitmap.prototype.close;
        window.createImageBitmap = async (...all) => { window.most = Math.max(window.most, ++window.open);
          return make(...all); };
        ImageBitmap.prototype.close = function () { window.open--; return close.call(this); }; }"""
    )
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    elements = page.evaluate("document.querySelectorAll('*').length")
    for at in range(40):
        page.evaluate(f"location.hash = 'x={at * 5000}'")
        page.wait_for_timeout(20)
    settled(page)
    assert len(asked) > 40
    assert page.evaluate("document.querySelectorAll('*').length") == elements
    assert page.evaluate("window.most") < 512 + 24
    assert page.troubles == []


def test_pictures_that_are_far_away_are_given_back(page):
    """As `ROOM` and `MOST` say: the farthest go first, those in view never."""
    told = page.evaluate(
        """async () => {
        const {Tiles} = await import('/tiles.js');
        let drawn = 0;
        const tiles = new Tiles({tile: 1024, frame: 1024}, {changed: () => drawn++, failed: () => {}});
        const real = window.fetch, closed = [];
        const blob = await (await real('/tile/0')).blob();
        window.fetch = async () => ({ok: true, blob: async () => blob, headers: new Headers()});
        const bring = async (first) => {
          const some = Array.from({length: 8}, (_, at) => [first + at, `/t/${first + at}`]);
          tiles.want(some, first + 4);
          while (tiles.missing().length) await new Promise((done) => setTimeout(done, 1));
        };
        for (let first = 0; first < 800; first += 8) await bring(first);
        window.fetch = real;
        return {room: tiles.room, kept: tiles.kept.size, least: Math.min(...tiles.kept.keys()), drawn};
        }"""
    )
    assert told == {"room": 24, "kept": told["kept"], "least": told["least"], "drawn": 800}
    assert told["kept"] <= 24 + 8
    assert told["least"] >= 800 - 40


def test_it_works_at_the_width_of_a_phone_by_touch_and_in_the_dark(chromium, served, generator):
    for scheme, visitor in (("light", "2"), ("dark", "3")):
        context = chromium.new_context(
            viewport=PHONE, is_mobile=True, has_touch=True, device_scale_factor=2, color_scheme=scheme
        )
        page = enter(context, served.addresses[visitor])
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], "nothing sticks out"
        box = page.locator("#strip").bounding_box()
        drag_by_touch(context, page, box["x"] + 300, box["x"] + 60, box["y"] + 30)
        until(page, f"Number(document.getElementById('frame').value) >= {240 / SCALE / FRAME - 0.2}")
        before = None
        while (now := page.input_value("#frame")) != before:  # until the throw has ended
            before = now
            page.wait_for_timeout(200)
        page.tap("#redraw")
        assert "edits" in place(page)
        strip, first = shown(page)
        stretch = redrawn(*map(int, place(page)["edits"].split(".")))
        assert apart(strip, columns(generator, first, strip.shape[1], anchors=Anchors(edits=(stretch,)))) <= 1
        page.tap("#undo")
        assert "edits" not in place(page)
        shot(page, f"viewer-phone-{scheme}")
        assert page.troubles == []
        context.close()


def test_a_model_that_has_one_style_offers_no_re_roll_and_says_why_and_so_does_a_server_that_ended(chromium, tmp_path):
    run = make_run(tmp_path / "run", "locogan")
    with viewing(run) as serving:
        context = chromium.new_context(viewport=DESKTOP, reduced_motion="reduce")
        page = enter(context, serving.addresses["0"])
        for name in ("#redraw", "#select", "#undo"):
            assert page.is_hidden(name)
        assert "one style" in page.inner_text("#said")
        page.keyboard.press("r")
        page.keyboard.press("PageUp")
        assert "edits" not in place(page)
        strip, first = shown(page)
        assert apart(strip, columns(generator_of(run), first, strip.shape[1])) <= 1
        page.goto(re.sub("#.*", "", page.url) + "#edits=1.1.1")
        until(page, "document.getElementById('said').textContent.startsWith('edits')")
        assert page.troubles == []
        serving.stop(signal.SIGKILL)
        page.fill("#seed", "12")
        page.keyboard.press("Enter")
        page.wait_for_selector("#banner:not([hidden])")
        assert "does not answer" in page.inner_text("#banner")
        shot(page, "viewer-ended")
        context.close()


def test_every_control_has_a_name_and_the_panorama_says_where_it_is(page):
    names = page.evaluate(
        """() => [...document.querySelectorAll('input:not([type=hidden]), button, [role=slider]')]
        .filter((one) => one.checkVisibility())
        .map((one) => (one.labels?.[0]?.textContent ?? one.getAttribute('aria-label') ?? one.textContent).trim())"""
    )
    assert len(names) == 9
    assert all(names)
    assert page.get_attribute("#strip", "aria-valuetext") == "frame 0.00 of seed 0"
    assert page.get_attribute("#said", "role") == "status"
