// Words with a type and a weight; built in memory or read from one file.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "distillex/double_array_trie.hpp"
#include "distillex/text.hpp"
#include "distillex/trust.hpp"

namespace distillex {

// A lexicon file, entry or type is invalid; the message is one sentence for a person.
struct LexiconError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

inline constexpr std::uint16_t kHiddenType = 0xFFFF;
inline constexpr std::size_t kMaxTypeLength = 64;
inline constexpr std::size_t kMaxNameLength = 64;

struct LexiconEntryInput {
    std::u32string word;
    std::string type;  // ignored where hidden
    bool hidden = false;
    double weight = 1.0;  // in double, so that 1.00000001 is above 1; the lexicon keeps a float
    Trust trust = kTrustUnsaid;
};

// What every word, type and name has to be, wherever it comes from. They throw LexiconError.
void check_word(std::u32string_view word);
void check_type(std::string_view type, std::u32string_view word);
void check_name(std::string_view name);
void check_entry(const LexiconEntryInput& entry);
// In (0, 1], as a float too.
bool is_weight(double weight);

// What to do with two entries that are the same word after normalisation.
enum class Repeats { kRefuse, kLastWins };

class Lexicon {
  public:
    static std::shared_ptr<const Lexicon> build(std::vector<LexiconEntryInput> entries, Repeats repeats,
                                                const std::string& name, std::uint32_t version,
                                                Trust trust = kTrustUnsaid);
    // Reads the file into memory: what happens to the file later does not reach the lexicon.
    static std::shared_ptr<const Lexicon> load(const std::filesystem::path& path);
    // The same for a file's bytes.
    static std::shared_ptr<const Lexicon> from_bytes(std::string_view bytes);
    std::string to_bytes() const;

    // Writes beside `path`, then renames: a reader sees the old file or the new one, never a part.
    void save(const std::filesystem::path& path) const;

    std::uint32_t size() const { return entry_count_; }
    const std::string& name() const { return name_; }
    std::uint32_t version() const { return version_; }
    Trust trust() const { return trust_; }  // of the words that say none
    const std::vector<std::string>& types() const { return types_; }
    std::uint64_t checksum() const;  // of words, types, weights, trust; not of name and version
    std::size_t size_bytes() const;

    std::string_view word(std::uint32_t entry) const;  // UTF-8, normalised
    std::uint16_t entry_type(std::uint32_t entry) const { return entry_types_[entry]; }
    float entry_weight(std::uint32_t entry) const { return weights_[entry]; }
    Trust entry_trust(std::uint32_t entry) const { return trusts_ ? trusts_[entry] : kTrustUnsaid; }
    std::uint32_t entry_hash(std::uint32_t entry) const { return hashes_[entry]; }
    const DoubleArrayTrie& trie() const { return trie_; }

    // The entry of a word, normalised here.
    std::optional<std::uint32_t> lookup(std::u32string word) const;

    // Whether a word holds a space: only then it matters that a run of them in a text counts as one.
    bool has_spaces() const { return trie_.knows(U' '); }

    // Over text that is normalised already, its runs of spaces too (SingleSpaced) where has_spaces().
    template <class Visitor>
    void find_all(const char32_t* text, std::size_t length, Visitor&& visit) const {
        trie_.find_all(text, length, visit);
    }

    // Over a text of code points as it is.
    template <class Character, class Visitor>
    void find_all_unfolded(const Character* text, std::size_t length, Visitor&& visit) const {
        const Normalizer normalizer;
        const auto both_spaces = [&normalizer](char32_t first, char32_t second) {
            return normalizer(first) == U' ' && normalizer(second) == U' ';
        };
        if (!has_spaces() || std::adjacent_find(text, text + length, both_spaces) == text + length) {
            trie_.find_all_mapped(text, length, normalizer, visit);
            return;
        }
        SingleSpaced single_spaced;
        const std::u32string normal = normalized(std::u32string(text, text + length));
        const std::u32string_view searched = single_spaced.assign(normal);
        trie_.find_all(searched.data(), searched.size(), single_spaced.in_text(visit));
    }

  private:
    friend class LexiconFile;
    struct Owned;
    Lexicon() = default;

    std::string name_;
    std::uint32_t version_ = 0;
    Trust trust_ = kTrustUnsaid;
    std::uint32_t entry_count_ = 0;
    std::vector<std::string> types_;
    DoubleArrayTrie trie_;
    const std::uint16_t* entry_types_ = nullptr;
    const float* weights_ = nullptr;
    const Trust* trusts_ = nullptr;  // none where no word says one
    const std::uint32_t* hashes_ = nullptr;
    const std::uint32_t* word_offsets_ = nullptr;  // entry_count_ + 1 offsets into word_bytes_
    const char* word_bytes_ = nullptr;
    std::shared_ptr<const void> owner_;
};

}  // namespace distillex
