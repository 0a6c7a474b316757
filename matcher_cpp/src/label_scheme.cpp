// BIOES labels: their names, spans → labels, labels → spans.
#include "distillex/label_scheme.hpp"

#include <algorithm>
#include <set>
#include <stdexcept>

namespace distillex {
namespace {

std::string shown(const LabelledSpan& span) {
    return "[" + std::to_string(span.start) + ", " + std::to_string(span.end) + ")";
}

}  // namespace

LabelScheme::LabelScheme(std::vector<std::string> entity_types) : entity_types_(std::move(entity_types)) {
    if (entity_types_.empty()) throw std::invalid_argument("a label scheme needs at least one entity type");
    std::set<std::string> seen;
    for (const auto& type : entity_types_) {
        if (type.empty()) throw std::invalid_argument("an entity type is empty");
        if (!seen.insert(type).second)
            throw std::invalid_argument("the entity type '" + type + "' is given twice");
    }
}

std::vector<std::string> LabelScheme::labels() const {
    std::vector<std::string> names{"O"};
    for (const auto& type : entity_types_) {
        for (const char* position : {"B-", "I-", "E-", "S-"}) names.push_back(position + type);
    }
    return names;
}

std::int32_t LabelScheme::type_named(std::string_view name) const {
    const auto found = std::find(entity_types_.begin(), entity_types_.end(), name);
    if (found != entity_types_.end()) return static_cast<std::int32_t>(found - entity_types_.begin());
    std::string known;
    for (const auto& type : entity_types_) known += (known.empty() ? "" : ", ") + type;
    throw std::invalid_argument("unknown entity type '" + std::string(name) + "'; known types: " + known);
}

std::vector<std::int64_t> LabelScheme::encode(std::vector<LabelledSpan> spans, std::int32_t length) const {
    std::vector<std::int64_t> labels(static_cast<std::size_t>(std::max(length, 0)), kOutside);
    std::sort(spans.begin(), spans.end(),
              [](const LabelledSpan& a, const LabelledSpan& b) { return a.start < b.start; });
    std::int32_t free_from = 0;
    for (const LabelledSpan& span : spans) {
        if (span.start < 0 || span.end <= span.start || span.end > length) {
            throw std::invalid_argument("the span " + shown(span) + " does not lie in a text of " +
                                        std::to_string(length) + " code points");
        }
        if (span.start < free_from)
            throw std::invalid_argument("the span " + shown(span) + " overlaps another");
        if (span.type < 0 || span.type >= static_cast<std::int32_t>(type_count())) {
            throw std::invalid_argument("the type " + std::to_string(span.type) + " of the span " +
                                        shown(span) + " is not in 0 .. " + std::to_string(type_count() - 1));
        }
        free_from = span.end;
        const auto type = static_cast<std::uint32_t>(span.type);
        const auto start = static_cast<std::size_t>(span.start);
        const auto last = static_cast<std::size_t>(span.end) - 1;
        if (start == last) {
            labels[start] = label(type, kSingle);
            continue;
        }
        labels[start] = label(type, kBegin);
        for (std::size_t i = start + 1; i < last; ++i) labels[i] = label(type, kInside);
        labels[last] = label(type, kEnd);
    }
    return labels;
}

std::vector<LabelledSpan> LabelScheme::decode(const std::vector<std::int64_t>& labels) const {
    std::vector<LabelledSpan> spans;
    std::uint32_t previous = kOutside;
    std::int32_t start = 0;
    for (std::size_t i = 0; i < labels.size(); ++i) {
        if (labels[i] < 0 || labels[i] >= static_cast<std::int64_t>(label_count())) {
            throw std::invalid_argument("label id " + std::to_string(labels[i]) + " at position " +
                                        std::to_string(i) + " is not in 0 .. " +
                                        std::to_string(label_count() - 1));
        }
        const auto current = static_cast<std::uint32_t>(labels[i]);
        const bool fits = i == 0 ? opens(current) : allowed(previous, current);
        if (!fits)
            throw std::invalid_argument("label '" + this->labels()[current] + "' at position " +
                                        std::to_string(i) + " may not follow what stands before it");
        if (current != kOutside) {
            const Position position = position_of(current);
            if (position == kBegin || position == kSingle) start = static_cast<std::int32_t>(i);
            if (position == kEnd || position == kSingle) {
                spans.push_back(
                    {start, static_cast<std::int32_t>(i) + 1, static_cast<std::int32_t>(type_of(current))});
            }
        }
        previous = current;
    }
    if (!closes(previous)) throw std::invalid_argument("the last span has no end");
    return spans;
}

}  // namespace distillex
