"""Sums of scores: the model is the gradient it says, every executor asks the same, and the laws are the known ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from analytic import GaussianMixture, Tilted, paths, targets
from solvers import Composed, Rescale, catalogue, denoiser, density, grids, guided, law, run, sample, strong

torch = pytest.importorskip("torch")

EASY, PLANE = targets.load("easy-1d"), targets.load("rotated-2d")
PATH = paths.VE(0.05, 10.0)
MODELS: dict[str, Composed] = {
    "guided": guided(EASY, 1, 3.0),
    "strength": guided(EASY, [0], strength=0.5),
    "product": Composed((EASY, GaussianMixture([1.0], [0.5], [0.3])), (1.0, 1.0)),
    "negation": Composed((GaussianMixture([1.0], [0.5], [0.3]), EASY), (1.0, -0.5)),
    "interval": guided(EASY, 1, 3.0, interval=(0.2, 2.0)),
}


def tableau(name: str, steps: int = 12, path: Any = PATH, **options: Any) -> Any:
    return catalogue[name].tableau(path, grids.log_snr(path, steps), **options)


def torch_log_density(mixture: GaussianMixture, x: Any, alpha: float, sigma: float) -> Any:
    """Log-density of a noised mixture written with torch's own distributions."""
    noised = mixture.noised(alpha, sigma)
    full = torch.tensor(np.stack([noised.condition(k).covariance() for k in range(noised.components)]))
    law = torch.distributions.MultivariateNormal(torch.tensor(np.array(noised.means)), full)
    return torch.logsumexp(
        torch.log(torch.tensor(np.array(noised.weights))) + law.log_prob(x[:, None]), dim=1
    )


@pytest.mark.parametrize("scale", [0.0, 1.0, 4.0, -1.0])
@pytest.mark.parametrize("target", [EASY, PLANE], ids=["line", "plane"])
def test_guidance_is_the_gradient_of_the_tilted_density_and_of_the_classifiers(
    target: GaussianMixture, scale: float
) -> None:
    alpha, sigma = 0.8, 0.6
    x = torch.tensor(target.sample(20, 0) + 0.3, requires_grad=True)
    whole = torch_log_density(target, x, alpha, sigma)
    part = torch_log_density(target.condition(1), x, alpha, sigma)
    # log p(c | x_t), the exact classifier, by Bayes' rule
    classifier = float(np.log(target.weights[1])) + part - whole
    (expected,) = torch.autograd.grad((whole + scale * classifier).sum(), x)
    D = guided(target, 1, scale).denoise(x.detach(), alpha, sigma)
    np.testing.assert_allclose((alpha * D - x.detach()) / sigma**2, expected, atol=1e-11)
    same = guided(target, 1, strength=scale - 1).denoise(x.detach(), alpha, sigma)
    np.testing.assert_allclose(D, same, atol=1e-12)


def test_sums_of_scores_are_gradients_of_their_log_density() -> None:
    alpha, sigma = 0.8, 0.6
    model = Composed((PLANE, targets.load("pair-2d")), (1.5, -0.4))
    x = torch.tensor(PLANE.sample(20, 0), requires_grad=True)
    energy = sum(
        power * torch_log_density(part, x, alpha, sigma)
        for power, part in zip(model.powers, model.parts, strict=True)
    )
    (expected,) = torch.autograd.grad(energy.sum(), x)
    D = model.denoise(x.detach(), alpha, sigma)
    np.testing.assert_allclose((alpha * D - x.detach()) / sigma**2, expected, atol=1e-11)
    points = x.detach().numpy()
    np.testing.assert_allclose(model.log_density(points, alpha, sigma), energy.detach().numpy(), atol=1e-11)
    (data,) = torch.autograd.grad(
        sum(
            p * torch_log_density(q, x, 1.0, 0.0) for p, q in zip(model.powers, model.parts, strict=True)
        ).sum(),
        x,
    )
    np.testing.assert_allclose(model.score(points), data, atol=1e-9)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("clock", ["sigma", "time"])
