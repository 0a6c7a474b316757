// Word boundaries in scripts that are written with spaces.
#include "distillex/letters.hpp"

#include <iterator>

namespace distillex {
namespace {

struct Range {
    char32_t first;
    char32_t last;
};

constexpr Range kCasedLetters[] = {
#include "letter_table.inc"
};

}  // namespace

bool is_cased_letter_of_the_table(char32_t point) {
    const auto* range =
        std::lower_bound(std::begin(kCasedLetters), std::end(kCasedLetters), point,
                         [](const Range& candidate, char32_t value) { return candidate.last < value; });
    return range != std::end(kCasedLetters) && range->first <= point;
}

}  // namespace distillex
