// Trust in words: what the decoder adds to the emissions of a row before it looks for the best path, so that
// scores are posteriors of the model that decided.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "distillex/label_scheme.hpp"
#include "distillex/trusted_words.hpp"

namespace distillex {

inline constexpr float kUsualPrefer = 2.0F;  // of a model that says none

// How a decoder takes the words that a featurizer found.
struct TrustRules {
    std::vector<std::string> lexicon_types;  // the featurizer's, in its order
    float prefer = kUsualPrefer;             // what kPrefer adds
};

class WordBonus {
  public:
    WordBonus() = default;
    // Throws std::invalid_argument for a `prefer` outside 0 .. kMostTrust.
    WordBonus(const LabelScheme& scheme, const TrustRules& rules);

    bool knows_types() const { return !entity_types_.empty(); }

    // Adds to [length, labels] emissions what each word of a row is trusted with. The word's span gains that
    // number, whatever its length: each of its labels gains its share. Where 《》 stand around a word, the
    // span with them gains as much. A word of kInsist is returned unless a longer entity of its type covers
    // it: each of its labels gains kInsistBonus, and nearly as much those by which a longer entity covers it.
    // `text`: the row's code points, or empty: then 《》 are not looked for. Throws std::invalid_argument for
    // a word outside the row or of a type that is not known.
    void add(const TrustedWord* begin, const TrustedWord* end, std::u32string_view text, std::size_t length,
             float* emissions) const;

  private:
    void add_word(const TrustedWord& word, std::uint32_t type, bool in_guillemets, float* emissions) const;

    std::size_t label_count_ = 0;
    std::vector<std::int32_t> entity_types_;  // of a featurizer's type id; -1: no entity type
    float prefer_ = kUsualPrefer;
};

}  // namespace distillex
