"""Encoders of several kinds, tiny and random: rates of their layers, their settings' names, and that they come back."""

import logging
from pathlib import Path

import pytest
import torch
from distillex_training.config import Corpus, DataConfig, PretrainRun, TeacherRun, TrainingCorpus, read_config
from distillex_training.errors import ConfigError, EncoderError
from distillex_training.finetune import finetune, layerwise_groups
from distillex_training.models import ConstrainedCrf, Teacher, TeacherConfig, load_model
from distillex_training.models.encoders import check_settings, dropout_settings, layer_depths, longest_input
from distillex_training.models.masked_lm import new_encoder
from distillex_training.models.teacher import load_encoder, tokens_of
from distillex_training.pretrain import pretrain

transformers = pytest.importorskip("transformers", reason="needs transformers")

TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"东方电子南海船务的昨天说赵钱孙")
SIZES = {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 16}
KINDS = {
    "albert": SIZES | {"embedding_size": 8},
    "bert": SIZES,
    "camembert": SIZES | {"max_position_embeddings": 514},
    "deberta-v2": SIZES,
    "distilbert": {"dim": 16, "n_layers": 4, "n_heads": 2, "hidden_dim": 16},
    "ernie": SIZES,
    "electra": SIZES | {"embedding_size": 8},
    "roberta": SIZES | {"max_position_embeddings": 514},
    "roformer": SIZES,
    "xlm-roberta": SIZES | {"max_position_embeddings": 514},
    "xlnet": {"d_model": 16, "n_layer": 4, "n_head": 2, "d_inner": 16},
}
DECAY = 0.5


def encoder_of(kind, folder, **more):
    torch.manual_seed(1)
    settings = KINDS[kind] | more
    encoder = transformers.AutoModel.from_config(
        transformers.AutoConfig.for_model(kind, vocab_size=len(TOKENS), **settings)
    )
    encoder.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(TOKENS) + "\n", encoding="utf-8")
    return encoder.eval()


def teacher_of(encoder, settings, rows):
    return Teacher(TeacherConfig(rows, 2, 8, ("name",), settings), encoder).eval()


def emissions(teacher, ids):
    no_words = torch.zeros(*ids.shape, 4, 4, dtype=torch.int32)
    with torch.no_grad():
        return teacher(ids, no_words, no_words, no_words.float())[ids != 0]


def rates_of(teacher, decay):
    data = DataConfig((TrainingCorpus(Path("train.jsonl")),), (Corpus(Path("dev.jsonl")),))
    run = TeacherRun(data, encoder="", encoder_learning_rate=1.0, layer_decay=decay, learning_rate=7.0)
    groups = layerwise_groups(teacher, ConstrainedCrf(("name",)), run)
    rates = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    assert len(rates) == sum(len(group["params"]) for group in groups)
    return {name: rates[id(parameter)] for name, parameter in teacher.named_parameters()}


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"albert"}))
def test_each_layer_has_its_rate(kind, tmp_path):
    encoder_of(kind, tmp_path)
    encoder, settings, _ = load_encoder(tmp_path, TOKENS)
    rates = rates_of(teacher_of(encoder, settings, len(TOKENS)), DECAY)
    seen = {}
    for name, rate in rates.items():
        if name.startswith("encoder."):
            place = next((int(part) for part in name.split(".") if part.isdigit()), None)
            seen.setdefault(place, set()).add(rate)
        else:
            assert rate == 7.0
    assert seen == {None: {DECAY**4}, **{layer: {DECAY ** (3 - layer)} for layer in range(4)}}


@pytest.mark.parametrize(("groups", "expected"), [(1, {0: 1.0}), (2, {0: DECAY**2, 1: 1.0})])
def test_a_shared_layer_has_the_rate_of_its_last_use(tmp_path, groups, expected):
    encoder_of("albert", tmp_path, num_hidden_groups=groups)
    encoder, settings, _ = load_encoder(tmp_path, TOKENS)
    rates = rates_of(teacher_of(encoder, settings, len(TOKENS)), DECAY)
    for group, rate in expected.items():
        named = [name for name in rates if f"albert_layer_groups.{group}." in name]
        assert named
        assert {rates[name] for name in named} == {rate}
    assert rates["encoder.embeddings.word_embeddings.weight"] == DECAY**4


