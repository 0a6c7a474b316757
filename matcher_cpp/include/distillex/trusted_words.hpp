// The words of overlays that stand in texts and are to be obeyed: from the featurizer to the decoder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "distillex/trust.hpp"

namespace distillex {

struct TrustedWord {
    std::int32_t start;  // code points of the text
    std::int32_t end;
    std::int32_t type;  // as the featurizer numbers it
    Trust trust;        // never kHint
};

// Those of each row of a batch.
class TrustedWords {
  public:
    TrustedWords() = default;
    explicit TrustedWords(std::size_t rows) : ends_(rows, 0) {}

    std::size_t rows() const { return ends_.size(); }
    bool empty() const { return words_.empty(); }
    const TrustedWord* begin(std::size_t row) const {
        return words_.data() + (row == 0 ? 0 : ends_[row - 1]);
    }
    const TrustedWord* end(std::size_t row) const { return words_.data() + ends_[row]; }

    // Rows are filled in order.
    void append(const TrustedWord& word) { words_.push_back(word); }
    void end_row(std::size_t row) { ends_[row] = words_.size(); }

    // A row as bytes, for another process of this machine, and back. from_packed throws std::invalid_argument
    // for bytes that `packed` did not write.
    std::string packed(std::size_t row) const;
    static TrustedWords from_packed(const std::vector<std::string_view>& rows);

  private:
    std::vector<TrustedWord> words_;
    std::vector<std::size_t> ends_;
};

// Of words that overlap and have one type the longest wins, of equally long ones the first, so that no word
// is cut by another. Words of kInsist come first: a longer word of less trust stays beside one that it
// covers, and goes where it would cut one. Keeps the order of what is left.
void keep_longest_of_each_type(std::vector<TrustedWord>& words, std::size_t text_length);

}  // namespace distillex
