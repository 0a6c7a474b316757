// Maps code points to small dense codes, the frequent ones lowest, so that the double array stays dense.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace distillex {

// A two-level table: 256 code points a page. Code 0 means "occurs in no word"; page 0 holds only zeros.
class CodePointMap {
  public:
    static constexpr std::size_t kPageSize = 256;
    static constexpr std::size_t kPageCount = 0x110000 / kPageSize;

    CodePointMap() = default;
    CodePointMap(const std::uint16_t* page_index, const std::uint32_t* pages)
        : page_index_(page_index), pages_(pages) {}

    // `point` must be at most U+10FFFF.
    std::uint32_t operator[](char32_t point) const {
        return pages_[page_index_[point / kPageSize] * kPageSize + point % kPageSize];
    }

  private:
    const std::uint16_t* page_index_ = nullptr;
    const std::uint32_t* pages_ = nullptr;
};

// The tables behind a CodePointMap while it is built.
struct CodePointTables {
    std::vector<std::uint16_t> page_index;
    std::vector<std::uint32_t> pages;

    CodePointTables() : page_index(CodePointMap::kPageCount, 0), pages(CodePointMap::kPageSize, 0) {}

    std::uint32_t& slot(char32_t point) {
        std::uint16_t& page = page_index[point / CodePointMap::kPageSize];
        if (page == 0) {
            page = static_cast<std::uint16_t>(pages.size() / CodePointMap::kPageSize);
            pages.resize(pages.size() + CodePointMap::kPageSize, 0);
        }
        return pages[page * CodePointMap::kPageSize + point % CodePointMap::kPageSize];
    }
};

}  // namespace distillex
