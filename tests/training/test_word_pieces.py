"""Encoders that read pieces of words: tiny ones, with real tokenizers made here."""

import json

import pytest
import torch
from distillex_training.config import StudentRun, TeacherRun, read_config
from distillex_training.errors import ConfigError, EncoderError, ModelDirectoryError
from distillex_training.finetune import finetune
from distillex_training.models import Teacher, TeacherConfig, load_model
from distillex_training.models.teacher import load_encoder_of_pieces
from distillex_training.models.word_pieces import ALONE, FIRST, INNER, LAST, TOKENIZER_FILE

transformers = pytest.importorskip("transformers", reason="needs transformers")

pytestmark = pytest.mark.training

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PIECES = (*SPECIAL, "play", "##ing", "##ed", "a", "##b", *"东方电子南海船务的昨天说赵钱孙。，1")
VOCABULARY = (*SPECIAL, "▁", *"abdeginlpy东方电子南海船务的昨天说赵钱孙。，1")
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}


@pytest.fixture(scope="session")
def bert(tmp_path_factory):
    """BERT with a WordPiece tokenizer."""
    folder = tmp_path_factory.mktemp("bert")
    (folder / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    torch.manual_seed(1)
    config = transformers.BertConfig(vocab_size=len(PIECES), max_position_embeddings=32, **SIZES)
    transformers.BertModel(config).save_pretrained(folder)
    transformers.BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def roberta(tmp_path_factory):
    """RoBERTa with a byte-level BPE tokenizer, trained here."""
    from tokenizers import ByteLevelBPETokenizer

    folder = tmp_path_factory.mktemp("roberta")
    trained = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trained.train_from_iterator(["playing played play"] * 50, vocab_size=300, special_tokens=special)
    trained.save_model(str(folder))
    tokenizer = transformers.RobertaTokenizerFast.from_pretrained(str(folder))
    tokenizer.save_pretrained(folder)
    torch.manual_seed(1)
    config = transformers.RobertaConfig(
        vocab_size=len(tokenizer), max_position_embeddings=34, pad_token_id=1, bos_token_id=0, eos_token_id=2, **SIZES
    )
    transformers.RobertaModel(config).save_pretrained(folder)
    return folder


def teacher_on(folder, vocabulary=VOCABULARY):
    encoder, settings, pieces = load_encoder_of_pieces(folder, vocabulary)
    teacher = Teacher(TeacherConfig(len(vocabulary), 2, 8, ("name",), settings, word_pieces=True), encoder)
    teacher.pieces = pieces
    return teacher.eval()


def ids_of(*texts, vocabulary=VOCABULARY):
    longest = max(map(len, texts)) + 2
    rows = []
    for text in texts:
        tokens = [vocabulary.index("▁" if c == " " else c) if c in (*vocabulary, " ") else 1 for c in text]
        rows.append([2, *tokens, 3] + [0] * (longest - 2 - len(text)))
    return torch.tensor(rows, dtype=torch.int32)


def hidden_of(teacher, ids):
    no_words = torch.zeros(*ids.shape, 4, 4, dtype=torch.int32)
    with torch.no_grad():
        return teacher.forward_with_hidden(ids, no_words, no_words, no_words.float())[1]


def expected_of(folder, text):
    """What the encoder itself makes of a text, and where its own tokenizer has the pieces."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    encoder = transformers.AutoModel.from_pretrained(folder).eval()
    read = tokenizer(text, return_offsets_mapping=True, return_tensors="pt")
    offsets = read.pop("offset_mapping")[0].tolist()
    with torch.no_grad():
        return encoder(**read).last_hidden_state[0], offsets


@pytest.mark.parametrize("kind", ["bert", "roberta"])
@pytest.mark.parametrize("text", ["东方playing电子", "played", "说 playing a1。", "ab playing，play"])
def test_a_character_has_the_mean_of_the_pieces_that_the_encoders_own_tokenizer_makes(kind, text, request):
    folder = request.getfixturevalue(kind)
    vectors, offsets = expected_of(folder, text)
    found = hidden_of(teacher_on(folder), ids_of(text, "电"))[0]
    torch.testing.assert_close(found[0], vectors[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found[len(text) + 1], vectors[-1], atol=1e-5, rtol=1e-4)
    before = vectors[0]
    for place in range(len(text)):
        own = [v for v, (start, end) in zip(vectors, offsets, strict=True) if start <= place < end]
        expected = torch.stack(own).mean(0) if own else before
        torch.testing.assert_close(found[place + 1], expected, atol=1e-5, rtol=1e-4)
        before = own[-1] if own else before


def test_the_place_in_its_piece_tells_characters_of_a_piece_apart(bert):
    teacher = teacher_on(bert)
    places = teacher.pieces.batch(ids_of("东playing")).places
    assert places[0].tolist() == [ALONE, ALONE, FIRST, INNER, INNER, LAST, FIRST, INNER, LAST, ALONE]
    with torch.no_grad():
        teacher.pooled.places.weight.copy_(torch.arange(4.0)[:, None].expand(-1, 16))
    found = hidden_of(teacher, ids_of("东playing"))[0]
    torch.testing.assert_close(found[3] - found[2], torch.ones(16), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_a_text_of_more_pieces_than_the_encoder_reads_is_read_in_parts(kind, request):
    teacher = teacher_on(request.getfixturevalue(kind))
    text = "东方电子" * 20
    batch = teacher.pieces.batch(ids_of(text, "a"))
    assert batch.ids.shape[1] <= 32
    assert len(batch.ids) > 3
    assert set(batch.tokens.tolist()) == {*range(len(text) + 2), *(len(text) + 2 + i for i in range(3))}
    assert teacher.longest_input is None
    assert torch.isfinite(hidden_of(teacher, ids_of(text, "a"))).all()


def test_what_our_vocabulary_lacks_is_unknown_to_the_tokenizer_too(bert):
    teacher = teacher_on(bert)
    batch = teacher.pieces.batch(ids_of("东囧方"))
    names = transformers.AutoTokenizer.from_pretrained(bert).convert_ids_to_tokens(batch.ids[0].tolist())
    assert names == ["[CLS]", "东", "[UNK]", "方", "[SEP]"]


def test_rows_without_a_text_do_no_harm(bert):
    ids = ids_of("东方", "电")
    ids[1] = 0
    found = hidden_of(teacher_on(bert), ids)
    torch.testing.assert_close(found[0], hidden_of(teacher_on(bert), ids[:1])[0])


def test_an_encoder_of_characters_alone_is_refused(tmp_path, bert):
    for file in bert.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tokenizer = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["model"]["vocab"] = {t: i for i, t in enumerate((*SPECIAL, *"东方电子"))}
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    with pytest.raises(EncoderError, match=r"word_pieces: the tokenizer of .* has characters alone: give false"):
        load_encoder_of_pieces(tmp_path, VOCABULARY)


@pytest.fixture(scope="session")
def piece_teacher(bert, teacher_configuration, tmp_path_factory):
    """A fine-tuned toy teacher's model directory."""
    run = tmp_path_factory.mktemp("pieces")
    settings = {"encoder": str(bert), "word_pieces": "true", "loop.epochs": "1"}
    finetune(read_config(teacher_configuration, TeacherRun, settings), run)
    return run / "best"


def test_a_trained_teacher_comes_back_with_its_tokenizer(piece_teacher):
    teacher, _, layout = load_model(piece_teacher)
    assert teacher.config.word_pieces
    assert (piece_teacher / TOKENIZER_FILE).is_file()
    assert teacher.character_table.shape == (len(layout.vocabulary), 16)
    ids = ids_of("东方", vocabulary=layout.vocabulary)
    torch.testing.assert_close(hidden_of(teacher, ids), hidden_of(load_model(piece_teacher)[0], ids))


def test_a_teacher_without_its_tokenizer_is_refused_by_name(piece_teacher, tmp_path):
    for file in piece_teacher.iterdir():
        if file.name != TOKENIZER_FILE:
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(ModelDirectoryError, match=r"tokenizer\.json: missing; a teacher that reads word pieces"):
        load_model(tmp_path)
    (tmp_path / TOKENIZER_FILE).write_text("{", encoding="utf-8")
    with pytest.raises(ModelDirectoryError, match=r"tokenizer\.json: tokenizer\.json: not a tokenizer"):
        load_model(tmp_path)


@pytest.mark.parametrize("target", ["folder", "onnx", "gpu"])
def test_it_is_not_exported_and_the_command_says_why(piece_teacher, tmp_path, target, capsys):
    from distillex_training.export_cli import Target, export

    output = tmp_path / ("model.onnx" if target == "onnx" else "out")
    with pytest.raises(BaseException, match="1"):  # typer.Exit
        export(piece_teacher, output, Target(target))
    assert "this teacher reads word pieces (word_pieces: true)" in capsys.readouterr().err
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


def test_it_labels_and_opens_in_process(piece_teacher):
    import distillex

    tagger = distillex.load(piece_teacher)
    text = "昨天赵钱孙说playing东方电子"
    assert all(entity.text == text[entity.start : entity.end] for entity in tagger.extract(text))
    assert tagger.extract("东方电子" * 100) is not None


def test_a_student_learns_from_it(piece_teacher, toy, tmp_path):
    from distillex_training.distill import distill

    settings = {
        "distillation.teacher": str(piece_teacher),
        "distillation.start_from_teacher": "true",
        "distillation.cache": str(tmp_path / "cache"),
        "distillation.losses": "{token_kl: 1.0, hidden_mse: 0.1}",
        "data.raw": f"[{toy / 'raw.txt'}]",
        "loop.epochs": "1",
    }
    distill(read_config(toy / "student.yaml", StudentRun, settings), tmp_path / "run")
    student, _, layout = load_model(tmp_path / "run" / "best")
    assert layout == load_model(piece_teacher)[2]
    assert student.config.entity_types


def test_a_teacher_of_characters_says_what_it_does_not_read(bert, roberta, teacher_configuration, tmp_path, caplog):
    caplog.set_level("INFO", "distillex.training")
    for folder in (bert, roberta):
        run = read_config(teacher_configuration, TeacherRun, {"encoder": str(folder), "loop.epochs": "1"})
        finetune(run, tmp_path / folder.name, max_steps=1)
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert "the encoder's tokenizer has 3 pieces of several letters, which are not read" in said
    assert f"encoder: {roberta} has no token for" in said
    assert "word_pieces: true reads those" in said


def test_a_teacher_of_pieces_is_another_teachers_encoder(piece_teacher, toy_teacher, teacher_configuration, tmp_path):
    settings = {
        "encoder": str(piece_teacher),
        "init_from": str(piece_teacher),
        "loop.epochs": "1",
        "word_pieces": "true",
    }
    finetune(read_config(teacher_configuration, TeacherRun, settings), tmp_path / "pieces", max_steps=1)
    settings = {"encoder": str(toy_teacher), "word_pieces": "true"}
    with pytest.raises((EncoderError, ConfigError), match="reads characters alone: give false"):
        finetune(read_config(teacher_configuration, TeacherRun, settings), tmp_path / "characters", max_steps=1)
