"""The ODE-SDE gap with learned scores."""

from dataclasses import replace

import numpy as np
import pytest

from analytic import distances, targets
from studies.engine import run
from studies.learned import figure, fokker_planck, measure, study, tables, training
from studies.learned.measure import EXACT, LearnedGap, exact_score
from studies.learned.networks import Network, OrnsteinUhlenbeck, shipped
from studies.learned.study import LearnedGaps
from studies.output import figures
from studies.store import Store

RECORD = LearnedGap(
    network="some",
    objective="score matching",
    penalty=0.0,
    ode_truth=0.012,
    ode_truth_error=0.001,
    sde_truth=0.004,
    sde_truth_error=1e-4,
    ode_sde=0.01,
    ode_sde_error=0.001,
    kl_sde_truth=0.01,
    kl_ode_sde=0.03,
    kl_ode_sde_error=0.01,
    score_error=0.04,
    times=(0.1, 1.0),
    score_errors=(0.2, 0.1),
    residual=5.0,
    kl_bound=0.3,
    gronwall_bound=1e6,
    transport_bound=5.0,
    steps_error=1e-5,
    samples_apart=1.0,
)


def test_the_exact_score_is_that_of_the_marginal():
    path, x, t, h = OrnsteinUhlenbeck(), np.random.default_rng(0).normal(size=(20, 2)), 0.4, 1e-5
    marginal = targets.load("nine-2d").noised(float(path.alpha(t)), float(path.sigma(t)))
    slopes = [
        (marginal.log_density(x + h * e) - marginal.log_density(x - h * e)) / (2 * h) for e in np.eye(2)
    ]
    np.testing.assert_allclose(exact_score(x, t), np.stack(slopes, 1), atol=1e-6)


def test_with_the_exact_score_samplers_end_at_the_truth():
    # false alarms: 2 in 10^4 for the SDE's fourteen means; the ODE's points are far more even than random ones
    target = targets.load("nine-2d")
    truth = fokker_planck.of(measure._setting()[2])
    ode = measure.ode_samples(target, 2048, 0)
    assert fokker_planck.sinkhorn_divergence(fokker_planck.shared_out(ode), truth) < 2e-3
    assert measure.samples_apart(measure.sde_samples(target, 2048, 0), truth) < 4.5


def test_a_sign_error_in_a_network_is_seen():
    network = shipped()["score-matching"]
    W, b = network.layers[-1]
    wrong = Network("potential", [*network.layers[:-1], (-W, b)], network.made)
    truth = fokker_planck.of(measure._setting()[2])
    right, turned = (
        fokker_planck.sinkhorn_divergence(
            fokker_planck.shared_out(measure.ode_samples(n.denoiser(), 1024, 0)), truth
        )
        for n in (network, wrong)
    )
    assert right < 0.02
    assert turned > 0.3


@pytest.mark.parametrize("name", ["score-matching", "flow-matching"])
def test_run_samples_the_law_that_the_grid_carries(name):
    # two routes to one network's SDE law: samples by an executor, and the Fokker-Planck equation
    network = shipped()[name]
    (law,) = fokker_planck.end_densities(network.score, (1.0,), size=80)
    x = measure.sde_samples(network.denoiser(), 4096, 3)
    assert measure.samples_apart(x, law) < 4.5
    moved = fokker_planck.shared_out(x + np.array([0.15, 0.0]), 80)
    assert measure.samples_apart(x, moved) > 4.5


def test_score_errors_are_those_of_monte_carlo():
    path = OrnsteinUhlenbeck()
    shift = np.array([0.3, -0.4])
    times, errors = measure._score_errors(lambda x, t: exact_score(x, t) + shift * t, 5)
    np.testing.assert_allclose(errors, 0.25 * times**2, rtol=1e-6)
    network = shipped()["penalty-1"]
    times, errors = measure._score_errors(network.score, 5)
    for t, error in zip(times[:2], errors[:2], strict=True):
        x = targets.load("nine-2d").noised(float(path.alpha(t)), float(path.sigma(t))).sample(20_000, seed=1)
        squares = ((network.score(x, float(t)) - exact_score(x, float(t))) ** 2).sum(1)
        assert abs(squares.mean() - error) < 4.5 * squares.std() / np.sqrt(len(x))


def test_a_bound_that_fails_is_said():
    assert RECORD.holds
    assert RECORD.bound == 5.0
    assert not replace(RECORD, transport_bound=0.05, gronwall_bound=0.06).holds
    assert not replace(RECORD, kl_bound=0.01).holds
    assert tables.table([replace(RECORD, kl_bound=0.01)])["holds"][0] == "NO"


