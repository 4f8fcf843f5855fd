"""The documentation as the tests read it: its pages, links and code blocks."""

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

from tests.paths import ROOT

README = ROOT / "README.md"
DOCS = ROOT / "docs"
CLIENTS = [ROOT / "clients" / name / "README.md" for name in ("python", "typescript", "contract")]
PAGES = [README, *sorted(DOCS.rglob("*.md")), *CLIENTS]
FOLDERS = ("service", "models", "export", "clients", "tests", "deploy", "benchmarks", "docs")


def page_name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def links(page: Path) -> list[str]:
    """The targets of its links and pictures, without those of other sites."""
    text = page.read_text("utf-8")
    found = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'\bsrc(?:set)?="([^"]+)"', text)
    return [target for target in found if "://" not in target]


def named_paths(page: Path) -> list[str]:
    """The files and folders of the repository that it names in backticks."""
    return re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w./*-]*)`", page.read_text("utf-8"))


def anchors(page: Path) -> set[str]:
    """What may stand behind # in a link to it: its headings, as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def blocks(page: Path, language: str) -> list[str]:
    """Its fenced code blocks in one language."""
    pattern = rf"^```{language}\n(.*?)^```"
    return re.findall(pattern, page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def block_with(page: Path, language: str, words: str) -> str:
    """The only such block that has ``words`` in it."""
    (found,) = [block for block in blocks(page, language) if words in block]
    return found


@dataclass(frozen=True)
class ShellBlock:
    """A fenced or an indented block, and the comment over it, which no reader of the page sees.

    ``mark`` is `run by <test>`, `not run: <reason>`, or empty: tests/docs/test_blocks.py runs it.
    """

    line: int
    mark: str
    text: str


def shell_blocks(page: Path) -> list[ShellBlock]:
    """Its blocks in a shell's language, and all indented ones."""
    block = re.compile(
        r"(?:^ *<!-- (?P<mark>[^\n]*) -->\n\n?)?"
        r"(?:^(?P<fence> *```)(?P<language>\w*)\n(?P<fenced>.*?)^ *```"
        r"|(?<=\n\n)(?P<indented>(?: {4,}\S[^\n]*\n)+))",
        re.MULTILINE | re.DOTALL,
    )
    text = page.read_text("utf-8")
    return [
        ShellBlock(
            line=text.count("\n", 0, found.end()),
            mark=found["mark"] or "",
            text=textwrap.dedent(found["fenced"] or found["indented"]),
        )
        for found in block.finditer(text)
        if found["indented"] or found["language"] in ("sh", "bash", "console")
    ]


def command_lines(page: Path) -> list[str]:
    """The lines of its shell blocks; those that go on are joined."""
    text = "".join(block.text for block in shell_blocks(page))
    return re.sub(r"\\\n\s*", " ", text).splitlines()
