"""Temperature scaling, as a command: posteriors move, what is found stays."""

import math
import re

import pytest
import torch
from distillex_matcher import Lexicon
from distillex_training.calibrate import calibrate
from distillex_training.config import Corpus
from distillex_training.data.labelled import read_labelled
from distillex_training.errors import ConfigError
from distillex_training.evaluate import predict_with_scores, torch_emissions, without_scores
from distillex_training.models import load_model, save_model
from distillex_training.weight_storage import Storage
from typer.testing import CliRunner

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def overconfident(toy, toy_student, tmp_path_factory):
    """The toy student, its scores threefold, and development labels of which every third sentence has lost its own."""
    folder = tmp_path_factory.mktemp("overconfident")
    model, crf, layout = load_model(toy_student)
    with torch.no_grad():
        for parameter in (*model.tag.parameters(), *crf.parameters()):
            parameter.mul_(3)
    crf.hold_constraints()
    save_model(folder / "model", model, crf, layout)
    lines = (toy / "dev.jsonl").read_text(encoding="utf-8").splitlines()
    for number in range(0, len(lines), 3):
        lines[number] = re.sub(r'"entities": \[.*\]', '"entities": []', lines[number])
    (folder / "dev.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def found_by(directory, toy, data):
    model, crf, layout = load_model(directory)
    base = Lexicon.load(toy / "base.lex")
    texts = [sentence.text for sentence in read_labelled(data)[0]]
    found = predict_with_scores(layout.featurizer(base), torch_emissions(model), crf.decoder(), texts)
    return without_scores(found)


def test_scores_come_to_say_how_often_they_are_right_and_what_is_found_stays(toy, overconfident, tmp_path):
    data, base = overconfident / "dev.jsonl", toy / "base.lex"
    done = calibrate(overconfident / "model", [Corpus(data)], base, tmp_path / "calibrated")
    (file,) = done.files
    assert file.before.precision == file.after.precision < 0.8
    assert file.before.mean_score > 0.9
    assert abs(file.after.mean_score - file.after.precision) < 0.1
    assert file.after.calibration_error < file.before.calibration_error / 2
    assert found_by(tmp_path / "calibrated", toy, data) == found_by(overconfident / "model", toy, data)
    again = calibrate(tmp_path / "calibrated", [Corpus(data)], base, tmp_path / "again")
    assert again.temperature == pytest.approx(1.0, abs=1e-2)
    assert again.files[0].before.mean_score == pytest.approx(file.after.mean_score, abs=1e-4)
    assert again.files[0].before.calibration_error == pytest.approx(file.after.calibration_error, abs=1e-3)


def log_loss(directory, toy, data, temperature):
    """Of the entities that the model finds, its scores divided by a temperature."""
    model, crf, layout = load_model(directory)
    with torch.no_grad():
        for parameter in (*model.tag.parameters(), *crf.parameters()):
            parameter.div_(temperature)
    crf.hold_constraints()
    sentences = read_labelled(data)[0]
    texts = [sentence.text for sentence in sentences]
    featurizer = layout.featurizer(Lexicon.load(toy / "base.lex"))
    found = predict_with_scores(featurizer, torch_emissions(model), crf.decoder(), texts)
    losses = []
    for sentence, spans in zip(sentences, found, strict=True):
        gold = {(span.start, span.end, span.type) for span in sentence.spans}
        losses += [-math.log(each.score if each.span in gold else 1 - each.score) for each in spans]
    return sum(losses) / len(losses)


def test_the_temperature_is_the_one_whose_scores_fit_the_found_entities_best(toy, overconfident, tmp_path):
    data = overconfident / "dev.jsonl"
    done = calibrate(overconfident / "model", [Corpus(data)], toy / "base.lex", tmp_path / "calibrated")
    best, cooler, warmer = (
        log_loss(overconfident / "model", toy, data, done.temperature * factor) for factor in (1.0, 0.9, 1.1)
    )
    assert best < min(cooler, warmer)
    assert done.files[0].after.log_loss == pytest.approx(best, abs=1e-4)


def test_of_several_files_each_counts_alike_whatever_its_length(toy, overconfident, tmp_path):
    model, base = overconfident / "model", toy / "base.lex"
    wrong, right = overconfident / "dev.jsonl", toy / "dev.jsonl"
    tenfold = tmp_path / "tenfold.jsonl"
    tenfold.write_text(right.read_text(encoding="utf-8") * 10, encoding="utf-8")
    both, longer, alone = (
        calibrate(model, [Corpus(each) for each in files], base, tmp_path / "out").temperature
        for files in ((wrong, right), (wrong, tenfold), (wrong,))
    )
    assert both == pytest.approx(longer, rel=1e-2)
    assert both < alone


def test_a_declaration_tells_what_the_types_of_a_file_are(toy, overconfident, tmp_path):
    model, base, data = overconfident / "model", toy / "base.lex", overconfident / "dev.jsonl"
    foreign = tmp_path / "foreign.jsonl"
    lines = data.read_text(encoding="utf-8").replace('"name"', '"PER"').replace('"company"', '"ORG"')
    foreign.write_text(lines, encoding="utf-8")
    declaration = tmp_path / "foreign.yaml"
    declaration.write_text("types: {PER: name, ORG: [company, government]}\n", encoding="utf-8")
    plain = calibrate(model, [Corpus(data)], base, tmp_path / "plain")
    declared = calibrate(model, [Corpus(foreign, declaration)], base, tmp_path / "declared")
    assert declared.temperature == plain.temperature
    # Types that a corpus leaves open count neither way: no name is wrong where names are not labelled.
    declaration.write_text("types: {PER: none, ORG: company}\nopen: [name]\n", encoding="utf-8")
    opened = calibrate(model, [Corpus(foreign, declaration)], base, tmp_path / "opened")
    assert len(opened.files[0].before.scores) < len(declared.files[0].before.scores)
    assert opened.files[0].read.groups == (("company",),)


def test_a_model_that_finds_nothing_has_no_scores_to_calibrate(toy, toy_student, tmp_path):
    student, crf, layout = load_model(toy_student)
    with torch.no_grad():
        crf.crf.start_transitions[0] = crf.crf.transitions[0, 0] = 500.0
    save_model(tmp_path / "silent", student, crf, layout)
    with pytest.raises(ConfigError, match="finds no entity in the data"):
        calibrate(tmp_path / "silent", [Corpus(toy / "dev.jsonl")], toy / "base.lex", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_model_without_mistakes_is_not_scaled_without_end(toy, toy_student, tmp_path):
    done = calibrate(toy_student, [Corpus(toy / "dev.jsonl")], toy / "base.lex", tmp_path, storage=Storage.FLOAT16)
    assert done.files[0].before.precision == 1.0
    assert 0.1 <= done.temperature < 1.0
    assert found_by(tmp_path, toy, toy / "dev.jsonl") == found_by(toy_student, toy, toy / "dev.jsonl")


def test_the_command_prints_what_it_did_and_names_what_is_wrong(toy, overconfident, tmp_path):
    from distillex.command.main import application

    def run(*arguments):
        done = CliRunner().invoke(application, ["calibrate", *map(str, arguments)])
        return done.exit_code, done.output.replace("\n", " ")

    base = ("--base", toy / "base.lex")
    code, output = run(
        overconfident / "model", overconfident / "dev.jsonl", "-o", tmp_path / "new", *base, "--weights", "float16"
    )
    assert code == 0, output
    count = len((overconfident / "dev.jsonl").read_text(encoding="utf-8").splitlines())
    assert re.search(rf"dev\.jsonl: {count} sentences .*temperature \d\.\d+; model in", output)
    assert load_model(tmp_path / "new")[1].scheme.entity_types == ("company", "name")
    halves = (tmp_path / "new" / "model.safetensors").stat().st_size
    assert halves < 0.7 * (overconfident / "model" / "model.safetensors").stat().st_size
    (tmp_path / "other.jsonl").write_text('{"text": "甲乙", "entities": [{"start": 0, "end": 1, "type": "city"}]}\n')
    code, output = run(overconfident / "model", tmp_path / "other.jsonl", "-o", tmp_path / "no", *base)
    assert (code, "city" in output, (tmp_path / "no").exists()) == (2, True, False)
    (tmp_path / "empty.jsonl").write_text("")
    code, output = run(overconfident / "model", tmp_path / "empty.jsonl", "-o", tmp_path / "no", *base)
    assert (code, "no sentence" in output) == (2, True), output
    with (tmp_path / "nothing.jsonl").open("w", encoding="utf-8") as file:
        file.write('{"text": "甲乙", "entities": []}\n')
    code, output = run(overconfident / "model", tmp_path / "nothing.jsonl", "-o", tmp_path / "no", *base)
    assert (code, "no entity is labelled in it" in output) == (2, True), output
    (tmp_path / "declared.yaml").write_text("types: {city: company}\n")
    code, output = run(
        overconfident / "model",
        overconfident / "dev.jsonl",
        f"{tmp_path / 'other.jsonl'}={tmp_path / 'declared.yaml'}",
        *("-o", tmp_path / "two", *base),
    )
    assert (code, output.count("| before |"), output.count("| after |")) == (0, 2, 2), output
    for argument, named in (("gone.jsonl", "gone.jsonl"), (f"{tmp_path / 'other.jsonl'}=gone.yaml", "gone.yaml")):
        code, output = run(overconfident / "model", argument, "-o", tmp_path / "no", *base)
        assert (code, f"{named}: no such file" in output) == (2, True), output
    model = overconfident / "model"
    before = (model / "model.safetensors").read_bytes()
    code, output = run(model, overconfident / "dev.jsonl", "-o", f"{model}/.", *base)
    assert (code, "is the model itself" in output) == (2, True), output
    assert (model / "model.safetensors").read_bytes() == before


def test_a_model_whose_scores_are_no_numbers_is_not_calibrated(toy, toy_student, tmp_path):
    student, crf, layout = load_model(toy_student)
    with torch.no_grad():
        student.head.weight.fill_(float("nan"))
    save_model(tmp_path / "broken", student, crf, layout)
    with pytest.raises(ValueError, match="no finite numbers"):
        calibrate(tmp_path / "broken", [Corpus(toy / "dev.jsonl")], toy / "base.lex", tmp_path / "out")
    assert not (tmp_path / "out").exists()
