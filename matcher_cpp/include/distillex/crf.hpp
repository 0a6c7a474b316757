// Linear-chain CRF under the BIOES constraints: Viterbi, posteriors, k-best.
//
// Viterbi runs in float32 in the order of pytorch-crf's sums, so that both break ties alike. Posteriors run
// in float64 with scaled probabilities (Rabiner 1989, section V.A), and in the log domain for a row whose
// scores are so far apart that a scaled probability would underflow.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "distillex/label_scheme.hpp"

namespace distillex {

struct ScoredSpan {
    std::int32_t row;
    std::int32_t start;
    std::int32_t end;
    std::int32_t type;
    float score;  // posterior probability of exactly this span
};

struct ScoredPath {
    std::vector<std::int64_t> labels;
    float score;  // log score, not normalised
};

// Emission scores of a padded batch, row-major [batch, tokens, labels], with the number of real tokens of
// each row ([CLS] and [SEP] included). The CRF runs over tokens 1 .. length - 2.
struct EmissionBatch {
    const float* emissions;
    std::size_t batch;
    std::size_t tokens;
    std::size_t labels;
    const std::int32_t* lengths;
};

class CrfDecoder {
  public:
    // `transitions` is [labels, labels] (from, to). Throws std::invalid_argument for a score that is not
    // finite.
    CrfDecoder(LabelScheme scheme, std::vector<float> transitions, std::vector<float> start,
               std::vector<float> end);

    const LabelScheme& scheme() const { return scheme_; }

    // All of these throw std::invalid_argument for wrong shapes and for emissions that are not finite, naming
    // the row.
    std::vector<ScoredSpan> decode(const EmissionBatch& batch, unsigned threads) const;
    std::vector<std::int64_t> viterbi(const EmissionBatch& batch, std::size_t row) const;
    void marginals(const EmissionBatch& batch, float* out) const;  // [batch, tokens, labels]
    std::vector<ScoredPath> best_paths(const EmissionBatch& batch, std::size_t row, std::size_t k) const;
    double log_partition(const EmissionBatch& batch, std::size_t row) const;

    void check(const EmissionBatch& batch) const;

  private:
    struct Lattice;
    struct Row {
        const float* emissions;  // of the first character
        std::size_t length;      // characters
    };
    Row row_of(const EmissionBatch& batch, std::size_t row) const;
    void best_labels(const Row& row, std::vector<std::uint32_t>& labels) const;
    void run_forward_backward(const Row& row, Lattice& lattice) const;
    bool run_scaled(const Row& row, Lattice& lattice) const;
    void run_in_logs(const Row& row, Lattice& lattice) const;
    double span_probability(const Row& row, const Lattice& lattice, const LabelledSpan& span) const;
    void decode_rows(const EmissionBatch& batch, std::size_t begin, std::size_t end,
                     std::vector<ScoredSpan>& out) const;

    LabelScheme scheme_;
    std::size_t label_count_;
    std::vector<float> transitions_;
    std::vector<float> start_;
    std::vector<float> end_;
    // The opening labels (O, B, S) and closing labels (O, E, S), and the transitions between them:
    // [closing, opening], the only dense block of the constrained transitions.
    std::vector<std::uint32_t> opening_;
    std::vector<std::uint32_t> closing_;
    std::vector<float> boundary_;
    std::vector<double> boundary_exp_;             // exp, [closing, opening]
    std::vector<double> boundary_exp_transposed_;  // exp, [opening, closing]
    std::vector<double> transitions_exp_;
};

// Per row the JSON list of {"start","end","type","text","score"}; `texts` are the callers' own UTF-8 texts.
std::vector<std::string> entities_json(const LabelScheme& scheme, const std::vector<ScoredSpan>& spans,
                                       const std::vector<std::string_view>& texts);

}  // namespace distillex
