"""Temperature scaling, as a command: posteriors move, what is found stays."""

import re

import pytest
import torch
from distillex_matcher import Lexicon
from distillex_training.calibrate import calibrate
from distillex_training.data.labelled import read_labelled
from distillex_training.evaluate import predict, torch_emissions
from distillex_training.models import load_model, save_model
from typer.testing import CliRunner


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
    return predict(layout.featurizer(base), torch_emissions(model), crf.decoder(), texts)


def test_scores_come_to_say_how_often_they_are_right_and_what_is_found_stays(toy, overconfident, tmp_path):
    data, base = overconfident / "dev.jsonl", toy / "base.lex"
    done = calibrate(overconfident / "model", data, base, tmp_path / "calibrated")
    assert done.before.precision == done.after.precision < 0.8
    assert done.before.mean_score > 0.9
    assert abs(done.after.mean_score - done.after.precision) < 0.1
    assert done.after.calibration_error < done.before.calibration_error / 2
    assert found_by(tmp_path / "calibrated", toy, data) == found_by(overconfident / "model", toy, data)
    again = calibrate(tmp_path / "calibrated", data, base, tmp_path / "again")
    assert again.temperature == pytest.approx(1.0, abs=1e-3)
    assert again.before.mean_score == pytest.approx(done.after.mean_score, abs=1e-4)
    assert again.before.calibration_error == pytest.approx(done.after.calibration_error, abs=1e-3)


def test_the_temperature_is_the_likeliest_one(toy, overconfident, tmp_path):
    data, base = overconfident / "dev.jsonl", toy / "base.lex"
    done = calibrate(overconfident / "model", data, base, tmp_path / "calibrated")
    model, crf, layout = load_model(overconfident / "model")
    sentences, _ = read_labelled(data)
    featurizer = layout.featurizer(Lexicon.load(base))

    def likelihood(temperature):
        scaled = load_model(overconfident / "model")[1]
        scaled.load_state_dict({name: tensor / temperature for name, tensor in crf.state_dict().items()})
        scaled.hold_constraints()
        total = 0.0
        for sentence in sentences:
            features = featurizer.featurize([sentence.text])
            emissions = torch.from_numpy(torch_emissions(model)(features))[:, 1 : len(sentence.text) + 1]
            spans = [(span.start, span.end, span.type) for span in sentence.spans]
            labels = torch.from_numpy(crf.scheme.encode(spans, len(sentence.text))).long().unsqueeze(0)
            mask = torch.ones(labels.shape, dtype=torch.bool)
            total += float(scaled.loss(emissions / temperature, labels, mask)) * labels.numel()
        return total

    with torch.no_grad():
        best, cooler, warmer = (likelihood(done.temperature * factor) for factor in (1.0, 0.9, 1.1))
    assert best < min(cooler, warmer)


def test_a_model_without_mistakes_is_not_scaled_without_end(toy, toy_student, tmp_path):
    done = calibrate(toy_student, toy / "dev.jsonl", toy / "base.lex", tmp_path, half_precision=True)
    assert done.before.precision == 1.0
    assert 0.1 <= done.temperature < 1.0
    assert found_by(tmp_path, toy, toy / "dev.jsonl") == found_by(toy_student, toy, toy / "dev.jsonl")


def test_the_command_prints_what_it_did_and_names_what_is_wrong(toy, overconfident, tmp_path):
    from distillex.command.main import application

    def run(*arguments):
        done = CliRunner().invoke(application, ["calibrate", *map(str, arguments)])
        return done.exit_code, done.output.replace("\n", " ")

    base = ("--base", toy / "base.lex")
    code, output = run(
        overconfident / "model", overconfident / "dev.jsonl", "-o", tmp_path / "new", *base, "--half-precision"
    )
    assert code == 0, output
    count = len((overconfident / "dev.jsonl").read_text(encoding="utf-8").splitlines())
    assert re.search(rf"dev\.jsonl: {count} sentences .*temperature \d\.\d+; model in", output)
    assert load_model(tmp_path / "new")[1].scheme.entity_types == ("company", "name")
    halves = (tmp_path / "new" / "model.safetensors").stat().st_size
    assert halves < 0.7 * (overconfident / "model" / "model.safetensors").stat().st_size
    (tmp_path / "other.jsonl").write_text('{"text": "甲乙", "entities": [{"start": 0, "end": 1, "type": "city"}]}\n')
    code, output = run(overconfident / "model", tmp_path / "other.jsonl", "-o", tmp_path / "no", *base)
    assert (code, "city" in output, (tmp_path / "no").exists()) == (1, True, False)
    (tmp_path / "empty.jsonl").write_text("")
    code, output = run(overconfident / "model", tmp_path / "empty.jsonl", "-o", tmp_path / "no", *base)
    assert (code, "no sentence" in output) == (1, True), output
    with (tmp_path / "nothing.jsonl").open("w", encoding="utf-8") as file:
        file.write('{"text": "甲乙", "entities": []}\n')
    code, output = run(overconfident / "model", tmp_path / "nothing.jsonl", "-o", tmp_path / "no", *base)
    assert (code, "no entity in it to calibrate with" in output) == (1, True), output
    model = overconfident / "model"
    before = (model / "model.safetensors").read_bytes()
    code, output = run(model, overconfident / "dev.jsonl", "-o", f"{model}/.", *base)
    assert (code, "is the model itself" in output) == (1, True), output
    assert (model / "model.safetensors").read_bytes() == before


def test_a_model_whose_scores_are_no_numbers_is_not_calibrated(toy, toy_student, tmp_path):
    student, crf, layout = load_model(toy_student)
    with torch.no_grad():
        student.head.weight.fill_(float("nan"))
    save_model(tmp_path / "broken", student, crf, layout)
    with pytest.raises(ValueError, match="no finite numbers"):
        calibrate(tmp_path / "broken", toy / "dev.jsonl", toy / "base.lex", tmp_path / "out")
    assert not (tmp_path / "out").exists()
