"""The pages are for a reader: short sentences, wrapped lines, numbers in tables.

Checked are README.md, CONTRIBUTING.md, SECURITY.md and docs/*.md. The laboratory notebook
(docs/notebook/) and the changelog are records, and are not.

**A measured number** is what a run, a clock or a balance gave. Every numeral in prose counts as
one, unless the text shows that somebody named or chose it:

- it stands in a code span, in the target of a link, in a heading, or numbers an item of a list;
- it touches a letter (CIFAR-10, float32, 8-bit, 3-channel);
- it is a date or a year, or follows one of `NAMES` (a version, a citation, a level of a list);
- it is a size that an option or a recipe takes: a unit of `CHOSEN` follows, and it has no point.

A number word counts as well where a unit of `MEASURED` follows ("two minutes", "four times").
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
    + list((ROOT / "docs").glob("*.md"))
)
MAX_WORDS, MAX_NUMBERS, MAX_WIDTH = 25, 2, 100

#: What a number may follow without being measured.
NAMES = (
    "Python|TensorFlow|Keras|PostgreSQL|Milvus|Ray|Pillow|FAISS|Apache|opset|SHA|HTTP|UTF|"
    "arXiv|doi|AAAI|CVPR|ICCV|ICLR|ICML|NeurIPS|NIPS|pp\\.|"
    "seeds?|step|figures?|exit codes?|status|port|version"
)
#: Units of what somebody sets.
CHOSEN = (
    "bits?|px|labels?|classes|seeds?|cores?|threads?|devices?|neighbours|epochs?|dimensions|"
    "logical CPUs|megapixels|MiB"
)
#: Units of what is measured.
MEASURED = "%|percent|points?|times|seconds?|s|ms|minutes?|min|hours?|h|days?|kB|MB|GB|bytes?"
WORDS = (
    "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty|fifty|"
    "sixty|hundred|thousand|half a"
)
NUMERAL = re.compile(r"(?<![\w.,-])\.?\d+(?:,\d{3})*(?:\.\d+)*(?!\w)")
#: What may stand between a number and its unit: more numbers of the same list or range.
LIST = r"(?:\s*(?:,|to|and|or|/|×|x|-)\s*[\d,.]*\d)*"
ABBREVIATIONS = re.compile(r"\b(?:et al|e\.g|i\.e|pp|cf|vs|No)\.")


def paragraphs(text: str) -> list[tuple[int, str]]:
    """Prose of a page, an item of a list apart, with the number of its first line.

    Code, tables and headings are left out.
    """
    found, lines, start, fenced = [], [], 0, False

    def end():
        if lines:
            found.append((start, " ".join(lines)))
        lines.clear()

    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
            end()
        elif fenced or not line.strip() or line.startswith(("|", "#", "<!--")):
            end()
        elif not lines and line.startswith("    "):
            continue  # code by indentation
        else:
            item = re.match(r"\s*(?:[-*]|\d+\.)\s+(.*)", line)
            if item:
                end()
            if not lines:
                start = number
            lines.append(item[1] if item else line.strip())
    end()
    return found


def plain(prose: str) -> str:
    """Prose without the targets of links; a code span is one word."""
    prose = re.sub(r"`[^`]*`", "CODE", prose)
    prose = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", prose)
    return re.sub(r"<?https?://\S+", "LINK", prose).replace("*", "").replace("_", "")


def sentences(prose: str) -> list[str]:
    """Cut at a full stop, question or exclamation mark before what can begin a sentence."""
    whole = ABBREVIATIONS.sub(lambda found: found[0].replace(".", "\0"), plain(prose))
    return re.split(r"(?<=[.!?])[\")]*\s+(?=[\"(]?[A-Z0-9])", whole)


def words(sentence: str) -> int:
    """Tokens with a letter or a digit."""
    return sum(any(c.isalnum() for c in token) for token in sentence.split())


def measured(prose: str) -> list[str]:
    """The measured numbers of a paragraph, by the rule at the top of this file."""
    text = plain(prose)
    text = re.sub(r"\b\d{4}-\d\d-\d\d\b|(?<![\d.,])(?:19|20)\d\d(?![\d,]|\.\d)", "DATE", text)
    text = re.sub(
        rf"\b(?:{NAMES})[ -]v?[\d.]+\w*(?:\s*(?:,|to|and|or|/)\s*[\d.]*\d)*", "NAME", text
    )
    found = []
    for match in NUMERAL.finditer(text):
        rest = text[match.end() :]
        chosen = re.match(rf"{LIST}[\s-]*(?:{CHOSEN})\b", rest)
        if not chosen or "." in match[0].rstrip(".,"):
            found.append(match[0])
    found += re.findall(rf"\b(?:{WORDS})\b(?= (?:{MEASURED})\b)", text, flags=re.I)
    return found


def faults(text: str) -> list[str]:
    """What is wrong with a page, a line each."""
    found, fenced = [], False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        short = re.sub(r"\]\([^)]*\)|<?https?://\S+", "", line)
        if not fenced and not line.startswith("|") and len(short) > MAX_WIDTH:
            found.append(f"{number}: {len(short)} characters")
    for number, prose in paragraphs(text):
        for sentence in sentences(prose):
            if words(sentence) > MAX_WORDS:
                found.append(f"{number}: {words(sentence)} words: {sentence}")
        numbers = measured(prose)
        if len(numbers) > MAX_NUMBERS:
            found.append(f"{number}: measured numbers {', '.join(numbers)}")
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page(page):
    assert faults(page.read_text(encoding="utf-8")) == []


def test_readme_is_short_and_shows_python_early():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 170
    assert lines.index("```python") < 40


@pytest.mark.parametrize(
    ("prose", "numbers"),
    [
        ("It reached .765 and 0.763 ± 0.007.", [".765", "0.763", "0.007"]),
        ("A step takes 139 to 144 ms, 4.0 times the other.", ["139", "144", "4.0"]),
        ("It found 355 pairs among 50,000 photos, 3 % of them.", ["355", "50,000", "3"]),
        ("Two minutes, or four times as long.", ["Two", "four"]),
        ("A code of 48 bits at 224 px; 12, 24 or 48 bits; 2.5 bits.", ["2.5"]),
        ("CIFAR-10 in float32 on Python 3.11 to 3.13, CVPR 2018, 2026-11-25, in 2003.", []),
        ("Set `train.joint=60`; see [8.5 times](page.md#3).", ["8.5"]),
        ("Three seeds on 2 cores; seeds 0 / 1 / 2.", []),
    ],
)
def test_measured_numbers(prose, numbers):
    assert measured(prose) == numbers


def test_each_fault_is_found():
    long = " ".join(["word"] * 26) + "."
    assert faults(long.replace(" ", "\n")) == [f"1: 26 words: {long}"]
    assert faults("\n".join(["word"] * 25) + ".\nAnother `code span of many words`.") == []
    assert faults("x" * 101) == ["1: 101 characters"]
    assert faults("[" + "x" * 60 + "](" + "y" * 60 + ")\n\n| " + "x" * 101 + " |") == []
    assert faults("```\n" + "x " * 60 + ".1 .2 .3\n```\n\n| .1 | .2 | .3 |\n") == []
    assert faults("# .1 .2 .3\n\nHere .1\nand .2, and .3.") == ["3: measured numbers .1, .2, .3"]
    assert faults("- .1 and .2\n- .3 and .4\n\n1. One of .5\n2. Two of .6 and .7.") == []


def test_sentences_end_where_they_end():
    assert len(sentences("By Jin et al. in arXiv. It is .5. `Code` begins one? Yes.")) == 4
    assert len(sentences("Version 3.11 of it, e.g. Python. (An aside. Two.) End.")) == 4
