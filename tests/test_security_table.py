"""`docs/security.md` names a test for every claim, and each of them is there."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (TESTS.parent / "docs/security.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| what |")
]


def test_there_are_claims():
    assert len(ROWS) > 20


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_claim_has_tests_that_exist(row):
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", row[2])
    assert named, row
    for file, name in named:
        assert re.search(rf"def {name}\(", (TESTS / file).read_text(encoding="utf-8")), f"{file}::{name}"
