#include "distillex/decimal.hpp"

#include <array>
#include <charconv>

namespace distillex {

void append_fixed(double number, int digits, std::string& out) {
    // The largest double has 309 digits before the point.
    std::array<char, 384> text{};
    const auto result =
        std::to_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed, digits);
    out.append(text.data(), result.ptr);
}

std::string shortest_decimal(float number) {
    std::array<char, 32> text{};
    return {text.data(), std::to_chars(text.data(), text.data() + text.size(), number).ptr};
}

std::optional<float> parse_decimal(std::string_view text) {
    float number = 0.0F;
    const char* end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc() || stopped != end) return std::nullopt;
    return number;
}

}  // namespace distillex
