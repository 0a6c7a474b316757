#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <cstdio>
#include <fstream>
#include <sstream>
#include <unordered_map>

#include "bindings.hpp"
#include "distillex/decimal.hpp"
#include "distillex/lexicon.hpp"
#include "matches.hpp"

namespace py = pybind11;

namespace distillex {
namespace {

using LexiconPointer = std::shared_ptr<const Lexicon>;

constexpr auto kNormalized = [](char32_t point) { return normalize(point); };

std::string type_from(py::handle type) {
    const PythonText text = PythonText::of(type);
    return encode_utf8(text.points());
}

LexiconEntryInput entry_from(py::handle word, py::handle type, float weight) {
    LexiconEntryInput entry;
    entry.word = PythonText::of(word).points();
    entry.hidden = type.is_none();
    if (!entry.hidden) {
        if (!PyUnicode_Check(type.ptr())) {
            throw LexiconError("the type of '" + encode_utf8(entry.word) + "' is " +
                               std::string(py::repr(type)) + "; a type name or None is accepted");
        }
        entry.type = type_from(type);
    }
    entry.weight = weight;
    return entry;
}

LexiconPointer from_entries(const py::iterable& entries, const std::string& name, std::uint32_t version) {
    std::vector<LexiconEntryInput> inputs;
    for (const py::handle item : entries) {
        const auto fields = py::cast<py::sequence>(item);
        if (fields.size() != 3)
            throw LexiconError("a lexicon entry is (word, type, weight), not " + std::string(py::repr(item)));
        inputs.push_back(entry_from(fields[0], fields[1], py::cast<float>(fields[2])));
    }
    const py::gil_scoped_release release;
    return Lexicon::build(std::move(inputs), Repeats::kRefuse, name, version);
}

LexiconPointer from_words(const py::dict& words, float weight) {
    std::vector<LexiconEntryInput> inputs;
    inputs.reserve(words.size());
    for (const auto& [word, type] : words) inputs.push_back(entry_from(word, type, weight));
    return Lexicon::build(std::move(inputs), Repeats::kLastWins, "", 0);
}

LexiconPointer from_tsv(const std::filesystem::path& path, const std::string& name, std::uint32_t version) {
    std::ifstream file(path);
    if (!file) throw LexiconError(path.string() + ": cannot be opened");
    std::vector<LexiconEntryInput> inputs;
    std::unordered_map<std::u32string, std::size_t> lines;
    std::string line;
    for (std::size_t number = 1; std::getline(file, line); ++number) {
        const std::string where = path.string() + ":" + std::to_string(number) + ": ";
        if (number == 1 && line.rfind("\xEF\xBB\xBF", 0) == 0) line.erase(0, 3);
        if (!line.empty() && line.back() == '\r') line.pop_back();
        if (line.empty() || line[0] == '#') continue;
        std::vector<std::string> fields;
        std::stringstream stream(line);
        for (std::string field; std::getline(stream, field, '\t');) fields.push_back(field);
        if (fields.size() < 2 || fields.size() > 3) {
            throw LexiconError(where + "'" + line + "' is not WORD<TAB>TYPE[<TAB>WEIGHT]");
        }
        LexiconEntryInput entry;
        if (decode_utf8(fields[0], entry.word) != std::string_view::npos)
            throw LexiconError(where + "not UTF-8");
        entry.hidden = fields[1] == "null" || fields[1] == "-";
        entry.type = fields[1];
        if (fields.size() == 3) {
            const std::optional<float> weight = parse_decimal(fields[2]);
            if (!weight) {
                throw LexiconError(where + "the weight '" + fields[2] +
                                   "' is not a number in (0, 1], such as 0.5");
            }
            entry.weight = *weight;
        }
        std::u32string key = entry.word;
        for (char32_t& point : key) point = normalize(point);
        const auto [found, added] = lines.emplace(key, number);
        if (!added) {
            throw LexiconError(where + "the word '" + fields[0] + "' stands in line " +
                               std::to_string(found->second) + " already");
        }
        try {
            check_entry(entry);
        } catch (const LexiconError& error) {
            throw LexiconError(where + error.what());
        }
        inputs.push_back(std::move(entry));
    }
    return Lexicon::build(std::move(inputs), Repeats::kRefuse, name, version);
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
    return named("LexiconEntry",
                 py::make_tuple(py::str(word.data(), word.size()), type_name, lexicon.entry_weight(entry)));
}

std::optional<std::uint32_t> lookup(const Lexicon& lexicon, const py::str& word) {
    std::u32string points = PythonText::of(word).points();
    for (char32_t& point : points) point = normalize(point);
    return lexicon.trie().lookup(points.data(), points.size());
}

std::string checksum_text(const Lexicon& lexicon) {
    char text[17];
    std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(lexicon.checksum()));
    return text;
}

}  // namespace

