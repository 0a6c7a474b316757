// Binds the featurizer to Python: texts and lexicons in, model inputs as numpy arrays out.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include "bindings.hpp"
#include "distillex/featurizer.hpp"
#include "python_text.hpp"
#include "python_trust.hpp"
#include "records.hpp"

namespace py = pybind11;

namespace distillex {
namespace {

py::list refusals(const std::vector<std::optional<Refusal>>& errors) {
    py::list list(errors.size());
    for (std::size_t row = 0; row < errors.size(); ++row) {
        list[row] = errors[row] ? record<Record::kRefusal>(errors[row]->reason, errors[row]->message)
                                : py::object(py::none());
    }
    return list;
}

py::object featurize(const Featurizer& featurizer, const py::sequence& texts, const py::object& overlays,
                     const py::object& trusts, bool strict) {
    const py::tuple kept = held(texts);
    std::vector<FeaturizerText> inputs(kept.size());
    for (std::size_t i = 0; i < inputs.size(); ++i) inputs[i].text = text_view(kept[i]);
    if (!overlays.is_none()) {
        const py::tuple rows = held(py::cast<py::sequence>(overlays));
        if (rows.size() != inputs.size()) {
            throw py::value_error(
                "overlays must hold one list of lexicons a text: " + std::to_string(rows.size()) + " for " +
                std::to_string(inputs.size()) + " texts");
        }
        for (std::size_t i = 0; i < inputs.size(); ++i) {
            for (const py::handle lexicon : held(py::cast<py::sequence>(rows[i]))) {
                // A cast alone would make a null pointer of None.
                if (!py::isinstance<Lexicon>(lexicon)) {
                    throw py::type_error("an overlay is a Lexicon, not " +
                                         std::string(Py_TYPE(lexicon.ptr())->tp_name));
                }
                inputs[i].overlays.push_back(py::cast<std::shared_ptr<Lexicon>>(lexicon));
            }
        }
    }
    if (!trusts.is_none()) {
        const py::tuple rows = held(py::cast<py::sequence>(trusts));
        if (rows.size() != inputs.size()) {
            throw py::value_error("trusts must hold one trust a text: " + std::to_string(rows.size()) +
                                  " for " + std::to_string(inputs.size()) + " texts");
        }
        for (std::size_t i = 0; i < inputs.size(); ++i) inputs[i].trust = trust_from(rows[i]);
    }
    FeatureBatch batch;
    {
        const py::gil_scoped_release release;
        batch = featurizer.featurize(inputs);
    }
    if (strict) {
        for (std::size_t row = 0; row < batch.errors.size(); ++row) {
            if (batch.errors[row])
                throw py::value_error("text " + std::to_string(row) + ": " + batch.errors[row]->message);
        }
    }
    const auto b = static_cast<py::ssize_t>(batch.batch);
    const auto t = static_cast<py::ssize_t>(batch.tokens);
    const auto k = static_cast<py::ssize_t>(batch.words_per_slot);
    constexpr auto s = static_cast<py::ssize_t>(kSlots);
    const py::capsule memory(batch.memory.get(), [](void* pointer) { FeatureBatch::Free()(pointer); });
    batch.memory.release();
    return record<Record::kFeatures>(
        py::array_t<std::int32_t>({b, t}, batch.input_ids.data, memory),
        py::array_t<std::int32_t>({b, t, s, k}, batch.lexicon_types.data, memory),
        py::array_t<std::int32_t>({b, t, s, k}, batch.lexicon_words.data, memory),
        py::array_t<float>({b, t, s, k}, batch.lexicon_weights.data, memory),
        py::array_t<std::int32_t>({b, py::ssize_t{1}}, batch.lengths.data, memory), refusals(batch.errors),
        py::cast(std::make_shared<TrustedWords>(std::move(batch.trusted))));
}

}  // namespace

void bind_featurizer(py::module_& m) {
    py::class_<TrustedWords, std::shared_ptr<TrustedWords>>(
        m, "TrustedWords", R"(Words of overlays that stand in the texts of a batch and are to be obeyed.

From :meth:`Featurizer.featurize` to the decoder. Of overlapping words of one type the longest alone is there. A
word whose trust is ``hint`` is not, and one of ``prefer`` is not where the base lexicon speaks against it: where it
knows the same word as something else, or has a word that covers this one or reaches into it.
)")
        .def("__len__", &TrustedWords::rows)
        .def(
            "words",
            [](const TrustedWords& words, std::size_t row) {
                if (row >= words.rows()) throw py::index_error("row out of range");
                py::list list;
                for (const TrustedWord* word = words.begin(row); word != words.end(row); ++word) {
                    list.append(py::make_tuple(word->start, word->end, word->type, trust_shown(word->trust)));
                }
                return list;
            },
            py::arg("row"), "``(start, end, type id, trust)`` of each word of a row.")
        .def(
            "rows",
            [](const TrustedWords& words) {
                py::list rows(words.rows());
                for (std::size_t row = 0; row < words.rows(); ++row) rows[row] = py::bytes(words.packed(row));
                return rows;
            },
            "Each row as bytes, for another process of this machine; empty where there is no word.")
        .def_static(
            "from_rows",
            [](const py::sequence& rows) {
                const py::tuple kept = held(rows);
                std::vector<std::string_view> views;
                views.reserve(kept.size());
                for (const py::handle row : kept) views.push_back(bytes_view(row));
                return std::make_shared<TrustedWords>(TrustedWords::from_packed(views));
            },
            py::arg("rows"), "What :meth:`rows` gave. Raises ValueError for other bytes.");
    py::class_<Featurizer>(m, "Featurizer", R"(Texts + vocabulary + lexicons → padded, bucketed model inputs.

The one place that knows the feature layout. A token is one code point: token ``i + 1`` is code point ``i``, token 0
is ``[CLS]``. Characters are normalised one to one before the vocabulary and the lexicons see them.

A character takes part in a matched word as its Begin, Middle or End, or as a Single: four slots (*SoftLexicon*,
Ma et al., ACL 2020). In each slot it keeps its ``words_per_slot`` heaviest words: by weight, then the longer word,
then the earlier start. An overlay's word replaces the base's of the same spelling; a later overlay wins over an
earlier one; type None hides. Words of the base carry a hashed word id, words of an overlay 0.

Parameters
----------
vocabulary
    Tokens by id. Must hold ``[PAD]`` (first), ``[UNK]``, ``[CLS]`` and ``[SEP]``; white space is the token ``▁``
    where the vocabulary has it.
types
    The closed set of lexicon type names that the model knows; the type id is 1 + the index.
word_hash_size
    Rows of the model's hashed word table.
words_per_slot
    K.
buckets
    Increasing token counts; a batch is padded to the smallest that holds its longest text.
base
    The base lexicon, or None.
word_boundaries
    Whether a word that holds letters of a script with spaces (Latin, Greek, Cyrillic, …) matches only where it is no
    part of a longer word or number: ``cat`` not in ``concatenate``, but ``iphone`` in ``买iPhone了``.
lowercase
    Whether the model sees capital letters as small ones. Lexicons compare without regard to case either way.

Raises
------
ValueError
    For a vocabulary without a special token, repeated tokens or types, bad buckets.
LexiconError
    For a base lexicon with a type that is not in ``types``.
)")
        .def(py::init([](const std::vector<std::string>& vocabulary, std::vector<std::string> types,
                         std::uint32_t word_hash_size, std::uint32_t words_per_slot,
                         std::vector<std::uint32_t> buckets, std::shared_ptr<Lexicon> base,
                         bool word_boundaries, bool lowercase) {
                 return Featurizer(
                     vocabulary, std::move(types),
                     {word_hash_size, words_per_slot, std::move(buckets), word_boundaries, lowercase},
                     std::move(base));
             }),
             py::arg("vocabulary"), py::arg("types"), py::kw_only(), py::arg("word_hash_size") = 32768,
             py::arg("words_per_slot") = 4, py::arg("buckets") = FeaturizerOptions{}.buckets,
             py::arg("base") = py::none(), py::arg("word_boundaries") = false, py::arg("lowercase") = true)
        .def(
            "with_base",
            [](const Featurizer& featurizer, std::shared_ptr<Lexicon> base) {
                return featurizer.with_base(std::move(base));
            },
            py::arg("base").none(true), "A featurizer that shares everything but the base lexicon (cheap).")
        .def("check_types", &Featurizer::check_types, py::arg("lexicon"),
             "Raise LexiconError naming the lexicon's unknown types and listing the known ones.")
        .def("featurize", &featurize, py::arg("texts"), py::arg("overlays") = py::none(), py::kw_only(),
             py::arg("trusts") = py::none(), py::arg("strict") = true,
             R"(Features of a batch.

Parameters
----------
texts
    ``str``, or UTF-8 ``bytes`` (checked), in any mixture; read where they are.
overlays
    Per text, the lexicons laid over the base one, later ones on top; None for no overlays.
trusts
    Per text, the trust of the overlays' words that say none themselves, before that of their lexicon: ``"hint"``,
    ``"prefer"``, ``"insist"``, a number from 0 to 1000, or None: not said. Where nobody says it, it is ``prefer``.
strict
    True: raise ValueError for the first bad text (empty, too long, not UTF-8, lone surrogate, NUL, unknown overlay
    type), naming its row. False: report it in ``errors`` and go on.

Returns
-------
Features
)")
        .def_property_readonly("max_text_length", &Featurizer::max_text_length,
                               "Longest text in code points: the largest bucket minus 2.");
}

}  // namespace distillex
