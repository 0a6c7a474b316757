// Writing decoded entities as JSON.
#include "entities_json.hpp"

#include <array>
#include <charconv>

#include "distillex/decimal.hpp"

namespace distillex {
namespace {

constexpr int kScoreDigits = 4;

// Runs of bytes that JSON takes as they are, nearly all of them, are appended whole.
void append_json_string(std::string_view bytes, std::string& out) {
    constexpr std::string_view kHexadecimal = "0123456789abcdef";
    out.push_back('"');
    std::size_t from = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        const auto byte = static_cast<unsigned char>(bytes[i]);
        const bool quoted = byte == '"' || byte == '\\';
        if (byte >= 0x20 && !quoted) continue;
        out.append(bytes, from, i - from);
        from = i + 1;
        out.push_back('\\');
        if (quoted) {
            out.push_back(bytes[i]);
        } else {
            out.append("u00");
            out.push_back(kHexadecimal[byte >> 4]);
            out.push_back(kHexadecimal[byte & 0xF]);
        }
    }
    out.append(bytes, from);
    out.push_back('"');
}

void append_number(std::int32_t number, std::string& out) {
    std::array<char, 12> text{};
    out.append(text.data(), std::to_chars(text.data(), text.data() + text.size(), number).ptr);
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
            json += "{\"start\":";
            append_number(span.start, json);
            json += ",\"end\":";
            append_number(span.end, json);
            json += ",\"type\":";
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
