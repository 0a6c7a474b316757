// What each trick of the matcher is worth: the shipped walk against the same without it, over one word list
// and text.
//
//   matcher_variants WORDS TEXT [ROUNDS]      (benchmarks/bench_matcher_variants.py builds and runs it)
//
// Rounds alternate between the variants; every variant must find the same matches. Prints Markdown rows.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "distillex/double_array_trie.hpp"
#include "distillex/text.hpp"

namespace {

using distillex::DoubleArrayTrie;
using distillex::kFreeSlot;
using distillex::kNoEntry;
using distillex::TrieLayoutOptions;
using distillex::TrieNode;
using Lines = std::vector<std::u32string>;

// What a contestant found: the number of matches, and a sum that no other set of matches is likely to have.
struct Found {
    std::uint64_t count = 0;
    std::uint64_t sum = 0;

    void operator()(std::uint32_t start, std::uint32_t end, std::uint32_t entry) {
        ++count;
        sum += (start * 31U + end) * 2654435761U ^ entry;
    }
    bool operator==(const Found& other) const { return count == other.count && sum == other.sum; }
};

Lines read_lines(const char* path, std::size_t& bytes) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        std::fprintf(stderr, "%s cannot be read\n", path);
        std::exit(1);
    }
    const std::string content{std::istreambuf_iterator<char>(file), {}};
    bytes = content.size();
    Lines lines;
    std::size_t begin = 0;
    while (begin < content.size()) {
        const std::size_t end = std::min(content.find('\n', begin), content.size());
        std::u32string line;
        distillex::decode_utf8(std::string_view(content).substr(begin, end - begin), line);
        if (!line.empty()) lines.push_back(std::move(line));
        begin = end + 1;
    }
    return lines;
}

// Codes of one line, by the trie's own map.
class Codes {
  public:
    explicit Codes(const DoubleArrayTrie& trie) : map_(trie.layout().page_index, trie.layout().pages) {}
    const std::vector<std::uint32_t>& of(const std::u32string& line) {
        codes_.resize(line.size());
        for (std::size_t i = 0; i < line.size(); ++i) codes_[i] = map_[line[i]];
        return codes_;
    }

  private:
    distillex::CodePointMap map_;
    std::vector<std::uint32_t> codes_;
};

// The walk over any node layout: `node` gives base, check and entry of a slot. With the shipped prefetching
// of the second step, a dozen positions ahead, or without.
template <bool kPrefetch, class Node>
void walk(const std::vector<std::uint32_t>& codes, Node&& node, Found& found) {
    constexpr std::size_t kAhead = 12;
    const std::uint32_t root_base = node.base(0);
    for (std::size_t i = 0; i < codes.size(); ++i) {
        if (kPrefetch && i + kAhead + 1 < codes.size()) {
            node.prefetch(node.base(root_base + codes[i + kAhead]) + codes[i + kAhead + 1]);
        }
        std::uint32_t state = root_base + codes[i];
        if (codes[i] == 0 || node.check(state) != 0) continue;
        for (std::size_t end = i + 1;;) {
            if (node.entry(state) != kNoEntry)
                found(static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(end), node.entry(state));
            if (end == codes.size()) break;
            const std::uint32_t next = node.base(state) + codes[end];
            if (node.check(next) != state) break;
            state = next;
            ++end;
        }
    }
}

// Nodes as shipped: 12 bytes.
struct ShippedNodes {
    const TrieNode* nodes;
    std::uint32_t base(std::uint32_t s) const { return nodes[s].base; }
    std::uint32_t check(std::uint32_t s) const { return nodes[s].check; }
    std::uint32_t entry(std::uint32_t s) const { return nodes[s].entry; }
    void prefetch(std::uint32_t s) const { __builtin_prefetch(&nodes[s]); }
};

// 16 bytes: a node never lies across two cache lines.
struct PaddedNodes {
    struct alignas(16) Node {
        std::uint32_t base, check, entry, unused;
    };
    std::vector<Node> nodes;
    explicit PaddedNodes(const DoubleArrayTrie& trie) {
        for (std::size_t i = 0; i < trie.layout().node_count; ++i) {
            const TrieNode& node = trie.layout().nodes[i];
            nodes.push_back({node.base, node.check, node.entry, 0});
        }
    }
    std::uint32_t base(std::uint32_t s) const { return nodes[s].base; }
    std::uint32_t check(std::uint32_t s) const { return nodes[s].check; }
    std::uint32_t entry(std::uint32_t s) const { return nodes[s].entry; }
    void prefetch(std::uint32_t s) const { __builtin_prefetch(&nodes[s]); }
};

