"""What ``distillex data check`` finds, and what it leaves in peace."""

import json

import pytest
from distillex_training.data.check import check_files, is_near_duplicate
from distillex_training.data.convert import split, text_key
from distillex_training.data.findings import Kind
from distillex_training.data.records import GoldSpan, Record
from distillex_training.data.stats import file_stats, percentiles, surfaces_of


@pytest.fixture
def check(tmp_path):
    def run(train, dev=None):
        paths = []
        for name, records in (("train", train), ("dev", dev)):
            if records is not None:
                paths.append(tmp_path / f"{name}.jsonl")
                lines = [r if isinstance(r, str) else json.dumps(r, ensure_ascii=False) for r in records]
                paths[-1].write_text("\n".join(lines), encoding="utf-8")
        found = check_files(*paths, max_length=20)
        return [(f.kind, f.where.rsplit("/", 1)[-1], f.message) for f in found if f.kind is not Kind.RARE_LABEL]

    return run


def record(text, *spans):
    return {"text": text, "entities": [{"start": s, "end": e, "type": t} for s, e, t in spans]}


def many(label, count=40):
    return [record(f"第{i}位是赵伟", (len(f"第{i}位是"), len(f"第{i}位是") + 2, label)) for i in range(count)]


def test_clean_files_have_no_finding(check):
    assert check(many("name"), [record("赵伟来了", (0, 2, "name"))]) == []


@pytest.mark.parametrize(
    ("bad", "kind", "message"),
    [
        (record("甲乙", (1, 3, "name")), Kind.BAD_RECORD, "the span [1, 3) does not lie"),
        (record(" "), Kind.BAD_RECORD, "the text is empty"),
        ("{", Kind.BAD_RECORD, "not JSON"),
        (record("甲乙丙丁", (0, 3, "name"), (2, 4, "name")), Kind.OVERLAP, "[0, 3) name and [2, 4) name"),
        (record("甲乙", (0, 1, "name"), (0, 1, "name")), Kind.REPEATED_SPAN, "[0, 1) name '甲', 2 times"),
        (record("甲 乙", (0, 2, "name")), Kind.WHITE_SPACE, "[0, 2) name '甲 '"),
        (record("甲" * 21), Kind.OVERLONG, "21 characters; at most 20"),
        (record("第1位是赵伟", (4, 6, "name")), Kind.DUPLICATE, "the same sentence as line 2"),
        (record("第１位是 赵伟", (5, 7, "name")), Kind.DUPLICATE, "the same sentence as line 2"),
        (record("第1位是赵伟"), Kind.CONFLICT, "the same sentence as line 2, labelled differently"),
        (record("赵伟来", (0, 2, "person")), Kind.INCONSISTENT, "'赵伟' is name 40 times, person 1 times"),
    ],
)
def test_a_finding_names_file_and_line(check, bad, kind, message):
    ((found, where, text),) = check([*many("name"), bad])
    assert (found, where) == (kind, "train.jsonl:41")
    assert message in text


@pytest.mark.parametrize(
    ("label", "other", "expected"),
    [
        ("Company", "company", True),
        ("per_son", "person", True),
        ("compnay", "company", True),
        ("compan", "company", True),
        ("companyy", "company", True),
        ("cumpany", "company", True),
        ("LOC", "ORG", False),
        ("movie", "name", False),
        ("A", "B", False),
        ("book", "bookmark", False),
    ],
)
def test_slips_of_a_label_name_are_told_from_other_names(label, other, expected):
    assert is_near_duplicate(label, other) is expected
    assert is_near_duplicate(other, label) is expected


def test_a_label_typo_is_found_only_where_it_is_rare(check):
    slip = [record("钱芳来了", (0, 2, "naem"))]
    assert [(k, m) for k, _, m in check(many("name") + slip)] == [
        (Kind.LABEL_TYPO, "label 'naem' (1 times) looks like 'name' (40 times)")
    ]
    others = [record(f"第{i}个钱芳", (len(f"第{i}个"), len(f"第{i}个") + 2, "game")) for i in range(10)]
    assert check(many("name") + others) == []


def test_leakage_and_labels_between_the_splits(check):
    dev = [
        record("第３位是 赵伟", (5, 7, "name")),
        record("第4位是赵伟", (4, 6, "name")),
        record("火星", (0, 2, "planet")),
    ]
    found = check(many("name"), dev)
    assert [(kind, where) for kind, where, _ in found] == [
        (Kind.UNKNOWN_LABEL, "dev.jsonl:3"),
        (Kind.LEAK, "dev.jsonl:1"),
        (Kind.LEAK, "dev.jsonl:2"),
    ]
    assert "'planet', 1 times; known: name" in found[0][2]
    assert "equals, after normalisation, " in found[1][2]


