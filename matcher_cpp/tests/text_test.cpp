#include "distillex/text.hpp"

#include <gtest/gtest.h>

namespace distillex {
namespace {

TEST(Utf8, EveryCodePointComesBack) {
    for (char32_t point = 0; point <= kLastCodePoint; ++point) {
        if (is_surrogate(point)) continue;
        std::u32string decoded;
        ASSERT_EQ(decode_utf8(encode_utf8(std::u32string(1, point)), decoded), std::string_view::npos);
        ASSERT_EQ(decoded, std::u32string(1, point));
    }
}

TEST(Utf8, RefusesWhatIsNotUtf8AtItsPosition) {
    const std::string_view bad[] = {"a\xFF",
                                    "a\xC3",
                                    "a\xC0\x80",
                                    "a\xE0\x80\x80",
                                    "a\xED\xA0\x80",
                                    "a\xF4\x90\x80\x80",
                                    "a\xF8\x88\x80\x80\x80",
                                    "a\x80"};
    for (const std::string_view bytes : bad) {
        std::u32string decoded;
        EXPECT_EQ(decode_utf8(bytes, decoded), 1U) << bytes;
    }
}

TEST(Normalize, MapsOneCodePointToOneAndNoFurther) {
    EXPECT_EQ(normalize(U'Ａ'), U'a');
    EXPECT_EQ(normalize(U'　'), U' ');
    EXPECT_EQ(normalize(U'\t'), U' ');
    for (char32_t point = 0; point <= kLastCodePoint; ++point)
        ASSERT_EQ(normalize(normalize(point)), normalize(point));
}

}  // namespace
}  // namespace distillex
