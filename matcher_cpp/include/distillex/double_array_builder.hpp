// Places the states of a sorted word list in a double array.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "distillex/double_array_trie.hpp"

namespace distillex {

class DoubleArrayBuilder {
  public:
    // Assigns codes to the words' code points (into `tables`) and sorts the words by their codes.
    DoubleArrayBuilder(const std::vector<DoubleArrayTrie::Word>& words, CodePointTables& tables,
                       const TrieLayoutOptions& options);

    // By default states with many children are placed first, while the array is empty; those with one child
    // fill the holes.
    std::vector<TrieNode> build();

    std::uint32_t code_count() const { return code_count_; }

  private:
    struct Range {  // the words that share a state's prefix, and how long that prefix is
        std::uint32_t begin;
        std::uint32_t end;
        std::uint32_t depth;
    };
    struct State {
        std::uint32_t first_edge;
        std::uint32_t edge_count;
        std::uint32_t entry;
    };

    void assign_codes(CodePointTables& tables);
    void sort_words();
    void collect_states();
    std::vector<std::uint32_t> choose_bases(std::size_t& slot_count);
    const std::uint32_t* codes_of(std::uint32_t word) const { return &codes_[offsets_[word]]; }
    std::uint32_t length_of(std::uint32_t word) const { return offsets_[word + 1] - offsets_[word]; }

    const std::vector<DoubleArrayTrie::Word>& words_;
    TrieLayoutOptions options_;
    std::uint32_t code_count_ = 0;
    std::vector<std::uint32_t> codes_;       // all words' codes, one after another
    std::vector<std::uint32_t> offsets_;     // where each word's codes begin
    std::vector<std::uint32_t> order_;       // words by their codes
    std::vector<State> states_;              // breadth first, the root first
    std::vector<std::uint32_t> edge_codes_;  // the edges of all states; edge e leads to state e + 1
};

}  // namespace distillex
