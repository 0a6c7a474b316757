"""Dropout with pieces of one long mask."""

import pytest

torch = pytest.importorskip("torch", reason="needs torch: pip install 'distillex[train]'")
from distillex_training.models import dropout  # noqa: E402
from distillex_training.models.dropout import Dropout, drop, use_cheap_dropout  # noqa: E402
from transformers import BertConfig, BertModel  # noqa: E402


def test_the_share_is_zero_and_the_rest_is_scaled_up():
    torch.manual_seed(1)
    dropped = drop(torch.ones(400, 500), 0.15)
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / 0.85], rel=1e-4)
    assert float((dropped == 0).float().mean()) == pytest.approx(0.15, abs=0.005)
    assert torch.equal(drop(torch.ones(3), 0.0), torch.ones(3))
    assert torch.equal(drop(torch.ones(3), 1.0), torch.zeros(3))


def test_torchs_seed_decides_and_draws_differ():
    torch.manual_seed(2)
    first, second = (drop(torch.ones(50, 50), 0.5) for _ in range(2))
    torch.manual_seed(2)
    assert torch.equal(drop(torch.ones(50, 50), 0.5), first)
    assert not torch.equal(first, second)


def test_what_is_longer_than_half_the_mask_is_dropped_by_torch(monkeypatch):
    monkeypatch.setattr(dropout, "LONGEST", 100)
    torch.manual_seed(4)
    dropped = drop(torch.ones(1000), 0.2)
    torch.manual_seed(4)
    assert torch.equal(dropped, torch.nn.functional.dropout(torch.ones(1000), 0.2, training=True))


def test_half_precision_stays_half_precision():
    assert drop(torch.ones(8, dtype=torch.bfloat16), 0.5).dtype == torch.bfloat16


def test_gradients_pass_where_values_do():
    values = torch.ones(100, requires_grad=True)
    dropped = drop(values, 0.5)
    dropped.sum().backward()
    assert torch.equal(values.grad, dropped.detach())


def encoder(share):
    torch.manual_seed(3)
    sizes = {"vocab_size": 12, "hidden_size": 16, "num_hidden_layers": 2, "intermediate_size": 32}
    return BertModel(
        BertConfig(**sizes, num_attention_heads=2, hidden_dropout_prob=share, attention_probs_dropout_prob=share),
        add_pooling_layer=False,
    )


def test_an_encoder_computes_what_it_did_without_dropout():
    ids = torch.randint(1, 12, (3, 9))
    mask = torch.arange(9) < torch.tensor([[9], [5], [1]])
    plain, cheap = encoder(0.0), encoder(0.0)
    use_cheap_dropout(cheap)
    outputs = [each(input_ids=ids, attention_mask=mask.long()).last_hidden_state[mask] for each in (plain, cheap)]
    torch.testing.assert_close(*outputs)


def test_every_dropout_of_an_encoder_is_replaced_that_of_attention_too(monkeypatch):
    replaced = encoder(0.2)
    use_cheap_dropout(replaced)
    kinds = {type(module) for module in replaced.modules() if isinstance(module, torch.nn.Dropout)}
    assert kinds == {Dropout}

    def never(*_arguments, **_named):
        raise AssertionError("torch's own dropout was called")

    monkeypatch.setattr(torch.nn.functional, "dropout", never)
    ids = torch.randint(1, 12, (3, 9))
    outputs = [replaced.train()(input_ids=ids).last_hidden_state for _ in range(2)]
    assert not torch.equal(*outputs)
    assert torch.equal(*(replaced.eval()(input_ids=ids).last_hidden_state for _ in range(2)))
