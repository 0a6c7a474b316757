#include <pybind11/stl.h>

#include "arrays.hpp"
#include "bindings.hpp"
#include "distillex/featurizer.hpp"
#include "matches.hpp"

namespace py = pybind11;

namespace distillex {
namespace {

FeaturizerText text_from(py::handle object) {
    FeaturizerText text;
    if (PyBytes_Check(object.ptr())) {
        const std::string_view bytes(PyBytes_AS_STRING(object.ptr()),
                                     static_cast<std::size_t>(PyBytes_GET_SIZE(object.ptr())));
        const std::size_t bad = decode_utf8(bytes, text.points);
        if (bad != std::string_view::npos)
            text.error = "the text is not UTF-8 (byte " + std::to_string(bad) + ")";
        return text;
    }
    if (!PyUnicode_Check(object.ptr())) {
        throw py::type_error("a text is str or bytes, not " + std::string(Py_TYPE(object.ptr())->tp_name));
    }
    text.points = PythonText::of(object).points();
    return text;
}

py::object featurize(const Featurizer& featurizer, const py::sequence& texts, const py::object& overlays,
                     bool strict) {
    std::vector<FeaturizerText> inputs;
    inputs.reserve(texts.size());
    for (const py::handle text : texts) inputs.push_back(text_from(text));
    if (!overlays.is_none()) {
        const auto rows = py::cast<py::sequence>(overlays);
        if (rows.size() != inputs.size()) {
            throw py::value_error(
                "overlays must hold one list of lexicons a text: " + std::to_string(rows.size()) + " for " +
                std::to_string(inputs.size()) + " texts");
        }
        for (std::size_t i = 0; i < inputs.size(); ++i) {
            for (const py::handle lexicon : py::cast<py::sequence>(rows[i])) {
                inputs[i].overlays.push_back(py::cast<std::shared_ptr<Lexicon>>(lexicon));
            }
        }
    }
    FeatureBatch batch;
    {
        const py::gil_scoped_release release;
        batch = featurizer.featurize(inputs);
    }
    if (strict) {
        for (std::size_t row = 0; row < batch.errors.size(); ++row) {
            if (batch.errors[row])
                throw py::value_error("text " + std::to_string(row) + ": " + *batch.errors[row]);
        }
    }
    const auto b = static_cast<py::ssize_t>(batch.batch);
    const auto t = static_cast<py::ssize_t>(batch.tokens);
    const auto k = static_cast<py::ssize_t>(batch.words_per_slot);
    const std::vector<py::ssize_t> words{b, t, static_cast<py::ssize_t>(kSlots), k};
    return named("Features",
                 py::make_tuple(to_array(std::move(batch.input_ids), {b, t}),
                                to_array(std::move(batch.lexicon_types), words),
                                to_array(std::move(batch.lexicon_words), words),
                                to_array(std::move(batch.lexicon_weights), words),
                                to_array(std::move(batch.lengths), {b, 1}), py::cast(batch.errors)));
}

}  // namespace

void bind_featurizer(py::module_& m) {
    m.attr("PADDING_ID") = 0;
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

Raises
------
ValueError
    For a vocabulary without a special token, repeated tokens or types, bad buckets.
LexiconError
    For a base lexicon with a type that is not in ``types``.
)")
        .def(py::init([](std::vector<std::string> vocabulary, std::vector<std::string> types,
                         std::uint32_t word_hash_size, std::uint32_t words_per_slot,
                         std::vector<std::uint32_t> buckets, std::shared_ptr<Lexicon> base) {
                 return Featurizer(std::move(vocabulary), std::move(types),
                                   {word_hash_size, words_per_slot, std::move(buckets)}, std::move(base));
             }),
             py::arg("vocabulary"), py::arg("types"), py::kw_only(), py::arg("word_hash_size") = 32768,
             py::arg("words_per_slot") = 4, py::arg("buckets") = FeaturizerOptions{}.buckets,
             py::arg("base") = py::none())
        .def(
            "with_base",
            [](const Featurizer& featurizer, std::shared_ptr<Lexicon> base) {
                return featurizer.with_base(std::move(base));
            },
            py::arg("base").none(true), "A featurizer that shares everything but the base lexicon (cheap).")
        .def("check_types", &Featurizer::check_types, py::arg("lexicon"),
             "Raise LexiconError naming the lexicon's unknown types and listing the known ones.")
        .def("featurize", &featurize, py::arg("texts"), py::arg("overlays") = py::none(), py::kw_only(),
             py::arg("strict") = true,
             R"(Features of a batch.

Parameters
----------
texts
    ``str``, or UTF-8 ``bytes`` (checked).
overlays
    Per text, the lexicons laid over the base one, later ones on top; None for no overlays.
strict
    True: raise ValueError for the first bad text (empty, too long, not UTF-8, lone surrogate, NUL, unknown overlay
    type), naming its row. False: report it in ``errors`` and go on.

Returns
-------
Features
)")
        .def_property_readonly("max_text_length", &Featurizer::max_text_length,
                               "Longest text in code points: the largest bucket minus 2.")
        .def_property_readonly("vocabulary",
                               [](const Featurizer& f) { return py::tuple(py::cast(f.vocabulary())); })
        .def_property_readonly("types", [](const Featurizer& f) { return py::tuple(py::cast(f.types())); })
        .def_property_readonly("word_hash_size",
                               [](const Featurizer& f) { return f.options().word_hash_size; })
        .def_property_readonly("words_per_slot",
                               [](const Featurizer& f) { return f.options().words_per_slot; })
        .def_property_readonly("buckets",
                               [](const Featurizer& f) { return py::tuple(py::cast(f.options().buckets)); })
        .def_property_readonly(
            "base", [](const Featurizer& f) { return std::const_pointer_cast<Lexicon>(f.base()); });
}

}  // namespace distillex
