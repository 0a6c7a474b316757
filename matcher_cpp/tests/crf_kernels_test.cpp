// Every implementation of the kernels against the float64 lattice, for numbers of types around each vector
// width.
#include "crf_kernels.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "crf_lattice.hpp"

namespace distillex {
namespace {

constexpr std::size_t kMostTypes = 20;
constexpr std::size_t kLengths[] = {1, 2, 3, 9, 40};

std::vector<float> normal_scores(std::size_t count, std::mt19937& random) {
    std::normal_distribution<float> normal(0.0F, 1.0F);
    std::vector<float> scores(count);
    for (float& score : scores) score = normal(random);
    return scores;
}

LabelScheme scheme_of(std::size_t types) {
    std::vector<std::string> names;
    for (std::size_t k = 0; k < types; ++k) names.push_back("type" + std::to_string(k));
    return LabelScheme(names);
}

// A random CRF, random emissions of one row, and their posteriors in float64.
struct Row {
    Row(std::size_t types, std::size_t row_length)
        : random(static_cast<unsigned>(100 * types + row_length)),
          length(row_length),
          scheme(scheme_of(types)),
          labels(scheme.label_count()),
          transitions(normal_scores(labels * labels, random)),
          start(normal_scores(labels, random)),
          end(normal_scores(labels, random)),
          emissions(normal_scores(length * labels, random)),
          scores(types, transitions, start, end),
          lattice(scheme, transitions, start, end),
          scratch(length, scores.planes) {
        lattice.run(emissions.data(), length);
    }

    std::vector<float> best_scores() const {
        return {scratch.score, scratch.score + length * scores.planes.stride};
    }

    // Sum over the labels of alpha * beta, the same at every position but for the scaling.
    double total(std::size_t position) const {
        double sum = 0.0;
        for (std::uint32_t label = 0; label < labels; ++label) sum += product(position, label);
        return sum;
    }
    double product(std::size_t position, std::uint32_t label) const {
        const std::size_t i = position * scores.planes.stride + scores.planes.index_of(label);
        return static_cast<double>(scratch.alpha[i]) * scratch.beta[i];
    }

    std::mt19937 random;
    std::size_t length;
    LabelScheme scheme;
    std::size_t labels;
    std::vector<float> transitions, start, end, emissions;
    PlaneScores scores;
    CrfLattice lattice;
    RowScratch scratch;
};

class EveryKernel : public testing::TestWithParam<const CrfKernels*> {};

TEST_P(EveryKernel, AcceptsUsualScoresOfAnyNumberOfTypes) {
    for (std::size_t types = 1; types <= kMostTypes; ++types) {
        for (const std::size_t length : kLengths) {
            Row row(types, length);
            EXPECT_TRUE(row.scores.exponentials_fit);
            EXPECT_TRUE(
                GetParam()->viterbi_and_forward(row.scores, row.emissions.data(), length, row.scratch))
                << types << " types, " << length << " characters";
            EXPECT_TRUE(GetParam()->backward(row.scores, length, 0, row.scratch))
                << types << " types, " << length << " characters";
        }
    }
}

TEST_P(EveryKernel, GivesThePosteriorsOfTheLattice) {
    for (std::size_t types = 1; types <= kMostTypes; ++types) {
        for (const std::size_t length : kLengths) {
            Row row(types, length);
            GetParam()->viterbi_and_forward(row.scores, row.emissions.data(), length, row.scratch);
            GetParam()->backward(row.scores, length, 0, row.scratch);
            const double total = row.total(length - 1);
            for (std::size_t t = 0; t < length; ++t) {
                for (std::uint32_t label = 0; label < row.labels; ++label) {
                    ASSERT_NEAR(row.product(t, label) / total, row.lattice.marginal(t, label), 1e-5)
                        << types << " types, " << length << " characters, position " << t << ", label "
                        << label;
                }
            }
        }
    }
}

TEST_P(EveryKernel, GivesTheScoresOfTheBestPaths) {
    for (std::size_t types = 1; types <= kMostTypes; ++types) {
        Row row(types, 9);
        GetParam()->viterbi(row.scores, row.emissions.data(), row.length, row.scratch);
        const std::vector<float> alone = row.best_scores();
        GetParam()->viterbi_and_forward(row.scores, row.emissions.data(), row.length, row.scratch);
        EXPECT_EQ(alone, row.best_scores());
        Row other(types, 9);
        portable::kKernels.viterbi(other.scores, other.emissions.data(), other.length, other.scratch);
        EXPECT_EQ(alone, other.best_scores()) << types << " types";
    }
}

TEST_P(EveryKernel, RefusesProbabilitiesAtTheLimitsOfFloat) {
    for (std::size_t types = 1; types <= kMostTypes; ++types) {
        Row row(types, 9);
        for (std::size_t label = 1; label < row.labels; ++label)
            row.emissions[4 * row.labels + label] = 80.0F;
        EXPECT_FALSE(
            GetParam()->viterbi_and_forward(row.scores, row.emissions.data(), row.length, row.scratch))
            << types << " types";
    }
}

TEST_P(EveryKernel, TellsScoresWithinALimitAtAnyPlace) {
    for (std::size_t count = 1; count <= 33; ++count) {
        std::vector<float> values(count, -1.0F);
        EXPECT_TRUE(GetParam()->all_within(values.data(), count, 1.0F));
        for (const float bad : {1.5F, -1.5F, std::nanf("")}) {
            values[count - 1] = bad;
            EXPECT_FALSE(GetParam()->all_within(values.data(), count, 1.0F)) << count << " values, " << bad;
            std::swap(values.front(), values.back());
            EXPECT_FALSE(GetParam()->all_within(values.data(), count, 1.0F)) << count << " values, " << bad;
            values.front() = -1.0F;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Runnable, EveryKernel, testing::ValuesIn(runnable_crf_kernels()),
                         [](const auto& kernels) { return std::string(kernels.param->name); });

}  // namespace
}  // namespace distillex
