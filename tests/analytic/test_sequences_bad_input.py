"""Bad input to the sequence laws gives one error that names the argument, its value and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from analytic import sequences

CHAIN = sequences.MarkovSequence([0.5, 0.5], [[0.9, 0.1], [0.2, 0.8]], 3)
FLIP = [[0.9, 0.1], [0.2, 0.8]]
HALF = [0.5, 0.5]
PROFILE = sequences.InformationProfile(CHAIN)

CASES: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "pmf sum": (
        lambda: sequences.Enumerated([[0.2, 0.2], [0.2, 0.2]]),
        ValueError,
        r"pmf sums to 0\.8.*pass pmf /",
    ),
    "pmf shape": (
        lambda: sequences.Enumerated(np.full((2, 3), 1 / 6)),
        ValueError,
        r"pmf has shape \(2, 3\)",
    ),
    "pmf negative": (lambda: sequences.Enumerated([1.5, -0.5]), ValueError, r"pmf\[1\] is .*-0\.5.*>= 0"),
    "pmf nan": (lambda: sequences.Enumerated([np.nan, 1.0]), ValueError, r"pmf holds nan at index \(0,\)"),
    "pmf text": (lambda: sequences.Enumerated(["a", "b"]), TypeError, "pmf has dtype"),
    "pmf large": (lambda: sequences.Enumerated(np.zeros((129, 129, 129))), ValueError, "more than 2000000"),
    "product row": (
        lambda: sequences.Product([HALF, [0.5, 0.6]]),
        ValueError,
        r"pmf\[1\] sums to 1\.1.*divide",
    ),
    "product shape": (
        lambda: sequences.Product(HALF),
        ValueError,
        r"pmf has shape \(2,\); give shape \(length, v",
    ),
    "initial": (lambda: sequences.MarkovSequence([0.5, 0.4], FLIP, 3), ValueError, r"initial sums to 0\.9"),
    "initial shape": (lambda: sequences.MarkovSequence([HALF], FLIP, 3), ValueError, "initial has shape"),
    "transition": (
        lambda: sequences.MarkovSequence(HALF, [[0.9, 0.1], [0.2, 0.7]], 3),
        ValueError,
        r"transition\[1\] sums to 0\.89.*divide it",
    ),
    "transition shape": (
        lambda: sequences.MarkovSequence(HALF, np.tile(FLIP, (3, 1, 1)), 3),
        ValueError,
        r"transition has shape \(3, 2, 2\); give shape \(2, 2\) or \(2, 2, 2\)",
    ),
    "negative": (
        lambda: sequences.MarkovSequence(HALF, [[1.1, -0.1], HALF], 3),
        ValueError,
        r"transition\[0, 1\] is .*-0\.1.*must be >= 0",
    ),
    "length": (
        lambda: sequences.MarkovSequence(HALF, FLIP, 0),
        ValueError,
        "length is 0; give an integer >= 1",
    ),
    "length type": (lambda: sequences.MarkovSequence(HALF, FLIP, 2.5), TypeError, "length is 2.5"),
    "emission": (
        lambda: sequences.HiddenMarkov(HALF, FLIP, [[0.5, 0.5]], 3),
        ValueError,
        r"emission has shape \(1, 2\); give shape \(2, vocabulary\)",
    ),
    "second order length": (
        lambda: sequences.SecondOrderMarkov(HALF, FLIP, [FLIP, FLIP], 1),
        ValueError,
        "length is 1; give an integer >= 2",
    ),
    "second order": (
        lambda: sequences.SecondOrderMarkov(HALF, FLIP, FLIP, 4),
        ValueError,
        r"transition has shape \(2, 2\); give shape \(2, 2, 2\)",
    ),
    "hidden entropy": (
        lambda: sequences.HiddenMarkov(HALF, FLIP, FLIP, 40).entropy(),
        ValueError,
        r"2\*\*40.*average -log_probability",
    ),
    "two roots": (lambda: sequences.Tree([-1, -1], HALF, FLIP), ValueError, "parents has 2 roots"),
    "no root": (lambda: sequences.Tree([1, 0], HALF, FLIP), ValueError, "parents has 0 roots"),
    "cycle": (lambda: sequences.Tree([-1, 2, 1], HALF, FLIP), ValueError, r"parents\[1\] is 2, on a cycle"),
    "parent": (lambda: sequences.Tree([-1, 5], HALF, FLIP), ValueError, r"parents\[1\] is 5; give a site"),
    "parent type": (lambda: sequences.Tree([-1, 0.5], HALF, FLIP), TypeError, "parents is"),
    "strip": (
        lambda: sequences.PottsStrip(20, 20, 2, 1.0),
        ValueError,
        r"2\*\*20 column states.*shorter side",
    ),
    "coupling": (lambda: sequences.PottsStrip(2, 3, 2, 1e4), ValueError, "coupling is 10000.0.*weaker"),
    "coupling shape": (lambda: sequences.PottsStrip(2, 3, 2, HALF), ValueError, "coupling has shape"),
    "field": (lambda: sequences.PottsStrip(2, 3, 2, 1.0, [1.0] * 3), ValueError, r"field has shape \(3,\)"),
    "likelihood shape": (
        lambda: CHAIN.both(np.ones((3, 2))),
        ValueError,
        r"likelihood has shape .*\(n, 3, 2\)",
    ),
    "likelihood negative": (
        lambda: CHAIN.posterior(np.full((1, 3, 2), -1.0)),
        ValueError,
        r"likelihood\[0, 0, 0\] is -1\.0",
    ),
    "likelihood nan": (lambda: CHAIN.cavity(np.full((1, 3, 2), np.nan)), ValueError, "is nan; give finite"),
    "likelihood type": (lambda: CHAIN.cavity(np.full((1, 3, 2), "a")), TypeError, "likelihood has dtype"),
    "likelihood empty": (
        lambda: CHAIN.log_evidence([[[1, 1], [0, 0], [1, 1]]]),
        ValueError,
        r"likelihood\[0, 1\] is zero for every token.*row 0",
    ),
    "tokens range": (
        lambda: CHAIN.log_probability([[0, 1, 2]]),
        ValueError,
        r"tokens\[0, 2\] is 2; .* 0 to 1",
    ),
    "tokens shape": (lambda: CHAIN.log_probability([0, 1, 1]), ValueError, r"tokens has shape \(3,\)"),
    "tokens ragged": (lambda: CHAIN.log_probability([[0], [1, 1]]), ValueError, "tokens is ragged"),
    "tokens type": (lambda: CHAIN.log_probability([[0.0, 1.0, 1.0]]), TypeError, "tokens has dtype float64"),
    "masked range": (
        lambda: CHAIN.masked_posterior([[0, 1, 3]]),
        ValueError,
        r"tokens\[0, 2\] is 3.*the mask",
    ),
    "reveal": (lambda: sequences.reveal([0, 1], 2), ValueError, r"tokens has shape \(2,\)"),
    "kernel": (
        lambda: CHAIN.score_ratios([[0, 0, 0]], np.eye(3)),
        ValueError,
        r"kernel has shape \(3, 3\); give shape \(2, S\)",
    ),
    "kernel tokens": (lambda: CHAIN.score_ratios([[0, 0, 2]], FLIP), ValueError, "kernel has 2 states"),
    "site": (lambda: CHAIN.marginal(3), ValueError, "site is 3; the sequence has sites 0 to 2"),
    "order": (lambda: CHAIN.ngram(4), ValueError, "order is 4 but sequences have length 3"),
    "order zero": (lambda: CHAIN.ngram(0), ValueError, "order is 0"),
    "order large": (
        lambda: sequences.MarkovSequence(HALF, FLIP, 50).ngram(21),
        ValueError,
        r"2\*\*21 entries; give a lower order",
    ),
    "pmf of long": (
        lambda: sequences.MarkovSequence(HALF, FLIP, 21).pmf(),
        ValueError,
        r"2\*\*21 sequences.*use log_probability",
    ),
    "n": (lambda: CHAIN.sample(-1), ValueError, "n is -1"),
    "seed": (lambda: CHAIN.sample(1, seed=2**128), ValueError, "seed is .*below"),
    "seed type": (lambda: CHAIN.posterior_sample(np.ones((1, 3, 2)), seed=0.5), TypeError, "seed is 0.5"),
    "profile law": (
        lambda: sequences.InformationProfile(sequences.Product([HALF])),
        TypeError,
        "law is Product",
    ),
    "profile in time": (
        lambda: sequences.InformationProfile(sequences.MarkovSequence(HALF, [FLIP, FLIP], 3)),
        ValueError,
        "give one matrix for all steps",
    ),
    "shares": (lambda: PROFILE.entropy([0.5, 1.5]), ValueError, r"revealed\[1\] is 1\.5"),
    "shares shape": (lambda: PROFILE.slope(0.5), ValueError, r"revealed has shape \(\)"),
    "schedule": (lambda: PROFILE.step_costs([0.5, 0.2]), ValueError, r"revealed is \[0\.5, 0\.2\]"),
    "text": (lambda: sequences.from_text(b"abc"), TypeError, "text is a bytes"),
    "text empty": (lambda: sequences.from_text(""), ValueError, "text is ''"),
    "text order": (lambda: sequences.from_text("abc", order=3), ValueError, "order is 3; give 1 or 2"),
    "smoothing": (lambda: sequences.from_text("abc", smoothing=1.5), ValueError, "smoothing is 1.5"),
    "character": (
        lambda: sequences.from_text("abc", alphabet="ab"),
        ValueError,
        r"text has 'c' at position 2, which alphabet 'ab' lacks; add it",
    ),
    "alphabet": (lambda: sequences.encode("a", "aa"), ValueError, "alphabet is 'aa'; .*each once"),
    "alphabet type": (lambda: sequences.encode("a", ["a"]), TypeError, "alphabet is a list"),
    "decode": (lambda: sequences.decode([[0, 3]], "ab"), ValueError, "tokens run from 0 to 3"),
    "decode shape": (lambda: sequences.decode([0, 1], "ab"), ValueError, "tokens has shape"),
    "decode type": (lambda: sequences.decode([[0.5]], "ab"), TypeError, "tokens has dtype"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_named_with_its_remedy(case: str) -> None:
    call, kind, message = CASES[case]
    with pytest.raises(kind, match=message):
        call()


def test_sums_may_be_off_by_rounding_alone() -> None:
    for size in (1e-13, -1e-13):
        sequences.Enumerated([0.5, 0.5 + size])
        sequences.Product([[0.5, 0.5 + size]])
    for size in (1e-11, -1e-11):
        with pytest.raises(ValueError, match="pmf sums to"):
            sequences.Enumerated([0.5, 0.5 + size])
        with pytest.raises(ValueError, match=r"pmf\[0\] sums to"):
            sequences.Product([[0.5, 0.5 + size]])
