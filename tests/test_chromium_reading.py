"""The pages of `stones serve` in a real browser: a store is looked into, and nothing is changed."""

import re

import pytest

from .browsed_store import COUNT, HOSTILE, browsed_store


@pytest.fixture(scope="module")
def url(serve_for_all, tmp_path_factory):
    """The URL of the store, which is served for reading only."""
    return serve_for_all(browsed_store(tmp_path_factory.mktemp("browsed") / "cities-db"))


@pytest.fixture
def cities(window, url):
    """The window on the page of the cities."""
    window.goto(f"{url}/collections/City")
    return window


def names(window):
    """The keys in the table of records."""
    return window.get_by_role("table").first.get_by_role("rowheader").all_inner_texts()


def filtered(window, text):
    """Type a filter and send it."""
    window.get_by_label("Filter").fill(text)
    window.get_by_label("Filter").press("Enter")
    window.wait_for_load_state()


# -- load, filter, page, open ----------------------------------------------------------------------


def test_the_first_page_leads_to_the_collections(window, url):
    window.goto(url)
    assert "cities-db" in window.get_by_role("heading", level=1).inner_text()
    row = window.get_by_role("row", name="City")
    assert row.get_by_role("cell").first.inner_text() == str(COUNT)
    window.get_by_role("link", name="City", exact=True).click()
    assert window.get_by_role("heading", level=1).inner_text() == "City"
    assert names(window)[:3] == ["City 000", "City 001", "City 002"]


def test_the_columns_are_those_of_the_description_with_their_types(cities):
    heads = cities.get_by_role("columnheader").all_inner_texts()
    words = [" ".join(head.split()) for head in heads]
    assert words[0].startswith("name str")
    assert [word.split()[0] for word in words[:7]] == [
        *("name", "country", "people", "founded", "position", "twins", "tags")
    ]
    assert words[3].startswith("founded date")


def test_a_filter_gives_the_records_that_match_and_the_plan(cities):
    filtered(cities, '@.country == "NO" && @.people > 100000')
    found = names(cities)
    assert 0 < len(found) < 26
    plan = cities.get_by_role("region", name="How this is answered")
    assert "country" in plan.inner_text()
    assert cities.get_by_label("Filter").input_value() == '@.country == "NO" && @.people > 100000'


def test_an_error_in_a_filter_is_shown_under_its_place(cities):
    filtered(cities, '@.country == "NO" &&& @.people > 1')
    text, place = cities.locator("form pre").inner_text().splitlines()
    assert text == '@.country == "NO" &&& @.people > 1'
    assert place.index("^") == text.index("&&&") + 2
    box, alert = cities.get_by_label("Filter"), cities.get_by_role("alert")
    assert box.get_attribute("aria-invalid") == "true"
    assert box.get_attribute("aria-describedby").startswith(alert.get_attribute("id"))
    assert f"at character {place.index('^') + 1}" in alert.text_content()


def test_a_filter_with_a_field_that_is_not_there_names_the_fields(cities):
    filtered(cities, "@.town == 'x'")
    assert "town" in cities.get_by_role("alert").inner_text()


def test_the_pages_lead_through_all_records_and_back(cities):
    seen = [names(cities)]
    while (following := cities.get_by_role("link", name="Next page").first).count():
        following.click()
        seen.append(names(cities))
    assert [len(page) for page in seen] == [50, 50, 30]
    assert [name for page in seen for name in page] == [f"City {n:03}" for n in range(COUNT)]
    cities.get_by_role("link", name="Previous page").first.click()
    assert names(cities) == seen[1]
    cities.get_by_role("link", name="First page").first.click()
    assert names(cities) == seen[0]


def test_a_click_on_the_head_of_an_indexed_column_sorts_by_it(cities):
    cities.get_by_role("columnheader", name="people").get_by_role("link").click()
    head = cities.get_by_role("columnheader", name="people")
    assert head.get_attribute("aria-sort") == "ascending"
    cells = cities.locator("table.records tbody tr td:nth-child(3)").all_inner_texts()
    assert cells == sorted(cells, key=int)
    head.get_by_role("link").click()
    head = cities.get_by_role("columnheader", name="people")
    assert head.get_attribute("aria-sort") == "descending"


def test_a_record_is_a_tree_whose_parts_have_their_types(cities):
    cities.get_by_role("link", name="City 005").click()
    tree = cities.get_by_role("region", name="Fields")
    shown = " ".join(tree.inner_text().split())
    assert "founded date 1005-03-16" in shown
    assert "twins tuple" in shown
    assert "lat float 45.3125" in shown
    assert "country str" in shown


def test_a_record_with_a_key_of_two_parts_is_opened(window, url):
    window.goto(f"{url}/collections/Run")
    window.get_by_role("row", name="lint").first.get_by_role("link").click()
    assert "started datetime 2026-05-06" in " ".join(window.inner_text("main").split())


def test_the_keys_of_the_store_lead_to_bytes_with_their_format(window, url):
    window.goto(f"{url}/keys")
    window.get_by_label("Prefix", exact=True).fill("greet")
    window.get_by_label("Prefix", exact=True).press("Enter")
    window.get_by_role("link", name="greeting").click()
    text = window.inner_text("main")
    assert "msgpack" in text
    assert "tuple" in text
    dump = window.get_by_role("table", name="The stored bytes of the value")
    assert "any" in dump.inner_text()


