// BIOES labels: O, B-t0, I-t0, E-t0, S-t0, B-t1, …
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace distillex {

struct LabelledSpan {
    std::int32_t start;
    std::int32_t end;
    std::int32_t type;
};

class LabelScheme {
  public:
    enum Position : std::uint32_t { kBegin = 0, kInside = 1, kEnd = 2, kSingle = 3 };

    // Throws std::invalid_argument for no types, an empty or a repeated one.
    explicit LabelScheme(std::vector<std::string> entity_types);

    const std::vector<std::string>& entity_types() const { return entity_types_; }
    std::uint32_t type_count() const { return static_cast<std::uint32_t>(entity_types_.size()); }
    std::uint32_t label_count() const { return 1 + 4 * type_count(); }
    std::vector<std::string> labels() const;

    static constexpr std::uint32_t kOutside = 0;
    static std::uint32_t label(std::uint32_t type, Position position) { return 1 + 4 * type + position; }
    static std::uint32_t type_of(std::uint32_t label) { return (label - 1) / 4; }
    static Position position_of(std::uint32_t label) { return static_cast<Position>((label - 1) % 4); }

    // The label of a span's character at `position`.
    static std::uint32_t label_in_span(const LabelledSpan& span, std::int32_t position) {
        const auto type = static_cast<std::uint32_t>(span.type);
        if (span.end - span.start == 1) return label(type, kSingle);
        if (position == span.start) return label(type, kBegin);
        return label(type, position == span.end - 1 ? kEnd : kInside);
    }

    // A label that may begin a sequence or follow the end of a span: O, B, S.
    static bool opens(std::uint32_t label) {
        return label == kOutside || position_of(label) == kBegin || position_of(label) == kSingle;
    }
    // A label that may end a sequence or stand before the begin of a span: O, E, S.
    static bool closes(std::uint32_t label) {
        return label == kOutside || position_of(label) == kEnd || position_of(label) == kSingle;
    }
    static bool allowed(std::uint32_t from, std::uint32_t to) {
        if (closes(from)) return opens(to);
        return !opens(to) && type_of(from) == type_of(to);
    }

    // The type of this name. Throws std::invalid_argument for an unknown one, listing those that are known.
    std::int32_t type_named(std::string_view name) const;

    // Throws std::invalid_argument for a span outside the text, overlapping another or of no type of these.
    std::vector<std::int64_t> encode(std::vector<LabelledSpan> spans, std::int32_t length) const;
    // Throws std::invalid_argument for a sequence that breaks the scheme.
    std::vector<LabelledSpan> decode(const std::vector<std::int64_t>& labels) const;

  private:
    std::vector<std::string> entity_types_;
};

}  // namespace distillex