// 8 bytes for base and check; entries apart, with a bit in base that says whether there is one.
struct SplitNodes {
    struct Node {
        std::uint32_t base, check;
    };
    std::vector<Node> nodes;
    std::vector<std::uint32_t> entries;
    explicit SplitNodes(const DoubleArrayTrie& trie) {
        for (std::size_t i = 0; i < trie.layout().node_count; ++i) {
            const TrieNode& node = trie.layout().nodes[i];
            nodes.push_back({node.base << 1 | (node.entry != kNoEntry), node.check});
            entries.push_back(node.entry);
        }
    }
    std::uint32_t base(std::uint32_t s) const { return nodes[s].base >> 1; }
    std::uint32_t check(std::uint32_t s) const { return nodes[s].check; }
    std::uint32_t entry(std::uint32_t s) const { return (nodes[s].base & 1) != 0 ? entries[s] : kNoEntry; }
    void prefetch(std::uint32_t s) const { __builtin_prefetch(&nodes[s]); }
};

// Aho-Corasick on the same double array: one pass, fail links where a walk ends, dictionary links to shorter
// words.
class FailLinks {
  public:
    FailLinks(const DoubleArrayTrie& trie, const Lines& words) : nodes_(trie.layout().nodes), codes_(trie) {
        const std::size_t count = trie.layout().node_count;
        fail_.assign(count, 0);
        dictionary_.assign(count, 0);
        depth_.assign(count, 0);
        // Breadth first over the states: all prefixes of the words, by length.
        std::vector<std::vector<std::pair<std::uint32_t, std::uint32_t>>>
            levels;  // (state, code that led to it)
        for (const std::u32string& word : words) {
            std::uint32_t state = 0;
            const auto& codes = codes_.of(word);
            for (std::size_t i = 0; i < codes.size(); ++i) {
                state = nodes_[state].base + codes[i];
                if (levels.size() <= i) levels.emplace_back();
                if (depth_[state] == 0) {
                    depth_[state] = static_cast<std::uint32_t>(i + 1);
                    levels[i].emplace_back(state, codes[i]);
                }
            }
        }
        for (std::size_t level = 1; level < levels.size(); ++level) {
            for (const auto& [state, code] : levels[level]) {
                std::uint32_t from = fail_[nodes_[state].check];
                fail_[state] = step(from, code);
                dictionary_[state] =
                    nodes_[fail_[state]].entry != kNoEntry ? fail_[state] : dictionary_[fail_[state]];
            }
        }
    }

    void find(const std::u32string& line, Found& found) {
        const auto& codes = codes_.of(line);
        std::uint32_t state = 0;
        for (std::size_t i = 0; i < codes.size(); ++i) {
            state = codes[i] == 0 ? 0 : step(state, codes[i]);
            for (std::uint32_t s = nodes_[state].entry != kNoEntry ? state : dictionary_[state]; s != 0;
                 s = dictionary_[s]) {
                found(static_cast<std::uint32_t>(i + 1 - depth_[s]), static_cast<std::uint32_t>(i + 1),
                      nodes_[s].entry);
            }
        }
    }

  private:
    std::uint32_t step(std::uint32_t state, std::uint32_t code) const {
        for (;;) {
            const std::uint32_t next = nodes_[state].base + code;
            if (nodes_[next].check == state) return next;
            if (state == 0) return 0;
            state = fail_[state];
        }
    }

    const TrieNode* nodes_;
    Codes codes_;
    std::vector<std::uint32_t> fail_, dictionary_, depth_;
};