def test_without_decay_all_layers_have_one_rate_and_no_list_of_layers_is_needed(tmp_path):
    encoder_of("bert", tmp_path)
    encoder, settings, _ = load_encoder(tmp_path, TOKENS)
    teacher = teacher_of(encoder, settings, len(TOKENS))
    assert set(rates_of(teacher, 1.0).values()) == {1.0, 7.0}
    teacher.encoder = torch.nn.Linear(2, 2)
    assert set(rates_of(teacher, 1.0).values()) == {1.0, 7.0}
    with pytest.raises(EncoderError, match=r"Linear: no list of layers found in it; give layer_decay: 1\.0"):
        rates_of(teacher, DECAY)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_an_encoder_computes_what_it_did_and_comes_back_from_its_configuration(kind, tmp_path):
    original = encoder_of(kind, tmp_path)
    vocabulary = (*TOKENS[:5], *TOKENS[:4:-1])
    encoder, settings, lacking = load_encoder(tmp_path, vocabulary)
    assert lacking == []
    ours = torch.tensor([[2, 7, 9, 6, 8, 3], [2, 9, 3, 0, 0, 0]], dtype=torch.int32)
    padding = original.config.pad_token_id
    theirs = torch.tensor([[TOKENS.index(vocabulary[i]) for i in row] for row in ours.tolist()])
    theirs[ours == 0] = padding
    with torch.no_grad():
        mask = (ours != 0).long()
        expected = original(input_ids=theirs, attention_mask=mask).last_hidden_state[ours != 0]
        found = encoder.eval()(input_ids=ours.long(), attention_mask=mask).last_hidden_state[ours != 0]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    trained = teacher_of(encoder, settings, len(vocabulary))
    again = teacher_of(None, settings, len(vocabulary))
    again.load_state_dict(trained.state_dict())
    torch.testing.assert_close(emissions(again, ours), emissions(trained, ours))
    assert trained.hidden_width == 16
    assert longest_input(encoder) in (512, 513, 1536, None)


def test_an_encoder_that_does_not_come_back_is_refused(tmp_path, monkeypatch):
    encoder_of("bert", tmp_path)
    built = transformers.AutoModel.from_config

    def another(config):
        config.layer_norm_eps = 1.0
        return built(config)

    monkeypatch.setattr(transformers.AutoModel, "from_config", another)
    with pytest.raises(EncoderError, match="BertModel: built anew from its configuration it computes other things"):
        load_encoder(tmp_path, TOKENS)
    monkeypatch.setattr(transformers.AutoModel, "from_config", lambda config: transformers.BertModel(config).encoder)
    with pytest.raises(EncoderError, match="it has other weights"):
        load_encoder(tmp_path, TOKENS)


def test_an_encoder_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(EncoderError, match=r"encoder: .*nowhere cannot be read"):
        load_encoder(tmp_path / "nowhere", TOKENS)
    with pytest.raises(EncoderError, match=r"encoder: .*nowhere cannot be read"):
        tokens_of(tmp_path / "nowhere")
    encoder_of("bert", tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    with pytest.raises(EncoderError, match=rf"encoder: {tmp_path} cannot be read"):
        load_encoder(tmp_path, TOKENS)


def test_an_encoder_that_lacks_weights_is_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    encoder_of("bert", tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["encoder.layer.1.output.dense.weight"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EncoderError, match=r"lacks 1 of its weights: encoder\.layer\.1\.output\.dense\.weight"):
        load_encoder(tmp_path, TOKENS)


def test_an_encoder_without_a_pooler_is_no_matter_for_a_report(tmp_path):
    from safetensors.torch import load_file, save_file

    encoder_of("bert", tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = {name: tensor for name, tensor in load_file(path).items() if "pooler" not in name}
    save_file(tensors, path, metadata={"format": "pt"})
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    logging.getLogger("transformers").addHandler(handler)
    try:
        load_encoder(tmp_path, TOKENS)
        assert records == []
        transformers.AutoModel.from_pretrained(tmp_path)
    finally:
        logging.getLogger("transformers").removeHandler(handler)
    assert any("MISSING" in record.getMessage() for record in records)


def test_a_teacher_of_another_kind_of_encoder_is_trained_and_loaded(teacher_configuration, tmp_path):
    for kind in ("distilbert", "roberta"):
        (tmp_path / kind).mkdir()
        encoder_of(kind, tmp_path / kind)
        overrides = {"encoder": str(tmp_path / kind), "loop.epochs": "1"}
        finetune(read_config(teacher_configuration, TeacherRun, overrides), tmp_path / f"{kind}-run")
        teacher, _, layout = load_model(tmp_path / f"{kind}-run" / "best")
        assert teacher.config.vocabulary == len(layout.vocabulary)


def test_sentences_longer_than_the_encoder_reads_are_refused_before_training(teacher_configuration, tmp_path):
    (tmp_path / "encoder").mkdir()
    encoder_of("bert", tmp_path / "encoder", max_position_embeddings=8)
    with pytest.raises(ConfigError, match=r"encoder: .* reads 8 tokens; the longest sentence has \d\d"):
        finetune(
            read_config(teacher_configuration, TeacherRun, {"encoder": str(tmp_path / "encoder")}), tmp_path / "run"
        )


def test_special_tokens_of_another_name_keep_their_rows(tmp_path):
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    original = encoder_of("bert", tmp_path)
    (tmp_path / "vocab.txt").unlink()
    names = {"<pad>": 3, "<unk>": 4, "<s>": 5, "</s>": 6, "<mask>": 7, "东": 8}
    special = dict(zip(("pad", "unk", "cls", "sep", "mask"), names, strict=False))
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel(names, unk_token="<unk>")),
        **{f"{name}_token": token for name, token in special.items()},
    ).save_pretrained(tmp_path)
    encoder, _, lacking = load_encoder(tmp_path, (*TOKENS[:6], "鿿"))
    assert lacking == ["鿿"]
    rows, theirs = (each.get_input_embeddings().weight for each in (encoder, original))
    for row, source in enumerate((3, 4, 5, 6, 7, 8)):
        assert torch.equal(rows[row], theirs[source])


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("bert", ("hidden_dropout_prob", "attention_probs_dropout_prob")),
        ("distilbert", ("dropout", "attention_dropout")),
    ],
)
def test_rates_of_dropout_reach_the_encoder_whatever_their_names(kind, names):
    settings = dropout_settings(kind, 0.3, 0.2)
    assert settings == dict(zip(names, (0.3, 0.2), strict=True))
    encoder = new_encoder({"model_type": kind, **KINDS[kind], **settings}, 9)
    assert {module.p for module in encoder.modules() if isinstance(module, torch.nn.Dropout)} >= {0.3}


