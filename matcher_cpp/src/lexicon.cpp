// Building a lexicon from words with types and weights.
#include "distillex/lexicon.hpp"

#include <algorithm>
#include <unordered_map>

#include "distillex/checksum.hpp"
#include "distillex/decimal.hpp"

namespace distillex {

struct Lexicon::Owned {
    std::vector<std::uint16_t> entry_types;
    std::vector<float> weights;
    std::vector<Trust> trusts;
    std::vector<std::uint32_t> hashes;
    std::vector<std::uint32_t> word_offsets;
    std::string word_bytes;
};

namespace {

bool is_printable_name(std::string_view bytes, std::size_t shortest, std::size_t longest) {
    if (bytes.size() < shortest || bytes.size() > longest) return false;
    std::u32string points;
    return decode_utf8(bytes, points) == std::string_view::npos &&
           std::none_of(points.begin(), points.end(), is_control);
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

void check_word(std::u32string_view word) {
    if (word.empty()) throw LexiconError("a lexicon word is empty");
    if (word.size() > kMaxWordLength) {
        throw LexiconError("the word " + in_quotes(word) + " has " + std::to_string(word.size()) +
                           " code points; at most " + std::to_string(kMaxWordLength) + " are accepted");
    }
    for (const char32_t point : word) {
        if (is_control(point)) {
            throw LexiconError("the word " + in_quotes(word) +
                               " holds a control character (NUL, tab, line end, …)");
        }
        if (is_surrogate(point) || point > kLastCodePoint) {
            throw LexiconError("the word " + in_quotes(word) +
                               " holds a code point that is no character (a lone surrogate)");
        }
    }
    if (std::all_of(word.begin(), word.end(), is_space))
        throw LexiconError("a lexicon word is nothing but white space");
}

void check_type(std::string_view type, std::u32string_view word) {
    if (!is_printable_name(type, 1, kMaxTypeLength)) {
        throw LexiconError("the type " + in_quotes(type) + " of " + in_quotes(word) +
                           " is not a name of 1 to 64 bytes of printable UTF-8");
    }
}

void check_name(std::string_view name) {
    if (!is_printable_name(name, 0, kMaxNameLength)) {
        throw LexiconError("the lexicon name " + in_quotes(name) +
                           " is not a name of at most 64 bytes of printable UTF-8");
    }
}

bool is_weight(double weight) { return weight > 0.0 && weight <= 1.0 && static_cast<float>(weight) > 0.0F; }

void check_entry(const LexiconEntryInput& entry) {
    check_word(entry.word);
    if (!is_weight(entry.weight)) {
        throw LexiconError("the weight " + shortest_decimal(entry.weight) + " of " + in_quotes(entry.word) +
                           " is not in (0, 1]");
    }
    if (!entry.hidden) check_type(entry.type, entry.word);
}

std::shared_ptr<const Lexicon> Lexicon::build(std::vector<LexiconEntryInput> entries, Repeats repeats,
                                              const std::string& name, std::uint32_t version, Trust trust) {
    check_name(name);
    for (auto& entry : entries) {
        check_entry(entry);
        entry.word = normalized_word(std::move(entry.word));
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
        owned->weights.push_back(static_cast<float>(entry.weight));
        owned->trusts.push_back(entry.trust);
        owned->hashes.push_back(hash_word(entry.word.data(), entry.word.size()));
        for (const char32_t point : entry.word) append_utf8(point, owned->word_bytes);
        owned->word_offsets.push_back(static_cast<std::uint32_t>(owned->word_bytes.size()));
    }
    try {
        lexicon->trie_ = DoubleArrayTrie::build(words);
    } catch (const RepeatedWordError& error) {
        // Repeats are rare: looking for them first would cost every request's own lexicon a hash table.
        if (repeats == Repeats::kLastWins) {
            return build(keep_last_of_repeats(std::move(entries)), Repeats::kRefuse, name, version, trust);
        }
        throw LexiconError("entries " + std::to_string(error.first) + " and " + std::to_string(error.second) +
                           " are the same word after normalisation: " + in_quotes(entries[error.first].word));
    }
    lexicon->name_ = name;
    lexicon->version_ = version;
    lexicon->trust_ = trust;
    lexicon->entry_count_ = static_cast<std::uint32_t>(entries.size());
    lexicon->entry_types_ = owned->entry_types.data();
    lexicon->weights_ = owned->weights.data();
    const bool says_trust = std::any_of(owned->trusts.begin(), owned->trusts.end(),
                                        [](Trust each) { return each != kTrustUnsaid; });
    if (says_trust) lexicon->trusts_ = owned->trusts.data();
    lexicon->hashes_ = owned->hashes.data();
    lexicon->word_offsets_ = owned->word_offsets.data();
    lexicon->word_bytes_ = owned->word_bytes.data();
    lexicon->owner_ = std::move(owned);
    return lexicon;
}

std::optional<std::uint32_t> Lexicon::lookup(std::u32string word) const {
    const std::u32string key = normalized_word(std::move(word));
    return trie_.lookup(key.data(), key.size());
}

std::string_view Lexicon::word(std::uint32_t entry) const {
    return {word_bytes_ + word_offsets_[entry], word_offsets_[entry + 1] - word_offsets_[entry]};
}

std::uint64_t Lexicon::checksum() const {
    std::uint64_t sum = checksum64(word_bytes_, entry_count_ == 0 ? 0 : word_offsets_[entry_count_]);
    sum = checksum64(word_offsets_, (entry_count_ + std::size_t{1}) * sizeof(std::uint32_t), sum);
    sum = checksum64(entry_types_, entry_count_ * sizeof(std::uint16_t), sum);
    sum = checksum64(weights_, entry_count_ * sizeof(float), sum);
    if (trusts_ != nullptr) sum = checksum64(trusts_, entry_count_ * sizeof(Trust), sum);
    if (trust_ != kTrustUnsaid) sum = checksum64(&trust_, sizeof(trust_), sum);
    for (const auto& type : types_) sum = checksum64(type.data(), type.size(), sum);
    return sum;
}

std::size_t Lexicon::size_bytes() const {
    return trie_.size_bytes() +
           entry_count_ * (sizeof(std::uint16_t) + sizeof(float) + 2 * sizeof(std::uint32_t) +
                           (trusts_ != nullptr ? sizeof(Trust) : 0)) +
           (entry_count_ == 0 ? 0 : word_offsets_[entry_count_]);
}

}  // namespace distillex
