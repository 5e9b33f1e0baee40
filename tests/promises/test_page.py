"""The table of promises names tests that are there, and figures of the results that are kept."""

from __future__ import annotations

import pytest

from tests.promises.page import PAGE, PROMISES, ROOT, Promise, made


def test_the_page_says_what_the_results_say() -> None:
    assert made(PAGE.read_text()) == PAGE.read_text()


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.words[:40])
def test_a_promise_names_tests_that_are_there(promise: Promise) -> None:
    assert [test for test in promise.tests if not (ROOT / "tests" / test).is_file()] == []
