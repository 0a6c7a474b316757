// Batch matching over Python strings, shared by the trie and the lexicon.
#pragma once

#include <pybind11/pybind11.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "arrays.hpp"
#include "distillex/double_array_trie.hpp"
#include "python_text.hpp"

namespace distillex {

struct MatchColumns {
    std::vector<std::int32_t> text, start, end, entry;
    std::size_t count = 0;

    // Grown by hand: push_back on four vectors costs more than the match itself.
    void put(std::int32_t text_index, std::uint32_t start_point, std::uint32_t end_point,
             std::uint32_t entry_index) {
        if (count == text.size()) grow(text.size() * 2 + 64);
        text[count] = text_index;
        start[count] = static_cast<std::int32_t>(start_point);
        end[count] = static_cast<std::int32_t>(end_point);
        entry[count] = static_cast<std::int32_t>(entry_index);
        ++count;
    }
    void finish() {
        for (auto* column : {&text, &start, &end, &entry}) column->resize(count);
    }

  private:
    void grow(std::size_t size) {
        for (auto* column : {&text, &start, &end, &entry}) column->resize(size);
    }
};

template <class Map>
void match_range(const DoubleArrayTrie& trie, const std::vector<PythonText>& texts, std::size_t begin,
                 std::size_t end, Map map, MatchColumns& out) {
    for (std::size_t i = begin; i < end; ++i) {
        const auto index = static_cast<std::int32_t>(i);
        texts[i].with([&](const auto* text, std::size_t length) {
            trie.find_all_mapped(
                text, length, map,
                [&](std::uint32_t s, std::uint32_t e, std::uint32_t entry) { out.put(index, s, e, entry); });
        });
    }
    out.finish();
}

template <class Map>
pybind11::tuple find_batch(const DoubleArrayTrie& trie, const pybind11::sequence& sequence, unsigned threads,
                           Map map) {
    const pybind11::object kept = pybind11::reinterpret_steal<pybind11::object>(
        PySequence_Fast(sequence.ptr(), "texts must be a sequence of str"));
    if (!kept) throw pybind11::error_already_set();
    const auto size = static_cast<std::size_t>(PySequence_Fast_GET_SIZE(kept.ptr()));
    std::vector<PythonText> texts(size);
    for (std::size_t i = 0; i < size; ++i) {
        texts[i] = PythonText::of(PySequence_Fast_GET_ITEM(kept.ptr(), static_cast<Py_ssize_t>(i)));
    }
    const std::size_t workers = std::max<std::size_t>(1, std::min<std::size_t>(threads, size));
    std::vector<MatchColumns> parts(workers);
    {
        const pybind11::gil_scoped_release release;
        const auto work = [&](std::size_t w) {
            match_range(trie, texts, size * w / workers, size * (w + 1) / workers, map, parts[w]);
        };
        std::vector<std::thread> others;
        for (std::size_t w = 1; w < workers; ++w) others.emplace_back(work, w);
        work(0);
        for (auto& thread : others) thread.join();
        for (std::size_t w = 1; w < workers; ++w) {
            parts[0].text.insert(parts[0].text.end(), parts[w].text.begin(), parts[w].text.end());
            parts[0].start.insert(parts[0].start.end(), parts[w].start.begin(), parts[w].start.end());
            parts[0].end.insert(parts[0].end.end(), parts[w].end.begin(), parts[w].end.end());
            parts[0].entry.insert(parts[0].entry.end(), parts[w].entry.begin(), parts[w].entry.end());
        }
    }
    return pybind11::make_tuple(to_array(std::move(parts[0].text)), to_array(std::move(parts[0].start)),
                                to_array(std::move(parts[0].end)), to_array(std::move(parts[0].entry)));
}

template <class Map>
pybind11::list find_one(const DoubleArrayTrie& trie, pybind11::handle text, Map map) {
    pybind11::list found;
    PythonText::of(text).with([&](const auto* points, std::size_t length) {
        trie.find_all_mapped(points, length, map, [&](std::uint32_t s, std::uint32_t e, std::uint32_t entry) {
            found.append(pybind11::make_tuple(s, e, entry));
        });
    });
    return found;
}

inline pybind11::object named(const char* type_name, const pybind11::tuple& values) {
    return pybind11::module_::import("distillex_matcher.records").attr(type_name)(*values);
}

}  // namespace distillex
