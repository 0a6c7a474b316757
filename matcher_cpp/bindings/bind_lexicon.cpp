// Binds lexicons to Python: building, opening, saving and matching them.
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <cstdio>

#include "bindings.hpp"
#include "distillex/decimal.hpp"
#include "distillex/letters.hpp"
#include "distillex/lexicon.hpp"
#include "distillex/word_list.hpp"
#include "matches.hpp"
#include "python_trust.hpp"

namespace py = pybind11;

namespace distillex {
namespace {

using LexiconPointer = std::shared_ptr<const Lexicon>;

// What Python shows of a value, for a message; a value that cannot be shown (a number of 5,000 digits,
// brackets a thousand deep) is called by its kind.
std::string shown(py::handle value) {
    try {
        const py::str text = py::repr(value);
        const std::string whole = in_quotes(points_of(text));
        return whole.substr(1, whole.size() - 2);
    } catch (const py::error_already_set&) {
        return std::string("a value of the kind ") + Py_TYPE(value.ptr())->tp_name;
    }
}

// Python would raise UnicodeDecodeError in place of an error whose message holds a path that is not UTF-8.
PyObject* lexicon_error = nullptr;
void raise_lexicon_error(std::exception_ptr pointer) {
    try {
        if (pointer) std::rethrow_exception(pointer);
    } catch (const LexiconError& error) {
        const std::string_view what = error.what();
        PyObject* const message =
            PyUnicode_DecodeUTF8(what.data(), static_cast<Py_ssize_t>(what.size()), "backslashreplace");
        PyErr_SetObject(lexicon_error, message);
        Py_XDECREF(message);
    }
}

// {"type": …, "trust": …}: what a word says beside its type.
void read_fields(const py::dict& fields, LexiconEntryInput& entry) {
    const py::object type = fields.attr("get")("type", py::none());
    for (const auto& [key, value] : fields) {
        const std::string name = PyUnicode_Check(key.ptr()) ? encode_utf8(points_of(key)) : shown(key);
        if (name == "trust") {
            try {
                entry.trust = trust_from(value);
            } catch (const LexiconError& error) {
                throw LexiconError(in_quotes(entry.word) + ": " + error.what());
            }
        } else if (name != "type") {
            throw LexiconError(in_quotes(entry.word) + " has the key " + in_quotes(std::string_view(name)) +
                               "; type and trust are accepted");
        }
    }
    if (!PyUnicode_Check(type.ptr())) {
        throw LexiconError("the type of " + in_quotes(entry.word) + " is " + shown(type) +
                           "; beside a trust a type name is accepted");
    }
    entry.type = encode_utf8(points_of(type));
}

LexiconEntryInput entry_from(py::handle word, py::handle type, double weight) {
    LexiconEntryInput entry;
    entry.word = points_of(word);
    entry.weight = weight;
    if (PyDict_Check(type.ptr())) {
        // A copy: converting a value may run code that changes the caller's.
        const auto copy = py::reinterpret_steal<py::dict>(PyDict_Copy(type.ptr()));
        read_fields(copy, entry);
        return entry;
    }
    entry.hidden = type.is_none();
    if (!entry.hidden) {
        if (!PyUnicode_Check(type.ptr())) {
            throw LexiconError("the type of " + in_quotes(entry.word) + " is " + shown(type) +
                               "; a type name, None or {\"type\": …, \"trust\": …} is accepted");
        }
        entry.type = encode_utf8(points_of(type));
    }
    return entry;
}

LexiconPointer from_entries(const py::iterable& entries, const std::string& name, std::uint32_t version,
                            const py::object& trust) {
    std::vector<LexiconEntryInput> inputs;
    for (const py::handle item : entries) {
        const auto fields = py::cast<py::sequence>(item);
        if (fields.size() != 3 && fields.size() != 4)
            throw LexiconError(
                "a lexicon entry is (word, type, weight) or (word, type, weight, trust), not " + shown(item));
        inputs.push_back(entry_from(fields[0], fields[1], py::cast<double>(fields[2])));
        if (fields.size() == 4) inputs.back().trust = trust_from(fields[3]);
    }
    const Trust own = trust_from(trust);
    const py::gil_scoped_release release;
    return Lexicon::build(std::move(inputs), Repeats::kRefuse, name, version, own);
}

LexiconPointer from_words(const py::dict& words, double weight, const py::object& trust) {
    // A copy: without the GIL another thread may change the caller's while it is walked.
    const auto copy = py::reinterpret_steal<py::dict>(PyDict_Copy(words.ptr()));
    if (!copy) throw py::error_already_set();
    std::vector<LexiconEntryInput> inputs;
    inputs.reserve(copy.size());
    for (const auto& [word, type] : copy) inputs.push_back(entry_from(word, type, weight));
    const Trust own = trust_from(trust);
    const py::gil_scoped_release release;
    return Lexicon::build(std::move(inputs), Repeats::kLastWins, "", 0, own);
}

py::object entry_at(const Lexicon& lexicon, py::ssize_t index) {
    const auto size = static_cast<py::ssize_t>(lexicon.size());
    if (index < 0) index += size;
    if (index < 0 || index >= size) throw py::index_error("entry index out of range");
    const auto entry = static_cast<std::uint32_t>(index);
    const std::string_view word = lexicon.word(entry);
    const std::uint16_t type = lexicon.entry_type(entry);
    py::object type_name = py::none();
    if (type != kHiddenType) type_name = py::str(lexicon.types()[type]);
    return record<Record::kLexiconEntry>(py::str(word.data(), word.size()), type_name,
                                         lexicon.entry_weight(entry),
                                         trust_shown(lexicon.entry_trust(entry)));
}

std::string checksum_text(const Lexicon& lexicon) {
    char text[17];
    std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(lexicon.checksum()));
    return text;
}

// With `word_boundaries`, what is part of a longer word is passed over (letters.hpp).
auto finder_in(const Lexicon& lexicon, bool word_boundaries) {
    return [&lexicon, word_boundaries](const auto* points, std::size_t length, const auto& visit) {
        if (!word_boundaries) return lexicon.find_all_unfolded(points, length, visit);
        const auto visit_whole = [&](std::uint32_t start, std::uint32_t end, std::uint32_t entry) {
            if (stands_alone(points, length, start, end, Normalizer())) visit(start, end, entry);
        };
        lexicon.find_all_unfolded(points, length, visit_whole);
    };
}

}  // namespace

