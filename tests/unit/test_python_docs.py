"""The examples of docs/python.md, run as they stand."""

import doctest
import shutil

import pytest

from tests.golden.test_golden import GOLDEN
from tests.toolchain import ROOT

pytest.importorskip("pandas")


def test_the_examples_of_the_python_page(tmp_path, monkeypatch):
    shutil.copy(GOLDEN / "v1" / "values.zst", tmp_path / "trace.zst")
    monkeypatch.chdir(tmp_path)
    page = ROOT / "docs" / "python.md"
    failed, tried = doctest.testfile(
        str(page), module_relative=False, optionflags=doctest.IGNORE_EXCEPTION_DETAIL, encoding="utf-8"
    )
    assert failed == 0
    assert tried == page.read_text().count(">>> ")