void bind_lexicon(py::module_& m) {
    py::register_exception<LexiconError>(m, "LexiconError", PyExc_ValueError).attr("__doc__") =
        "A lexicon file, entry or type is invalid; the message names the value and what is accepted.";
    py::class_<Lexicon, std::shared_ptr<Lexicon>>(m, "Lexicon", R"(Words with a type and a weight in (0, 1].

Immutable once built; memory-mapped when loaded, so that processes share its pages. Words are normalised
(:func:`normalize`) when the lexicon is built, texts when they are searched.

Examples
--------
>>> lexicon = Lexicon.from_words({"达观数据": "company", "上海": "address"})
>>> lexicon.find("上海的达观数据")
[(0, 2, 1), (3, 7, 0)]
>>> lexicon[0]
LexiconEntry(word='达观数据', type='company', weight=1.0)
)")
        .def_static(
            "from_entries",
            [](const py::iterable& entries, const std::string& name, std::uint32_t version) {
                return std::const_pointer_cast<Lexicon>(from_entries(entries, name, version));
            },
            py::arg("entries"), py::kw_only(), py::arg("name") = "", py::arg("version") = 0,
            R"(Build from ``(word, type, weight)``; type None hides the word.

Raises
------
LexiconError
    For an empty, over-long or (after normalisation) repeated word, a bad type, a weight outside (0, 1].
)")
        .def_static(
            "from_words",
            [](const py::dict& words, float weight) {
                return std::const_pointer_cast<Lexicon>(from_words(words, weight));
            },
            py::arg("words"), py::kw_only(), py::arg("weight") = 1.0F,
            "A request's own words, ``{\"word\": \"type\" or None}``; of two that normalise alike the last "
            "wins.")
        .def_static(
            "from_tsv",
            [](const std::filesystem::path& path, const std::string& name, std::uint32_t version) {
                return std::const_pointer_cast<Lexicon>(from_tsv(path, name, version));
            },
            py::arg("path"), py::kw_only(), py::arg("name") = "", py::arg("version") = 0,
            "Read ``WORD<TAB>TYPE[<TAB>WEIGHT]`` lines (UTF-8, ``#`` begins a comment line); type ``null`` "
            "or ``-`` hides.")
        .def_static(
            "load",
            [](const std::filesystem::path& path) {
                return std::const_pointer_cast<Lexicon>(Lexicon::load(path));
            },
            py::arg("path"), py::call_guard<py::gil_scoped_release>(),
            R"(Memory-map a file written by :meth:`save`.

Raises
------
LexiconError
    For a file that is missing, truncated, corrupted, of another byte order or of a newer format; says which.
)")
        .def(
            "save", [](const Lexicon& lexicon, const std::filesystem::path& path) { lexicon.save(path); },
            py::arg("path"), py::call_guard<py::gil_scoped_release>(),
            "Write one versioned, checksummed file, atomically; equal lexicons give equal bytes.")
        .def("__len__", &Lexicon::size)
        .def("__contains__",
             [](const Lexicon& lexicon, const py::str& word) { return lookup(lexicon, word).has_value(); })
        .def("__getitem__", &entry_at, py::arg("entry"))
        .def("__repr__",
             [](const Lexicon& lexicon) {
                 return "<Lexicon " + lexicon.name() + "@" + std::to_string(lexicon.version()) + ", " +
                        std::to_string(lexicon.size()) + " words>";
             })
        .def("lookup", &lookup, py::arg("word"), "Index of the entry of ``word``, or None.")
        .def(
            "find",
            [](const Lexicon& lexicon, const py::str& text) {
                return find_one(lexicon.trie(), text, kNormalized);
            },
            py::arg("text"),
            "All ``(start, end, entry)`` of one text, overlaps included, ordered by (start, end).")
        .def(
            "find_batch",
            [](const Lexicon& lexicon, const py::sequence& texts, unsigned threads) {
                return named("Matches", find_batch(lexicon.trie(), texts, threads, kNormalized));
            },
            py::arg("texts"), py::arg("threads") = 1,
            "All matches of many texts as flat int32 arrays (:class:`Matches`); the GIL is released.")
        .def_property_readonly(
            "types", [](const Lexicon& lexicon) { return py::tuple(py::cast(lexicon.types())); },
            "The type names in use, in the order of their first use.")
        .def_property_readonly("name", &Lexicon::name)
        .def_property_readonly("version", &Lexicon::version)
        .def_property_readonly(
            "checksum", &checksum_text,
            "Hexadecimal checksum of words, types and weights; name and version do not count.")
        .def_property_readonly("size_bytes", &Lexicon::size_bytes,
                               "Memory, or mapped bytes, of the lexicon.");
}

}  // namespace distillex