Trust trust_from(py::handle value) {
    if (value.is_none()) return kTrustUnsaid;
    if (PyUnicode_Check(value.ptr())) return parse_trust(encode_utf8(points_of(value)));
    const bool number =
        PyFloat_Check(value.ptr()) || (PyLong_Check(value.ptr()) && !PyBool_Check(value.ptr()));
    const double as_double = number ? PyFloat_AsDouble(value.ptr()) : 0.0;
    const bool beyond = PyErr_Occurred() != nullptr;  // a whole number of hundreds of digits
    if (beyond) PyErr_Clear();
    if (!number || beyond) refuse_trust(shown(value));
    return trust_of_number(as_double);
}

py::object trust_shown(Trust trust) {
    if (trust == kTrustUnsaid) return py::none();
    if (trust == kHint || trust == kPrefer || trust == kInsist) return py::str(trust_text(trust));
    return py::float_(parse_decimal(trust_text(trust)).value());
}

void bind_lexicon(py::module_& m) {
    lexicon_error = py::module_::import("distillex_matcher.errors")
                        .attr("LexiconError")
                        .cast<py::object>()
                        .release()
                        .ptr();
    py::register_exception_translator(&raise_lexicon_error);
    m.def(
        "parse_trust", [](const py::str& text) { return trust_shown(trust_from(text)); }, py::arg("text"),
        "The trust that a text says: ``hint``, ``prefer``, ``insist``, or a number from 0 to 1000 in "
        "decimals. Raises "
        "LexiconError for another text.");
    m.def(
        "is_word",
        [](const py::str& text) {
            try {
                check_word(points_of(text));
                return true;
            } catch (const LexiconError&) {
                return false;
            }
        },
        py::arg("text"),
        "Whether a lexicon takes this word: 1 to 255 characters, no controls, not white space alone.");
    py::class_<Lexicon, std::shared_ptr<Lexicon>>(m, "Lexicon", R"(Words with a type and a weight in (0, 1].

Immutable once built; read into memory when loaded, so that a file that is changed or cut short later changes nothing. Words are normalised
(:func:`normalize`) when the lexicon is built, texts when they are searched.

Examples
--------
>>> lexicon = Lexicon.from_words({"达观数据": "company", "上海": "address"})
>>> lexicon.find("上海的达观数据")
[(0, 2, 1), (3, 7, 0)]
>>> lexicon[0]
LexiconEntry(word='达观数据', type='company', weight=1.0, trust=None)
)")
        .def_static(
            "from_entries",
            [](const py::iterable& entries, const std::string& name, std::uint32_t version,
               const py::object& trust) {
                return std::const_pointer_cast<Lexicon>(from_entries(entries, name, version, trust));
            },
            py::arg("entries"), py::kw_only(), py::arg("name") = "", py::arg("version") = 0,
            py::arg("trust") = py::none(),
            R"(Build from ``(word, type, weight)`` or ``(word, type, weight, trust)``; type None hides the word.

``trust`` is ``"hint"``, ``"prefer"``, ``"insist"``, a number from 0 to 1000, or None: not said. The lexicon's own is
that of the words that say none.

Raises
------
LexiconError
    For an empty, over-long or (after normalisation) repeated word, a bad type, a weight outside (0, 1].
)")
        .def_static(
            "from_words",
            [](const py::dict& words, double weight, const py::object& trust) {
                return std::const_pointer_cast<Lexicon>(from_words(words, weight, trust));
            },
            py::arg("words"), py::kw_only(), py::arg("weight") = 1.0, py::arg("trust") = py::none(),
            "A request's own words, ``{\"word\": \"type\", None or {\"type\": …, \"trust\": …}}``; of two "
            "that "
            "normalise alike the last wins.")
        .def_static(
            "from_tsv",
            [](const std::filesystem::path& path, const std::string& name, std::uint32_t version,
               const py::object& trust) {
                const Trust own = trust_from(trust);
                const py::gil_scoped_release release;
                return std::const_pointer_cast<Lexicon>(
                    Lexicon::build(load_word_list(path), Repeats::kRefuse, name, version, own));
            },
            py::arg("path"), py::kw_only(), py::arg("name") = "", py::arg("version") = 0,
            py::arg("trust") = py::none(),
            "Read a word list: ``WORD<TAB>TYPE[<TAB>WEIGHT[<TAB>TRUST]]`` lines, by the rules of "
            "docs/how-to/lexicons.md.")
        .def_static(
            "load",
            [](const std::filesystem::path& path) {
                return std::const_pointer_cast<Lexicon>(Lexicon::load(path));
            },
            py::arg("path"), py::call_guard<py::gil_scoped_release>(),
            R"(Read a file written by :meth:`save`.

Raises
------
LexiconError
    For a file that is missing, truncated, corrupted, of another byte order or of a newer format; says which.
)")
        .def_static(
            "from_bytes",
            [](const py::bytes& content) {
                const auto bytes = static_cast<std::string_view>(content);
                const py::gil_scoped_release release;
                return std::const_pointer_cast<Lexicon>(Lexicon::from_bytes(bytes));
            },
            py::arg("content"), "As :meth:`load`, of the bytes of such a file.")
        .def(
            "to_bytes",
            [](const Lexicon& lexicon) {
                std::string bytes;
                {
                    const py::gil_scoped_release release;
                    bytes = lexicon.to_bytes();
                }
                return py::bytes(bytes);
            },
            "The bytes that :meth:`save` writes; equal lexicons give equal bytes.")
        .def(
            "save", [](const Lexicon& lexicon, const std::filesystem::path& path) { lexicon.save(path); },
            py::arg("path"), py::call_guard<py::gil_scoped_release>(),
            "Write one versioned, checksummed file, atomically; equal lexicons give equal bytes.")
        .def("__len__", &Lexicon::size)
        .def("__contains__", [](const Lexicon& lexicon,
                                const py::str& word) { return lexicon.lookup(points_of(word)).has_value(); })
        .def("__getitem__", &entry_at, py::arg("entry"))
        .def("__repr__",
             [](const Lexicon& lexicon) {
                 return "<Lexicon " + lexicon.name() + "@" + std::to_string(lexicon.version()) + ", " +
                        std::to_string(lexicon.size()) + " words>";
             })
        .def(
            "lookup",
            [](const Lexicon& lexicon, const py::str& word) { return lexicon.lookup(points_of(word)); },
            py::arg("word"), "Index of the entry of ``word``, or None.")
        .def(
            "find",
            [](const Lexicon& lexicon, const py::str& text, bool word_boundaries) {
                return find_one(text, finder_in(lexicon, word_boundaries));
            },
            py::arg("text"), py::kw_only(), py::arg("word_boundaries") = false,
            "All ``(start, end, entry)`` of one text, overlaps included, ordered by (start, end); with "
            "``word_boundaries`` as of :class:`Featurizer`.")
        .def(
            "find_batch",
            [](const Lexicon& lexicon, const py::sequence& texts, bool word_boundaries) {
                return find_batch(texts, finder_in(lexicon, word_boundaries));
            },
            py::arg("texts"), py::kw_only(), py::arg("word_boundaries") = false,
            "All matches of many texts as flat int32 arrays (:class:`Matches`); the GIL is released.")
        .def_property_readonly(
            "types", [](const Lexicon& lexicon) { return py::tuple(py::cast(lexicon.types())); },
            "The type names in use, in the order of their first use.")
        .def_property_readonly("name", &Lexicon::name)
        .def_property_readonly("version", &Lexicon::version)
        .def_property_readonly(
            "trust", [](const Lexicon& lexicon) { return trust_shown(lexicon.trust()); },
            "Of the words that say none: a level, a number, or None.")
        .def_property_readonly(
            "checksum", &checksum_text,
            "Hexadecimal checksum of words, types, weights and trust; name and version do not count.")
        .def_property_readonly("size_bytes", &Lexicon::size_bytes, "Memory of the lexicon.");
}

}  // namespace distillex