def test_rare_labels_are_named_with_both_counts(tmp_path):
    for name, records in (("train", [*many("name"), record("火星", (0, 2, "planet"))]), ("dev", many("name", 5))):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    found = check_files(tmp_path / "train.jsonl", tmp_path / "dev.jsonl")
    rare = [f.message for f in found if f.kind is Kind.RARE_LABEL]
    assert rare == ["label 'planet': 1 in the training file, 0 in the development file"]


def a_record(tmp_path, text, *spans):
    return Record(tmp_path, 1, text, tuple(GoldSpan(*span) for span in spans))


def test_a_split_keeps_equal_sentences_together_and_old_sentences_in_place(tmp_path):
    records = [a_record(tmp_path, f"第{i}句 A") for i in range(400)] + [
        a_record(tmp_path, f"第{i}句Ａ") for i in range(400)
    ]
    train, dev = split(records, 0.2, 1)
    assert len(train) + len(dev) == 800
    assert 110 < len(dev) < 210
    assert {text_key(r.text) for r in train}.isdisjoint(text_key(r.text) for r in dev)
    assert split(records[:300], 0.2, 1)[1] == [r for r in dev if r in records[:300]]
    assert split(records, 0.2, 2) != (train, dev)


def test_stats_count_lengths_types_and_the_unseen_share(tmp_path):
    train = [a_record(tmp_path, "赵伟来", (0, 2, "name")), a_record(tmp_path, "无")]
    dev = [a_record(tmp_path, "赵伟和钱芳", (0, 2, "name"), (3, 5, "name"))]
    counted = file_stats("train", train)
    assert (counted.sentences, counted.characters, counted.without_entities, counted.unseen) == (2, 4, 1, None)
    of_dev = file_stats("dev", dev, surfaces_of(train)).types["name"]
    assert (of_dev.entities, of_dev.surfaces, of_dev.unseen) == (2, 2, 1)
    assert percentiles(range(1, 201)) == (100, 180, 198, 200)


@pytest.fixture
def check_declared(tmp_path):
    def run(declaration, *files, types=()):
        paths = []
        for number, records in enumerate(files):
            paths.append(tmp_path / f"{number}.jsonl")
            lines = [json.dumps(record, ensure_ascii=False) for record in records]
            paths[-1].write_text("\n".join(lines), encoding="utf-8")
        (tmp_path / "corpus.yaml").write_text(declaration, encoding="utf-8")
        found = check_files(*paths, declaration=tmp_path / "corpus.yaml", entity_types=types)
        return [(f.kind, f.where.rsplit("/", 1)[-1], f.message) for f in found if f.kind is not Kind.RARE_LABEL]

    return run


def test_a_declaration_that_fits_its_file_has_no_finding(check_declared):
    declaration = "types: {PER: name, ORG: [company, government]}\nopen: [time]\n"
    train = [*many("PER"), record("北斗公司", (0, 4, "ORG"))]
    assert check_declared(declaration, train, [record("赵伟来了", (0, 2, "PER"))]) == []
    assert check_declared(declaration, train, types=("name", "company", "government", "time")) == []


def test_undeclared_types_are_errors_and_unused_ones_warnings(check_declared):
    train = [*many("PER"), record("北京", (0, 2, "LOC")), record("上海", (0, 2, "LOC"))]
    findings = check_declared("types: {PER: name, ORG: company, RACE: none}", train, types=("name", "company", "time"))
    assert findings == [
        (Kind.UNDECLARED, "0.jsonl:41", "'LOC', 2 times; declared: ORG, PER, RACE"),
        (Kind.NEVER_LABELLED, "corpus.yaml", "'ORG'"),
        (Kind.NEVER_LABELLED, "corpus.yaml", "'RACE'"),
        (Kind.NOT_TOLD_OF, "corpus.yaml", "'time'"),
    ]
    assert [kind.is_error for kind, _, _ in findings] == [True, False, False, False]


