"""Each loss against a plain reference: enumeration of all label sequences, loops, torch's own functions."""

import itertools
import math

import pytest
import torch
from distillex_training import losses
from distillex_training.losses import CrfScores

LABELS, CHARACTERS, BATCH = 3, 4, 2
LENGTHS = (4, 2)


@pytest.fixture
def crf():
    generator = torch.Generator().manual_seed(1)
    shapes = ((LABELS, LABELS), (LABELS,), (LABELS,))
    return CrfScores(*(torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes))


@pytest.fixture
def emissions():
    return torch.randn(BATCH, CHARACTERS, LABELS, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


@pytest.fixture
def mask():
    return torch.arange(CHARACTERS) < torch.tensor(LENGTHS).unsqueeze(1)


def path_score(emissions, crf, path):
    total = crf.start[path[0]] + crf.end[path[-1]]
    total = total + sum(emissions[t, label] for t, label in enumerate(path))
    return float(total + sum(crf.transitions[a, b] for a, b in itertools.pairwise(path)))


def all_paths(emissions, crf, length):
    paths = list(itertools.product(range(LABELS), repeat=length))
    return paths, [path_score(emissions, crf, path) for path in paths]


def test_partition_and_marginals_are_those_of_enumeration(emissions, crf, mask):
    partitions = losses.crf_log_partition(emissions, crf, mask)
    marginals = losses.crf_log_marginals(emissions, crf, mask).exp()
    for row, length in enumerate(LENGTHS):
        paths, scores = all_paths(emissions[row], crf, length)
        partition = math.log(sum(math.exp(score) for score in scores))
        assert float(partitions[row]) == pytest.approx(partition)
        for t, label in itertools.product(range(length), range(LABELS)):
            expected = sum(math.exp(s - partition) for p, s in zip(paths, scores, strict=True) if p[t] == label)
            assert float(marginals[row, t, label]) == pytest.approx(expected)


def test_partition_agrees_with_pytorch_crf(emissions, crf, mask):
    torchcrf = pytest.importorskip("torchcrf", reason="needs pytorch-crf")
    theirs = torchcrf.CRF(LABELS, batch_first=True).double()
    with torch.no_grad():
        theirs.transitions.copy_(crf.transitions)
        theirs.start_transitions.copy_(crf.start)
        theirs.end_transitions.copy_(crf.end)
    paths = torch.tensor([[0, 2, 1, 1], [1, 0, 0, 0]])
    expected = theirs(emissions, paths, mask=mask, reduction="none")
    ours = losses.crf_path_scores(emissions, crf, paths.unsqueeze(1), mask).squeeze(1)
    torch.testing.assert_close(ours - losses.crf_log_partition(emissions, crf, mask), expected)


def test_the_gradient_of_the_partition_is_that_of_finite_differences(emissions, crf, mask):
    inputs = [tensor.clone().requires_grad_() for tensor in (emissions, *crf)]
    assert torch.autograd.gradcheck(
        lambda scores, *rest: losses.crf_log_partition(scores, CrfScores(*rest), mask), inputs
    )


def test_the_loss_of_a_crf_is_that_of_pytorch_crf_and_so_are_its_gradients():
    from distillex_training.models import ConstrainedCrf

    generator = torch.Generator().manual_seed(4)
    crf = ConstrainedCrf(["name", "company"])
    # Wide apart, as a trained model's are; and a label sequence that is allowed.
    emissions = (torch.randn(2, 6, len(crf.scheme), generator=generator) * 30).requires_grad_()
    labels = torch.stack([torch.from_numpy(crf.scheme.encode([(1, 3, "name")], 6))] * 2)
    mask = torch.arange(6) < torch.tensor([[6], [4]])
    found = []
    for loss in (crf.loss(emissions, labels, mask), -crf.crf(emissions, labels, mask=mask, reduction="token_mean")):
        found.append((loss, *torch.autograd.grad(loss, [emissions, *crf.crf.parameters()])))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_marginals_agree_with_the_served_decoder():
    from distillex_training.models import ConstrainedCrf

    generator = torch.Generator().manual_seed(3)
    crf = ConstrainedCrf(["name", "company"])
    emissions = torch.randn(2, 7, len(crf.scheme), generator=generator)
    lengths = torch.tensor([[7], [5]], dtype=torch.int32)
    expected = crf.decoder().marginals(emissions.numpy(), lengths.numpy())
    mask = torch.arange(5) < (lengths - 2)
    ours = losses.crf_log_marginals(emissions[:, 1:-1], crf.scores(), mask).exp().detach()
    torch.testing.assert_close(ours[mask], torch.from_numpy(expected[:, 1:-1])[mask], atol=1e-4, rtol=1e-3)


def test_best_paths_are_weighted_by_the_teachers_belief(emissions, crf, mask):
    paths = torch.tensor([[[0, 1, 2, 0], [2, 2, 2, 2]], [[1, 1, 0, 0], [0, 0, 0, 0]]])
    scores = torch.tensor([[2.0, 1.0], [3.0, -math.inf]])
    expected = 0.0
    for row, length in enumerate(LENGTHS):
        partition = math.log(sum(math.exp(s) for s in all_paths(emissions[row], crf, length)[1]))
        weights = torch.softmax(scores[row] / 2.0, dim=0).tolist()
        for k, weight in enumerate(weights):
            expected -= weight * (path_score(emissions[row], crf, paths[row, k, :length].tolist()) - partition)
    ours = losses.best_paths_likelihood(emissions, crf, paths, scores, mask, temperature=2.0)
    assert float(ours) == pytest.approx(expected / sum(LENGTHS))


def test_one_best_path_is_the_crf_likelihood():
    from distillex_training.models import ConstrainedCrf

    crf = ConstrainedCrf(["name"])
    emissions = torch.randn(2, 4, len(crf.scheme), generator=torch.Generator().manual_seed(4))
    mask = torch.arange(4) < torch.tensor(LENGTHS).unsqueeze(1)
    labels = torch.zeros(2, 4, dtype=torch.int64)
    ours = losses.best_paths_likelihood(emissions, crf.scores(), labels.unsqueeze(1), torch.zeros(2, 1), mask)
    torch.testing.assert_close(ours, crf.loss(emissions, labels, mask))


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_marginal_cross_entropy_is_that_of_a_loop(emissions, mask, temperature):
    marginals = torch.softmax(torch.randn(emissions.shape, generator=torch.Generator().manual_seed(5)), dim=-1)
    expected = 0.0
    for row, length in enumerate(LENGTHS):
        for t in range(length):
            log_p = torch.log_softmax(emissions[row, t].float() / temperature, dim=-1)
            expected -= float(sum(marginals[row, t, label] * log_p[label] for label in range(LABELS)))
    ours = losses.marginal_cross_entropy(emissions, marginals, mask, temperature)
    assert float(ours) == pytest.approx(expected / sum(LENGTHS) * temperature**2, rel=1e-5)


def test_posterior_cross_entropy_is_least_where_the_posteriors_agree(emissions, crf, mask):
    own = losses.crf_log_marginals(emissions, crf, mask).exp()
    entropy = -(own * own.clamp(min=1e-30).log()).sum(dim=-1)[mask].mean()
    assert float(losses.posterior_cross_entropy(emissions, crf, own, mask)) == pytest.approx(float(entropy))
    other = torch.softmax(torch.randn(emissions.shape, generator=torch.Generator().manual_seed(6)), dim=-1)
    mixed = losses.posterior_cross_entropy(emissions, crf, other, mask)
    other_entropy = -(other * other.log()).sum(dim=-1)[mask].mean()
    assert float(mixed) > float(other_entropy)


def test_posterior_cross_entropy_stays_finite_on_forbidden_labels():
    from distillex_training.models import ConstrainedCrf

    crf = ConstrainedCrf(["name"])
    emissions = torch.zeros(1, 3, len(crf.scheme), requires_grad=True)
    marginals = torch.full((1, 3, len(crf.scheme)), 1 / len(crf.scheme))
    loss = losses.posterior_cross_entropy(emissions, crf.scores(), marginals, torch.ones(1, 3, dtype=torch.bool))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(emissions.grad).all()


def test_emission_losses_are_those_of_loops(emissions, mask):
    theirs = torch.randn(emissions.shape, generator=torch.Generator().manual_seed(7))
    squared = divergence = 0.0
    for row, length in enumerate(LENGTHS):
        for t in range(length):
            a, b = emissions[row, t].float(), theirs[row, t]
            squared += float((((a - a.mean()) - (b - b.mean())) ** 2).mean())
            p, q = torch.softmax(b / 2.0, dim=0), torch.softmax(a / 2.0, dim=0)
            divergence += float((p * (p / q).log()).sum())
    assert float(losses.emission_error(emissions, theirs, mask)) == pytest.approx(squared / 6, rel=1e-5)
    ours = losses.emission_divergence(emissions, theirs, mask, temperature=2.0)
    assert float(ours) == pytest.approx(divergence / 6 * 4.0, rel=1e-5)
    shifted = theirs + torch.arange(CHARACTERS).view(1, -1, 1)
    torch.testing.assert_close(
        losses.emission_error(emissions, shifted, mask), losses.emission_error(emissions, theirs, mask)
    )


def test_hidden_error_counts_characters_alone(mask):
    ours, theirs = torch.zeros(BATCH, CHARACTERS, 5), torch.full((BATCH, CHARACTERS, 5), 2.0)
    theirs[~mask] = 100.0
    assert float(losses.hidden_error(ours, theirs, mask)) == pytest.approx(4.0)


def test_a_label_that_the_teacher_does_not_know_is_right_where_it_says_none(emissions, crf, mask):
    unknown = torch.tensor([False, False, True])
    paths, scores = torch.tensor([[[0, 1, 0, 0]], [[1, 0, 0, 0]]]), torch.zeros(BATCH, 1)
    expected = 0.0
    for row, length in enumerate(LENGTHS):
        every, values = all_paths(emissions[row], crf, length)
        path = paths[row, 0, :length].tolist()
        right = [s for p, s in zip(every, values, strict=True) if [0 if label == 2 else label for label in p] == path]
        expected -= math.log(sum(map(math.exp, right)) / sum(map(math.exp, values)))
    ours = losses.best_paths_likelihood(emissions, crf, paths, scores, mask, open_labels=unknown)
    assert float(ours) == pytest.approx(expected / sum(LENGTHS))
    teacher = torch.tensor([0.7, 0.3, 0.0], dtype=torch.float64).expand(BATCH, CHARACTERS, -1)
    token = posterior = 0.0
    posteriors = losses.crf_log_marginals(emissions, crf, mask).exp()
    for row, length in enumerate(LENGTHS):
        for t in range(length):
            for probabilities, name in ((torch.softmax(emissions[row, t], 0), "token"), (posteriors[row, t], "crf")):
                lost = -0.7 * math.log(probabilities[0] + probabilities[2]) - 0.3 * math.log(probabilities[1])
                token, posterior = (token + lost, posterior) if name == "token" else (token, posterior + lost)
    ours = losses.marginal_cross_entropy(emissions, teacher, mask, open_labels=unknown)
    assert float(ours) == pytest.approx(token / sum(LENGTHS), rel=1e-5)
    ours = losses.posterior_cross_entropy(emissions, crf, teacher, mask, open_labels=unknown)
    assert float(ours) == pytest.approx(posterior / sum(LENGTHS))
