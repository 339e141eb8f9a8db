"""Networks: derivatives carried through the layers, conversions, training, checkpoints."""

from dataclasses import asdict, replace
from itertools import pairwise

import numpy as np
import pytest

from analytic import paths, targets
from studies.learned import networks, training
from studies.learned.networks import Network, OrnsteinUhlenbeck, jets, load, shipped

SMALL = training.Recipe(width=8, depth=2, iterations=40, batch=64, points=32)


def some_network(kind, seed=0, width=7):
    random = np.random.default_rng(seed)
    sizes = [networks.FEATURES, width, width, 1 if kind == "potential" else 2]
    layers = [(random.normal(size=(out, into)), random.normal(size=out)) for into, out in pairwise(sizes)]
    return Network(kind, layers, {})


X = np.random.default_rng(5).normal(size=(30, 2))


def test_the_path_is_that_of_the_equation():
    # closed forms against the general path's differences and root finding; dx = -x dt + dW has f = -1 and g^2 = 1
    path = OrnsteinUhlenbeck()
    t = np.array([1e-3, 0.1, 1.0, 5.0, 10.0])
    other = paths.Gaussian(path.alpha, path.sigma, start=10.0, end=11.0)
    for name in ("f", "g2", "d_sigma", "d_alpha", "log_snr", "d_log_snr"):
        np.testing.assert_allclose(getattr(path, name)(t), getattr(other, name)(t), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(path.time_of_log_snr(other.log_snr(t)), t, rtol=1e-9)
    np.testing.assert_allclose(path.f(t), -1.0)
    np.testing.assert_allclose(path.g2(t), 1.0)
    with pytest.raises(ValueError, match="give 0 < last < first"):
        OrnsteinUhlenbeck(0.1, 1.0)
    assert float(path.prior_deviation(10.0)) == pytest.approx(np.sqrt(0.5), rel=1e-8)


def test_jets_are_derivatives():
    layers, t, h = some_network("potential").layers, 0.3, 1e-4

    def value(x, t):
        return jets(layers, x, t, 0)[0]

    v, dx, dy, dt, dxx, dyy = jets(layers, X, t, 2)
    np.testing.assert_allclose(v, value(X, t), atol=1e-13)
    for found, step in ((dx, [h, 0]), (dy, [0, h])):
        np.testing.assert_allclose(found, (value(X + step, t) - value(X - step, t)) / (2 * h), atol=1e-6)
    np.testing.assert_allclose(dt, (value(X, t + h) - value(X, t - h)) / (2 * h), atol=1e-6)
    for found, step in ((dxx, [h, 0]), (dyy, [0, h])):
        second = (value(X + step, t) - 2 * v + value(X - step, t)) / h**2
        np.testing.assert_allclose(found, second, atol=1e-5)


def test_jets_agree_with_torch_and_its_autograd():
    torch = pytest.importorskip("torch")
    network = some_network("potential")
    x = torch.tensor(X, requires_grad=True)
    layers = [(torch.tensor(W), torch.tensor(b)) for W, b in network.layers]
    phi = jets(layers, x, 0.3, 0)[0].sum() - (x**2).sum()
    np.testing.assert_allclose(torch.autograd.grad(phi, x)[0].numpy(), network.score(X, 0.3), atol=1e-12)


def test_the_residual_is_that_of_the_log_density():
    # R of phi, with its derivatives by differences of phi = -|x|^2 + MLP itself
    network, t, h = some_network("potential"), 0.4, 1e-4

    def phi(x, t):
        return jets(network.layers, x, t, 0)[0][:, 0] - (x**2).sum(1)

    s = network.score(X, t)
    laplacian = sum((phi(X + h * e, t) - 2 * phi(X, t) + phi(X - h * e, t)) / h**2 for e in np.eye(2))
    in_time = (phi(X, t + h) - phi(X, t - h)) / (2 * h)
    # d_t log p = div(x p)/p + Laplacian(p)/(2p)
    expected = in_time - (2 + (X * s).sum(1) + (laplacian + (s**2).sum(1)) / 2)
    np.testing.assert_allclose(network.residual(X, t), expected, atol=1e-5)


def test_the_residual_of_the_stationary_law_is_zero():
    zero = [(W * 0, b * 0) for W, b in some_network("potential").layers]
    assert np.abs(Network("potential", zero, {}).residual(X, 0.5)).max() < 1e-12


def test_a_velocity_has_no_log_density():
    with pytest.raises(TypeError, match="no log-density"):
        some_network("velocity").residual(X, 0.5)


@pytest.mark.parametrize("kind", ["potential", "velocity"])
def test_denoiser_score_and_velocity_are_one_model(kind):
    network, path, t = some_network(kind), OrnsteinUhlenbeck(), 0.7
    alpha, sigma = float(path.alpha(t)), float(path.sigma(t))
    D = network.denoiser()(X, alpha, sigma)
    np.testing.assert_allclose(network.score(X, t), (alpha * D - X) / sigma**2, atol=1e-8)
    velocity = -alpha * D + float(path.d_sigma(t)) * (X - alpha * D) / sigma
    np.testing.assert_allclose(network.velocity(X, t), velocity, atol=1e-8)


@pytest.mark.parametrize("objective", ["score matching", "flow matching"])
def test_the_loss_is_least_at_the_exact_score(objective, monkeypatch):
    # regression on noise has the conditional mean as its minimiser: the losses at 0.8, 1 and 1.2 times the score lie on
    # a parabola with its lowest point at 1, within 0.03 for 100,000 samples
    torch = pytest.importorskip("torch")
    target, path, t = targets.load("nine-2d"), OrnsteinUhlenbeck(), 0.3
    marginal = target.noised(float(path.alpha(t)), float(path.sigma(t)))

    class Scaled:
        kind = "potential" if objective == "score matching" else "velocity"
        layers = None
        scale = 1.0

        def score(self, x, t):
            return self.scale * torch.tensor(marginal.score(x.numpy().astype(float)), dtype=torch.float32)

    model = Scaled()
    monkeypatch.setattr(training, "_times", lambda torch, n, random: torch.full((n, 1), t))
    monkeypatch.setattr(training, "jets", lambda layers, x, t, order: [-x - model.score(x, t) / 2])
    means, deviation = torch.tensor(target.means.tolist()), float(np.sqrt(target.variances.ravel()[0]))
    losses = []
    for model.scale in (0.8, 1.0, 1.2):
        random = torch.Generator().manual_seed(3)
        recipe = training.Recipe(objective, batch=100_000)
        losses.append(float(training._loss(torch, model, recipe, means, deviation, random)))
    a, b, c = losses
    lowest = 1 - 0.2 * (c - a) / 2 / (a - 2 * b + c)
    assert abs(lowest - 1) < 0.03


def test_training_goes_on_where_it_was_killed(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(training, "SAVE_EVERY", 10)
    recipe = replace(SMALL, penalty=0.1)
    whole = training.train(recipe)
    state = tmp_path / "state"

    class KilledError(Exception):
        pass

    def killed(iteration, loss):
        if iteration == 20:
            raise KilledError

    with pytest.raises(KilledError):
        training.train(recipe, state, killed)
    assert state.exists()
    seen = []
    resumed = training.train(recipe, state, lambda iteration, loss: seen.append(iteration))
    assert seen[0] == 20
    assert not state.exists()
    for (W, b), (W2, b2) in zip(whole.layers, resumed.layers, strict=True):
        np.testing.assert_array_equal(W, W2)
        np.testing.assert_array_equal(b, b2)
    # a state of another recipe is not picked up
    other = training.train(replace(recipe, seed=1))
    assert not np.array_equal(other.layers[0][0], whole.layers[0][0])


def test_training_lowers_the_residual_it_penalises():
    pytest.importorskip("torch")
    x = np.random.default_rng(0).uniform(-3, 3, (500, 2))
    free, held = (training.train(replace(SMALL, iterations=300, penalty=w)) for w in (0.0, 10.0))
    assert np.mean(held.residual(x, 0.5) ** 2) < 0.5 * np.mean(free.residual(x, 0.5) ** 2)


@pytest.mark.parametrize("kind", ["potential", "velocity"])
def test_a_saved_network_is_the_network(tmp_path, kind):
    network = some_network(kind)
    network.save(tmp_path / "a.npz")
    again = load(tmp_path / "a.npz")
    assert again.kind == kind
    np.testing.assert_allclose(again.score(X, 0.2), network.score(X, 0.2), rtol=1e-4, atol=1e-4)


def test_shipped_networks_are_those_of_the_recipes_and_small():
    found = shipped()
    assert set(found) == set(training.RECIPES)
    for name, network in found.items():
        assert network.made == asdict(training.RECIPES[name])
    assert sum(file.stat().st_size for file in networks.CHECKPOINTS.glob("*.npz")) < 1_000_000


def test_bad_input_is_refused(tmp_path):
    with pytest.raises(ValueError, match="objective is"):
        training.Recipe("noise matching")
    with pytest.raises(ValueError, match="on a velocity"):
        training.Recipe("flow matching", penalty=1.0)
    with pytest.raises(ValueError, match="penalty is -1"):
        training.Recipe(penalty=-1)
    with pytest.raises(ValueError, match="batch is 0"):
        training.Recipe(batch=0)
    with pytest.raises(ValueError, match="no saved network"):
        load(tmp_path / "nothing.npz")
    with pytest.raises(ValueError, match="kind is"):
        Network("energy", [], {})
    with pytest.raises(ValueError, match="a potential has 1"):
        Network("potential", some_network("velocity").layers, {})


def test_training_without_torch_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"pip install 'assay\[torch\]'"):
        training.train(SMALL)
