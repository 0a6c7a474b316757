// Batch matching over Python strings, shared by the trie and the lexicon.
#pragma once

#include <pybind11/pybind11.h>

#include <vector>

#include "arrays.hpp"
#include "python_text.hpp"
#include "records.hpp"

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

// Both call find(points, their number, visit) with each text.
template <class Find>
pybind11::object find_batch(const pybind11::sequence& sequence, Find find) {
    const pybind11::tuple kept = held(sequence);
    std::vector<TextView> texts;
    texts.reserve(kept.size());
    for (const pybind11::handle text : kept) texts.push_back(str_view(text));
    MatchColumns found;
    {
        const pybind11::gil_scoped_release release;
        for (std::size_t i = 0; i < texts.size(); ++i) {
            const auto index = static_cast<std::int32_t>(i);
            texts[i].with_points([&](const auto* points, std::size_t length) {
                find(points, length, [&](std::uint32_t start, std::uint32_t end, std::uint32_t entry) {
                    found.put(index, start, end, entry);
                });
            });
        }
        found.finish();
    }
    return record<Record::kMatches>(to_array(std::move(found.text)), to_array(std::move(found.start)),
                                    to_array(std::move(found.end)), to_array(std::move(found.entry)));
}

template <class Find>
pybind11::list find_one(pybind11::handle text, Find find) {
    pybind11::list found;
    str_view(text).with_points([&](const auto* points, std::size_t length) {
        find(points, length, [&](std::uint32_t start, std::uint32_t end, std::uint32_t entry) {
            found.append(pybind11::make_tuple(start, end, entry));
        });
    });
    return found;
}

}  // namespace distillex
