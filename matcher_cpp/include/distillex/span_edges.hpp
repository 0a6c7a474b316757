// Where an entity may begin and end, by its characters alone.
//
// Neither edge is a control, white space, invisible, an emoji or ornament, a comma, colon, semicolon or
// ideographic full stop, or a quote that belongs to no pair. A bracket or paired quote is an edge only with
// its partner inside the span; quotes around the whole span are none of it (“名城”), quotes around a part of
// it are (“俏江南”集团).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace distillex {

class SpanEdges {
  public:
    SpanEdges();

    // Of the character alone: a bracket may begin a span, whose partner may be inside.
    bool may_begin(char32_t point) const { return opens(kind_of(point)) || kind_of(point) == kPlain; }
    bool may_end(char32_t point) const { return closes(kind_of(point)) || kind_of(point) == kPlain; }

    // Position of the bracket or quote that pairs with the one at `at`, or npos: its kind alone is counted,
    // full width and half width are one kind. Linear in the text; `at` lies in it.
    std::size_t partner(std::u32string_view text, std::size_t at) const;

    // Whether an entity may consist of `span`, the characters from its start to its end. Nearly every span is
    // decided by the table's bytes of its first and last character. An empty one is not sound.
    // Of a text that was cut inside a title, a span that `begins_text` may end with the bracket whose partner
    // was cut off (生化奇兵2》): corpora label it so.
    bool sound(std::u32string_view span, bool begins_text = false) const {
        if (span.empty()) return false;
        const std::uint8_t first = kind_of(span.front());
        const std::uint8_t last = kind_of(span.back());
        return (first == kPlain && last == kPlain) ||
               (first != kNever && last != kNever && paired(span, first, last, begins_text));
    }

    // What is left, as start and end within `span`, when characters that may not be edges are taken off both
    // ends until it is sound; start == end where nothing is. At most quadratic in the brackets at its ends.
    std::pair<std::size_t, std::size_t> sound_part(std::u32string_view span, bool begins_text = false) const;

  private:
    // A byte a character: kPlain, kNever, or a kind of bracket with the sides that it can be.
    static constexpr std::uint8_t kPlain = 0;
    static constexpr std::uint8_t kNever = 1;
    static constexpr std::uint8_t kOpens = 0x40;
    static constexpr std::uint8_t kCloses = 0x80;
    static constexpr std::uint8_t kBothSides = kOpens | kCloses;
    static bool opens(std::uint8_t kind) { return (kind & kOpens) != 0; }
    static bool closes(std::uint8_t kind) { return (kind & kCloses) != 0; }

    std::uint8_t kind_of(char32_t point) const {
        return point < 0x10000 ? plane_[point] : beyond_plane(point);
    }
    static std::uint8_t beyond_plane(char32_t point);
    static std::vector<std::uint8_t> plane_table();
    bool paired(std::u32string_view span, std::uint8_t first, std::uint8_t last, bool begins_text) const;

    const std::uint8_t* plane_;  // of the Basic Multilingual Plane
};

}  // namespace distillex
