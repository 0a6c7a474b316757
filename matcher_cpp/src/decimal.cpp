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

}  // namespace distillex