def test_density_is_the_map_that_run_makes(clock: str, model: str) -> None:
    asked, path = MODELS[model], PATH if clock == "sigma" else paths.Linear()
    grid = grids.log_snr(path, 16, start=None if path is PATH else 0.9, stop=0.05)
    t = catalogue["heun"].tableau(path, grid, clock=clock)
    start = GaussianMixture([1.0], [0.3], [t.prior_deviation**2])
    pushed = density(t, asked, start, estimate_error=False)
    for u in (0.05, 0.5, 0.9):
        x = run(t, asked, start.quantile(np.array([[u]])))
        assert float(pushed.cdf(x)[0, 0]) == pytest.approx(u, abs=1e-9)
        rise = float((pushed.cdf(x + 1e-5) - pushed.cdf(x - 1e-5))[0, 0]) / 2e-5
        assert float(pushed.pdf(x)[0, 0]) == pytest.approx(rise, rel=1e-5)


def test_density_of_a_noisy_step_is_quadrature_over_what_run_does() -> None:
    path = paths.VE(0.4, 1.0)
    t = catalogue["ddpm"].tableau(path, grids.log_snr(path, 1))
    x, step = np.linspace(-9, 9, 60_001, retstep=True)
    for asked in (MODELS["guided"], MODELS["product"]):
        start = stats.norm.pdf(x)
        D = asked.denoise(x[:, None], 1.0, 1.0)[:, 0]
        mean = 0.16 * x + 0.84 * D
        pushed = density(t, asked, GaussianMixture([1.0], [0.0], [1.0]), estimate_error=False)
        for y in (-1.0, 0.2, 1.4):
            expected = (start * stats.norm.pdf(y, mean, 0.4 * np.sqrt(0.84))).sum() * step
            assert float(pushed.pdf(y)) == pytest.approx(expected, abs=1e-9)


def test_guidance_on_gaussians_has_the_published_variances_which_are_not_those_of_the_tilted_law() -> None:
    """Bradley and Nakkiran 2024: p(x | c) = N(0, 1), p = N(0, 2), x_t = x_0 + sqrt(s) eps, all noise at the start.

    The score is -k(s) x with k = w/(1 + s) - (w - 1)/(2 + s). The flow's variance falls as exp(-int k), to 2^(1 - w);
    the SDE's is int exp(-2 int k) ds, which u = (2 + s)/(1 + s) makes (2 - 2^(2 - 2w))/(2w - 1). The tilted law has
    2/(w + 1).
    """
    path = paths.VE(1e-3, 1e3)
    part, whole = GaussianMixture([1.0], [0.0], [1.0]), GaussianMixture([1.0], [0.0], [2.0])
    for w in (2.0, 5.0):
        model = Composed((whole, part), (1 - w, w))
        flow = density(tableau("rk4", 300, path), model, "prior", estimate_error=False, resolution=0.6)
        assert flow.variance == pytest.approx(2 ** (1 - w), rel=1e-4)
        sde = [
            density(tableau("ddpm", n, path), model, "prior", estimate_error=False, resolution=0.5).variance
            for n in (50, 100, 200)
        ]
        reached = (sde[0] - 6 * sde[1] + 8 * sde[2]) / 3  # its bias is a series in the step
        assert reached == pytest.approx((2 - 2 ** (2 - 2 * w)) / (2 * w - 1), rel=2e-3)
        assert Tilted((whole, part), (1 - w, w)).variance == pytest.approx(2 / (w + 1), rel=1e-12)


def test_guidance_by_networks_is_guidance_by_the_mixtures() -> None:
    class Network(torch.nn.Module):
        """A module that predicts the noise, for a mixture's own denoiser."""

        def __init__(self, mixture: GaussianMixture) -> None:
            super().__init__()
            self.mixture = mixture

        def forward(self, x: Any, t: float) -> Any:
            alpha, sigma = float(path.alpha(t)), float(path.sigma(t))
            return (x - alpha * self.mixture.denoise(x, alpha, sigma)) / sigma

    path, w = paths.VP(), 3.0
    networks = [denoiser(Network(m), "eps", "t", path) for m in (PLANE, PLANE.condition([1, 2]))]
    x = torch.tensor(np.random.default_rng(0).standard_normal((40, 2)))
    for rescale in (None, Rescale(0.7)):
        pair = Composed(networks, (1 - w, w), (0.3, 5.0), (0.0, 1.0), rescale)
        exact = guided(PLANE, [1, 2], w, interval=(0.3, 5.0), rescale=rescale)
        t = tableau("ddpm", 10, path)
        found = run(t, pair, x, seed=1)
        assert isinstance(found, torch.Tensor)
        np.testing.assert_allclose(found, run(t, exact, x.numpy(), seed=1), atol=1e-8)
        assert float(abs(found - torch.tensor(run(t, PLANE, x.numpy(), seed=1))).max()) > 0.1


