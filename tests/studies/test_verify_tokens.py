"""Verification of samplers of tokens: sound steps pass, each fault is found, mutants of the catalogue are caught."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analytic import sequences
from solvers import catalogue
from studies.verify import TOKEN_CHECKS, TokenSubject, parametrize_with_checks
from studies.verify.contract import FAILED, NOT_ASKED, PASSED
from studies.verify.named import subject_of
from studies.verify.token_checks import _tails
from studies.verify.token_subject import NOISES, marginal, posterior, states_of
from tests.studies import broken_steps as broken
from tests.studies.score import of_token_method
from tests.studies.token_mutants import MUTATED, is_no_fault

SOUND = [
    TokenSubject("masked", exact=True, nfe=1, given=broken.masked()),
    TokenSubject("uniform", "uniform", nfe=1, given=broken.uniform()),
    TokenSubject("midway", "uniform", given=broken.uniform("middle")),
    TokenSubject("drawn", exact=True, given=broken.drawn()),
    TokenSubject("gumbel", given=broken.drawn("float64")),
    TokenSubject("gibbs", corrector=True, given=broken.gibbs()),
    TokenSubject("one by one", jumps=2, given=broken.masked()),
]
FAULTS: list[tuple[Any, dict[str, Any], str, str]] = [
    (broken.masked(keep=0.97), {}, "limit", "slightly wrong"),
    (broken.masked(keep=0.97), {"exact": True}, "order, one site", "claimed exact"),
    (broken.masked(ordered=True), {"exact": True}, "sites", "differently"),
    (broken.masked(unmask=True), {}, "order, one site", ""),
    (broken.masked(total=0.999), {}, "probabilities", "sums are off by 1.0e-03"),
    (broken.masked(), {"jumps": 1}, "jumps", "up to 2, claimed 1"),
    (broken.uniform("outside"), {"noise": "uniform"}, "evaluations", "from t = 0.5 to 0.4 at 0.36"),
    (broken.drawn("float32"), {}, "rare tokens", "float32"),
    (broken.drawn(rows=broken.masked(keep=0.9)), {}, "order, one site", "chi-square"),
    (broken.careless("twice"), {"nfe": 1}, "evaluations", "2 a step, claimed 1"),
    (broken.careless("input"), {}, "inputs", "changed: x"),
    (broken.careless("batch"), {}, "batch", "batched with"),
    (broken.careless("state"), {}, "reproducible", "kept between calls"),
    (broken.careless("shape"), {}, "result", "(16, 2, 3) for (16, 2, 4)"),
    (broken.gibbs(mean=True), {"corrector": True}, "invariance", "does not leave the marginal"),
]


@parametrize_with_checks(SOUND)
def test_sound_steps_pass(subject: TokenSubject, check: Any) -> None:
    finding = check(subject)
    assert finding.result in (PASSED, NOT_ASKED), f"{finding.found}; {finding.means}"
    # only what does not apply is not asked
    asked = {"gibbs": {"invariance"}, "one by one": {"jumps"}, "gumbel": {"rare tokens"}}
    if check.name in asked.get(subject.where, set()):
        assert finding.result == PASSED


@pytest.mark.parametrize(("step", "claims", "by", "hint"), FAULTS, ids=range(len(FAULTS)))
def test_each_fault_is_found(step: Any, claims: dict[str, Any], by: str, hint: str) -> None:
    finding = TOKEN_CHECKS[by](TokenSubject("broken", given=step, **claims))
    assert finding.result == FAILED, finding.found
    assert hint in f"{finding.found}; {finding.means}"


@pytest.mark.parametrize("noise", NOISES)
def test_posterior_and_marginal_are_those_of_the_laws_themselves(noise: str) -> None:
    rng = np.random.default_rng(1)
    data = sequences.Enumerated((w := rng.random((3, 3, 3))) / w.sum())
    process = NOISES[noise](3)
    size = int(process.states)
    q = np.asarray(process.transition(0, 0.4))[:3]
    joint = np.einsum("abc,ax,by,cz->abcxyz", data.pmf(), q, q, q)
    np.testing.assert_allclose(marginal(data, process, 0.4), joint.sum(axis=(0, 1, 2)), atol=1e-15)
    x = states_of(size, 3)
    found = posterior(data, process, x[::7], 0.4)
    second = joint.sum(axis=(0, 2)).reshape(3, -1)[:, ::7]
    np.testing.assert_allclose(found[:, 1], (second / second.sum(axis=0)).T, atol=1e-14)


def test_weights_make_up_for_the_tails_that_are_drawn() -> None:
    """Weighed, draws are uniform: in the mean, and in tails that 200,000 uniform numbers never reach."""
    weight, uniform = _tails(0)
    u = uniform((200_000, 3))
    w = weight()
    for event, probability in (
        (np.ones(len(u)), 1.0),
        (u[:, 0] < 0.3, 0.3),
        (u[:, 1] < 1e-9, 1e-9),
        (u[:, 2] > 1 - 1e-8, 1e-8),
    ):
        shares = w * event / probability
        assert abs(shares.mean() - 1) < 5 * shares.std() / np.sqrt(len(u))
        assert shares.std() / np.sqrt(len(u)) < 0.05  # plain draws see nothing there


@pytest.mark.slow
@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("name", sorted(catalogue.discrete))
def test_no_check_gives_a_false_alarm_over_the_catalogue(name: str, noise: str) -> None:
    subject = subject_of(name, noise=noise)
    assert isinstance(subject, TokenSubject)
    failed = [f for check in TOKEN_CHECKS.values() if (f := check(subject)).result == FAILED]
    # claims order 2 of a step whose positive part is never needed, which here it is
    lost = {"order, two sites", "limit"} if name == "theta-trapezoidal" else set()
    assert {f.check for f in failed} <= lost, failed


QUICK = [("tau-leaping", "masked"), ("tweedie-tau-leaping", "uniform")]


@pytest.mark.parametrize(
    ("name", "noise"),
    [*QUICK, *(pytest.param(*case, marks=pytest.mark.slow) for case in MUTATED if case not in QUICK)],
)
def test_mutants_of_moves_are_caught_but_for_those_that_are_no_faults(name: str, noise: str) -> None:
    found = list(of_token_method(name, noise))
    assert len(found) > 10
    left = [mutant for mutant, caught in found if not caught]
    assert [mutant.fault for mutant in left if not is_no_fault(mutant, noise)] == []


def test_a_file_with_a_step_is_verified_as_one(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import numpy as np\n\norder, exact, nfe = 1, True, 1\n\n"
        "def sampler(posterior, x, t, s, keep=1.0):\n"
        "    law = posterior(x, t)\n"
        "    V, stay = law.shape[-1], keep * s / t\n"
        "    rows = np.concatenate([law * (1 - stay), np.full((*x.shape, 1), stay)], axis=-1)\n"
        "    return np.where((x == V)[..., None], rows, np.eye(V + 1)[x])\n"
    )
    subject = subject_of(str(file))
    assert isinstance(subject, TokenSubject)
    assert (subject.order, subject.exact, subject.nfe, subject.noise) == (1, True, 1, "masked")
    assert TOKEN_CHECKS["order, one site"](subject).found == "exact"
    wrong = subject_of(f"{file}:sampler(keep=0.98)")
    assert TOKEN_CHECKS["limit"](wrong).result == FAILED
    with pytest.raises(ValueError, match="noise of the step is 'mask'"):
        subject_of(str(file), noise="mask")
