// The trie finds every word, and refuses damaged parts of a file.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "distillex/double_array_trie.hpp"

namespace distillex {
namespace {

using Match = std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>;

DoubleArrayTrie build(const std::vector<std::u32string>& words) {
    std::vector<DoubleArrayTrie::Word> views;
    for (const auto& word : words) views.emplace_back(word.data(), word.size());
    return DoubleArrayTrie::build(views);
}

std::vector<Match> find(const DoubleArrayTrie& trie, const std::u32string& text) {
    std::vector<Match> found;
    trie.find_all(text.data(), text.size(), [&](std::uint32_t start, std::uint32_t end, std::uint32_t entry) {
        found.emplace_back(start, end, entry);
    });
    return found;
}

TEST(DoubleArrayTrie, FindsOverlappingWordsInOrder) {
    const auto trie = build({U"北京", U"北京大学", U"大学", U"京"});
    const std::vector<Match> expected{{0, 2, 0}, {0, 4, 1}, {1, 2, 3}, {2, 4, 2}};
    EXPECT_EQ(find(trie, U"北京大学"), expected);
}

TEST(DoubleArrayTrie, AgreesWithEverySubstringOnRandomWords) {
    std::mt19937 random(1);
    const std::u32string alphabet = U"甲乙丙丁𠮷a";
    const auto draw = [&](std::size_t longest) {
        std::u32string text(1 + random() % longest, U' ');
        for (char32_t& point : text) point = alphabet[random() % alphabet.size()];
        return text;
    };
    for (int round = 0; round < 50; ++round) {
        std::vector<std::u32string> words;
        while (words.size() < 40) {
            const auto word = draw(4);
            if (std::find(words.begin(), words.end(), word) == words.end()) words.push_back(word);
        }
        const auto trie = build(words);
        const auto text = draw(60);
        std::vector<Match> expected;
        for (std::uint32_t start = 0; start < text.size(); ++start) {
            for (std::uint32_t end = start + 1; end <= text.size(); ++end) {
                const auto found = std::find(words.begin(), words.end(), text.substr(start, end - start));
                if (found != words.end())
                    expected.emplace_back(start, end, static_cast<std::uint32_t>(found - words.begin()));
            }
        }
        ASSERT_EQ(find(trie, text), expected);
    }
}

TEST(DoubleArrayTrie, NamesTheRepeatedWords) {
    try {
        build({U"甲", U"乙", U"甲"});
        FAIL() << "a repeated word was accepted";
    } catch (const RepeatedWordError& error) {
        EXPECT_EQ(error.first, 0U);
        EXPECT_EQ(error.second, 2U);
    }
}

TEST(DoubleArrayTrie, RefusesAViewThatLeadsOutside) {
    const auto trie = build({U"甲乙", U"甲", U"丙"});
    std::vector<TrieNode> nodes(trie.layout().nodes, trie.layout().nodes + trie.layout().node_count);
    TrieView view = trie.layout();
    view.nodes = nodes.data();
    EXPECT_NO_THROW(DoubleArrayTrie::view(view, 3, nullptr));
    EXPECT_THROW(DoubleArrayTrie::view(view, 2, nullptr), std::invalid_argument);
    nodes[0].base = static_cast<std::uint32_t>(nodes.size());
    EXPECT_THROW(DoubleArrayTrie::view(view, 3, nullptr), std::invalid_argument);
}

TEST(DoubleArrayTrie, RefusesAWordThatIsNoText) {
    EXPECT_THROW(build({U"甲", std::u32string(1, static_cast<char32_t>(0x110000))}), std::invalid_argument);
}

TEST(DoubleArrayTrie, ServesThreadsAtOnce) {
    const auto trie = build({U"北京", U"大学", U"北京大学"});
    const std::u32string text = U"北京大学";
    const auto expected = find(trie, text);
    std::vector<int> wrong(4, 0);
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < wrong.size(); ++i) {
        threads.emplace_back([&, i] {
            for (int round = 0; round < 500; ++round) wrong[i] += find(trie, text) != expected;
        });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

}  // namespace
}  // namespace distillex
