"""The site of the documentation: it is built without a warning, and its links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.patience import PATIENCE_S

ROOT = Path(__file__).parents[2]
# What a browser fetches by itself, of each element; a link that is only followed is none of these.
FETCHED: Mapping[str, frozenset[str]] = {
    "audio": frozenset({"src"}),
    "embed": frozenset({"src"}),
    "iframe": frozenset({"src"}),
    "image": frozenset({"href", "xlink:href"}),
    "img": frozenset({"src", "srcset"}),
    "input": frozenset({"src"}),
    "object": frozenset({"data"}),
    "script": frozenset({"src"}),
    "source": frozenset({"src", "srcset"}),
    "track": frozenset({"src"}),
    "use": frozenset({"href", "xlink:href"}),
    "video": frozenset({"src", "poster"}),
}
# Of a <link>, those that only say something of the page.
SAYS_ONLY = frozenset({"canonical", "next", "prev", "license", "author"})
IN_STYLE = re.compile(r"""(?:@import\s+|url\()\s*["']?([^"')\s]+)""")


@dataclass
class Html(HTMLParser):
    """What a page holds.

    Attributes:
        links: Where its links lead.
        fetched: What a browser fetches with it.
        ids: What can be linked to within it.
    """

    links: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element is linked with."""
        given = {name: value or "" for name, value in attrs}
        self._in_style = tag == "style"
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "link" and not set(given.get("rel", "").split()) <= SAYS_ONLY:
            self.fetched.append(given["href"])
        self.fetched += [given[name] for name in FETCHED.get(tag, ()) if name in given]
        self.fetched += IN_STYLE.findall(given.get("style", ""))

    def handle_data(self, data: str) -> None:
        """Note what a style sheet within the page fetches."""
        if self._in_style:
            self.fetched += IN_STYLE.findall(data)

    def handle_endtag(self, tag: str) -> None:
        """Leave a style sheet."""
        self._in_style = False


def read(page: Path) -> Html:
    found = Html()
    found.feed(page.read_text("utf-8"))
    return found


def is_elsewhere(url: str) -> bool:
    """Whether a browser asks another host for it."""
    parts = urlsplit(url.strip())
    return bool(parts.netloc) or parts.scheme not in {"", "data"}


def fetched_elsewhere(folder: Path) -> Iterator[str]:
    """What the pages and style sheets of a site ask other hosts for."""
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".html":
            urls = read(path).fetched
        elif path.suffix == ".css":
            urls = IN_STYLE.findall(path.read_text("utf-8"))
        else:
            continue
        yield from (f"{path.relative_to(folder)}: {url}" for url in urls if is_elsewhere(url))


def leading_nowhere(folder: Path) -> Iterator[str]:
    """The links of a site that lead to no page of it, or to no place on the page."""
    pages = {path.resolve(): read(path) for path in folder.rglob("*.html")}
    for path, page in sorted(pages.items()):
        if path.name == "404.html":  # its links go from the root of a server
            continue
        for url in [*page.links, *page.fetched]:
            parts = urlsplit(url)
            if is_elsewhere(url) or parts.scheme == "data":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                yield f"{path.relative_to(folder.resolve())}: {url}: no such file"
            elif parts.fragment and unquote(parts.fragment) not in pages[target].ids:
                yield f"{path.relative_to(folder.resolve())}: {url}: no such place"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(tmp_path_factory.mktemp("site"))
    run = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    said = run.stdout + run.stderr
    assert run.returncode == 0, said
    assert [line for line in said.splitlines() if not line.startswith("INFO ")] == []
    return folder


@pytest.mark.slow
def test_links_and_anchors_lead_somewhere(site: Path) -> None:
    assert list(leading_nowhere(site)) == []
    assert len(list(site.rglob("*.html"))) > 20


@pytest.mark.slow
def test_no_page_asks_another_host_for_anything(site: Path) -> None:
    assert list(fetched_elsewhere(site)) == []


@pytest.mark.slow
def test_search_and_pages_from_outside_of_docs_are_there(site: Path) -> None:
    assert "savepoint" in (site / "search" / "search_index.js").read_text("utf-8")
    for name in ("security.html", "changelog.html", "examples/orders.html"):
        assert (site / name).is_file()


@pytest.mark.slow
def test_pictures_are_a_part_of_their_pages(site: Path) -> None:
    page = (site / "fallback.html").read_text("utf-8")
    assert page.count('<figure class="picture"><svg role="img" aria-label="') == 2
    assert 'src="pictures' not in page


@pytest.mark.slow
def test_reference_shows_no_habits_of_restructured_text(site: Path) -> None:
    for page in (site / "reference").glob("*.html"):
        text = re.sub(r"<[^>]+>", "", page.read_text("utf-8"))
        assert not re.search(r":(?:func|class|mod|attr|meth):|::$|``", text, re.MULTILINE), page


def test_target_of_the_makefile_builds_as_this_test_does() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert "NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build\n" in makefile
    assert "\nstrict: true\n" in (ROOT / "mkdocs.yml").read_text("utf-8")
    assert "/site/" in (ROOT / ".gitignore").read_text("utf-8").splitlines()


# --- what looks at the site, looked at ------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<script src="//cdn.example/x.js"></script>',
        '<link rel="stylesheet" href="https://fonts.example/css">',
        '<link rel="preconnect" href="https://fonts.example">',
        '<img srcset="https://cdn.example/a.png 2x">',
        '<p style="background: url(https://cdn.example/a.png)">',
        "<style>@import 'https://fonts.example/css';</style>",
    ],
)
def test_what_is_fetched_elsewhere_is_found(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.html").write_text(f"<html>{text}</html>")
    assert len(list(fetched_elsewhere(tmp_path))) == 1


def test_link_that_is_followed_is_not_fetched(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<a href="https://example.org/">there</a><img src="data:,">')
    assert list(fetched_elsewhere(tmp_path)) == []


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<a href="b.html">b</a><a href="#none">-</a>'
        '<a href="c.html#none">-</a><a href="c.html#some">c</a><a href="c.html">c</a>'
    )
    (tmp_path / "c.html").write_text('<p id="some">')
    assert list(leading_nowhere(tmp_path)) == [
        "a.html: b.html: no such file",
        "a.html: #none: no such place",
        "a.html: c.html#none: no such place",
    ]
