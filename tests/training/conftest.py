"""A toy language: enough for a model to learn, small enough to train in a second."""

import functools
import hashlib
import io
import json
import pickle
import random
import shutil
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs torch: pip install 'distillex[train]'")
torch.set_num_threads(1)  # toy tensors: threads would only wait for each other

SURNAMES = "赵钱孙李周吴"
GIVEN = "伟芳娜敏静丽强磊"
COMPANIES = ("东方电子", "南海船务", "西山矿业", "北斗软件")


def toy_sentences(count, seed):
    generator = random.Random(seed)
    for _ in range(count):
        name = generator.choice(SURNAMES) + generator.choice(GIVEN)
        company = generator.choice(COMPANIES)
        text = generator.choice(("{c}的{n}昨天说，", "{n}加入了{c}。", "今天{n}离开{c}！")).format(c=company, n=name)
        entities = [
            {"start": text.index(word), "end": text.index(word) + len(word), "type": kind}
            for word, kind in ((name, "name"), (company, "company"))
        ]
        yield {"text": text, "entities": entities}


def write_jsonl(path, records):
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records), encoding="utf-8")
    return path


class Description(pickle.Pickler):
    """Pickles equal things to equal bytes: no references between objects, tensors by their content."""

    def __init__(self, file):
        super().__init__(file)
        self.fast = True

    def reducer_override(self, value):
        if isinstance(value, torch.Tensor):
            content = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
            return tuple, ((str(value.dtype), *value.shape, content),)
        return NotImplemented


@pytest.fixture(scope="session", autouse=True)
def _traced_once():
    """PyTorch takes seconds to trace a model into a network: the same model with the same inputs and options gets the
    same file again.
    """
    trace, networks = torch.onnx.export, {}

    def traced(model, inputs, path, **options):
        described = io.BytesIO()
        Description(described).dump((model, inputs))
        key = hashlib.sha256(described.getvalue()).digest(), repr(options)
        if key in networks:
            path.write_bytes(networks[key])
        else:
            trace(model, inputs, path, **options)
            networks[key] = path.read_bytes()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(torch.onnx, "export", traced)
        yield


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    """A folder with train.jsonl, dev.jsonl, raw.txt, base.lex and configuration files."""
    from distillex_matcher import Lexicon

    folder = tmp_path_factory.mktemp("toy")
    write_jsonl(folder / "train.jsonl", toy_sentences(96, 1))
    write_jsonl(folder / "dev.jsonl", toy_sentences(24, 2))
    (folder / "raw.txt").write_text("".join(r["text"] + "\n" for r in toy_sentences(60, 3)), encoding="utf-8")
    Lexicon.from_entries([("东方", "n", 0.5), ("电子", "n", 0.4), ("昨天", "t", 0.9), ("加入", "v", 0.7)]).save(
        folder / "base.lex"
    )
    (folder / "student.yaml").write_text(
        """
data: {train: train.jsonl, dev: dev.jsonl, lexicon: base.lex, minimum_count: 1}
student: {width: 24, head: 24, dilations: [1, 2], character_embedding: 16, bigram_embedding: 8, bigram_hash_size: 128,
          lexicon_embedding: 8, word_hash_size: 64, dropout: 0.1}
loop: {epochs: 4, batch_size: 16, averaging: 0.9, seed: 1}
learning_rate: 1e-2
""",
        encoding="utf-8",
    )
    return folder


@pytest.fixture
def other_types(toy, tmp_path):
    """Overrides for a run that calls names persons and whose text holds a character more."""
    for split in ("train", "dev"):
        lines = (toy / f"{split}.jsonl").read_text(encoding="utf-8")
        lines = lines.replace('"name"', '"person"').replace("昨天", "明天")
        (tmp_path / f"{split}.jsonl").write_text(lines, encoding="utf-8")
    return {"data.train": str(tmp_path / "train.jsonl"), "data.dev": str(tmp_path / "dev.jsonl")}


