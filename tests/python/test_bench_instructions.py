"""The gate of instruction counts: what it lets pass, and what it says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

from typing import TYPE_CHECKING

from instructions import OPERATIONS, Counted, closest, judge

if TYPE_CHECKING:
    from lines import Line

GCC, CLANG, ARM = "gcc 12.2.0, x86_64", "clang 14.0.6, x86_64", "gcc 12.2.0, aarch64"
BASELINE: dict[str, float | str] = {o.name: 100.0 for o in OPERATIONS} | {"libc": "glibc 2.36"}


def verdict(figure: float, compiler: str = GCC, base: float = 100.0) -> Line:
    """What is said of a sample that took so many instructions."""
    counted = Counted({o.name: 100.0 for o in OPERATIONS}, compiler, "glibc 2.36")
    counted.instructions["sample"] = figure
    sample, *others = judge(counted, {GCC: BASELINE | {"sample": base}})
    assert all(line.good for line in others)
    return sample


@pytest.mark.parametrize(("figure", "good"), [(50, True), (104.9, True), (105.1, False)])
def test_five_percent_more_are_too_many(figure: float, good: bool) -> None:
    assert verdict(figure).good is good


def test_a_change_in_either_direction_says_what_to_do() -> None:
    assert "--update" in verdict(106).reference
    assert "--update" in verdict(94).reference
    assert "--update" not in verdict(96).reference


def test_no_baseline_allows_more_than_the_absolute_limit() -> None:
    assert verdict(2499, base=2499).good is True
    assert verdict(2501, base=2499).good is False


@pytest.mark.parametrize("compiler", [CLANG, ARM])
def test_another_compiler_or_architecture_is_named_and_held_against_a_wider_limit(
    compiler: str,
) -> None:
    allowed = verdict(124, compiler)
    assert allowed.good is True
    assert f"none for {compiler}" in allowed.reference
    assert "25%" in allowed.reference
    assert verdict(126, compiler).good is False


def test_another_c_library_is_named() -> None:
    counted = Counted({o.name: 100.0 for o in OPERATIONS}, GCC, "glibc 2.41")
    assert all("here glibc 2.41" in line.reference for line in judge(counted, {GCC: BASELINE}))


def test_the_baseline_that_is_likest() -> None:
    known = [ARM, CLANG, GCC]
    assert closest(GCC, known) == GCC
    assert closest("gcc 14.1.0, x86_64", known) == GCC
    assert closest("clang 19.1.0, x86_64", known) == CLANG
    assert closest("clang 19.1.0, aarch64", known) == ARM
