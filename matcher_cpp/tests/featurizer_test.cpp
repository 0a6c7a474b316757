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
    std::vector<FeaturizerText> texts(1);
    texts[0].points = U"甲乙丙";
    const FeatureBatch batch = featurizer().featurize(texts);
    EXPECT_EQ(batch.tokens, 8U);
    EXPECT_EQ(batch.input_ids, (std::vector<std::int32_t>{2, 4, 5, 1, 3, 0, 0, 0}));
    const auto weight = [&](std::size_t token, std::size_t slot) {
        return batch.lexicon_weights[(token * kSlots + slot) * 2];
    };
    EXPECT_EQ(weight(1, kSlotBegin), 0.5F);
    EXPECT_EQ(weight(2, kSlotEnd), 0.5F);
    EXPECT_EQ(weight(1, kSlotEnd), 0.0F);
}

TEST(Featurizer, ServesThreadsAtOnce) {
    const Featurizer shared = featurizer();
    std::vector<int> wrong(4, 0);
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < wrong.size(); ++i) {
        threads.emplace_back([&, i] {
            for (int round = 0; round < 200; ++round) {
                std::vector<FeaturizerText> texts(2);
                texts[0].points = U"甲乙";
                texts[1].points = U"甲乙";
                texts[1].overlays = {lexicon({{U"甲乙", "company", false, 1.0F}})};
                const FeatureBatch batch = shared.featurize(texts);
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
