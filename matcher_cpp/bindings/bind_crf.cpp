// Binds the CRF decoder to Python: emissions as numpy arrays in, entities out.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include "arrays.hpp"
#include "bindings.hpp"
#include "distillex/crf.hpp"
#include "python_text.hpp"
#include "records.hpp"

namespace py = pybind11;

namespace distillex {
namespace {

using Scores = py::array_t<float, py::array::c_style | py::array::forcecast>;
using Lengths = py::array_t<std::int32_t, py::array::c_style | py::array::forcecast>;

EmissionBatch batch_of(const Scores& emissions, const Lengths& lengths) {
    if (emissions.ndim() != 3) throw py::value_error("emissions must have shape [batch, tokens, labels]");
    if (lengths.size() != emissions.shape(0)) {
        throw py::value_error("lengths must hold one number a row: " + std::to_string(lengths.size()) +
                              " for " + std::to_string(emissions.shape(0)) + " rows");
    }
    return {emissions.data(), static_cast<std::size_t>(emissions.shape(0)),
            static_cast<std::size_t>(emissions.shape(1)), static_cast<std::size_t>(emissions.shape(2)),
            lengths.data()};
}

// The texts of a batch, str or bytes, held while they are read; without any, none.
class Texts {
  public:
    explicit Texts(const py::object& texts) {
        if (texts.is_none()) return;
        kept_ = held(py::cast<py::sequence>(texts));
        for (const py::handle text : kept_) views_.push_back(text_view(text));
        given_ = true;
    }
    const std::vector<TextView>* views() const { return given_ ? &views_ : nullptr; }

