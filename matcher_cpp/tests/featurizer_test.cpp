// Feature tensors: slots, words, padding, refused texts.
#include "distillex/featurizer.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace distillex {
namespace {

std::shared_ptr<const Lexicon> lexicon(std::vector<LexiconEntryInput> entries) {
    return Lexicon::build(std::move(entries), Repeats::kRefuse, "", 0);
}

Featurizer featurizer() {
    return Featurizer({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "甲", "乙"}, {"n", "company"}, {64, 2, {4, 8}},
                      lexicon({{U"甲乙", "n", false, 0.5F}}));
}

TEST(Featurizer, PutsAWordIntoItsSlots) {
    const FeatureBatch batch = featurizer().featurize({{TextView::of(U"甲乙丙"), {}}});
    EXPECT_EQ(batch.tokens, 8U);
    EXPECT_EQ(std::vector<std::int32_t>(batch.input_ids.begin(), batch.input_ids.end()),
              (std::vector<std::int32_t>{2, 4, 5, 1, 3, 0, 0, 0}));
    const auto weight = [&](std::size_t token, std::size_t slot) {
        return batch.lexicon_weights[(token * kSlots + slot) * 2];
    };
    EXPECT_EQ(weight(1, kSlotBegin), 0.5F);
    EXPECT_EQ(weight(2, kSlotEnd), 0.5F);
    EXPECT_EQ(weight(1, kSlotEnd), 0.0F);
}

TEST(Featurizer, ReadsEveryFormOfText) {
    const std::uint8_t narrow[] = {'a', 0xE9};
    const std::uint16_t wide[] = {U'甲', U'乙'};
    const FeatureBatch batch =
        featurizer().featurize({{{narrow, 2, TextView::Form::kOneByte}, {}},
                                {{wide, 2, TextView::Form::kTwoBytes}, {}},
                                {TextView::of(U"甲\U00020BB7"), {}},
                                {TextView::of(std::string_view("\xE7\x94\xB2\xF0\xA0\xAE\xB7")), {}}});
    EXPECT_EQ(batch.tokens, 4U);
    EXPECT_EQ(std::vector<std::int32_t>(batch.input_ids.begin(), batch.input_ids.end()),
              (std::vector<std::int32_t>{2, 1, 1, 3, 2, 4, 5, 3, 2, 4, 1, 3, 2, 4, 1, 3}));
}

TEST(Featurizer, SaysOfEachBadTextWhatIsWrongAndFeaturisesTheOthers) {
    const std::u32string beyond(1, static_cast<char32_t>(0x110000));
    const auto unknown = lexicon({{U"甲", "planet", false, 1.0}});
    const FeatureBatch batch = featurizer().featurize({{TextView::of(std::string_view("a\xFF")), {}},
                                                       {TextView::of(std::string_view()), {}},
                                                       {TextView::of(U"甲乙甲乙甲乙甲"), {}},
                                                       {TextView::of(std::u32string_view(U"甲\0", 2)), {}},
                                                       {TextView::of(beyond), {}},
                                                       {TextView::of(U"甲"), {unknown}},
                                                       {TextView::of(U"甲乙"), {}}});
    const char* const parts[] = {
        "not UTF-8 (byte 1)",          "is empty",        "has 7 characters; at most 6",
        "NUL character at position 1", "beyond U+10FFFF", "'planet'"};
    const char* const reasons[] = {Refusal::kNotUtf8, Refusal::kEmpty, Refusal::kTooLong,
                                   Refusal::kOther,   Refusal::kOther, Refusal::kLexicon};
    for (std::size_t row = 0; row < 6; ++row) {
        ASSERT_TRUE(batch.errors[row].has_value()) << parts[row];
        EXPECT_NE(batch.errors[row]->message.find(parts[row]), std::string::npos)
            << batch.errors[row]->message;
        EXPECT_STREQ(batch.errors[row]->reason, reasons[row]);
        EXPECT_EQ(batch.lengths[row], 0);
        EXPECT_EQ(batch.input_ids[row * batch.tokens], 0);
    }
    EXPECT_FALSE(batch.errors[6].has_value());
    EXPECT_EQ(batch.lengths[6], 4);
    EXPECT_EQ(batch.lexicon_weights[6 * batch.tokens * kSlots * 2 + kSlots * 2], 0.5F);
}

TEST(Featurizer, ServesThreadsAtOnce) {
    const Featurizer shared = featurizer();
    std::vector<int> wrong(4, 0);
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < wrong.size(); ++i) {
        threads.emplace_back([&, i] {
            for (int round = 0; round < 200; ++round) {
                const TextView text = TextView::of(U"甲乙");
                const FeatureBatch batch =
                    shared.featurize({{text, {}}, {text, {lexicon({{U"甲乙", "company", false, 1.0}})}}});
                wrong[i] += batch.lexicon_types[kSlots * 2] != 1 ||
                            batch.lexicon_types[(batch.tokens + 1) * kSlots * 2] != 2;
            }
        });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

}  // namespace
}  // namespace distillex
