// Trust as text and as a number: reading, checking, writing.
#include "distillex/trust.hpp"

#include <algorithm>
#include <iterator>

#include "distillex/decimal.hpp"
#include "distillex/lexicon.hpp"
#include "distillex/text.hpp"

namespace distillex {
namespace {

struct Level {
    std::string_view name;
    Trust trust;
};
constexpr Level kLevels[] = {{"hint", kHint}, {"prefer", kPrefer}, {"insist", kInsist}};

}  // namespace

void refuse_trust(const std::string& shown) {
    throw LexiconError("the trust " + shown +
                       " is not accepted; hint, prefer, insist or a number from 0 to 1000 is");
}

bool is_trust(double value) {
    return value == kPrefer || value == kInsist || value == kTrustUnsaid ||
           (value >= 0.0 && value <= kMostTrust);
}

Trust parse_trust(std::string_view text) {
    const auto* level = std::find_if(std::begin(kLevels), std::end(kLevels),
                                     [text](const Level& each) { return each.name == text; });
    if (level != std::end(kLevels)) return level->trust;
    const bool plain = !text.empty() && (text[0] == '.' || (text[0] >= '0' && text[0] <= '9'));
    const auto number = plain ? parse_decimal(text) : std::nullopt;
    if (!number || !(*number >= 0.0 && *number <= kMostTrust)) refuse_trust(in_quotes(text));
    return static_cast<Trust>(*number);
}

Trust trust_of_number(double number) {
    if (!(number >= 0.0 && number <= kMostTrust)) refuse_trust(shortest_decimal(number));
    return static_cast<Trust>(number);
}

std::string trust_text(Trust trust) {
    if (trust == kTrustUnsaid) return "";
    const auto* level = std::find_if(std::begin(kLevels), std::end(kLevels),
                                     [trust](const Level& each) { return each.trust == trust; });
    if (level != std::end(kLevels)) return std::string(level->name);
    return shortest_decimal(trust);
}

}  // namespace distillex
