#!/usr/bin/env python
"""Check what `make dist` has built: what is in it, and that it installs and runs.

  python scripts/check_dist.py dist                       look into the wheel and the sdist
  python scripts/check_dist.py dist --install base.lock   also install the wheel and run the demo

The wheel is installed into an environment of its own, with what the lock file names and nothing
else, and the demo is run in an empty folder.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]

# The names of files, or of folders on the way to them, that belong to the person who builds.
NEVER = (
    *("tests", "bench", "requirements", ".git", ".github", ".ci", ".venv*", "__pycache__"),
    *(".env", ".databrickscfg", ".netrc", "*.pem", "*.key", "*.p12", "*.pfx", "*.crt"),
    *("*.db", "*.db-*", "*.sqlite*", "*.duckdb*", "*.wal", "*.pyc", "*.log"),
)
# The tests of an example are a part of it.
SHOWN = "examples/shop/tests/"
# In no file of ours is there a secret, so a text that has the shape of one is one.
SECRETS = (
    re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}"),
    re.compile(rb"\bdapi[0-9a-f]{32}\b"),
    re.compile(rb"\bdose[0-9a-f]{32}\b"),
)
SDIST_NEEDS = (
    *("LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", "PKG-INFO"),
    *("vinci_code/__init__.py", "vinci_code/py.typed", "examples/earthquakes.jsonl"),
)
WHEEL_NEEDS = (
    *("vinci_code/__init__.py", "vinci_code/py.typed", "vinci_code/cli/data/earthquakes.jsonl"),
    *("METADATA", "entry_points.txt", "licenses/LICENSE"),
)


def wrong_names(names: Iterable[str]) -> list[str]:
    """Those of the names that have no place in a distribution."""
    return [
        name
        for name in names
        if any(
            fnmatch(part, never)
            for part in PurePosixPath(name.removeprefix(SHOWN)).parts
            for never in NEVER
        )
    ]


def wrong_contents(files: Mapping[str, bytes]) -> list[str]:
    """The names of the files that hold something with the shape of a secret."""
    return [name for name, data in files.items() if any(one.search(data) for one in SECRETS)]


def problems_of_wheel(files: Mapping[str, bytes]) -> Iterator[str]:
    """Say what is wrong with a wheel's files."""
    # vinci_code-1.0.dist-info/METADATA is METADATA here.
    names = {re.sub(r"^[^/]+\.dist-info/", "", name) for name in files}
    yield from (f"the wheel lacks {name}" for name in WHEEL_NEEDS if name not in names)
    yield from (f"the wheel holds {name}" for name in wrong_names(files))
    yield from (f"the wheel has a secret in {name}" for name in wrong_contents(files))
    tops = {name.partition("/")[0] for name in files}
    extra = sorted(top for top in tops if top != "vinci_code" and not top.endswith(".dist-info"))
    yield from (f"the wheel would install {top} beside vinci_code" for top in extra)
    metadata = [data for name, data in files.items() if name.endswith(".dist-info/METADATA")]
    yield from (
        f"README.md is shown elsewhere, where its link {link} leads nowhere"
        for data in metadata
        for link in relative_links(data.decode())
    )


def relative_links(metadata: str) -> list[str]:
    """The links of a README that lead to files beside it, once the project has an address."""
    headers, _, readme = metadata.partition("\n\n")
    if not re.search(r"^(Project-URL|Home-page):", headers, re.MULTILINE):
        return []
    links = re.findall(r"\]\(([^)\s]+)\)", readme)
    return [link for link in links if "://" not in link and not link.startswith("#")]


def problems_of_sdist(files: Mapping[str, bytes], docs: Iterable[str]) -> Iterator[str]:
    """Say what is wrong with an sdist's files; ``docs`` are the pages that it has to have."""
    # vinci_code-1.0/README.md is README.md here.
    names = {name.partition("/")[2]: data for name, data in files.items()}
    yield from (f"the sdist lacks {name}" for name in (*SDIST_NEEDS, *docs) if name not in names)
    yield from (f"the sdist holds {name}" for name in wrong_names(names))
    yield from (f"the sdist has a secret in {name}" for name in wrong_contents(names))


def problems_of_version(version: str, changelog: str, wheel: str, sdist: str) -> Iterator[str]:
    """Say where a version is stated that differs from the package's."""
    if not re.search(rf"^## {re.escape(version)} \(", changelog, re.MULTILINE):
        yield f"CHANGELOG.md has no section '## {version} (…)'"
    for name in (wheel, sdist):
        if not name.startswith((f"vinci_code-{version}-", f"vinci_code-{version}.tar")):
            yield f"{name} is not of version {version}"


def files_of_wheel(path: Path) -> dict[str, bytes]:
    """The files of a wheel, by name."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def files_of_sdist(path: Path) -> dict[str, bytes]:
    """The files of an sdist, by name."""
    found: dict[str, bytes] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            stream = archive.extractfile(member)
            if stream is not None:
                found[member.name] = stream.read()
    return found


def run_demo(wheel: Path, lock: Path) -> None:
    """Install the wheel and the lock file's packages alone, and run the demo in an empty folder."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        venv.create(home / "venv", with_pip=True)
        scripts = home / "venv" / ("Scripts" if os.name == "nt" else "bin")
        python = str(scripts / "python")
        pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        pip += ["--no-deps", "--only-binary", ":all:"]
        subprocess.run([*pip, "--require-hashes", "-r", str(lock)], check=True)
        subprocess.run([*pip, "--no-index", str(wheel)], check=True)
        work = home / "work"
        work.mkdir()
        # Nothing of the person who builds: no database, no workspace, no package on the path.
        kept = {"PATH", "SYSTEMROOT", "TEMP", "TMP", "LANG", "LC_ALL"}
        clean = {key: value for key, value in os.environ.items() if key.upper() in kept}
        clean |= {"HOME": name, "USERPROFILE": name, "PYTHONUTF8": "1"}
        subprocess.run([scripts / "vinci", "demo"], check=True, cwd=work, env=clean)


def only(folder: Path, pattern: str) -> Path:
    """The one file that fits; several mean that an older build is still there."""
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise SystemExit(f"{folder} must hold one {pattern}, and holds {names}")
    return found[0]


def main(arguments: list[str] | None = None) -> int:
    """Run the checks, and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the wheel and the sdist are")
    parser.add_argument("--install", type=Path, metavar="LOCK", help="install it, run the demo")
    options = parser.parse_args(arguments)
    wheel, sdist = only(options.folder, "*.whl"), only(options.folder, "*.tar.gz")
    source = (ROOT / "vinci_code" / "__init__.py").read_text("utf-8")
    version = source.partition('__version__ = "')[2].partition('"')[0]
    docs = [
        str(path.relative_to(ROOT).as_posix())
        for path in (ROOT / "docs").rglob("*")
        if path.is_file()
    ]
    problems = [
        *problems_of_wheel(files_of_wheel(wheel)),
        *problems_of_sdist(files_of_sdist(sdist), docs),
        *problems_of_version(
            version, (ROOT / "CHANGELOG.md").read_text("utf-8"), wheel.name, sdist.name
        ),
    ]
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        return 1
    if options.install is not None:
        run_demo(wheel.resolve(), options.install.resolve())
    print(f"{wheel.name} and {sdist.name} are as they should be")
    return 0


if __name__ == "__main__":
    sys.exit(main())
