// Building the trie, and checking the parts of a file before they are used as one.
#include "distillex/double_array_trie.hpp"

#include <stdexcept>
#include <string>

#include "distillex/double_array_builder.hpp"

namespace distillex {
namespace {

struct OwnedTrie {
    CodePointTables tables;
    std::vector<TrieNode> nodes;
};

}  // namespace

DoubleArrayTrie DoubleArrayTrie::build(const std::vector<Word>& words, const TrieLayoutOptions& options) {
    auto owned = std::make_shared<OwnedTrie>();
    DoubleArrayBuilder builder(words, owned->tables, options);
    owned->nodes = builder.build();
    DoubleArrayTrie trie;
    trie.view_.page_index = owned->tables.page_index.data();
    trie.view_.pages = owned->tables.pages.data();
    trie.view_.page_count = owned->tables.pages.size() / CodePointMap::kPageSize;
    trie.view_.nodes = owned->nodes.data();
    trie.view_.node_count = owned->nodes.size();
    trie.view_.code_count = builder.code_count();
    trie.map_ = CodePointMap(trie.view_.page_index, trie.view_.pages);
    trie.size_ = words.size();
    trie.owner_ = std::move(owned);
    return trie;
}

DoubleArrayTrie DoubleArrayTrie::view(const TrieView& view, std::uint32_t entry_count,
                                      std::shared_ptr<const void> owner) {
    if (view.page_count == 0 || view.node_count < 1 + static_cast<std::size_t>(view.code_count)) {
        throw std::invalid_argument("its tables are smaller than its header says");
    }
    for (std::size_t i = 0; i < CodePointMap::kPageCount; ++i) {
        if (view.page_index[i] >= view.page_count)
            throw std::invalid_argument("a code point page lies outside its table");
    }
    std::uint32_t highest_code = 0;
    for (std::size_t i = 0; i < view.page_count * CodePointMap::kPageSize; ++i) {
        highest_code = std::max(highest_code, view.pages[i]);
    }
    if (highest_code > view.code_count)
        throw std::invalid_argument("a character code lies outside its range");
    const std::size_t highest_base = view.node_count - 1 - view.code_count;
    std::uint32_t base = 0;
    bool entries_fit = true;
    for (std::size_t i = 0; i < view.node_count; ++i) {
        base = std::max(base, view.nodes[i].base);
        entries_fit &= view.nodes[i].entry == kNoEntry || view.nodes[i].entry < entry_count;
    }
    if (base > highest_base) throw std::invalid_argument("a node points outside its table");
    if (!entries_fit) throw std::invalid_argument("a node names an entry that does not exist");
    DoubleArrayTrie trie;
    trie.view_ = view;
    trie.map_ = CodePointMap(view.page_index, view.pages);
    trie.size_ = entry_count;
    trie.owner_ = std::move(owner);
    return trie;
}

std::size_t DoubleArrayTrie::size_bytes() const {
    return view_.node_count * sizeof(TrieNode) +
           view_.page_count * CodePointMap::kPageSize * sizeof(std::uint32_t) +
           CodePointMap::kPageCount * sizeof(std::uint16_t);
}

}  // namespace distillex