def test_the_interval_is_students_over_scrambles_plus_what_pooling_changes():
    # shifts of one point set: squared W2 from the set itself is the squared shift
    base = targets.load("nine-2d").sample(2048, seed=0)
    shifts = np.array([0.4, 0.5, 0.6])
    groups = [base + np.array([shift, 0.0]) for shift in shifts]
    law = fokker_planck.shared_out(base)
    value, half = measure._with_interval(fokker_planck.shared_out(groups[1]), groups, law)
    squares = shifts**2
    student = 4.30265 * squares.std(ddof=1) / np.sqrt(3)  # 0.975 quantile, two degrees of freedom
    expected = student + abs(squares.mean() - squares[1]) + fokker_planck.RELATIVE * value
    assert value == pytest.approx(0.25, rel=5e-3)
    assert half == pytest.approx(expected, rel=0.03)


def test_the_table_has_a_row_a_network_and_the_published_numbers():
    frame = tables.table([RECORD, replace(RECORD, network="other", penalty=1.0)])
    assert list(frame["score"]) == ["some", "other", "Deveney et al., no penalty"]
    assert frame["ODE-truth"][0] == "12.00±1.00"
    assert frame["W2 bound / W2"][0] == pytest.approx(50)
    assert frame["SDE-truth"][2] == "3"


def test_the_figure_shows_networks_of_known_penalty(tmp_path):
    records = [replace(RECORD, penalty=w) for w in (1.0, 0.0, 0.1)] + [replace(RECORD, penalty=np.nan)]
    assert figures.save(figure.figure(records), tmp_path / "a.svg").stat().st_size > 1000
    with pytest.raises(ValueError, match="nothing to draw"):
        figure.figure(records[3:])


def test_every_network_is_a_cell_and_its_own_weights_are_in_the_key(monkeypatch, tmp_path):
    asked = []

    def quick(name, network, samples, seed):
        asked.append((name, None if network is None else network.kind))
        return replace(RECORD, network=name)

    monkeypatch.setattr(study, "measure", quick)
    store = Store(tmp_path)
    assert [r.network for r in run(LearnedGaps(), store)] == [EXACT, *training.RECIPES]
    assert asked[0] == (EXACT, None)
    assert len(asked) == 1 + len(training.RECIPES)
    network = shipped()["score-matching"]
    W, b = network.layers[-1]
    changed = Network(network.kind, [*network.layers[:-1], (1.01 * W, b)], network.made)
    for layers, measured in ((network, 0), (changed, 1)):
        before = len(asked)
        found = run(LearnedGaps({"score-matching": layers}), store)
        assert len(asked) - before == measured
        assert [r.network for r in found] == [EXACT, "score-matching"]
    assert list(LearnedGaps().verdicts([RECORD, replace(RECORD, kl_bound=0.01)])) == ["confirmed", "refuted"]


def test_trained_networks_are_kept_and_stale_ones_are_not(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    small = training.Recipe(width=4, depth=1, iterations=3, batch=8)
    monkeypatch.setitem(training.RECIPES, "score-matching", small)
    first = study.trained("score-matching", tmp_path)
    monkeypatch.setattr(study, "train", None)  # must not be called again
    again = study.trained("score-matching", tmp_path)
    np.testing.assert_array_equal(first.layers[0][0], again.layers[0][0])
    monkeypatch.setitem(training.RECIPES, "score-matching", replace(small, seed=1))
    with pytest.raises(TypeError):
        study.trained("score-matching", tmp_path)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="give one of them"):
        LearnedGaps({}, retrain=True)
    with pytest.raises(ValueError, match="samples is 1000"):
        LearnedGaps(samples=1000)


@pytest.mark.slow
def test_the_gap_has_the_published_shape_and_every_bound_holds():
    network = shipped()["score-matching"]
    free, held = (measure.measure(name, shipped()[name]) for name in ("score-matching", "penalty-1"))
    assert free.ode_truth - free.ode_truth_error > 2 * free.sde_truth
    assert held.ode_sde < free.ode_sde / 2
    assert held.sde_truth > 2 * free.sde_truth
    assert free.holds
    assert held.holds
    # exact transport of samples, less what two samples of one law are apart
    gaps = []
    for k in range(8):
        a, b = (measure.ode_samples(network.denoiser(), 1024, 10 + 2 * k + i) for i in (0, 1))
        x, y = (measure._setting()[2].sample(1024, seed=20 + 2 * k + i) for i in (0, 1))
        w2 = [distances.w2_samples(*pair).value ** 2 for pair in ((a, x), (a, b), (x, y))]
        gaps.append(w2[0] - (w2[1] + w2[2]) / 2)
    # the correction overshoots where laws differ by less than samples do; four standard errors and the sampling noise
    assert abs(np.mean(gaps) - free.ode_truth) < 4 * np.std(gaps) / np.sqrt(7) + 0.01
