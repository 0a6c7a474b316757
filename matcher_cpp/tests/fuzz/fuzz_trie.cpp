// Words and a text from the input; every match must be a word, and every word occurrence a match.
#include <cstdlib>
#include <string>
#include <vector>

#include "distillex/double_array_trie.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::vector<std::u32string> words(1);
    for (std::size_t i = 0; i < size; ++i) {
        if (data[i] == 0) {
            words.emplace_back();
        } else {
            words.back().push_back(data[i] % 8 == 0 ? 0x20000U + data[i] : 0x4E00U + data[i] % 8);
        }
    }
    const std::u32string text = words.back();
    std::vector<distillex::DoubleArrayTrie::Word> views;
    for (const auto& word : words) views.emplace_back(word.data(), word.size());
    try {
        const auto trie = distillex::DoubleArrayTrie::build(views);
        std::size_t matches = 0;
        trie.find_all(text.data(), text.size(),
                      [&](std::uint32_t start, std::uint32_t end, std::uint32_t entry) {
                          ++matches;
                          if (text.compare(start, end - start, words.at(entry)) != 0) std::abort();
                      });
        std::size_t expected = 0;
        for (const auto& word : words) {
            for (std::size_t at = text.find(word); at != std::u32string::npos; at = text.find(word, at + 1))
                ++expected;
        }
        if (matches != expected) std::abort();
    } catch (const std::invalid_argument&) {
    }
    return 0;
}
