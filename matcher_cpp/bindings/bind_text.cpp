// Binds the text functions to Python: normalisation, word hashes, edges of entities.
#include "bindings.hpp"
#include "distillex/span_edges.hpp"
#include "distillex/text.hpp"
#include "python_text.hpp"

namespace py = pybind11;

namespace distillex {

void bind_text(py::module_& m) {
    m.def(
        "normalize",
        [](const py::str& text, bool lowercase) {
            const std::u32string points =
                normalized(points_of(text), lowercase ? Case::kFolded : Case::kKept);
            return py::reinterpret_steal<py::str>(PyUnicode_FromKindAndData(
                PyUnicode_4BYTE_KIND, points.data(), static_cast<Py_ssize_t>(points.size())));
        },
        py::arg("text"), py::kw_only(), py::arg("lowercase") = true,
        R"(What the models and the lexicons see of a text.

Lower case, full width to half width, traditional to simplified characters, radicals and compatibility ideographs to
the ideograph, white space and what is not to be seen (joiners, marks of writing direction) to a plain space. One
code point becomes one code point, so offsets do not move; folding twice changes nothing more.
Without ``lowercase`` letters keep their case.

>>> normalize("ＩＢＭ\u3000Café")
'ibm café'
>>> normalize("臺積電")
'台积电'
)");
    m.def(
        "hash_word",
        [](const py::str& word, std::uint32_t word_hash_size) {
            return hashed_word_id(points_of(word), word_hash_size);
        },
        py::arg("word"), py::arg("word_hash_size"),
        "Hashed word id, in 1 .. word_hash_size - 1, of a normalised word (32-bit FNV-1a with a final mix).");
    m.def(
        "is_sound_span",
        [](const py::str& span, bool begins_text) { return SpanEdges().sound(points_of(span), begins_text); },
        py::arg("span"), py::kw_only(), py::arg("begins_text") = false,
        "Whether an entity may have exactly this text, by the characters at its two ends.");
    m.def(
        "sound_part",
        [](const py::str& span, bool begins_text) {
            const auto [start, end] = SpanEdges().sound_part(points_of(span), begins_text);
            return py::make_tuple(start, end);
        },
        py::arg("span"), py::kw_only(), py::arg("begins_text") = false,
        "Start and end, within the span, of what is left without the characters that may not be edges.");
    m.def(
        "bracket_partner",
        [](const py::str& text, std::size_t at) -> py::object {
            const std::u32string points = points_of(text);
            if (at >= points.size()) {
                throw py::index_error("position " + std::to_string(at) + " of a text of " +
                                      std::to_string(points.size()) + " characters");
            }
            const std::size_t partner = SpanEdges().partner(points, at);
            return partner == std::u32string_view::npos ? py::none() : py::object(py::int_(partner));
        },
        py::arg("text"), py::arg("at"),
        "Position of the bracket or quote that pairs with the one at `at`, or None.");
}

}  // namespace distillex
