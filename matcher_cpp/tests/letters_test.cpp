// Word boundaries in scripts that are written with spaces.
#include "distillex/letters.hpp"

#include <gtest/gtest.h>

#include <string>

#include "distillex/featurizer.hpp"

namespace distillex {
namespace {

bool alone(const std::u32string& text, const std::u32string& word) {
    const std::size_t start = text.find(word);
    return stands_alone(text.data(), text.size(), start, start + word.size(), Normalizer());
}

TEST(Letters, AreThoseOfScriptsWithCapitals) {
    for (const char32_t letter : {U'a', U'Z', U'é', U'ß', U'Ω', U'я', U'Ա', U'ẞ', U'\u0301'})
        EXPECT_TRUE(is_cased_letter(letter));
    for (const char32_t other : {U'1', U'_', U' ', U'中', U'の', U'한', U'א', U'ไ', U'ª', U'😀', U'\uFFFF'})
        EXPECT_FALSE(is_cased_letter(other));
}

TEST(Words, OfLettersAreNoPartsOfLongerOnes) {
    EXPECT_FALSE(alone(U"concatenate", U"cat"));
    EXPECT_FALSE(alone(U"cats", U"cat"));
    EXPECT_FALSE(alone(U"Concat", U"cat"));
    EXPECT_FALSE(alone(U"ｃａｔｓ", U"ｃａｔ"));
    EXPECT_FALSE(alone(U"café", U"caf"));
    EXPECT_FALSE(alone(U"cafe\u0301", U"cafe"));
    EXPECT_FALSE(alone(U"g200", U"g20"));
    EXPECT_FALSE(alone(U"14s店", U"4s店"));
    EXPECT_FALSE(alone(U"скотина", U"кот"));
    for (const std::u32string& text : {U"a cat.", U"cat", U"(cat)", U"爱cat的", U"cat5", U"x-cat_y"})
        EXPECT_TRUE(alone(text, U"cat"));
    EXPECT_TRUE(alone(U"穿t恤的", U"t恤"));
}

TEST(Words, WithoutLettersStandAloneAnywhere) {
    EXPECT_TRUE(alone(U"21号线", U"1号线"));
    EXPECT_TRUE(alone(U"北京大学", U"京大"));
    EXPECT_TRUE(alone(U"123", U"2"));
}

TEST(Case, IsKeptWhereTheModelReadsIt) {
    const Normalizer kept(Case::kKept);
    EXPECT_EQ(kept(U'A'), U'A');
    EXPECT_EQ(kept(U'Ａ'), U'A');
    EXPECT_EQ(kept(U'ａ'), U'a');
    EXPECT_EQ(kept(U'Ω'), U'Ω');
    EXPECT_EQ(kept(U'臺'), U'台');
    EXPECT_EQ(kept(U'\U00010400'), U'\U00010400');
    EXPECT_EQ(normalize(U'\U00010400'), U'\U00010428');
    for (char32_t point = 0; point <= kLastCodePoint; ++point) {
        ASSERT_EQ(kept(kept(point)), kept(point));
        ASSERT_EQ(normalize(kept(point)), normalize(point));
    }
}

TEST(Featurizer, FindsWordsByTheRulesOfItsLayout) {
    const auto base = Lexicon::build({{U"Cat", "n", false, 0.5F}}, Repeats::kRefuse, "", 0);
    const std::vector<std::string> vocabulary = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "c", "C", "a", "t"};
    const auto weights = [&](bool word_boundaries, bool lowercase, const std::u32string& text) {
        FeaturizerOptions options{64, 1, {16}, word_boundaries, lowercase};
        const FeatureBatch batch =
            Featurizer(vocabulary, {"n"}, options, base).featurize({{TextView::of(text), {}}});
        float sum = 0;
        for (const float weight : batch.lexicon_weights) sum += weight;
        return std::pair(sum, batch.input_ids[1]);
    };
    EXPECT_EQ(weights(false, true, U"Cats"), std::pair(1.5F, 4));
    EXPECT_EQ(weights(true, true, U"Cats"), std::pair(0.0F, 4));
    EXPECT_EQ(weights(true, true, U"Cat"), std::pair(1.5F, 4));
    EXPECT_EQ(weights(true, false, U"CAT"), std::pair(1.5F, 5));
    EXPECT_EQ(weights(true, false, U"CATS"), std::pair(0.0F, 5));
}

}  // namespace
}  // namespace distillex