  private:
    py::tuple kept_;
    std::vector<TextView> views_;
    bool given_ = false;
};

std::vector<float> scores_of(const Scores& scores) { return {scores.data(), scores.data() + scores.size()}; }

py::object decode(const CrfDecoder& decoder, const Scores& emissions, const Lengths& lengths,
                  const py::object& texts, const TrustedWords* trusted) {
    const EmissionBatch batch = batch_of(emissions, lengths);
    const Texts held_texts(texts);
    std::vector<std::int32_t> row, start, end, type;
    std::vector<float> score;
    {
        const py::gil_scoped_release release;
        for (const ScoredSpan& span : decoder.decode(batch, {held_texts.views(), trusted})) {
            row.push_back(span.row);
            start.push_back(span.start);
            end.push_back(span.end);
            type.push_back(span.type);
            score.push_back(span.score);
        }
    }
    return record<Record::kSpans>(to_array(std::move(row)), to_array(std::move(start)),
                                  to_array(std::move(end)), to_array(std::move(type)),
                                  to_array(std::move(score)));
}

py::list viterbi(const CrfDecoder& decoder, const Scores& emissions, const Lengths& lengths) {
    const EmissionBatch batch = batch_of(emissions, lengths);
    std::vector<std::vector<std::int64_t>> paths;
    {
        const py::gil_scoped_release release;
        paths = decoder.viterbi(batch);
    }
    py::list rows;
    for (auto& path : paths) rows.append(to_array(std::move(path)));
    return rows;
}

py::array_t<float> marginals(const CrfDecoder& decoder, const Scores& emissions, const Lengths& lengths) {
    const EmissionBatch batch = batch_of(emissions, lengths);
    py::array_t<float> out({emissions.shape(0), emissions.shape(1), emissions.shape(2)});
    float* data = out.mutable_data();
    const py::gil_scoped_release release;
    decoder.marginals(batch, data);
    return out;
}

py::list best_paths(const CrfDecoder& decoder, const Scores& emissions, const Lengths& lengths,
                    std::size_t k) {
    const EmissionBatch batch = batch_of(emissions, lengths);
    std::vector<std::vector<ScoredPath>> found;
    {
        const py::gil_scoped_release release;
        found = decoder.best_paths(batch, k);
    }
    py::list rows;
    for (auto& row : found) {
        py::list paths;
        for (ScoredPath& path : row) {
            paths.append(py::make_tuple(to_array(std::move(path.labels)), path.score));
        }
        rows.append(paths);
    }
    return rows;
}

py::list json_of(const CrfDecoder& decoder, const Scores& emissions, const Lengths& lengths,
                 const py::sequence& texts, const TrustedWords* trusted) {
    const EmissionBatch batch = batch_of(emissions, lengths);
    const py::tuple kept = held(texts);
    std::vector<std::string_view> views;
    views.reserve(kept.size());
    for (const py::handle text : kept) views.push_back(bytes_view(text));
    std::vector<std::string> rows;
    {
        const py::gil_scoped_release release;
        rows = decoder.entities_json(batch, views, trusted);
    }
    py::list json(rows.size());
    for (std::size_t row = 0; row < rows.size(); ++row) json[row] = py::bytes(rows[row]);
    return json;
}

}  // namespace

void bind_crf(py::module_& m) {
    py::class_<CrfDecoder>(m, "CrfDecoder", R"(Linear-chain CRF under the BIOES constraints of a label scheme.

Parameters
----------
scheme
    The labels, L of them.
transitions, start, end
    float32 [L, L] (from, to), [L], [L]; finite; as in pytorch-crf. Scores of forbidden transitions are not used.
lexicon_types
    The type names of the featurizer whose trusted words are to be taken; without them none can be.
prefer
    What trust ``prefer`` adds to the score of a path that tags a word as its type, 0 to 1000.

Notes
-----
In all methods ``emissions`` is float32 [B, T, L], and ``lengths`` int32 [B] or [B, 1] counts the real tokens,
``[CLS]`` and ``[SEP]`` included, as the featurizer gives them: the CRF runs over tokens 1 .. length - 2. A length
of 0, 1 or 2 gives nothing. Wrong shapes and scores that are not finite or beyond ±1e6 raise ValueError, naming the row.
)")
        .def(py::init([](const LabelScheme& scheme, const Scores& transitions, const Scores& start,
                         const Scores& end, std::vector<std::string> lexicon_types, float prefer) {
                 return CrfDecoder(scheme, scores_of(transitions), scores_of(start), scores_of(end),
                                   {std::move(lexicon_types), prefer});
             }),
             py::arg("scheme"), py::arg("transitions"), py::arg("start"), py::arg("end"), py::kw_only(),
             py::arg("lexicon_types") = std::vector<std::string>(), py::arg("prefer") = kUsualPrefer)
        .def_property_readonly("scheme", &CrfDecoder::scheme)
        .def("decode", &decode, py::arg("emissions"), py::arg("lengths"), py::arg("texts") = py::none(),
             py::arg("trusted").none(true) = py::none(),
             R"(Best spans (Viterbi) with their posterior probabilities (forward-backward), as :class:`Spans`.

With ``texts`` (``str`` or UTF-8 ``bytes``) no span begins or ends with a character that is no edge of an entity, such as
an emoji, white space, a quote, or a bracket whose partner lies outside. With ``trusted`` (:class:`TrustedWords`) what
the words are trusted with is added to the emissions of the labels that tag them, and scores are posteriors after that.
)")
        .def("viterbi", &viterbi, py::arg("emissions"), py::arg("lengths"),
             "Best label ids, one int64 array [length - 2] a row.")
        .def("marginals", &marginals, py::arg("emissions"), py::arg("lengths"),
             "Posterior marginals, float32 [B, T, L]; 0 outside tokens 1 .. length - 2.")
        .def("best_paths", &best_paths, py::arg("emissions"), py::arg("lengths"), py::arg("k"),
             "Per row the k best ``(label ids, log score)``, best first; k is in 1 .. 1024.")
        .def(
            "entities_json", &json_of, py::arg("emissions"), py::arg("lengths"), py::arg("texts"),
            py::arg("trusted").none(true) = py::none(),
            R"(Per row the JSON list of ``{"start","end","type","text","score"}`` that clients get, as UTF-8 bytes.

``texts`` are the callers' own UTF-8 texts (bytes), from which ``text`` is cut. Otherwise as :meth:`decode`.)");
}

}  // namespace distillex
