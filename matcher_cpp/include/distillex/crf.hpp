// Linear-chain CRF under the BIOES constraints: Viterbi, posteriors, k-best.
//
// Viterbi runs in float32 with the sums of pytorch-crf, so that both break ties alike. Posteriors run in
// float32 with scaled probabilities (Rabiner 1989, section V.A), vectors over labels (src/crf_kernels.hpp); a
// row whose probabilities come near the limits of float32 is done again in float64, and one that comes near
// those in the log domain (src/crf_lattice.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "distillex/crf_trust.hpp"
#include "distillex/label_scheme.hpp"
#include "distillex/text.hpp"

namespace distillex {

struct PlaneScores;

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

// What a batch's rows say beside their emissions. Both are optional.
struct DecodingContext {
    // The callers' own texts, one a row: entities then keep to SpanEdges.
    const std::vector<TextView>* texts = nullptr;
    const TrustedWords* trusted = nullptr;
};

inline constexpr std::size_t kMostBestPaths = 1024;

// Emission scores of a padded batch, row-major [batch, tokens, labels], with the number of real tokens of
// each of the `batch` rows ([CLS] and [SEP] included). The CRF runs over tokens 1 .. length - 2.
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
               std::vector<float> end, const TrustRules& rules = {});

    const LabelScheme& scheme() const { return scheme_; }

    // All of these throw std::invalid_argument for a wrong number of labels, a length beyond the tokens and
    // emissions that are not finite or beyond ±1e6, naming the row.
    // `decode` refuses a context of another number of rows as well, a text whose length is not its row's, and
    // trusted words where the decoder knows no lexicon types.
    std::vector<ScoredSpan> decode(const EmissionBatch& batch, const DecodingContext& context = {}) const;
    // Per row the labels of the best path.
    std::vector<std::vector<std::int64_t>> viterbi(const EmissionBatch& batch) const;
    void marginals(const EmissionBatch& batch, float* out) const;  // [batch, tokens, labels]
    // Per row at most k paths, best first; k is in 1 .. kMostBestPaths.
    std::vector<std::vector<ScoredPath>> best_paths(const EmissionBatch& batch, std::size_t k) const;
    // Per row the JSON list of {"start","end","type","text","score"}; `texts` are the callers' own UTF-8
    // texts, one a row.
    std::vector<std::string> entities_json(const EmissionBatch& batch,
                                           const std::vector<std::string_view>& texts,
                                           const TrustedWords* trusted = nullptr) const;

  private:
    struct Row {
        const float* emissions;  // of the first character
        std::size_t length;      // characters
    };
    class RowDecoder;
    class ContextDecoder;
    void check_context(const std::vector<Row>& rows, const DecodingContext& context) const;
    // Lengths are read here alone: what their owner does to them later moves no row.
    std::vector<Row> checked_rows(const EmissionBatch& batch) const;
    std::vector<ScoredPath> best_paths(const Row& row, std::size_t k) const;

    LabelScheme scheme_;
    std::size_t label_count_;
    std::vector<float> transitions_;
    std::vector<float> start_;
    std::vector<float> end_;
    std::shared_ptr<const PlaneScores> planes_;  // for the kernels
    WordBonus bonus_;
};

}  // namespace distillex
