// The bonus that trusted words add to emissions.
#include "distillex/crf_trust.hpp"

#include <algorithm>
#include <stdexcept>

#include "distillex/decimal.hpp"
#include "distillex/span_edges.hpp"

namespace distillex {
namespace {

// More than emissions differ by (at most 33 on the shipped students' development sets).
constexpr float kInsistBonus = 40.0F;
// A longer entity that covers a word of kInsist gains so much less, on each side where it is longer.
constexpr float kCoveringLess = 2.0F;

constexpr char32_t kOpensTitle = U'《';
constexpr char32_t kClosesTitle = U'》';

}  // namespace

WordBonus::WordBonus(const LabelScheme& scheme, const TrustRules& rules)
    : label_count_(scheme.label_count()), prefer_(rules.prefer) {
    if (!(prefer_ >= 0.0F && prefer_ <= kMostTrust)) {
        throw std::invalid_argument("the trust of 'prefer' is " + shortest_decimal(prefer_) +
                                    "; 0 to 1000 is accepted");
    }
    if (rules.lexicon_types.empty()) return;
    const auto& names = scheme.entity_types();
    entity_types_.push_back(-1);
    for (const auto& type : rules.lexicon_types) {
        const auto found = std::find(names.begin(), names.end(), type);
        entity_types_.push_back(found == names.end() ? -1 : static_cast<std::int32_t>(found - names.begin()));
    }
}

void WordBonus::add(const TrustedWord* begin, const TrustedWord* end, std::u32string_view text,
                    std::size_t length, float* emissions) const {
    const SpanEdges edges;
    for (const TrustedWord* word = begin; word != end; ++word) {
        if (word->start < 0 || word->end <= word->start || static_cast<std::size_t>(word->end) > length) {
            throw std::invalid_argument("the trusted word [" + std::to_string(word->start) + ", " +
                                        std::to_string(word->end) + ") does not lie in a text of " +
                                        std::to_string(length) + " code points");
        }
        if (word->type < 1 || static_cast<std::size_t>(word->type) >= entity_types_.size()) {
            throw std::invalid_argument("the type " + std::to_string(word->type) +
                                        " of a trusted word is not one of the decoder's lexicon types");
        }
        const std::int32_t type = entity_types_[static_cast<std::size_t>(word->type)];
        if (type < 0) continue;
        TrustedWord kept = *word;
        if (!text.empty()) {
            // What may be no edge of an entity is none where a word has it there.
            const auto [from, to] =
                edges.sound_part(text.substr(static_cast<std::size_t>(kept.start),
                                             static_cast<std::size_t>(kept.end - kept.start)),
                                 kept.start == 0);
            if (from == to) continue;
            kept.end = kept.start + static_cast<std::int32_t>(to);
            kept.start += static_cast<std::int32_t>(from);
        }
        const auto start = static_cast<std::size_t>(kept.start);
        const auto stop = static_cast<std::size_t>(kept.end);
        const bool in_guillemets =
            start > 0 && stop < text.size() && text[start - 1] == kOpensTitle && text[stop] == kClosesTitle;
        add_word(kept, static_cast<std::uint32_t>(type), in_guillemets, emissions);
    }
}

void WordBonus::add_word(const TrustedWord& word, std::uint32_t type, bool in_guillemets,
                         float* emissions) const {
    const auto start = static_cast<std::size_t>(word.start);
    const std::size_t last = static_cast<std::size_t>(word.end) - 1;
    const bool insisted = word.trust == kInsist;
    const float whole = word.trust == kPrefer ? prefer_ : word.trust;
    const float bonus = insisted ? kInsistBonus : whole / static_cast<float>(last - start + 1);
    const float covered = in_guillemets ? bonus : insisted ? bonus - kCoveringLess : 0.0F;
    const auto at = [&](std::size_t position, LabelScheme::Position where) -> float& {
        return emissions[position * label_count_ + LabelScheme::label(type, where)];
    };
    if (start == last) {
        at(start, LabelScheme::kSingle) += bonus;
        at(start, LabelScheme::kInside) += covered;
        if (insisted) {
            at(start, LabelScheme::kBegin) += covered;
            at(start, LabelScheme::kEnd) += covered;
        }
        return;
    }
    at(start, LabelScheme::kBegin) += bonus;
    at(start, LabelScheme::kInside) += covered;
    for (std::size_t position = start + 1; position < last; ++position) {
        at(position, LabelScheme::kInside) += bonus;
    }
    at(last, LabelScheme::kInside) += covered;
    at(last, LabelScheme::kEnd) += bonus;
}

}  // namespace distillex