double seconds(const std::function<void()>& run) {
    const auto began = std::chrono::steady_clock::now();
    run();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) {
        std::fprintf(stderr, "usage: matcher_variants WORDS TEXT [ROUNDS]\n");
        return 2;
    }
    const int rounds = argc > 3 ? std::atoi(argv[3]) : 5;
    std::size_t word_bytes = 0;
    std::size_t bytes = 0;
    const Lines words = read_lines(argv[1], word_bytes);
    const Lines text = read_lines(argv[2], bytes);
    std::vector<DoubleArrayTrie::Word> views;
    for (const std::u32string& word : words) views.emplace_back(word.data(), word.size());

    struct Layout {
        const char* name;
        TrieLayoutOptions options;
        DoubleArrayTrie trie;
        std::vector<double> build_s;
    };
    const TrieLayoutOptions shipped{};
    TrieLayoutOptions by_point;
    by_point.codes = TrieLayoutOptions::Codes::kByCodePoint;
    TrieLayoutOptions breadth_first;
    breadth_first.placement = TrieLayoutOptions::Placement::kBreadthFirst;
    std::vector<Layout> layouts;
    layouts.push_back({"shipped: codes by frequency, states with many children first", shipped, {}, {}});
    layouts.push_back({"codes in the order of code points", by_point, {}, {}});
    layouts.push_back({"states placed breadth first", breadth_first, {}, {}});
    for (int round = 0; round < std::min(rounds, 3); ++round) {
        for (Layout& layout : layouts) {
            layout.build_s.push_back(
                seconds([&] { layout.trie = DoubleArrayTrie::build(views, layout.options); }));
        }
    }
    std::printf("| layout | build s | slots filled | MB | bytes a word |\n|---|---|---|---|---|\n");
    for (const Layout& layout : layouts) {
        const auto& view = layout.trie.layout();
        std::size_t filled = 1;
        for (std::size_t i = 0; i < view.node_count; ++i) filled += view.nodes[i].check != kFreeSlot;
        std::printf("| %s | %.2f | %.1f %% | %.1f | %.1f |\n", layout.name, median(layout.build_s),
                    100.0 * static_cast<double>(filled) / static_cast<double>(view.node_count),
                    static_cast<double>(layout.trie.size_bytes()) / 1e6,
                    static_cast<double>(layout.trie.size_bytes()) / static_cast<double>(words.size()));
    }

    const DoubleArrayTrie& trie = layouts[0].trie;
    const ShippedNodes nodes{trie.layout().nodes};
    const PaddedNodes padded(trie);
    const SplitNodes split(trie);
    FailLinks fail_links(trie, words);
    Codes codes(trie);
    struct Variant {
        const char* name;
        std::function<void(const std::u32string&, Found&)> find;
        std::vector<double> taken_s;
    };
    const auto whole = [](const DoubleArrayTrie& which) {
        return [&which](const std::u32string& line, Found& found) {
            which.find_all(line.data(), line.size(), found);
        };
    };
    std::vector<Variant> variants;
    variants.push_back({"shipped", whole(trie), {}});
    variants.push_back({"without prefetching",
                        [&](const auto& line, Found& found) { walk<false>(codes.of(line), nodes, found); },
                        {}});
    variants.push_back({"fail links (Aho-Corasick) instead of restarts",
                        [&](const auto& line, Found& found) { fail_links.find(line, found); },
                        {}});
    variants.push_back({"nodes of 16 bytes, aligned",
                        [&](const auto& line, Found& found) { walk<true>(codes.of(line), padded, found); },
                        {}});
    variants.push_back({"nodes of 8 bytes, entries apart",
                        [&](const auto& line, Found& found) { walk<true>(codes.of(line), split, found); },
                        {}});
    variants.push_back({"codes in the order of code points", whole(layouts[1].trie), {}});
    variants.push_back({"states placed breadth first", whole(layouts[2].trie), {}});

    Found expected;
    for (int round = -1; round < rounds; ++round) {
        for (Variant& variant : variants) {
            Found found;
            const double taken = seconds([&] {
                for (const std::u32string& line : text) variant.find(line, found);
            });
            if (round < 0) {
                if (expected.count == 0) expected = found;
                if (!(found == expected)) {
                    std::fprintf(stderr, "%s found other matches\n", variant.name);
                    return 1;
                }
            } else {
                variant.taken_s.push_back(taken);
            }
        }
    }
    std::printf("\n%zu words, %zu lines, %.1f MB, %llu matches each, one thread, medians of %d rounds\n\n",
                words.size(), text.size(), static_cast<double>(bytes) / 1e6,
                static_cast<unsigned long long>(expected.count), rounds);
    std::printf("| walk | MB/s | shipped is ... times as fast |\n|---|---|---|\n");
    const double first = median(variants[0].taken_s);
    for (const Variant& variant : variants) {
        const double taken = median(variant.taken_s);
        std::printf("| %s | %.0f | %.2f |\n", variant.name, static_cast<double>(bytes) / 1e6 / taken,
                    taken / first);
    }
    return 0;
}
