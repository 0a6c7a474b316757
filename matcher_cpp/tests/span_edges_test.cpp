// Where an entity may begin and end.
#include "distillex/span_edges.hpp"

#include <gtest/gtest.h>

#include <string>

namespace distillex {
namespace {

TEST(SpanEdges, BracketsAndQuotesNeedTheirPartnerInside) {
    const SpanEdges edges;
    for (const std::u32string_view span :
         {U"《三体》", U"深圳）公司", U"华为（深圳)", U"“俏江南”集团", U"C++"})
        EXPECT_TRUE(edges.sound(span));
    for (const std::u32string_view span : {U"", U"《三体", U"三体《", U"“名城”", U"三体，", U"三体🎉"})
        EXPECT_FALSE(edges.sound(span));
}

TEST(SpanEdges, OneCharacterMayBeginOrEndASpan) {
    const SpanEdges edges;
    EXPECT_TRUE(edges.may_begin(U'《') && edges.may_end(U'》'));
    EXPECT_FALSE(edges.may_begin(U'》') || edges.may_end(U'《'));
    EXPECT_TRUE(edges.may_begin(U'"') && edges.may_end(U'"'));
    for (const char32_t point : {U'，', U' ', U'\'', char32_t{0x1F389}, char32_t{0xDC00}, char32_t{0x110000}})
        EXPECT_FALSE(edges.may_begin(point) || edges.may_end(point)) << static_cast<std::uint32_t>(point);
}

TEST(SpanEdges, WhatIsLeftOfAnySpanIsSoundOrEmpty) {
    const SpanEdges edges;
    const std::u32string_view alphabet = U"中（）《“”\"，🎉";
    std::u32string span(6, U' ');
    for (std::size_t draw = 0, all = 9 * 9 * 9 * 9 * 9 * 9; draw < all; ++draw) {
        std::size_t rest = draw;
        for (char32_t& point : span) point = alphabet[rest % 9], rest /= 9;
        const auto [start, end] = edges.sound_part(span);
        ASSERT_LE(start, end);
        ASSERT_LE(end, span.size());
        ASSERT_TRUE(start == end || edges.sound(std::u32string_view(span).substr(start, end - start)));
        ASSERT_EQ(edges.sound(span), start == 0 && end == span.size());
    }
}

}  // namespace
}  // namespace distillex
