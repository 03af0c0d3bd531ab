"""What the site adds to the pages of `docs/` (a hook of MkDocs, see `mkdocs.yml`).

- The security policy, the changelog, the page for contributors and the examples are pages too: they
  stand where people and tools look for them in a checkout, outside of `docs/`.
- Links to them lead to these pages.
- Pictures become a part of their page, so that they take its colours, light or dark.
- The marks that tell the tests why a block is not run are left out.
"""

from __future__ import annotations

import ast
import html
import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]

# Of each file outside of docs/ that is a page, its path within docs/.
PAGES: Mapping[str, str] = {
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    **{f"examples/{p.name}": f"examples/{p.stem}.md" for p in (ROOT / "examples").glob("*.py")},
}
# What other files are a page of: nothing in the site but this.
INSTEAD: Mapping[str, str] = {
    "README.md": "docs/index.md",
    "README.md#configuration": "docs/configuration.md",
}

_LINK = re.compile(r"(?<!\!)\[([^\]]*)\]\(([^()\s]+)\)")
_PICTURE = re.compile(r"^!\[([^\]]*)\]\(([^()\s]+\.svg)\)$", re.MULTILINE)
_MARK = re.compile(r"^ *<!-- (?:not run:|the warehouse |Made by ).*-->\n", re.MULTILINE)
_CODE = re.compile(r"^(```+)\w*\n.*?^\1$|`[^`\n]+`", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that stand outside of `docs/`."""
    for source, page in PAGES.items():
        text = (ROOT / source).read_text("utf-8")
        content = example(source, text) if source.endswith(".py") else text
        files.append(File.generated(config, page, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Make a page of the checkout one of the site."""
    path = page.file.src_uri
    source = next((source for source, made in PAGES.items() if made == path), f"docs/{path}")
    markdown = _MARK.sub("", markdown)
    markdown = outside_of_code(markdown, lambda text: with_pictures(text, source))
    return outside_of_code(markdown, lambda text: with_links(text, source, path))


def example(source: str, text: str) -> str:
    """An example as a page: its docstring, and the whole of it."""
    docstring = ast.get_docstring(ast.parse(text)) or ""
    first, _, rest = docstring.partition("\n\n")
    title = PurePosixPath(source).stem.replace("_", " ")
    shown = re.sub(r"::$", ":", rest.strip(), flags=re.MULTILINE)
    code = text[text.index('"""', 3) + 3 :].lstrip("\n")
    return f"# Example: {title}\n\n{first}\n\n{shown}\n\n`{source}`:\n\n```python\n{code}```\n"


def outside_of_code(markdown: str, change: Callable[[str], str]) -> str:
    """Change what stands outside of code."""
    done, place = [], 0
    for code in _CODE.finditer(markdown):
        done += [change(markdown[place : code.start()]), code[0]]
        place = code.end()
    return "".join([*done, change(markdown[place:])])


def with_links(markdown: str, source: str, path: str) -> str:
    """Links as they are from one page of the site to another.

    Args:
        markdown: The text.
        source: The file that it stands in, by its path in the checkout.
        path: The page that it becomes, by its path in `docs/`.
    """

    def link(found: re.Match[str]) -> str:
        label, target = found[1], found[2]
        if re.match(r"[a-z]+:|#", target):
            return found[0]
        name, _, anchor = target.partition("#")
        there = normpath(PurePosixPath(source).parent / name)
        there, anchor = _instead(there, anchor)
        if there in PAGES:
            there = f"docs/{PAGES[there]}"
        if not there.startswith("docs/"):
            # It is a file of the checkout, which the site has not: its name is all there is to say.
            return label if label.startswith("`") else f"{label} (`{there}`)"
        target = relpath(there, PurePosixPath("docs", path).parent)
        return f"[{label}]({target}{anchor and '#'}{anchor})"

    return _LINK.sub(link, markdown)


def _instead(there: str, anchor: str) -> tuple[str, str]:
    if f"{there}#{anchor}" in INSTEAD:
        return INSTEAD[f"{there}#{anchor}"], ""
    return INSTEAD.get(there, there), anchor


def with_pictures(markdown: str, source: str) -> str:
    """Pictures that stand alone in a line, written into the page."""

    def picture(found: re.Match[str]) -> str:
        path = ROOT / PurePosixPath(source).parent / found[2]
        if not path.is_file():
            raise PluginError(f"{source} shows {found[2]}, which is not there")
        said = html.escape(found[1], quote=True)
        drawn = path.read_text("utf-8").replace("\n", "")
        drawn = drawn.replace("<svg ", f'<svg role="img" aria-label="{said}" ', 1)
        return f'<figure class="picture">{drawn}</figure>'

    return _PICTURE.sub(picture, markdown)
