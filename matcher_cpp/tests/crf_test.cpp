// Decoding: marginals, best paths, refused batches, JSON.
#include "distillex/crf.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <thread>

#include "entities_json.hpp"

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
    const std::vector<ScoredSpan> alone = decoder.decode(example.batch());
    for (std::size_t i = 12 * 9; i < 24 * 9; ++i) example.emissions[i] *= 200.0F;
    example.lengths = {12, 12, 12};
    const std::vector<ScoredSpan> together = decoder.decode(example.batch());
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
    const std::size_t expected = decoder.decode(example.batch()).size();
    std::vector<std::size_t> found(4, 0);
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < found.size(); ++i) {
        threads.emplace_back([&, i] {
            for (int round = 0; round < 50; ++round) found[i] = decoder.decode(example.batch()).size();
        });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(found, std::vector<std::size_t>(4, expected));
}

TEST(CrfDecoder, TheBestPathIsTheFirstOfTheBestPaths) {
    const Example example;
    const CrfDecoder decoder(example.scheme, example.transitions, example.start, example.end);
    const auto rows = decoder.best_paths(example.batch(), 5);
    const auto best = decoder.viterbi(example.batch());
    ASSERT_EQ(rows.size(), 3U);
    EXPECT_TRUE(rows[2].empty() && best[2].empty());
    for (const std::size_t row : {0, 1}) {
        ASSERT_EQ(rows[row].size(), 5U);
        EXPECT_EQ(rows[row][0].labels, best[row]);
        for (std::size_t i = 1; i < 5; ++i) EXPECT_LE(rows[row][i].score, rows[row][i - 1].score);
    }
}

// What every one of the decoder's methods says to a batch.
std::vector<std::string> answers(const CrfDecoder& decoder, const EmissionBatch& batch) {
    std::vector<float> out(batch.batch * batch.tokens * batch.labels);
    const std::string letters(batch.tokens, 'a');
    std::vector<std::string_view> texts;
    for (std::size_t row = 0; row < batch.batch; ++row) {
        const std::int32_t length = batch.lengths[row];
        const bool has_text = length > 2 && static_cast<std::size_t>(length) <= batch.tokens;
        texts.push_back(std::string_view(letters).substr(0, has_text ? length - 2 : 0));
    }
    const std::function<void()> calls[] = {
        [&] { decoder.decode(batch); },
        [&] { decoder.viterbi(batch); },
        [&] { decoder.best_paths(batch, 2); },
        [&] { decoder.marginals(batch, out.data()); },
        [&] { decoder.entities_json(batch, texts); },
    };
    std::vector<std::string> said;
    for (const auto& call : calls) {
        try {
            call();
            said.emplace_back("nothing");
        } catch (const std::invalid_argument& error) {
            said.emplace_back(error.what());
        }
    }
    return said;
}

TEST(CrfDecoder, EveryMethodRefusesABatchThatCannotBe) {
    const Example sound;
    const CrfDecoder decoder(sound.scheme, sound.transitions, sound.start, sound.end);
    const auto all_say = [&](const EmissionBatch& batch, const std::string& message) {
        EXPECT_EQ(answers(decoder, batch), std::vector<std::string>(5, message));
    };
    all_say(sound.batch(), "nothing");
    all_say({nullptr, 0, 0, 9, nullptr}, "nothing");

    EmissionBatch other_labels = sound.batch();
    other_labels.labels = 5;
    all_say(other_labels, "emissions have 5 labels; this decoder has 9");

    for (const std::int32_t length : {-1, 13, std::numeric_limits<std::int32_t>::max()}) {
        Example example;
        example.lengths[1] = length;
        all_say(example.batch(), "row 1: length " + std::to_string(length) + " is not in 0 .. 12");
    }
    for (const float score : {std::nanf(""), HUGE_VALF, -HUGE_VALF, 1.1e6F}) {
        Example example;
        example.emissions[12 * 9 + 3 * 9 + 8] = score;  // the last label of the last character of row 1
        all_say(example.batch(), "row 1: an emission score is not finite or beyond ±1e6");
        example.lengths[1] = 4;  // now of its [SEP]
        all_say(example.batch(), "nothing");
    }
}

TEST(CrfDecoder, RefusesANumberOfPathsThatItCannotGive) {
    const Example example;
    const CrfDecoder decoder(example.scheme, example.transitions, example.start, example.end);
    EXPECT_EQ(decoder.best_paths(example.batch(), kMostBestPaths)[0].size(), kMostBestPaths);
    for (const std::size_t k :
         {std::size_t{0}, kMostBestPaths + 1, std::numeric_limits<std::size_t>::max()}) {
        EXPECT_THROW(decoder.best_paths(example.batch(), k), std::invalid_argument) << k;
    }
}

TEST(CrfDecoder, RefusesTextsThatAreNotTheBatches) {
    const Example example;
    const CrfDecoder decoder(example.scheme, example.transitions, example.start, example.end);
    EXPECT_THROW(decoder.entities_json(example.batch(), {"one", "two"}), std::invalid_argument);
    EXPECT_THROW(decoder.entities_json(example.batch(), {"甲", "", ""}), std::invalid_argument);
    EXPECT_THROW(decoder.entities_json(example.batch(), {"aaaaaaaaa\xff", "", ""}), std::invalid_argument);
}

TEST(LabelScheme, RefusesASpanOfAnotherSchemesType) {
    const LabelScheme scheme({"a", "b"});
    EXPECT_EQ(scheme.type_named("b"), 1);
    EXPECT_THROW(scheme.type_named("c"), std::invalid_argument);
    for (const std::int32_t type : {-1, 2}) {
        EXPECT_THROW(scheme.encode({{0, 1, type}}, 2), std::invalid_argument);
    }
}

TEST(CrfDecoder, JsonEscapesWhatJsonMust) {
    const LabelScheme scheme({"a\"b"});
    const auto rows = entities_json(scheme, {{0, 1, 3, 0, 0.5F}}, {"甲\"\n"});
    EXPECT_EQ(rows[0],
              "[{\"start\":1,\"end\":3,\"type\":\"a\\\"b\",\"text\":\"\\\"\\u000a\",\"score\":0.5000}]");
}

}  // namespace
}  // namespace distillex
