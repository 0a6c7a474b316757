// Numbers as text and back, the same under every locale: printf, strtof and streams follow LC_NUMERIC or the
// global C++ locale, and write and read 0,5 in half of Europe.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace distillex {

// With `digits` digits behind the point, at most 64.
void append_fixed(double number, int digits, std::string& out);

// The shortest text that reads back as this number.
std::string shortest_decimal(double number);
std::string shortest_decimal(float number);

// The number that the whole of `text` is; none for any other text, and for one out of range.
std::optional<double> parse_decimal(std::string_view text);

}  // namespace distillex
