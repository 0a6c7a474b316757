// UTF-8 and normalisation.
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
    EXPECT_EQ(normalize(U'臺'), U'台');
    EXPECT_EQ(normalize(U'\u2FA7'), U'长');      // a Kangxi radical of a traditional character
    EXPECT_EQ(normalize(U'\U0002F800'), U'丽');  // a compatibility ideograph beyond the plane
    EXPECT_EQ(normalize(U'\u200D'), U' ');
    EXPECT_EQ(normalize(U'\uFE0F'), U'\uFE0F');
    for (char32_t point = 0; point <= kLastCodePoint; ++point)
        ASSERT_EQ(normalize(normalize(point)), normalize(point));
}

TEST(SingleSpaced, LeadsBackToTheWholeRun) {
    SingleSpaced spaced;
    const std::u32string plain = U" a b";
    EXPECT_EQ(spaced.assign(plain).data(), plain.data());
    const std::u32string text = U"  a   b ";
    EXPECT_EQ(spaced.assign(text), U" a b ");
    std::vector<std::uint32_t> found;
    const auto keep = [&found](std::uint32_t start, std::uint32_t end, std::uint32_t entry) {
        found = {start, end, entry};
    };
    spaced.in_text(keep)(0, 3, 7);
    EXPECT_EQ(found, (std::vector<std::uint32_t>{0, 6, 7}));
    spaced.assign(plain);
    spaced.in_text(keep)(1, 4, 7);
    EXPECT_EQ(found, (std::vector<std::uint32_t>{1, 4, 7}));
}

}  // namespace
}  // namespace distillex
