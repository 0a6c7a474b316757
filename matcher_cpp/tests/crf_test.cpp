#include "distillex/crf.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <thread>

namespace distillex {
namespace {

struct Example {
    LabelScheme scheme{std::vector<std::string>{"a", "b"}};
    std::vector<float> transitions = std::vector<float>(81);
    std::vector<float> start = std::vector<float>(9);
    std::vector<float> end = std::vector<float>(9);
    std::vector<float> emissions = std::vector<float>(3 * 12 * 9);
    std::vector<std::int32_t> lengths{12, 5, 2};

    Example() {
        std::mt19937 random(1);
        std::normal_distribution<float> normal(0.0F, 2.0F);
        for (auto* scores : {&transitions, &start, &end, &emissions}) {
            for (float& score : *scores) score = normal(random);
        }
    }
    EmissionBatch batch() const { return {emissions.data(), 3, 12, 9, lengths.data()}; }
};

TEST(CrfDecoder, MarginalsOfEachCharacterSumToOne) {
    const Example example;
    const CrfDecoder decoder(example.scheme, example.transitions, example.start, example.end);
    std::vector<float> marginals(example.emissions.size());
    decoder.marginals(example.batch(), marginals.data());
    for (std::size_t row = 0; row < 3; ++row) {
        for (std::size_t token = 0; token < 12; ++token) {
            float sum = 0;
            for (std::size_t label = 0; label < 9; ++label) sum += marginals[(row * 12 + token) * 9 + label];
            const bool character = token >= 1 && static_cast<std::int32_t>(token) < example.lengths[row] - 1;
            EXPECT_NEAR(sum, character ? 1.0F : 0.0F, 1e-5F);
        }
    }
}

// Scores that float32 holds, that only float64 holds, and that only logarithms hold; the posteriors of a row
// do not depend on which of them its neighbours need.
TEST(CrfDecoder, RowsOfEveryRangeShareABatch) {
    Example example;
    const CrfDecoder decoder(example.scheme, example.transitions, example.start, example.end);
    const std::vector<ScoredSpan> alone = decoder.decode(example.batch(), 1);
    for (std::size_t i = 12 * 9; i < 24 * 9; ++i) example.emissions[i] *= 200.0F;
    example.lengths = {12, 12, 12};
    const std::vector<ScoredSpan> together = decoder.decode(example.batch(), 1);
    for (std::size_t i = 0; i < alone.size() && alone[i].row == 0; ++i) {
        ASSERT_LT(i, together.size());
        EXPECT_EQ(alone[i].start, together[i].start);
        EXPECT_EQ(alone[i].score, together[i].score);
    }
    for (const ScoredSpan& span : together) {
        EXPECT_GE(span.score, 0.0F);
        EXPECT_LE(span.score, 1.0F);
    }
    EXPECT_TRUE(
        std::any_of(together.begin(), together.end(), [](const ScoredSpan& span) { return span.row == 1; }));
}

TEST(CrfDecoder, ServesThreadsAtOnce) {
    const Example example;
    const CrfDecoder decoder(example.scheme, example.transitions, example.start, example.end);
    const std::size_t expected = decoder.decode(example.batch(), 1).size();
    std::vector<std::size_t> found(4, 0);
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < found.size(); ++i) {
        threads.emplace_back([&, i] {
            for (int round = 0; round < 50; ++round) found[i] = decoder.decode(example.batch(), 2).size();
        });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(found, std::vector<std::size_t>(4, expected));
}

TEST(CrfDecoder, TheBestPathIsTheFirstOfTheBestPaths) {
    const Example example;
    const CrfDecoder decoder(example.scheme, example.transitions, example.start, example.end);
    const auto paths = decoder.best_paths(example.batch(), 0, 5);
    ASSERT_EQ(paths.size(), 5U);
    EXPECT_EQ(paths[0].labels, decoder.viterbi(example.batch(), 0));
    for (std::size_t i = 1; i < paths.size(); ++i) EXPECT_LE(paths[i].score, paths[i - 1].score);
}

TEST(CrfDecoder, JsonEscapesWhatJsonMust) {
    const LabelScheme scheme({"a\"b"});
    const auto rows = entities_json(scheme, {{0, 1, 3, 0, 0.5F}}, {"甲\"\n"});
    EXPECT_EQ(rows[0],
              "[{\"start\":1,\"end\":3,\"type\":\"a\\\"b\",\"text\":\"\\\"\\u000a\",\"score\":0.5000}]");
}

}  // namespace
}  // namespace distillex
