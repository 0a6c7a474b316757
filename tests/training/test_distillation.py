"""Distillation at toy size: every loss, the teacher's cache, interruptions at any place."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from distillex_matcher import CrfDecoder, LabelScheme, Lexicon
from distillex_training.config import StudentRun, TeacherRun, read_config
from distillex_training.config.losses import LOSSES
from distillex_training.data.labelled import OpenSpan
from distillex_training.distill import (
    DistillationTask,
    build_student,
    cached_outputs,
    distill,
    labelled_by_teacher,
    principal_embeddings,
    sentence_of,
    start_from_teacher,
)
from distillex_training.ensemble import Ensemble
from distillex_training.errors import ConfigError
from distillex_training.finetune import finetune
from distillex_training.lessons import Lesson
from distillex_training.models import load_model
from distillex_training.tagging import read_data
from distillex_training.teacher_cache import BATCH_SIZE, CachedOutputs, JoinedCaches, TeacherCache, label_raw_text
from distillex_training.teacher_outputs import Outputs, files_of, finished, is_whole, rows_of

pytestmark = pytest.mark.training

EVERY_LOSS = {f"distillation.losses.{name}": "0.5" for name in LOSSES} | {
    "distillation.paths": "3",
    "student.collision_free_bigrams": "true",
    "student.collision_free_words": "true",
}


def read_metrics(run):
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def student_run(toy, teacher, cache, **more):
    overrides = {
        "data.raw": f"[{toy}/raw.txt]",
        "distillation.teacher": str(teacher),
        "distillation.cache": str(cache),
        "loop.epochs": "2",
    }
    return read_config(toy / "student.yaml", StudentRun, overrides | more)


def read_run_data(run, teacher):
    return read_data(run.data, word_hash_size=64, layout=load_model(teacher)[2])


@pytest.fixture(scope="module")
def everything(toy, toy_teacher, tmp_path_factory):
    """A run with every loss on: (run directory, cache)."""
    folder = tmp_path_factory.mktemp("everything")
    distill(student_run(toy, toy_teacher, folder / "cache", **EVERY_LOSS), folder / "run")
    return folder / "run", folder / "cache"


@pytest.mark.parametrize("stops", [[3], [7, 8]])
def test_distillation_interrupted_and_resumed_ends_like_one_that_was_not(toy, toy_teacher, everything, tmp_path, stops):
    whole, _ = everything
    run = student_run(toy, toy_teacher, tmp_path / "cache", **EVERY_LOSS)
    data = read_run_data(run, toy_teacher)
    assert (
        label_raw_text([toy_teacher], data, tmp_path / "cache", cached_outputs(run.distillation), max_batches=1) is None
    )
    for part in (tmp_path / "cache").glob("*/*.partial"):  # killed while it wrote
        with part.open("ab") as file:
            file.write(b"broken")
    for steps in stops:
        distill(run, tmp_path / "run", max_steps=steps)
    distill(run, tmp_path / "run")
    assert read_metrics(tmp_path / "run") == read_metrics(whole)
    ours, theirs = ((d / "best" / "model.safetensors").read_bytes() for d in (tmp_path / "run", whole))
    assert ours == theirs


@pytest.mark.parametrize("loss", [*LOSSES, "gold"])
def test_each_loss_is_a_switch_of_its_own(toy, toy_teacher, everything, tmp_path, loss):
    _, cache = everything
    off = {f"distillation.losses.{name}": "0.0" for name in LOSSES}
    if loss != "gold":
        off |= {"distillation.gold_repeats": "0", f"distillation.losses.{loss}": "1.0", "distillation.paths": "3"}
    run = student_run(toy, toy_teacher, cache, **off, **{"loop.epochs": "8"})
    distill(run, tmp_path)
    rows = read_metrics(tmp_path)
    assert rows[-1]["loss"] < rows[0]["loss"]
    student, _, _ = load_model(tmp_path / "best")
    assert not any("projection" in name for name in student.state_dict())


def test_the_teacher_s_marginals_follow_the_characters_that_were_not_exchanged(toy, toy_teacher, everything, tmp_path):
    losses = {"distillation.losses": "{viterbi: 1.0, token_kl: 0.5}"}
    run = student_run(toy, toy_teacher, everything[1], **losses, **{"augmentation.exchanged": "1.0"})
    data = read_run_data(run, toy_teacher)
    cache = label_raw_text([toy_teacher], data, everything[1])
    student, crf = build_student(run, data)
    task = DistillationTask(
        *(student, crf, data, run.augmentation, run.loop, []),
        switches=run.distillation,
        projection_rate=0.0,
        cache=cache,
    )
    new = 0
    for batch in (batch for batch in task.batches(0) if batch[0] >= len(data.train)):
        features = task.batch(batch, 0)
        rows = [index - len(data.train) for index in batch]
        emissions = torch.zeros(*features.labels.shape, len(crf.scheme))
        marginals = Lesson(emissions, None, crf, features, cache, rows, run.distillation).marginals
        assert marginals.shape[:2] == features.labels.shape
        for number, row in enumerate(rows):
            before = cache.marginals([row], len(cache.text(row)))[0]
            for place in features.mask[number].nonzero().flatten().tolist():
                origin = int(features.origins[number, place])
                new += origin == -1
                label = int(features.labels[number, place])
                expected = before[origin] if origin >= 0 else torch.eye(len(crf.scheme))[label]
                assert torch.equal(marginals[number, place], expected)
    assert new
    distill(student_run(toy, toy_teacher, everything[1], **losses, **{"augmentation.exchanged": "0.5"}), tmp_path)
    rows = read_metrics(tmp_path)
    assert rows[-1]["loss"] < rows[0]["loss"]


def test_with_a_loss_against_every_character_labelled_sentences_alone_are_changed(toy, toy_teacher, everything):
    changes = {"augmentation.exchanged": "1.0", "augmentation.noisy": "1.0"}
    run = student_run(toy, toy_teacher, everything[1], **EVERY_LOSS, **changes)
    data = read_run_data(run, toy_teacher)
    cache = label_raw_text([toy_teacher], data, everything[1], cached_outputs(run.distillation))
    student, crf = build_student(run, data)
    task = DistillationTask(
        *(student, crf, data, run.augmentation, run.loop, []),
        switches=run.distillation,
        projection_rate=0.0,
        cache=cache,
    )
    changed = {True: 0, False: 0}
    for batch in task.batches(0):
        features = task.batch(batch, 0)
        new = (features.origins[features.mask] == -1).any() or len(batch) == 0
        changed[batch[0] < len(data.train)] += bool(new)
    assert changed[True] > 0
    assert changed[False] == 0


def test_a_teacher_learns_from_an_earlier_one_on_raw_text(
    toy, teacher_configuration, toy_teacher, everything, tmp_path
):
    overrides = {
        "data.raw": f"[{toy}/raw.txt]",
        "distillation.teacher": str(toy_teacher),
        "distillation.cache": str(everything[1]),
        "distillation.losses": "{k_best: 1.0, hidden_mse: 0.1}",
    }
    finetune(read_config(teacher_configuration, TeacherRun, overrides), tmp_path)
    alone, both = (read_metrics(run)[0]["step"] for run in (toy_teacher.parent, tmp_path))
    # Of the same batch size: 96 gold sentences, and 60 raw ones beside them.
    assert (alone, both) == (6, 10)
    model, _, layout = load_model(tmp_path / "best")
    assert layout == load_model(toy_teacher)[2]
    assert not any("projection" in name for name in model.state_dict())


def test_self_training_and_adversarial_steps_are_not_combined(teacher_configuration, toy_teacher, tmp_path):
    overrides = {"data.raw": "[raw.txt]", "distillation.teacher": str(toy_teacher), "adversarial": "0.5"}
    labels = {"distillation.labels": "train.jsonl", "adversarial": "0.5"}
    with pytest.raises(ConfigError, match=r"adversarial: not together with distillation\.labels"):
        read_config(teacher_configuration, TeacherRun, labels)
    with pytest.raises(ConfigError, match=r"adversarial: not together with distillation\.teacher"):
        finetune(read_config(teacher_configuration, TeacherRun, overrides), tmp_path)


def test_a_run_with_nothing_to_learn_from_is_refused(toy, toy_teacher, everything, tmp_path):
    off = {"distillation.losses": "{viterbi: 0.0}", "distillation.gold_repeats": "0"}
    with pytest.raises(ConfigError, match="gold_repeats is 0 and no loss is on"):
        distill(student_run(toy, toy_teacher, everything[1], **off), tmp_path)


def test_the_cache_holds_only_what_is_asked_for_and_is_not_computed_again(toy, toy_teacher, everything, tmp_path):
    run = student_run(toy, toy_teacher, tmp_path)
    data = read_run_data(run, toy_teacher)
    label_raw_text([toy_teacher], data, tmp_path)
    (directory,) = tmp_path.iterdir()
    assert {f.name for f in directory.iterdir()} == {"spans.jsonl", "marginals.f16", "meta.json", ".lock"}
    written = (directory / "spans.jsonl").stat().st_mtime_ns
    label_raw_text([toy_teacher], data, tmp_path, CachedOutputs(paths=2))
    assert (directory / "paths2.u8").exists()
    assert not (directory / "hidden.f16").exists()
    assert (directory / "spans.jsonl").stat().st_mtime_ns == written
    # Computed in one pass or part by part: the same bytes.
    label_raw_text([toy_teacher], data, tmp_path, CachedOutputs(emissions=True, hidden=True, paths=3))
    (other,) = everything[1].iterdir()
    for name in ("spans.jsonl", "marginals.f16", "emissions.f16", "hidden.f16", "paths3.u8", "paths3-scores.f32"):
        assert (directory / name).read_bytes() == (other / name).read_bytes(), name


def test_the_cache_is_another_for_another_teacher_text_or_lexicon(toy, toy_teacher, tmp_path):
    cache = tmp_path / "cache"
    data = read_run_data(student_run(toy, toy_teacher, cache), toy_teacher)
    label_raw_text([toy_teacher], data, cache)
    (tmp_path / "raw.txt").write_text("赵伟昨天加入了东方电子。\n", encoding="utf-8")
    other_text = student_run(toy, toy_teacher, cache, **{"data.raw": f"[{tmp_path}/raw.txt]"})
    label_raw_text([toy_teacher], read_run_data(other_text, toy_teacher), cache)
    assert len(list(cache.iterdir())) == 2
    Lexicon.from_entries([("昨天", "t", 0.9), ("加入", "v", 0.7), ("电子", "n", 0.4)]).save(tmp_path / "b.lex")
    other_lexicon = student_run(toy, toy_teacher, cache, **{"data.lexicon": str(tmp_path / "b.lex")})
    label_raw_text([toy_teacher], read_run_data(other_lexicon, toy_teacher), cache)
    assert len(list(cache.iterdir())) == 3


def test_cached_outputs_are_the_teachers(toy, toy_teacher, tmp_path):
    run = student_run(toy, toy_teacher, tmp_path)
    data = read_run_data(run, toy_teacher)
    cache = label_raw_text([toy_teacher], data, tmp_path, CachedOutputs(emissions=True, hidden=True, paths=3))
    teacher, crf, layout = load_model(toy_teacher)
    decoder = crf.decoder()
    rows = [0, BATCH_SIZE, len(cache) - 1]
    longest = max(len(cache.text(row)) for row in rows)
    emissions, hidden = cache.emissions(rows, longest), cache.hidden(rows, longest)
    paths, scores = cache.paths(rows, longest)
    marginals = cache.marginals(rows, longest)
    for i, row in enumerate(rows):
        length = len(cache.text(row))
        features = layout.featurizer(data.base).featurize([cache.text(row)])
        arrays = (features.input_ids, features.lexicon_types, features.lexicon_words, features.lexicon_weights)
        with torch.no_grad():
            expected, states = teacher.forward_with_hidden(*(torch.from_numpy(array) for array in arrays))
        # The cache is computed in bfloat16 and kept in float16.
        torch.testing.assert_close(emissions[i, :length], expected[0, 1 : 1 + length], atol=0.1, rtol=0.1)
        torch.testing.assert_close(hidden[i, :length], states[0, 1 : 1 + length], atol=0.1, rtol=0.1)
        assert not emissions[i, length:].any()
        exact = np.zeros((1, length + 2, emissions.shape[2]), dtype=np.float32)
        exact[0, 1:-1] = emissions[i, :length].numpy()
        lengths = np.array([[length + 2]], dtype=np.int32)
        (best,) = decoder.best_paths(exact, lengths, 1)
        assert scores[i, 0] == scores[i].max()
        assert float(scores[i, 0]) == pytest.approx(best[0][1], rel=1e-2)
        np.testing.assert_allclose(marginals[i, :length].numpy(), decoder.marginals(exact, lengths)[0, 1:-1], atol=2e-2)
        assert paths[i, 0, :length].tolist() == best[0][0].tolist()


def test_paths_over_more_labels_than_a_byte_holds_are_kept(tmp_path):
    types = [f"type{number}" for number in range(70)]
    labels = 4 * len(types) + 1
    generator = np.random.default_rng(1)
    scores = (generator.normal(size=shape).astype(np.float32) for shape in ((labels, labels), labels, labels))
    decoder = CrfDecoder(LabelScheme(types), *scores)
    texts = ["甲乙", "丙丁戊己"]
    emissions = (generator.normal(size=(2, 6, labels)) * 3).astype(np.float32)
    emissions[:, :, 256:] += 5
    lengths = np.array([[len(text) + 2] for text in texts], dtype=np.int32)
    outputs = Outputs(texts, lengths, emissions, np.zeros((2, 6, 1), dtype=np.float32))
    for part in ("spans", "paths3"):
        for name, rows in rows_of(part, outputs, decoder, types).items():
            (tmp_path / name).write_bytes(b"".join(rows))
            (file,) = (file for file in files_of(part, labels, 1) if file.name == name)
            assert finished(tmp_path / name, file, texts) == 2
            assert is_whole(tmp_path / name, file, texts)
    (tmp_path / "meta.json").write_text(json.dumps({"labels": labels}), encoding="utf-8")
    paths, _ = TeacherCache(tmp_path, CachedOutputs(paths=3)).paths([0, 1], 4)
    for row, best in enumerate(decoder.best_paths(emissions, lengths, 3)):
        found = paths[row, :, : len(texts[row])].tolist()
        assert found == [path.tolist() for path, _ in best]
    assert int(paths.max()) > 255


def test_sentences_that_the_teacher_doubts_are_left_out(toy, toy_teacher, everything, tmp_path, caplog):
    run = student_run(toy, toy_teacher, everything[1], **{"distillation.minimum_confidence": "1.0"})
    with caplog.at_level("INFO", "distillex.training"):
        distill(run, tmp_path, max_steps=1)
    kept = next(message for message in caplog.messages if "kept by the teacher's confidence" in message)
    without_spans = label_raw_text([toy_teacher], read_run_data(run, toy_teacher), everything[1])
    expected = sum(not without_spans.spans(row) for row in range(len(without_spans)))
    assert kept.startswith(f"{expected} of {len(without_spans)} ")


def test_principal_embeddings_keep_the_distances_that_the_width_allows():
    generator = torch.Generator().manual_seed(4)
    mixing = torch.randn(2, 12, generator=generator, dtype=torch.float64)
    plane = (torch.randn(30, 2, generator=generator, dtype=torch.float64) @ mixing).float()
    table = torch.cat([torch.ones(1, 12), plane + 3.0])
    cut = principal_embeddings(table, 2)
    assert cut.shape == (31, 2)
    assert not cut[0].any()
    assert cut[1:].std() == pytest.approx(0.1)
    ours, theirs = torch.cdist(cut[1:], cut[1:]), torch.cdist(plane, plane)
    torch.testing.assert_close(ours / ours.max(), theirs / theirs.max(), atol=1e-3, rtol=1e-3)
    with pytest.raises(ConfigError, match="character_embedding is 13; the teacher's has 12"):
        principal_embeddings(table, 13)


def test_a_student_can_start_from_the_teachers_characters(toy, toy_teacher, everything, tmp_path):
    run = student_run(toy, toy_teacher, everything[1], **{"distillation.start_from_teacher": "true"})
    student, _ = build_student(run, read_run_data(run, toy_teacher))
    teacher = load_model(toy_teacher)[0]
    start_from_teacher(student, teacher)
    table = teacher.encoder.get_input_embeddings().weight
    expected = principal_embeddings(table, student.character_embedding.embedding_dim)
    torch.testing.assert_close(student.character_embedding.weight, expected)
    assert distill(run, tmp_path / "run", max_steps=2) == {}


def test_bigrams_of_raw_text_own_rows_where_a_teacher_labels_it(toy, toy_teacher, everything):
    whole = student_run(toy, toy_teacher, everything[1], **EVERY_LOSS)
    alone = student_run(toy, toy_teacher, everything[1], **{"student.collision_free_bigrams": "true"})
    alone = dataclasses.replace(alone, distillation=dataclasses.replace(alone.distillation, teacher=None))
    data = read_run_data(whole, toy_teacher)
    backwards = data.train[0].text[1::-1] * 3
    data = dataclasses.replace(data, train=data.train[:1], raw=[backwards])
    ids = data.layout.featurizer(data.base).featurize(data.raw).input_ids[0].tolist()
    own = ids[1] * len(data.layout.vocabulary) + ids[2]
    assert [own in build_student(run, data)[0].bigram_owners for run in (whole, alone)] == [True, False]


def test_words_of_the_text_own_rows_by_ids_that_the_teacher_can_tell(toy, toy_teacher, everything):
    student, _, layout = load_model(everything[0] / "best")
    theirs = load_model(toy_teacher)[2]
    assert layout.word_hash_size > 2**23
    base = read_run_data(student_run(toy, toy_teacher, everything[1]), toy_teacher).base
    texts = ["东方电子昨天加入", "昨天"]
    ours, folded = (each.featurizer(base).featurize(texts).lexicon_words for each in (layout, theirs))
    known = ours[ours > 0]
    assert len(set(known.tolist())) == 4
    assert (1 + (known - 1) % (theirs.word_hash_size - 1) == folded[folded > 0]).all()
    assert set(known.tolist()) == set(student.fusion.word_owners[student.fusion.word_owners >= 0].tolist())


def test_a_run_that_begins_with_a_student_keeps_its_words(toy, toy_teacher, everything, tmp_path):
    run = student_run(toy, toy_teacher, everything[1], init_from=str(everything[0] / "best"))
    distill(run, tmp_path / "run")
    before, after = (load_model(folder / "best") for folder in (everything[0], tmp_path / "run"))
    assert after[2] == before[2]
    assert torch.equal(after[0].fusion.word_owners, before[0].fusion.word_owners)


def test_a_run_that_begins_with_a_student_takes_its_rates_of_dropout_from_the_file(toy, toy_teacher, everything):
    initial = everything[0] / "best"
    rates = {"student.dropout": "0.07", "student.character_dropout": "0.03", "student.width": "999"}
    run = student_run(toy, toy_teacher, everything[1], init_from=str(initial), **rates)
    student, _ = build_student(run, read_run_data(run, toy_teacher))
    assert (student.config.dropout, student.config.character_dropout) == (0.07, 0.03)
    assert student.config.width == load_model(initial)[0].config.width != 999


def test_a_student_begins_with_one_of_other_entity_types(toy, everything, other_types, tmp_path):
    initial = everything[0] / "best"
    unmoved = {"learning_rate": "1e-30", "crf_learning_rate": "1e-30", "loop.epochs": "1", "init_from": str(initial)}
    for name, seed in (("run", "1"), ("other", "2")):
        overrides = other_types | unmoved | {"loop.seed": seed}
        distill(read_config(toy / "student.yaml", StudentRun, overrides), tmp_path / name)
    (begun, crf, layout), (earlier, earlier_crf, earlier_layout) = (
        load_model(each) for each in (tmp_path / "run" / "best", initial)
    )
    ours, theirs = ((tmp_path / run / "best" / "model.safetensors").read_bytes() for run in ("run", "other"))
    assert ours == theirs  # nothing was learnt, and what is new does not hang on the seed
    assert layout.vocabulary == earlier_layout.vocabulary
    assert layout.word_hash_size == earlier_layout.word_hash_size
    assert "person" in layout.types
    assert "person" not in earlier_layout.types
    weights = earlier.state_dict()
    for name, weight in begun.state_dict().items():
        if name.startswith("tag."):
            labels, earlier_labels = crf.scheme.labels, earlier_crf.scheme.labels
            assert weight.shape[0] == len(labels) == 9
            for row, label in enumerate(labels):
                same = label in earlier_labels and torch.equal(weight[row], weights[name][earlier_labels.index(label)])
                assert same is not label.endswith("person"), label
        elif name != "fusion.type_embedding.weight":
            assert torch.equal(weight, weights[name]), name
    rows, earlier_rows = (model.fusion.type_embedding.weight for model in (begun, earlier))
    for row, kind in enumerate(layout.types):
        if kind != "person":
            assert torch.equal(rows[row + 1], earlier_rows[earlier_layout.types.index(kind) + 1]), kind


@pytest.mark.parametrize(("moving", "rates"), [("tables", ("1e-30", "1e-2")), ("rest", ("1e-2", "1e-30"))])
def test_tables_have_a_learning_rate_of_their_own(toy, everything, tmp_path, moving, rates):
    initial = everything[0] / "best"
    overrides = {
        "learning_rate": rates[0],
        "table_learning_rate": rates[1],
        "loop.averaging": "0.0",
        "loop.epochs": "1",
    }
    distill(read_config(toy / "student.yaml", StudentRun, overrides | {"init_from": str(initial)}), tmp_path)
    begun, earlier = (load_model(folder)[0].state_dict() for folder in (tmp_path / "best", initial))
    moved = {n for n, weight in begun.items() if not torch.allclose(weight.float(), earlier[n].float(), 0, 1e-12)}
    tables = {f"{name}embedding.weight" for name in ("character_", "bigram_", "fusion.type_", "fusion.word_")}
    assert moved == (tables if moving == "tables" else {n for n in begun if "owners" not in n} - tables)


def test_only_a_student_can_be_begun_with(toy, toy_teacher, everything, tmp_path):
    run = student_run(toy, toy_teacher, everything[1], init_from=str(toy_teacher))
    with pytest.raises(ConfigError, match=r"init_from: .* is not a student"):
        distill(run, tmp_path)


def test_a_teacher_of_none_of_the_student_s_types_is_refused(toy, toy_teacher, everything, other_types, tmp_path):
    for key in ("data.train", "data.dev"):
        path = Path(other_types[key])
        path.write_text(path.read_text(encoding="utf-8").replace('"company"', '"firm"'), encoding="utf-8")
    run = student_run(toy, toy_teacher, everything[1], **other_types)
    with pytest.raises(ConfigError, match=r"teacher: .* labels company, name; none is a type of the student, firm, pe"):
        distill(run, tmp_path / "run")


@pytest.mark.parametrize("loss", ["logit_mse", "logit_kl"])
def test_losses_that_compare_label_by_label_need_a_teacher_of_the_same_types(
    toy, toy_teacher, everything, other_types, tmp_path, loss
):
    run = student_run(toy, toy_teacher, everything[1], **other_types, **{f"distillation.losses.{loss}": "0.5"})
    with pytest.raises(
        ConfigError, match=rf"distillation\.losses\.{loss} is 0\.5: it compares label by label, and the teacher"
    ):
        distill(run, tmp_path / "run")


def test_a_teacher_may_know_types_that_the_student_lacks_and_the_other_way_round(
    toy, toy_teacher, everything, other_types, tmp_path, caplog
):
    known = [name for name, loss in LOSSES.items() if not loss.needs.label_by_label]
    assert len(known) == 5
    settings = {f"distillation.losses.{name}": "0.5" for name in known} | {"distillation.gold_repeats": "0"}
    run = student_run(toy, toy_teacher, everything[1], **other_types, **settings, **{"loop.epochs": "8"})
    with caplog.at_level("INFO", "distillex.training"):
        distill(run, tmp_path / "run")
    assert "the teacher's name are no types of the student: taught as no entity" in caplog.text
    assert "the teacher does not know person: these stay open on raw text" in caplog.text
    rows = read_metrics(tmp_path / "run")
    assert rows[-1]["loss"] < rows[0]["loss"]
    crf = load_model(tmp_path / "run" / "best")[1]
    assert crf.scheme.entity_types == ("company", "person")


def test_a_teacher_s_outputs_in_terms_of_other_types(toy, toy_teacher, everything, other_types):
    run = student_run(toy, toy_teacher, everything[1], **other_types)
    data = read_run_data(run, toy_teacher)
    translated = labelled_by_teacher(run.distillation, run.data, data)
    theirs = label_raw_text([toy_teacher], data, everything[1], cached_outputs(run.distillation))
    ours, scheme = LabelScheme(data.entity_types), LabelScheme(("company", "name"))
    rows, characters = [0, 1, 2], max(len(theirs.text(row)) for row in range(3))
    assert [translated.text(row) for row in rows] == [theirs.text(row) for row in rows]
    assert {span[2] for row in range(len(theirs)) for span in theirs.spans(row)} == {"company", "name"}
    assert {span[2] for row in range(len(theirs)) for span in translated.spans(row)} == {"company"}
    before, after = (cache.marginals(rows, characters) for cache in (theirs, translated))
    assert torch.allclose(before.sum(-1), after.sum(-1))
    names = [i for i, label in enumerate(scheme.labels) if label.endswith("name")]
    assert torch.allclose(after[..., 0], before[..., 0] + before[..., names].sum(-1), atol=1e-6)
    for i, label in enumerate(ours.labels):
        if label.endswith("company"):
            assert torch.equal(after[..., i], before[..., scheme.labels.index(label)])
    paths, scores = translated.paths(rows, characters)
    labels = [[ours.labels[i] for i in path] for path in paths.flatten(0, 1).tolist()]
    told = [[scheme.labels[i] for i in path] for path in theirs.paths(rows, characters)[0].flatten(0, 1).tolist()]
    assert labels == [["O" if label.endswith("name") else label for label in path] for path in told]
    assert torch.equal(scores, theirs.paths(rows, characters)[1])
    assert sentence_of(translated, 0).open == (OpenSpan(0, len(translated.text(0)), ("person",)),)


def test_a_student_of_a_teacher_alone_needs_no_labelled_file(toy, toy_teacher, everything, tmp_path, caplog):
    content = f"data: {{lexicon: {toy}/base.lex, raw: [{toy}/raw.txt]}}"
    text = (toy / "student.yaml").read_text(encoding="utf-8")
    (tmp_path / "student.yaml").write_text(content + text[text.index("\nstudent:") :], encoding="utf-8")
    settings = {"distillation.teacher": str(toy_teacher), "distillation.cache": str(everything[1])}
    run = read_config(tmp_path / "student.yaml", StudentRun, settings | {"loop.epochs": "2"})
    with caplog.at_level("INFO", "distillex.training"):
        best = distill(run, tmp_path / "run")
    assert best == {"last_epoch": 2}
    assert "no development file: these weights are kept" in caplog.text
    assert load_model(tmp_path / "run" / "best")[1].scheme.entity_types == ("company", "name")


def test_models_that_label_together_give_the_mean_of_emissions_and_crf(toy, toy_teacher, everything, tmp_path):
    student = everything[0] / "best"
    run = student_run(toy, toy_teacher, tmp_path, **{"distillation.ensemble": f"[{student}]"})
    data = read_run_data(run, toy_teacher)
    together = labelled_by_teacher(run.distillation, run.data, data)
    emissions = CachedOutputs(emissions=True)
    cache = label_raw_text([toy_teacher, student], data, tmp_path, emissions)
    alone = [label_raw_text([model], data, tmp_path, emissions) for model in (toy_teacher, student)]
    assert len(list(tmp_path.iterdir())) == 3
    rows = [0, BATCH_SIZE, len(cache) - 1]
    longest = max(len(cache.text(row)) for row in rows)
    first, second = (one.emissions(rows, longest) for one in alone)
    assert (first - second).abs().max() > 0.1
    torch.testing.assert_close(cache.emissions(rows, longest), (first + second) / 2, atol=0.02, rtol=0.01)
    crf = load_model(toy_teacher)[1]
    ours, theirs = crf.state_dict(), load_model(student)[1].state_dict()
    crf.load_state_dict({name: (ours[name] + theirs[name]) / 2 for name in ours})
    text = cache.text(rows[-1])
    exact = np.zeros((1, len(text) + 2, len(crf.scheme)), dtype=np.float32)
    exact[0, 1:-1] = cache.emissions(rows[-1:], len(text))[0].numpy()
    expected = crf.decoder().marginals(exact, np.array([[len(text) + 2]], dtype=np.int32))[0, 1:-1]
    np.testing.assert_allclose(together.marginals(rows[-1:], len(text))[0].numpy(), expected, atol=0.01)


def test_a_model_beside_the_teacher_has_its_entity_types_and_a_teacher(
    toy, toy_teacher, toy_student, everything, other_types, tmp_path
):
    other = tmp_path / "other"
    distill(read_config(toy / "student.yaml", StudentRun, {"loop.epochs": "1", **other_types}), other)
    run = student_run(toy, toy_teacher, everything[1], **{"distillation.ensemble": f"[{other}/best]"})
    with pytest.raises(ConfigError, match=r"ensemble\.0: .* labels company, person; the teacher, company, name"):
        distill(run, tmp_path / "run")
    with pytest.raises(ConfigError, match=r"other/best labels company, person; .* company, name"):
        Ensemble([toy_teacher, other / "best"], Lexicon.load(run.data.lexicon))
    with pytest.raises(ConfigError, match="distillation: ensemble names models, but teacher none"):
        student_run(toy, "null", everything[1], **{"distillation.ensemble": f"[{toy_student}]"})


def test_a_student_begins_with_another_one_or_with_the_teachers_characters(toy, toy_teacher, everything, tmp_path):
    both = {"init_from": str(everything[0] / "best"), "distillation.start_from_teacher": "true"}
    with pytest.raises(ConfigError, match="start_from_teacher is true; with init_from"):
        distill(student_run(toy, toy_teacher, everything[1], **both), tmp_path / "run")


def test_joined_caches_give_each_row_of_each(toy, toy_teacher, everything):
    run = student_run(toy, toy_teacher, everything[1], **EVERY_LOSS)
    cache = label_raw_text(
        [toy_teacher], read_run_data(run, toy_teacher), everything[1], cached_outputs(run.distillation)
    )
    joined, count = JoinedCaches([cache, cache]), len(cache)
    assert len(joined) == 2 * count
    assert joined.hidden_width == cache.hidden_width
    rows, own, longest = [1, count, 2 * count - 1], [1, 0, count - 1], max(len(cache.text(row)) for row in range(count))
    assert [joined.text(row) for row in rows] == [cache.text(row) for row in own]
    assert [joined.spans(row) for row in rows] == [cache.spans(row) for row in own]
    for part in ("marginals", "emissions", "hidden"):
        assert torch.equal(getattr(joined, part)(rows, longest), getattr(cache, part)(own, longest))
    for ours, theirs in zip(joined.paths(rows, longest), cache.paths(own, longest), strict=True):
        assert torch.equal(ours, theirs)
    sure = cache.confident(0.9)
    assert joined.confident(0.9) == [*sure, *(count + row for row in sure)]


def test_sentences_with_exchanged_entities_are_labelled_and_learnt_from(toy, toy_teacher, everything, tmp_path, caplog):
    caplog.set_level("INFO")
    run = student_run(toy, toy_teacher, tmp_path / "cache", **{"distillation.mention_replacement.sentences": "10"})
    assert distill(run, tmp_path / "run", max_steps=2) == {}
    assert "10 sentences made by exchanging entities" in caplog.text
    assert len(list((tmp_path / "cache").iterdir())) == 2
    assert "67 of 67 raw sentences kept" in caplog.text  # 57 of them as they were