@pytest.fixture(scope="session")
def toy_lexicons(toy, tmp_path_factory):
    """A lexicon directory whose base lexicon is the toy one."""
    folder = tmp_path_factory.mktemp("lexicons")
    (folder / "base").mkdir()
    shutil.copy(toy / "base.lex", folder / "base" / "1.lex")
    (folder / "base" / "CURRENT").write_text("1", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def toy_student(toy):
    """A trained toy student's model directory."""
    from distillex_training.config import StudentRun, read_config
    from distillex_training.distill import distill

    distill(read_config(toy / "student.yaml", StudentRun), toy / "run")
    return toy / "run" / "best"


@pytest.fixture(scope="session")
def toy_encoder(tmp_path_factory):
    """A two-layer ALBERT with random weights and a character vocabulary, as ``AutoModel`` reads it."""
    transformers = pytest.importorskip("transformers", reason="needs transformers")
    folder = tmp_path_factory.mktemp("encoder")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"东方电子南海船务的昨天说赵钱孙"]
    config = transformers.AlbertConfig(
        vocab_size=len(vocabulary),
        embedding_size=16,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=512,
    )
    torch.manual_seed(1)
    transformers.AlbertModel(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def teacher_configuration(toy, toy_encoder):
    """A configuration file of ``distillex finetune``."""
    path = toy / "teacher.yaml"
    path.write_text(
        f"""
data: {{train: {toy}/train.jsonl, dev: {toy}/dev.jsonl, lexicon: {toy}/base.lex, minimum_count: 1}}
encoder: {toy_encoder}
loop: {{epochs: 2, batch_size: 16, averaging: 0.0, warm_up: 0.2}}
learning_rate: 1e-2
encoder_learning_rate: 1e-3
head: 32
word_hash_size: 64
""",
        encoding="utf-8",
    )
    return path


@pytest.fixture(scope="session")
def toy_teacher(teacher_configuration, tmp_path_factory):
    """A fine-tuned toy teacher's model directory."""
    from distillex_training.config import TeacherRun, read_config
    from distillex_training.finetune import finetune

    run = tmp_path_factory.mktemp("teacher")
    finetune(read_config(teacher_configuration, TeacherRun), run)
    return run / "best"


SHIPPED_STUDENT = Path(__file__).resolve().parents[2] / "models" / "student-cluener"


@pytest.fixture(scope="session")
def gpu_networks(toy_student, toy_teacher, tmp_path_factory):
    """The network of a model for GPUs, and the model's directory, by its kind."""
    from distillex_training.export.onnx import export_onnx
    from distillex_training.models import load_model

    directories = {"student": toy_student, "teacher": toy_teacher, "shipped student": SHIPPED_STUDENT}
    folder = tmp_path_factory.mktemp("gpu")

    @functools.cache
    def network(kind, half=True):
        model, crf, layout = load_model(directories[kind])
        path = folder / f"{kind} {half}.onnx"
        export_onnx(model, layout, path, crf=crf.parameters_for_serving(), half=half)
        return path, directories[kind]

    return network


@pytest.fixture(scope="session")
def rtx():
    """TensorRT for RTX, which builds without a GPU."""
    from distillex_training.errors import TensorRtError
    from distillex_training.export.plan_builder import TENSORRT_RTX, load_library

    try:
        return load_library(TENSORRT_RTX)
    except TensorRtError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def rtx_plans(rtx, gpu_networks):
    """The plan that NVIDIA's real builder makes of a model, and the model's layout, by its kind."""
    from distillex_matcher import FeatureLayout
    from distillex_training.export.plan_builder import PlanOptions, build_plan
    from distillex_training.export.plan_profile import optimization_profile

    @functools.cache
    def plan(kind, half=True):
        network, directory = gpu_networks(kind, half)
        layout = FeatureLayout.load(directory)
        return build_plan(rtx, network.read_bytes(), optimization_profile(layout), PlanOptions(half=half)), layout

    return plan
