// Word lists as people write them: WORD, tab, TYPE and perhaps a tab and a WEIGHT a line.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "distillex/lexicon.hpp"

namespace distillex {

// Reads UTF-8 text; docs/how-to/lexicons.md has the rules, and distillex_client's reader for requests keeps
// the same ones. Throws LexiconError that begins with `source` and the line.
std::vector<LexiconEntryInput> read_word_list(std::string_view content, const std::string& source);
// The same for a file, or for what can be read as one.
std::vector<LexiconEntryInput> load_word_list(const std::filesystem::path& path);

}  // namespace distillex
