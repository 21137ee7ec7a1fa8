"""The extension is built where it can be, and nobody fails where it cannot."""

import os
import shutil

import pytest

from gateway.native.build import SOURCE, build, built_file


@pytest.fixture
def folder(tmp_path):
    if not shutil.which("cc") and not shutil.which("gcc"):
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("there is no C compiler")
    return tmp_path


def test_it_is_built_once_and_again_only_after_its_source_has_changed(folder):
    assert build(folder).startswith(f"built {built_file(folder).name} with ")
    assert build(folder) == f"{built_file(folder).name} is up to date"
    os.utime(built_file(folder), (0, SOURCE.stat().st_mtime - 1))
    assert build(folder).startswith("built ")
    assert os.listdir(folder) == [built_file(folder).name]


def test_without_a_compiler_that_is_said(tmp_path):
    assert (
        build(tmp_path, compiler="no-such-compiler") == "there is no C compiler: frames are sent from Python"
    )


def test_a_compiler_that_fails_is_said_and_leaves_nothing(tmp_path):
    if not shutil.which("false"):
        pytest.skip("there is no program that fails")
    assert "could not be built, frames are sent from Python: exit 1" in build(tmp_path, compiler="false")
    assert os.listdir(tmp_path) == []
