// Trust in words: levels, what a word gains, overlapping words.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "distillex/crf.hpp"
#include "distillex/lexicon.hpp"
#include "distillex/trusted_words.hpp"

namespace distillex {
namespace {

constexpr std::size_t kLabels = 5;

CrfDecoder decoder_of(float prefer) {
    return CrfDecoder(LabelScheme({"name"}), std::vector<float>(kLabels * kLabels, 0.0F),
                      std::vector<float>(kLabels, 0.0F), std::vector<float>(kLabels, 0.0F),
                      {{"n", "name"}, prefer});
}

// Spans of a text whose emissions prefer O by 1 at each character, under one word.
std::vector<ScoredSpan> spans_of(std::u32string_view text, const TrustedWord& word, float prefer) {
    const std::size_t tokens = text.size() + 2;
    std::vector<float> emissions(tokens * kLabels, 0.0F);
    for (std::size_t token = 0; token < tokens; ++token) emissions[token * kLabels] = 1.0F;
    const auto length = static_cast<std::int32_t>(tokens);
    TrustedWords trusted(1);
    trusted.append(word);
    trusted.end_row(0);
    const std::vector<TextView> texts{TextView::of(text)};
    return decoder_of(prefer).decode({emissions.data(), 1, tokens, kLabels, &length}, {&texts, &trusted});
}

TEST(Trust, ReadsLevelsAndNumbers) {
    EXPECT_EQ(parse_trust("hint"), kHint);
    EXPECT_EQ(parse_trust("prefer"), kPrefer);
    EXPECT_EQ(parse_trust("insist"), kInsist);
    EXPECT_EQ(parse_trust("2.5"), 2.5F);
    for (const Trust trust : {kHint, kPrefer, kInsist, 0.1F, kMostTrust}) {
        EXPECT_EQ(parse_trust(trust_text(trust)), trust);
    }
    for (const char* text : {"", "-1", "1000.1", "Prefer", "nan", "inf", " 1", "1 "}) {
        EXPECT_THROW(parse_trust(text), LexiconError) << text;
    }
}

TEST(Trust, AWordGainsItsNumber) {
    EXPECT_EQ(spans_of(U"甲乙丙", {0, 2, 2, kPrefer}, 2.1F).size(), 1U);
    EXPECT_TRUE(spans_of(U"甲乙丙", {0, 2, 2, kPrefer}, 1.9F).empty());
    EXPECT_EQ(spans_of(U"甲乙丙", {0, 2, 2, 2.1F}, 0.0F).size(), 1U);
    EXPECT_EQ(spans_of(U"甲乙丙", {0, 3, 2, kInsist}, 0.0F).at(0).end, 3);
    EXPECT_TRUE(spans_of(U"甲乙丙", {0, 2, 1, kInsist}, 9.0F).empty()) << "a type that is no entity's";
}

TEST(Trust, NoEdgeOfAWordIsAnEmoji) {
    const auto spans = spans_of(U"😀甲乙", {0, 3, 2, kInsist}, 2.0F);
    ASSERT_EQ(spans.size(), 1U);
    EXPECT_EQ(spans[0].start, 1);
    EXPECT_EQ(spans[0].end, 3);
}

TEST(TrustedWords, KeepsTheLongestOfEachType) {
    std::vector<TrustedWord> words{{0, 2, 1, 1}, {0, 4, 1, 1}, {1, 3, 2, 1}, {3, 6, 1, 1}, {5, 7, 1, 1}};
    keep_longest_of_each_type(words, 8);
    ASSERT_EQ(words.size(), 3U);
    EXPECT_EQ(words[0].end, 4);
    EXPECT_EQ(words[1].type, 2);
    EXPECT_EQ(words[2].start, 5);
}

TEST(TrustedWords, KeepsInsistedOnesBeforeLongerOnes) {
    std::vector<TrustedWord> words{{0, 3, 1, 1}, {1, 6, 1, 1}, {2, 4, 1, kInsist}, {2, 3, 1, 1}};
    keep_longest_of_each_type(words, 8);
    ASSERT_EQ(words.size(), 2U);
    EXPECT_EQ(words[0].start, 1) << "covers the one that is insisted on";
    EXPECT_EQ(words[1].trust, kInsist);
}

TEST(TrustedWords, IsReadAsItWasPacked) {
    TrustedWords words(2);
    words.end_row(0);
    words.append({1, 3, 2, kInsist});
    words.end_row(1);
    const std::string none = words.packed(0);
    const std::string one = words.packed(1);
    const TrustedWords again = TrustedWords::from_packed({none, one});
    EXPECT_EQ(again.begin(0), again.end(0));
    ASSERT_EQ(again.end(1) - again.begin(1), 1);
    EXPECT_EQ(again.begin(1)->trust, kInsist);
    EXPECT_THROW(TrustedWords::from_packed({"abc"}), std::invalid_argument);
    TrustedWords unsaid(1);
    unsaid.append({1, 3, 2, kTrustUnsaid});
    unsaid.end_row(0);
    const std::string bytes = unsaid.packed(0);
    EXPECT_THROW(TrustedWords::from_packed({bytes}), std::invalid_argument);
    EXPECT_THROW(TrustedWords::from_packed({std::string(16, '\0')}), std::invalid_argument);
}

}  // namespace
}  // namespace distillex