def test_what_the_store_has_is_never_part_of_the_page(window, url):
    for path in ("/collections/Run", r"/keys/value?key=raw%5Cxff/1", "/keys?prefix=Run/"):
        window.goto(url + path)
        assert HOSTILE[:8] in window.inner_text("main")
        assert window.title() != "owned"
        assert window.locator("main img, main script").count() == 0


# -- without a mouse, on a phone, in the dark ------------------------------------------------------


def test_the_keyboard_alone_finds_and_opens_a_record(window, url):
    window.goto(url)
    window.keyboard.press("Tab")
    assert window.locator(":focus").inner_text() == "Skip to the content"
    window.keyboard.press("Enter")
    tab_to(window, "City")
    window.keyboard.press("Enter")
    window.wait_for_url("**/collections/City")
    window.keyboard.press("/")
    assert window.locator(":focus").get_attribute("name") == "filter"
    window.keyboard.type('@.name == "City 007"')
    window.keyboard.press("Enter")
    window.wait_for_url("**filter=**")
    tab_to(window, "City 007")
    window.keyboard.press("Enter")
    window.wait_for_url("**/record**")
    assert window.get_by_role("heading", level=1).inner_text() == "City 007"


def tab_to(window, text):
    """Press Tab until the focus is on a link with this text; each stop has to be seen."""
    for _ in range(60):
        window.keyboard.press("Tab")
        focus = window.locator(":focus")
        assert focus.evaluate(HAS_OUTLINE), focus.evaluate("element => element.outerHTML")
        if focus.inner_text() == text:
            return
    pytest.fail(f"Tab never comes to {text}")


HAS_OUTLINE = """element => {
    const style = getComputedStyle(element);
    return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1;
}"""
PAGES = [
    "/",
    "/collections/City",
    '/collections/City?filter=@.country=="NO"&order_by=-people',
    "/collections/City?filter=@.country=",
    "/collections/City/record?key=City+005",
    "/keys",
    "/keys/value?key=greeting",
    "/collections/Town",
]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_fits_a_phone(open_window, url, path):
    window = open_window(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    window.goto(url + path)
    assert window.evaluate("document.documentElement.scrollWidth") <= 360
    assert window.evaluate(SMALLEST_TEXT) >= 11


SMALLEST_TEXT = """Math.min(...[...document.querySelectorAll('main *')]
    .filter(element => element.innerText && element.checkVisibility())
    .map(element => parseFloat(getComputedStyle(element).fontSize)))"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_text_stands_out_from_what_is_behind_it(open_window, url, path, scheme):
    window = open_window(color_scheme=scheme)
    window.goto(url + path)
    paper = window.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    shades = [int(shade) for shade in re.findall(r"\d+", paper)[:3]]
    assert max(shades) < 80 if scheme == "dark" else min(shades) > 200
    assert window.evaluate(WEAK_TEXTS) == []


WEAK_TEXTS = """() => {
    const light = text => {
        const [r, g, b] = text.match(/[\\d.]+/g).map(Number).map(each => {
            each /= 255;
            return each <= 0.03928 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = element => {
        for (let each = element; each; each = each.parentElement) {
            const color = getComputedStyle(each).backgroundColor;
            if (!color.endsWith(', 0)') && color !== 'transparent') return color;
        }
        return 'rgb(255, 255, 255)';
    };
    const weak = [];
    for (const element of document.querySelectorAll('body *')) {
        const own = [...element.childNodes].some(each => each.nodeType === 3 && each.data.trim());
        if (!own || !element.checkVisibility() || element.closest('svg')) continue;
        const a = light(getComputedStyle(element).color), b = light(behind(element));
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (contrast < 4.5) weak.push([element.outerHTML.slice(0, 80), contrast]);
    }
    return weak;
}"""


@pytest.mark.parametrize("path", PAGES)
def test_a_screen_reader_finds_names_and_one_way_through_the_page(window, url, path):
    window.goto(url + path)
    assert window.evaluate("document.documentElement.lang") == "en"
    assert window.get_by_role("main").count() == 1
    assert window.get_by_role("heading", level=1).count() == 1
    for role in ("link", "button", "textbox", "combobox", "table"):
        for each in window.get_by_role(role).all():
            snapshot = each.aria_snapshot().splitlines()[0]
            assert re.match(r'- \w+ "', snapshot.replace("'", "")), snapshot


def test_a_page_needs_no_script(open_window, url):
    window = open_window(java_script_enabled=False)
    window.goto(f"{url}/collections/City")
    filtered(window, "@.people > 130000")
    assert 0 < len(names(window)) < 10


def test_a_page_that_is_not_there_says_so(window, url):
    answer = window.goto(f"{url}/collections/Town")
    assert answer.status == 404
    assert "Town" in window.get_by_role("alert").inner_text()


def test_nothing_can_be_changed_without_write(window, url):
    window.goto(f"{url}/collections/City/record?key=City+005")
    assert window.get_by_role("link", name=re.compile("edit|delete", re.IGNORECASE)).count() == 0
    assert window.goto(f"{url}/collections/City/edit?key=City+005").status == 403
