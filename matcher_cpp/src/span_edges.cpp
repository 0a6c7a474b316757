// The rules for where an entity may begin and end.
#include "distillex/span_edges.hpp"

#include <algorithm>
#include <iterator>

#include "distillex/text.hpp"

namespace distillex {
namespace {

struct Range {
    char32_t first;
    char32_t last;
};

struct Pair {
    char32_t open;
    char32_t close;
    std::uint8_t kind;
    bool quotes;
};

#include "span_edge_table.inc"

constexpr std::uint8_t kKindBits = 0x3F;

constexpr bool kinds_fit() {
    for (const Pair& pair : kPairs) {
        if (pair.kind > kKindBits || pair.open > 0xFFFF || pair.close > 0xFFFF) return false;
    }
    return true;
}
static_assert(kinds_fit(), "a byte holds a kind and its two sides, for the Basic Multilingual Plane");

// The kinds of quotes come first.
constexpr std::uint8_t count_quote_kinds() {
    std::uint8_t count = 0;
    for (const Pair& pair : kPairs) {
        if (pair.quotes && pair.kind >= count) count = static_cast<std::uint8_t>(pair.kind + 1);
    }
    return count;
}
constexpr std::uint8_t kQuoteKinds = count_quote_kinds();

bool is_quote(std::uint8_t bracket) { return (bracket & kKindBits) < kQuoteKinds; }

}  // namespace

std::vector<std::uint8_t> SpanEdges::plane_table() {
    std::vector<std::uint8_t> table(0x10000, kPlain);
    for (char32_t point = 0; point < table.size(); ++point) table[point] = beyond_plane(point);
    for (const Pair& pair : kPairs) {
        table[pair.open] |= static_cast<std::uint8_t>(pair.kind | kOpens);
        table[pair.close] |= static_cast<std::uint8_t>(pair.kind | kCloses);
    }
    return table;
}

SpanEdges::SpanEdges() {
    static const std::vector<std::uint8_t> table = plane_table();
    plane_ = table.data();
}

std::uint8_t SpanEdges::beyond_plane(char32_t point) {
    const auto* range =
        std::lower_bound(std::begin(kNeverEdges), std::end(kNeverEdges), point,
                         [](const Range& candidate, char32_t value) { return candidate.last < value; });
    const bool never = point > kLastCodePoint || (range != std::end(kNeverEdges) && range->first <= point);
    return never ? kNever : kPlain;
}

std::size_t SpanEdges::partner(std::u32string_view text, std::size_t at) const {
    constexpr std::size_t kNone = std::u32string_view::npos;
    const std::uint8_t bracket = kind_of(text[at]);
    if (bracket == kPlain || bracket == kNever) return kNone;
    bool forward = opens(bracket);
    if ((bracket & kBothSides) == kBothSides) {
        // A straight quote opens or closes by those before it, and pairs with the next or the last one.
        const auto before = std::count_if(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at),
                                          [&](char32_t point) { return kind_of(point) == bracket; });
        forward = before % 2 == 0;
    }
    const auto same = static_cast<std::uint8_t>(forward ? kOpens : kCloses);
    const std::uint8_t kind = bracket & kKindBits;
    std::size_t depth = 0;
    // Backward, the index passes below 0 to more than any size.
    for (std::size_t i = forward ? at + 1 : at - 1; i < text.size(); forward ? ++i : --i) {
        const std::uint8_t other = kind_of(text[i]);
        if (other == kPlain || other == kNever || (other & kKindBits) != kind) continue;
        if ((other & kBothSides) != kBothSides && (other & same) != 0) {
            ++depth;
        } else if (depth == 0) {
            return i;
        } else {
            --depth;
        }
    }
    return kNone;
}

bool SpanEdges::paired(std::u32string_view span, std::uint8_t first, std::uint8_t last,
                       bool begins_text) const {
    const std::size_t end = span.size() - 1;
    if (first != kPlain) {
        if (!opens(first)) return false;
        const std::size_t closing = partner(span, 0);
        if (closing == std::u32string_view::npos || (closing == end && is_quote(first))) return false;
    }
    if (last == kPlain) return true;
    if (!closes(last)) return false;
    const bool opened = partner(span, end) != std::u32string_view::npos;
    return opened || (begins_text && !is_quote(last));
}

std::pair<std::size_t, std::size_t> SpanEdges::sound_part(std::u32string_view span, bool begins_text) const {
    std::size_t start = 0;
    std::size_t end = span.size();
    const auto part = [&] { return span.substr(start, end - start); };
    while (start < end && !sound(part(), begins_text && start == 0)) {
        const std::size_t closing = partner(part(), 0);
        if (closing == end - start - 1) {
            ++start, --end;  // quotes around all of it
        } else if (!may_begin(span[start]) ||
                   (kind_of(span[start]) != kPlain && closing == std::u32string_view::npos)) {
            ++start;
        } else {
            --end;
        }
    }
    return {start, end};
}

}  // namespace distillex
