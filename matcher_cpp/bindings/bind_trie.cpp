// Binds the trie, the word matcher, to Python.
#include <pybind11/stl.h>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "bindings.hpp"
#include "distillex/double_array_trie.hpp"
#include "matches.hpp"

namespace py = pybind11;

namespace distillex {
namespace {

auto finder_in(const DoubleArrayTrie& trie) {
    return [&trie](const auto* points, std::size_t length, const auto& visit) {
        trie.find_all(points, length, visit);
    };
}

// Building takes several times the memory of the trie; glibc would keep it for later.
void give_back_scratch() {
#if defined(__GLIBC__)
    malloc_trim(0);
#endif
}

DoubleArrayTrie build_trie(const py::iterable& words) {
    // One long buffer: a string of its own for each word would cost more memory than the trie.
    std::u32string points;
    std::vector<std::size_t> lengths;
    for (const py::handle word : words) {
        const TextView view = str_view(word);
        append_points(view, points);
        lengths.push_back(view.size);
    }
    const py::gil_scoped_release release;
    std::vector<DoubleArrayTrie::Word> views;
    views.reserve(lengths.size());
    const char32_t* word = points.data();
    for (const std::size_t length : lengths) {
        views.emplace_back(word, length);
        word += length;
    }
    DoubleArrayTrie trie = DoubleArrayTrie::build(views);
    give_back_scratch();
    return trie;
}

std::optional<std::uint32_t> lookup(const DoubleArrayTrie& trie, const py::str& word) {
    const std::u32string points = points_of(word);
    return trie.lookup(points.data(), points.size());
}

}  // namespace

void bind_trie(py::module_& m) {
    m.attr("MAX_WORD_LENGTH") = kMaxWordLength;
    py::class_<DoubleArrayTrie>(m, "DoubleArrayTrie", R"(Set of words that finds all of its words in a text.

A double array over Unicode code points (Aoe 1989), walked down from every position of the text. Use it for
dictionaries of short words; for few long patterns full of common prefixes an Aho-Corasick automaton is better.

Parameters
----------
words
    Non-empty, distinct strings of at most ``MAX_WORD_LENGTH`` code points.

Raises
------
ValueError
    For an empty, over-long or repeated word; names its index.

Examples
--------
>>> trie = DoubleArrayTrie(["北京", "北京大学", "大学"])
>>> trie.find("北京大学生")
[(0, 2, 0), (0, 4, 1), (2, 4, 2)]
)")
        .def(py::init(&build_trie), py::arg("words"))
        .def("__len__", &DoubleArrayTrie::size)
        .def("__contains__",
             [](const DoubleArrayTrie& trie, const py::str& word) { return lookup(trie, word).has_value(); })
        .def("lookup", &lookup, py::arg("word"),
             "Index of ``word`` in the order in which the words were given, or None.")
        .def(
            "find",
            [](const DoubleArrayTrie& trie, const py::str& text) { return find_one(text, finder_in(trie)); },
            py::arg("text"),
            "All ``(start, end, entry)`` of one text, overlaps included, ordered by (start, end).")
        .def(
            "find_batch",
            [](const DoubleArrayTrie& trie, const py::sequence& texts) {
                return find_batch(texts, finder_in(trie));
            },
            py::arg("texts"),
            "All matches of many texts as flat int32 arrays (:class:`Matches`); the GIL is released.")
        .def_property_readonly("size_bytes", &DoubleArrayTrie::size_bytes,
                               "Memory of the array and its tables.");
}

}  // namespace distillex