def test_a_rate_that_an_encoder_has_no_name_for_is_refused():
    with pytest.raises(EncoderError, match=r"attention_dropout is 0\.2; an encoder of model_type 'xlnet' has no such"):
        dropout_settings("xlnet", 0.1, 0.2)
    assert dropout_settings("xlnet", 0.1, 0.0) == {"dropout": 0.1}


def test_settings_that_the_encoder_does_not_know_are_refused(toy, tmp_path):
    with pytest.raises(
        EncoderError, match=r"bert has no setting 'num_hiden_layers'; numbers it has: .*num_hidden_layers"
    ):
        check_settings("bert", {"hidden_size": 8, "num_hiden_layers": 2})
    check_settings("distilbert", {"dim": 8, "n_layers": 2, "num_hidden_layers": 2})
    with pytest.raises(EncoderError, match=r"encoder: .*nonsense"):
        check_settings("nonsense", {})
    path = tmp_path / "pretrain.yaml"
    path.write_text(
        f"raw: [{toy}/raw.txt]\nwhole_word: false\nminimum_count: 1\nencoder: {{model_type: bert, width: 8}}\n",
        encoding="utf-8",
    )
    with pytest.raises(EncoderError, match="bert has no setting 'width'"):
        pretrain(read_config(path, PretrainRun), tmp_path / "run")


def test_layers_are_those_of_the_heaviest_list():
    encoder = transformers.BertModel(transformers.BertConfig(vocab_size=9, **SIZES))
    encoder.adapters = torch.nn.ModuleList([torch.nn.Linear(2, 2) for _ in range(9)])
    depths, count = layer_depths(encoder)
    assert count == 4
    assert depths["adapters.8.weight"] == 0
    assert depths["encoder.layer.3.output.dense.weight"] == 4


def test_the_shipped_encoder_s_settings_are_known():
    from pathlib import Path

    path = Path(__file__).resolve().parents[2] / "training" / "configs" / "pretrain-albert.yaml"
    settings = dict(read_config(path, PretrainRun).encoder)
    check_settings(settings.pop("model_type"), settings)


def test_a_teacher_s_model_directory_is_an_encoder_too(toy_teacher):
    from distillex_training.models import load_model
    from distillex_training.models.teacher_encoder import load_any_encoder

    teacher, _, layout = load_model(toy_teacher)
    vocabulary = (*layout.vocabulary[:5], "龘", *layout.vocabulary[5:])
    encoder, settings, lacking = load_any_encoder(toy_teacher, vocabulary)
    assert lacking == ["龘"]
    assert settings["vocab_size"] == len(vocabulary)
    table, own = encoder.get_input_embeddings().weight, teacher.character_table
    assert torch.equal(table[6:], own[5:])
    assert torch.allclose(table[5], own.mean(dim=0))
