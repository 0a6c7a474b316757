// A set of words as a double array over code points; finds every word of the set in a text.
//
// Child of state s by code c: slot t = nodes[s].base + c, where nodes[t].check == s. Words are found by
// walking down from every position of the text. Most walks in Chinese text end early, so fail links are not
// kept; the cache misses that remain are hidden by touching the second step of the walks a few positions
// ahead.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "distillex/code_point_map.hpp"

namespace distillex {

inline constexpr std::uint32_t kNoEntry = 0xFFFFFFFFU;
inline constexpr std::uint32_t kFreeSlot = 0xFFFFFFFFU;
inline constexpr std::size_t kMaxWordLength = 255;

// Two of the words of a set are the same; `first` and `second` are their indices.
struct RepeatedWordError : std::invalid_argument {
    RepeatedWordError(std::size_t first_index, std::size_t second_index)
        : std::invalid_argument("words " + std::to_string(first_index) + " and " +
                                std::to_string(second_index) + " are the same"),
          first(first_index),
          second(second_index) {}
    std::size_t first;
    std::size_t second;
};

struct TrieNode {
    std::uint32_t base = 0;           // 0: no children (slot 0 + code never passes the check)
    std::uint32_t check = kFreeSlot;  // the parent's slot
    std::uint32_t entry = kNoEntry;   // index of the word that ends here
};

// What a trie is made of, in memory that it owns or in a file's bytes.
struct TrieView {
    const std::uint16_t* page_index = nullptr;
    const std::uint32_t* pages = nullptr;
    std::size_t page_count = 0;
    const TrieNode* nodes = nullptr;
    std::size_t node_count = 0;
    std::uint32_t code_count =
        0;  // codes are 1 .. code_count; every base is at most node_count - 1 - code_count
};

// How a trie is laid out. The defaults are the measured best; the others are there to measure against
// (benchmarks/matcher_variants.cpp).
struct TrieLayoutOptions {
    enum class Codes { kByFrequency, kByCodePoint };
    enum class Placement { kManyChildrenFirst, kBreadthFirst };
    Codes codes = Codes::kByFrequency;
    Placement placement = Placement::kManyChildrenFirst;
};

class DoubleArrayTrie {
  public:
    using Word = std::pair<const char32_t*, std::size_t>;

    // Throws std::invalid_argument for an empty, over-long or repeated word and for one with a point beyond
    // U+10FFFF, naming its index.
    static DoubleArrayTrie build(const std::vector<Word>& words, const TrieLayoutOptions& options = {});

    // A trie over foreign memory (a file's bytes); `owner` keeps it alive. Throws std::invalid_argument if
    // any index in it could lead outside.
    static DoubleArrayTrie view(const TrieView& view, std::uint32_t entry_count,
                                std::shared_ptr<const void> owner);

    std::size_t size() const { return size_; }
    const TrieView& layout() const { return view_; }
    std::size_t size_bytes() const;

    std::optional<std::uint32_t> lookup(const char32_t* word, std::size_t length) const {
        std::uint32_t state = 0;
        for (std::size_t i = 0; i < length; ++i) {
            const std::uint32_t code = code_of(word[i]);
            const std::uint32_t next = view_.nodes[state].base + code;
            if (code == 0 || view_.nodes[next].check != state) return std::nullopt;
            state = next;
        }
        if (length == 0 || view_.nodes[state].entry == kNoEntry) return std::nullopt;
        return view_.nodes[state].entry;
    }

    // Whether it is a character of any word.
    bool knows(char32_t point) const { return size_ > 0 && code_of(point) != 0; }

    // Calls visit(start, end, entry) for every match, ordered by (start, end). `Character` is any unsigned
    // type that holds code points (Python's three string layouts included), none of them beyond U+10FFFF.
    // Allocates nothing.
    template <class Character, class Visitor>
    void find_all(const Character* text, std::size_t length, Visitor&& visit) const {
        find_all_mapped(
            text, length, [](char32_t point) { return point; }, visit);
    }

    // The same over text that is normalised on the way: `map` is applied to each character.
    template <class Character, class Map, class Visitor>
    void find_all_mapped(const Character* text, std::size_t length, Map&& map, Visitor&& visit) const {
        if (size_ == 0) return;
        // A window of codes and second-step addresses runs kAhead positions before the walks.
        std::uint32_t codes[kBlock];
        std::size_t begin = 0;
        while (begin < length) {
            // Walks start in [begin, stop) and may read codes to the end of the block: words are at most
            // kMaxWordLength long, so a block overlaps the next by that much.
            const std::size_t available = std::min(kBlock, length - begin);
            const bool last = begin + available == length;
            const std::size_t starts = last ? available : kBlock - kMaxWordLength;
            for (std::size_t i = 0; i < available; ++i)
                codes[i] = code_of(map(static_cast<char32_t>(text[begin + i])));
            walk_block(codes, starts, available, begin, visit);
            begin += starts;
        }
    }

  private:
    static constexpr std::size_t kBlock = 2048;
    static constexpr std::size_t kAhead = 12;

    std::uint32_t code_of(char32_t point) const { return map_[point]; }

    template <class Visitor>
    void walk_block(const std::uint32_t* codes, std::size_t starts, std::size_t available, std::size_t offset,
                    Visitor& visit) const {
        const TrieNode* const nodes = view_.nodes;
        const std::uint32_t root_base = nodes[0].base;
        for (std::size_t i = 0; i < starts; ++i) {
#if defined(__GNUC__)
            if (i + kAhead + 1 < available) {
                const TrieNode& first = nodes[root_base + codes[i + kAhead]];
                __builtin_prefetch(&nodes[first.base + codes[i + kAhead + 1]]);
            }
#endif
            std::uint32_t state = root_base + codes[i];
            if (codes[i] == 0 || nodes[state].check != 0) continue;
            // No word is longer; a file that was made to lead in circles ends here.
            const std::size_t furthest = std::min(available, i + kMaxWordLength);
            std::size_t end = i + 1;
            for (;;) {
                const TrieNode& node = nodes[state];
                if (node.entry != kNoEntry) {
                    visit(static_cast<std::uint32_t>(offset + i), static_cast<std::uint32_t>(offset + end),
                          node.entry);
                }
                if (end == furthest) break;
                const std::uint32_t next = node.base + codes[end];
                if (nodes[next].check != state) break;
                state = next;
                ++end;
            }
        }
    }

    TrieView view_;
    CodePointMap map_;
    std::size_t size_ = 0;
    std::shared_ptr<const void> owner_;
};

}  // namespace distillex
