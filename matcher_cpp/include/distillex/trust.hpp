// How far a word of a lexicon is obeyed when a path of labels is chosen (crf_trust.hpp says how).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace distillex {

// A number from 0 on, which is added to the score of a path that tags the word as its type; or one of the
// levels below, whose numbers are the decoder's.
using Trust = float;

inline constexpr Trust kHint = 0.0F;     // the word is a feature and no more
inline constexpr Trust kPrefer = -1.0F;  // the number chosen for the model
inline constexpr Trust kInsist = -2.0F;
inline constexpr Trust kTrustUnsaid = -3.0F;  // whoever comes next says it
inline constexpr float kMostTrust = 1000.0F;

bool is_trust(double value);

// "hint", "prefer", "insist", or a number from 0 to kMostTrust. Throws LexiconError for anything else.
Trust parse_trust(std::string_view text);
// The same of a number.
Trust trust_of_number(double number);

// Throws the LexiconError that says what is accepted, of a value as a message shows it.
[[noreturn]] void refuse_trust(const std::string& shown);

// What parse_trust reads; of kTrustUnsaid the empty text.
std::string trust_text(Trust trust);

}  // namespace distillex
