"""Beginning with a model of other entity types: labels of the same name keep what was learnt of them."""

import dataclasses

import torch
from distillex_matcher import FeatureLayout
from distillex_training.models import ConstrainedCrf, Student, StudentConfig
from distillex_training.models.start_from import start_from

LAYOUT = FeatureLayout(vocabulary=("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "甲"), types=("n",), word_hash_size=8)


def model(types, seed):
    torch.manual_seed(seed)
    config = StudentConfig(
        vocabulary=len(LAYOUT.vocabulary),
        lexicon_types=1,
        entity_types=types,
        width=8,
        head=8,
        dilations=(1,),
        character_embedding=8,
        bigram_embedding=4,
        bigram_hash_size=16,
        lexicon_embedding=4,
        word_hash_size=8,
    )
    crf = ConstrainedCrf(types)
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.normal_()
    crf.hold_constraints()
    return Student(config), crf


def begin(types, earlier_types):
    (student, crf), (earlier, earlier_crf) = model(types, 1), model(earlier_types, 2)
    fresh = [each.detach().clone() for each in (student.tag.weight, crf.crf.transitions)]
    layouts = {"earlier_layout": LAYOUT, "earlier": earlier, "earlier_crf": earlier_crf}
    start_from(student, crf, dataclasses.replace(LAYOUT), **layouts)
    return (student, crf), (earlier, earlier_crf), fresh


def test_labels_of_the_same_name_keep_their_scores_and_others_begin_anew():
    (student, crf), (earlier, earlier_crf), (weight, transitions) = begin(
        ("game", "name", "time"), ("book", "game", "name")
    )
    ours, theirs = crf.scheme.labels, earlier_crf.scheme.labels
    for row, label in enumerate(ours):
        if label in theirs:
            assert torch.equal(student.tag.weight[row], earlier.tag.weight[theirs.index(label)])
            assert student.tag.bias[row] == earlier.tag.bias[theirs.index(label)]
        else:
            assert label.endswith("time")
            assert torch.equal(student.tag.weight[row], weight[row])
    for one, other in (("O", "B-game"), ("E-name", "S-game"), ("B-name", "E-name")):
        there = earlier_crf.crf.transitions[theirs.index(one), theirs.index(other)]
        assert crf.crf.transitions[ours.index(one), ours.index(other)] == there
    assert (
        crf.crf.transitions[ours.index("O"), ours.index("B-time")] == transitions[ours.index("O"), ours.index("B-time")]
    )
    assert crf.crf.start_transitions[ours.index("S-name")] == earlier_crf.crf.start_transitions[theirs.index("S-name")]


def test_without_a_common_type_labels_begin_anew_altogether():
    (student, crf), _, (weight, transitions) = begin(("LOC", "PER"), ("address", "name"))
    assert torch.equal(student.tag.weight, weight)
    assert torch.equal(crf.crf.transitions, transitions)
