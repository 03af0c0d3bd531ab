"""What the site is made with: docstrings as Markdown, links and pictures of a page, drawings."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from scripts import docstrings, pictures, site_hooks

SVG = "{http://www.w3.org/2000/svg}"
# A letter of the 14 units of the text is about half as wide; the widest lines have few wide ones.
LETTER = 7.1


# --- docstrings -----------------------------------------------------------------------------------


def test_roles_are_code() -> None:
    assert docstrings.markdown("Built by :func:`get_settings`.") == "Built by `get_settings`."


def test_what_follows_two_colons_is_python() -> None:
    text = "A session::\n\n    with scope() as s:\n        s.add(1)\n\nAnd on."
    assert docstrings.markdown(text) == (
        "A session:\n\n```python\nwith scope() as s:\n    s.add(1)\n```\n\nAnd on."
    )


def test_colons_alone_are_left_out() -> None:
    assert docstrings.markdown("It.\n\n::\n\n    run()\n") == "It.\n\n\n```python\nrun()\n```\n"


def test_terms_are_a_list_of_them() -> None:
    text = (
        "Arguments:\n\n``one``\n    What it is.\n``two``, ``three``\n    More,\n    and more.\nEnd."
    )
    assert docstrings.markdown(text) == (
        "Arguments:\n\n\n``one``\n:   What it is.\n\n"
        "``two``, ``three``\n:   More,\n    and more.\nEnd."
    )


def test_code_below_a_term_stays_below_it() -> None:
    text = "``one``\n    As in::\n\n        f(1)\n\nEnd."
    assert docstrings.markdown(text).splitlines()[2:] == [
        ":   As in:",
        "",
        "    ```python",
        "    f(1)",
        "    ```",
        "",
        "End.",
    ]


def test_sections_stay_as_they_are() -> None:
    text = "Do it.\n\nArgs:\n    one: A number.\n\nRaises:\n    ValueError: It is none."
    assert docstrings.markdown(text) == text


# --- links and pictures of a page -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("link", "source", "path", "becomes"),
    [
        ("[a](b.md)", "docs/a.md", "a.md", "[a](b.md)"),
        ("[a](b.md#c)", "docs/a.md", "a.md", "[a](b.md#c)"),
        ("[a](#c)", "docs/a.md", "a.md", "[a](#c)"),
        ("[a](https://b.c/d)", "docs/a.md", "a.md", "[a](https://b.c/d)"),
        ("[a](../SECURITY.md)", "docs/a.md", "a.md", "[a](security.md)"),
        ("[a](../README.md)", "docs/a.md", "a.md", "[a](index.md)"),
        ("[a](../README.md#configuration)", "docs/a.md", "a.md", "[a](configuration.md)"),
        ("[a](../examples/orders.py)", "docs/a.md", "a.md", "[a](examples/orders.md)"),
        (
            "[a](../../SECURITY.md#x)",
            "docs/reference/a.md",
            "reference/a.md",
            "[a](../security.md#x)",
        ),
        ("[a](docs/b.md)", "CHANGELOG.md", "changelog.md", "[a](b.md)"),
        ("[a](RELEASING.md)", "CONTRIBUTING.md", "contributing.md", "a (`RELEASING.md`)"),
    ],
)
def test_links_lead_to_pages_of_the_site(link: str, source: str, path: str, becomes: str) -> None:
    assert site_hooks.with_links(link, source, path) == becomes


def test_code_is_left_alone() -> None:
    text = "[a](../README.md) `[a](../README.md)`\n```md\n[a](../README.md)\n```\n"
    changed = site_hooks.outside_of_code(
        text, lambda part: site_hooks.with_links(part, "docs/a.md", "a.md")
    )
    assert changed == "[a](index.md) `[a](../README.md)`\n```md\n[a](../README.md)\n```\n"


def test_picture_becomes_a_part_of_the_page() -> None:
    drawn = site_hooks.with_pictures('![One "more"](pictures/commit.svg)', "docs/a.md")
    assert drawn.startswith('<figure class="picture"><svg role="img" aria-label="One &quot;more')
    assert "\n" not in drawn


def test_example_is_shown_whole() -> None:
    source = "examples/orders.py"
    text = (site_hooks.ROOT / source).read_text("utf-8")
    page = site_hooks.example(source, text)
    assert page.startswith("# Example: orders\n\nAn order with its items")
    code = text[text.index("from __future__") :]
    assert f"```python\n{code}```\n" in page


# --- drawings -------------------------------------------------------------------------------------

DRAWN = pictures.pictures()


@pytest.mark.parametrize("name", DRAWN)
def test_picture_in_the_tree_is_what_is_drawn(name: str) -> None:
    assert (pictures.FOLDER / name).read_text("utf-8") == DRAWN[name]


def test_tree_has_no_other_pictures() -> None:
    assert {path.name for path in pictures.FOLDER.iterdir()} == set(DRAWN)
    docs = pictures.FOLDER.parent
    assert [path for path in docs.rglob("*.svg") if path.parent != pictures.FOLDER] == []


@pytest.mark.parametrize("name", DRAWN)
def test_words_stay_within_the_picture(name: str) -> None:
    root = ET.fromstring(DRAWN[name])
    height = float(root.attrib["height"])
    for text in root.iter(f"{SVG}text"):
        words, x, y = text.text or "", float(text.attrib["x"]), float(text.attrib["y"])
        wide = len(words) * LETTER
        left = x - {"start": 0.0, "middle": wide / 2, "end": wide}[text.attrib["text-anchor"]]
        assert left >= 0, words
        assert left + wide <= pictures.WIDTH, words
        assert 10 <= y <= height - 4, words


@pytest.mark.parametrize("name", DRAWN)
def test_ids_and_roles_are_known(name: str) -> None:
    text = DRAWN[name]
    ids = re.findall(r' id="([^"]+)"', text)
    others = {
        found
        for other in DRAWN
        for found in re.findall(r' id="([^"]+)"', DRAWN[other])
        if other != name
    }
    assert not set(ids) & others
    style = (Path(pictures.ROOT) / "docs" / "site.css").read_text("utf-8")
    for role in re.findall(r' class="(\w+)"', text):
        assert f".picture .{role} {{" in style


def test_longest_bar_is_the_largest_value() -> None:
    drawn = pictures.bars("b", ["h"], [("one", 1, "other"), ("two", 4, "ours")], str, float)
    widths = [
        float(rect.attrib["width"])
        for rect in ET.fromstring(drawn).iter(f"{SVG}rect")
        if rect.attrib["height"] == "16"
    ]
    assert widths == [310 / 4, 310]
