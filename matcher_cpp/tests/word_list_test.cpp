// Word lists: every form of a line, and refusals with their line.
#include "distillex/word_list.hpp"

#include <gtest/gtest.h>

namespace distillex {
namespace {

std::string refusal(std::string_view content) {
    try {
        read_word_list(content, "list");
    } catch (const LexiconError& error) {
        return error.what();
    }
    return "";
}

TEST(WordList, KeepsTheRulesOfAWholeFile) {
    const auto entries = read_word_list(
        "\xEF\xBB\xBF# words\r\n\r\n\"甲 乙\"\tcompany\t.5\r\n \"\"\"双11\"\"\" \t game "
        "\t\t\n北京\tnull\n\"\tgame\t1e-3",
        "list");
    ASSERT_EQ(entries.size(), 4U);
    EXPECT_EQ(entries[0].word, U"甲 乙");
    EXPECT_EQ(entries[0].type, "company");
    EXPECT_EQ(entries[0].weight, 0.5);
    EXPECT_EQ(entries[1].word, U"\"双11\"");
    EXPECT_EQ(entries[1].weight, 1.0);
    EXPECT_TRUE(entries[2].hidden);
    EXPECT_EQ(entries[3].word, U"\"");
    EXPECT_EQ(entries[3].weight, 1e-3);
}

TEST(WordList, NamesTheLinesOfARepeatedWord) {
    EXPECT_EQ(refusal("# a\nＡ乙\tn\n\nb\tn\n\"a乙\"\tname\n"),
              "list:5: the word 'a乙' stands in line 2 already, as 'Ａ乙' with another type");
    EXPECT_EQ(refusal("甲\tn\n甲\tn\n"), "list:2: the word '甲' stands in line 1 already");
    EXPECT_EQ(refusal("台积电\tn\n臺積電\tn\n"), "");
}

TEST(WordList, WeighsAsEntriesAreWeighed) {
    for (const char* weight : {"1", "0.25", "1e-30"}) {
        EXPECT_EQ(refusal("甲\tn\t" + std::string(weight)), "") << weight;
        EXPECT_NO_THROW(check_entry({U"甲", "n", false, std::stod(weight)})) << weight;
    }
    for (const char* weight : {"0", "1.00000001", "1e-60", "1e300"}) {
        EXPECT_NE(refusal("甲\tn\t" + std::string(weight)), "") << weight;
        EXPECT_THROW(check_entry({U"甲", "n", false, std::stod(weight)}), LexiconError) << weight;
    }
}

}  // namespace
}  // namespace distillex