def test_declared_files_are_checked_in_terms_of_the_models_types(check_declared):
    declaration = "types: {ORG: [company, government], GOV: government, LOC: address, other: none}"
    surfaces = [
        record("去央行", (1, 3, "ORG")),
        record("在央行", (1, 3, "GOV")),  # one of what ORG may be: no contradiction
        record("去北京", (1, 3, "GOV")),
        record("在北京", (1, 3, "LOC")),
        record("北京", (0, 2, "other")),  # no entity of the model
    ]
    ((kind, _, message),) = check_declared(declaration, surfaces)
    assert (kind, message) == (Kind.INCONSISTENT, "'北京' is address 1 times, government 1 times")
    nothing = check_declared("types: {X: none}", [record("甲", (0, 1, "X"))])
    assert [kind for kind, _, _ in nothing] == [Kind.NO_ENTITY]


LABELS = (
    {
        "text": "华为在深圳",
        "entities": [{"text": "华为", "type": "company", "score": 0.5}, {"text": "小米", "type": "company"}],
    },
    {
        "text": "张伟说华为，华为说",
        "entities": [{"start": 0, "end": 2, "label": "name"}, {"text": "华为", "type": "company"}],
    },
    {"text": "甲乙丙丁", "entities": [{"text": "甲乙丙", "type": "planet"}, {"text": "甲乙", "type": "name"}]},
    {"text": "赵伟", "entities": [{"text": "赵伟", "type": "name"}, {"text": "赵伟", "type": "company"}]},
    {"text": "今天天气好", "entities": []},
)


def test_the_command_checks_labels_of_any_source_before_a_run_learns_from_them(tmp_path):
    from distillex.command.main import application
    from typer.testing import CliRunner

    path = tmp_path / "labels.jsonl"

    def run(records, *options):
        lines = [json.dumps(each, ensure_ascii=False) + "\n" for each in records]
        path.write_text("".join(lines), encoding="utf-8")
        done = CliRunner().invoke(application, ["data", "check", str(path), *map(str, options)])
        return done.exit_code, done.output.replace(f"{tmp_path}/", "").splitlines()

    (tmp_path / "raw.txt").write_text("华为在深圳\n别的\n今天天气好\n", encoding="utf-8")
    code, lines = run(LABELS, "--labels", "--types", "company,name,time", "--raw", tmp_path / "raw.txt")
    assert code == 0, lines
    for said in (
        "labels.jsonl: 5 sentences, 1 of them without an entity",
        "  company: 3 entities, 1 different, scores 0.50 to 1.00, mean 0.83",
        "  2 of 3 raw sentences are labelled; 3 labelled ones are not among them",
        "  labels.jsonl:3: 'planet', 1 times; the model has company, name, time",
        "  labels.jsonl: 'time'",
        "  labels.jsonl:1: '小米' company",
        "  labels.jsonl:3: '甲乙' name",
        "  labels.jsonl:2: '华为'",
        "  labels.jsonl:4: '赵伟' name, company",
        "0 errors, 6 warnings",
    ):
        assert said in lines, lines
    wrong = {"text": "今天", "entities": [{"text": "今天", "type": "name", "score": 1.5}]}
    code, lines = run([*LABELS, wrong], "--labels")
    assert (code, "  labels.jsonl:6: the score of an entity is 1.5; a number from 0 to 1 is accepted" in lines) == (
        1,
        True,
    )
    code, lines = run(LABELS, "--labels", "--types", "city")
    assert (code, "  labels.jsonl: labels company, name, planet; the model has city" in lines) == (1, True), lines
    assert run(LABELS, "--raw", tmp_path / "raw.txt") == (2, ["distillex data check: --raw goes with --labels"])


def test_the_command_checks_declaration_and_types(tmp_path):
    from distillex.command.main import application
    from typer.testing import CliRunner

    def run(*options):
        arguments = ["data", "check", tmp_path / "train.jsonl", *options]
        done = CliRunner().invoke(application, [str(argument) for argument in arguments])
        return done.exit_code, " ".join(done.output.split())

    (tmp_path / "train.jsonl").write_text(json.dumps(record("赵伟", (0, 2, "PER"))) + "\n", encoding="utf-8")
    declaration = tmp_path / "corpus.yaml"
    declaration.write_text("types: {PER: name}\n", encoding="utf-8")
    assert run("--declaration", declaration, "--types", "name, ") == (0, "0 errors, 0 warnings")
    code, output = run("--types", "name,company")
    assert (code, "unknown type 'PER'; known types: name, company" in output) == (1, True), output
    code, output = run("--declaration", declaration, "--types", "person")
    assert (code, "'name' is no type of the model; its types: person" in output) == (2, True), output
    declaration.write_text("types: {LOC: address}\n", encoding="utf-8")
    code, output = run("--declaration", declaration)
    assert (code, "ERROR undeclared: 1" in output, "'PER', 1 times; declared: LOC" in output) == (1, True, True), output
