#include <array>
#include <cstdio>

#include "distillex/crf.hpp"
#include "distillex/decimal.hpp"

namespace distillex {
namespace {

constexpr int kScoreDigits = 4;

void append_json_string(std::string_view bytes, std::string& out) {
    out.push_back('"');
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out.push_back('\\');
            out.push_back(c);
        } else if (byte < 0x20) {
            std::array<char, 8> escaped{};
            std::snprintf(escaped.data(), escaped.size(), "\\u%04x", byte);
            out += escaped.data();
        } else {
            out.push_back(c);
        }
    }
    out.push_back('"');
}

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

// Walks forward through UTF-8 from one code point offset to the next; spans come ordered by start.
class CodePointCursor {
  public:
    explicit CodePointCursor(std::string_view text) : text_(text) {}

    std::size_t byte_of(std::int32_t point) {
        while (point_ < point && byte_ < text_.size()) {
            ++byte_;
            while (byte_ < text_.size() && continues(text_[byte_])) ++byte_;
            ++point_;
        }
        return byte_;
    }

  private:
    std::string_view text_;
    std::size_t byte_ = 0;
    std::int32_t point_ = 0;
};

}  // namespace

std::vector<std::string> entities_json(const LabelScheme& scheme, const std::vector<ScoredSpan>& spans,
                                       const std::vector<std::string_view>& texts) {
    std::vector<std::string> rows(texts.size());
    std::size_t next = 0;
    for (std::size_t row = 0; row < texts.size(); ++row) {
        std::string& json = rows[row];
        CodePointCursor cursor(texts[row]);
        json.push_back('[');
        for (; next < spans.size() && spans[next].row == static_cast<std::int32_t>(row); ++next) {
            const ScoredSpan& span = spans[next];
            const std::size_t begin = cursor.byte_of(span.start);
            const std::size_t end = cursor.byte_of(span.end);
            if (json.size() > 1) json.push_back(',');
            json += "{\"start\":" + std::to_string(span.start) + ",\"end\":" + std::to_string(span.end) +
                    ",\"type\":";
            append_json_string(scheme.entity_types()[static_cast<std::size_t>(span.type)], json);
            json += ",\"text\":";
            append_json_string(texts[row].substr(begin, end - begin), json);
            json += ",\"score\":";
            append_fixed(static_cast<double>(span.score), kScoreDigits, json);
            json.push_back('}');
        }
        json.push_back(']');
    }
    return rows;
}

}  // namespace distillex
