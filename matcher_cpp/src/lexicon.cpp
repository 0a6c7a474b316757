#include "distillex/lexicon.hpp"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "distillex/checksum.hpp"
#include "distillex/decimal.hpp"

namespace distillex {

struct Lexicon::Owned {
    std::vector<std::uint16_t> entry_types;
    std::vector<float> weights;
    std::vector<std::uint32_t> hashes;
    std::vector<std::uint32_t> word_offsets;
    std::string word_bytes;
};

namespace {

std::string in_quotes(const std::u32string& word) { return "'" + encode_utf8(word) + "'"; }

void check_type(const LexiconEntryInput& entry) {
    const bool printable = std::none_of(entry.type.begin(), entry.type.end(), [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
    });
    if (entry.type.empty() || entry.type.size() > kMaxTypeLength || !printable) {
        throw LexiconError("the type '" + entry.type + "' of " + in_quotes(entry.word) +
                           " is not a name of 1 to 64 printable bytes");
    }
}

std::vector<LexiconEntryInput> keep_last_of_repeats(std::vector<LexiconEntryInput> entries) {
    std::unordered_map<std::u32string, std::size_t> seen;
    std::vector<LexiconEntryInput> kept;
    kept.reserve(entries.size());
    for (auto& entry : entries) {
        const auto [found, added] = seen.emplace(entry.word, kept.size());
        if (added) {
            kept.push_back(std::move(entry));
        } else {
            kept[found->second] = std::move(entry);
        }
    }
    return kept;
}

}  // namespace

void check_entry(const LexiconEntryInput& entry) {
    if (entry.word.empty()) throw LexiconError("a lexicon word is empty");
    if (entry.word.size() > kMaxWordLength) {
        throw LexiconError("the word " + in_quotes(entry.word.substr(0, 20) + U"…") + " has " +
                           std::to_string(entry.word.size()) + " code points; at most " +
                           std::to_string(kMaxWordLength) + " are accepted");
    }
    for (const char32_t point : entry.word) {
        if (point == 0 || is_surrogate(point) || point > kLastCodePoint) {
            throw LexiconError(
                "a lexicon word holds a code point that is no character (NUL or a lone surrogate)");
        }
    }
    if (!(entry.weight > 0.0F && entry.weight <= 1.0F)) {
        throw LexiconError("the weight " + shortest_decimal(entry.weight) + " of " + in_quotes(entry.word) +
                           " is not in (0, 1]");
    }
    if (!entry.hidden) check_type(entry);
}

std::shared_ptr<const Lexicon> Lexicon::build(std::vector<LexiconEntryInput> entries, Repeats repeats,
                                              const std::string& name, std::uint32_t version) {
    if (name.size() > kMaxNameLength)
        throw LexiconError("the lexicon name '" + name + "' is longer than 64 bytes");
    for (auto& entry : entries) {
        check_entry(entry);
        std::transform(entry.word.begin(), entry.word.end(), entry.word.begin(), normalize);
    }

    auto owned = std::make_shared<Owned>();
    std::shared_ptr<Lexicon> lexicon(new Lexicon());
    std::unordered_map<std::string, std::uint16_t> type_ids;
    std::vector<DoubleArrayTrie::Word> words;
    words.reserve(entries.size());
    owned->word_offsets.push_back(0);
    for (const auto& entry : entries) {
        words.emplace_back(entry.word.data(), entry.word.size());
        std::uint16_t type = kHiddenType;
        if (!entry.hidden) {
            const auto [found, added] =
                type_ids.emplace(entry.type, static_cast<std::uint16_t>(lexicon->types_.size()));
            if (added) lexicon->types_.push_back(entry.type);
            if (lexicon->types_.size() >= kHiddenType) throw LexiconError("a lexicon has over 65,534 types");
            type = found->second;
        }
        owned->entry_types.push_back(type);
        owned->weights.push_back(entry.weight);
        owned->hashes.push_back(hash_word(entry.word.data(), entry.word.size()));
        for (const char32_t point : entry.word) append_utf8(point, owned->word_bytes);
        owned->word_offsets.push_back(static_cast<std::uint32_t>(owned->word_bytes.size()));
    }
    try {
        lexicon->trie_ = DoubleArrayTrie::build(words);
    } catch (const RepeatedWordError& error) {
        // Repeats are rare: looking for them first would cost every request's own lexicon a hash table.
        if (repeats == Repeats::kLastWins) {
            return build(keep_last_of_repeats(std::move(entries)), Repeats::kRefuse, name, version);
        }
        throw LexiconError("entries " + std::to_string(error.first) + " and " + std::to_string(error.second) +
                           " are the same word after normalisation: " + in_quotes(entries[error.first].word));
    }
    lexicon->name_ = name;
    lexicon->version_ = version;
    lexicon->entry_count_ = static_cast<std::uint32_t>(entries.size());
    lexicon->entry_types_ = owned->entry_types.data();
    lexicon->weights_ = owned->weights.data();
    lexicon->hashes_ = owned->hashes.data();
    lexicon->word_offsets_ = owned->word_offsets.data();
    lexicon->word_bytes_ = owned->word_bytes.data();
    lexicon->owner_ = std::move(owned);
    return lexicon;
}

std::string_view Lexicon::word(std::uint32_t entry) const {
    return {word_bytes_ + word_offsets_[entry], word_offsets_[entry + 1] - word_offsets_[entry]};
}

std::uint64_t Lexicon::checksum() const {
    std::uint64_t sum = checksum64(word_bytes_, entry_count_ == 0 ? 0 : word_offsets_[entry_count_]);
    sum = checksum64(word_offsets_, (entry_count_ + std::size_t{1}) * sizeof(std::uint32_t), sum);
    sum = checksum64(entry_types_, entry_count_ * sizeof(std::uint16_t), sum);
    sum = checksum64(weights_, entry_count_ * sizeof(float), sum);
    for (const auto& type : types_) sum = checksum64(type.data(), type.size(), sum);
    return sum;
}

std::size_t Lexicon::size_bytes() const {
    return trie_.size_bytes() +
           entry_count_ * (sizeof(std::uint16_t) + sizeof(float) + 2 * sizeof(std::uint32_t)) +
           (entry_count_ == 0 ? 0 : word_offsets_[entry_count_]);
}

}  // namespace distillex
