// Decoded spans as the JSON that clients get.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "distillex/crf.hpp"

namespace distillex {

// Spans of `scheme`, ordered by (row, start), each within its row's text.
std::vector<std::string> entities_json(const LabelScheme& scheme, const std::vector<ScoredSpan>& spans,
                                       const std::vector<std::string_view>& texts);

}  // namespace distillex
