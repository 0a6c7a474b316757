// Numbers as text and back, independent of the locale.
#include "distillex/decimal.hpp"

#include <array>
#include <charconv>
#include <system_error>

namespace distillex {

void append_fixed(double number, int digits, std::string& out) {
    // The largest double has 309 digits before the point.
    std::array<char, 384> text{};
    const auto result =
        std::to_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed, digits);
    out.append(text.data(), result.ptr);
}

template <class Number>
static std::string shortest(Number number) {
    std::array<char, 32> text{};
    return {text.data(), std::to_chars(text.data(), text.data() + text.size(), number).ptr};
}

std::string shortest_decimal(double number) { return shortest(number); }
std::string shortest_decimal(float number) { return shortest(number); }

std::optional<double> parse_decimal(std::string_view text) {
    double number = 0.0;
    const char* const end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc() || stopped != end) return std::nullopt;
    return number;
}

}  // namespace distillex