def test_an_interval_guides_inside_and_asks_for_the_condition_outside() -> None:
    model, x = guided(EASY, 1, 4.0, interval=(0.2, 2.0)), np.linspace(-2, 2, 7)[:, None]
    for ratio, scale in ((0.1, 1.0), (0.2, 1.0), (0.21, 4.0), (2.0, 4.0), (2.1, 1.0)):
        np.testing.assert_allclose(
            model.denoise(x, 0.5, 0.5 * ratio),
            guided(EASY, 1, scale).denoise(x, 0.5, 0.5 * ratio),
            atol=1e-12,
        )


@pytest.mark.parametrize("of", ["x0", "eps", "v"])
def test_rescaling_gives_the_prediction_the_spread_of_the_conditional_one(of: str) -> None:
    alpha, sigma, share = 0.8, 0.6, 0.7
    x = np.random.default_rng(0).standard_normal((5, 2))
    wide = guided(PLANE, 1, 5.0)
    predictions = {
        "x0": lambda D: D,
        "eps": lambda D: (x - alpha * D) / sigma,
        "v": lambda D: alpha * (x - alpha * D) / sigma - sigma * D,
    }
    plain, conditional = (predictions[of](m.denoise(x, alpha, sigma)) for m in (wide, PLANE.condition(1)))
    full = predictions[of](guided(PLANE, 1, 5.0, rescale=Rescale(1.0, of)).denoise(x, alpha, sigma))
    np.testing.assert_allclose(full.std(axis=1), conditional.std(axis=1), atol=1e-12)
    part = predictions[of](guided(PLANE, 1, 5.0, rescale=Rescale(share, of)).denoise(x, alpha, sigma))
    np.testing.assert_allclose(part, share * full + (1 - share) * plain, atol=1e-12)


def test_impossible_requests_are_one_clear_line() -> None:
    normal = GaussianMixture([1.0], [0.0], [1.0])
    model, t = MODELS["guided"], tableau("ddpm")
    unconditional = denoiser(lambda x, t: x, path=PATH)
    for said, request in (
        ("no condition to be guided to", lambda: guided(normal, 0, 2.0)),
        ("no condition to be guided to", lambda: guided(unconditional, 0, 2.0)),
        ("all of the target", lambda: guided(EASY, [0, 1], 2.0)),
        ("scale is None and strength is None", lambda: guided(EASY, 1)),
        ("scale is 2.0 and strength is 1.0", lambda: guided(EASY, 1, 2.0, strength=1.0)),
        ("interval is", lambda: guided(EASY, 1, 2.0, interval=(2.0, 1.0))),
        ("outside is None", lambda: Composed((EASY,), (1.0,), (0.1, 1.0))),
        ("powers is", lambda: Composed((EASY,), (1.0, 2.0))),
        ("parts are in 1 and 2 dimensions", lambda: Composed((EASY, PLANE), (1.0, 2.0))),
        ("share is 2.0", lambda: guided(EASY, 1, 2.0, rescale=2.0)),
        ("of is 'score'", lambda: Rescale(0.5, "score")),
        ("initial is 'marginal'", lambda: density(t, model)),
        ("spread over coordinates", lambda: density(t, guided(EASY, 1, 2.0, rescale=0.5), "prior")),
        ("whose density is not known", lambda: density(t, Composed((unconditional,), (1.0,)), "prior")),
        ("which is no law", lambda: law(t, model)),
        ("which is no law", lambda: strong(t, model)),
        ("which is no law", lambda: sample(t, model, 10)),
        ("alpha = 0", lambda: MODELS["product"].denoise(np.zeros((1, 1)), 0.0, 1.0)),
        ("parts has 3", lambda: Composed((3,), (1.0,))),
    ):
        with pytest.raises((ValueError, TypeError), match=said) as caught:
            request()
        assert "\n" not in str(caught.value)
