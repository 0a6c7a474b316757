// The CRF decoder: emissions of a batch → entities with scores, row by row.
#include "distillex/crf.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include "crf_kernels.hpp"
#include "crf_lattice.hpp"
#include "distillex/span_edges.hpp"
#include "entities_json.hpp"

namespace distillex {
namespace {

// Beyond this even float64 sums lose the digits that posteriors need.
constexpr float kLargestScore = 1e6F;
// A smaller sum over all paths leaves too few digits to float32's products: the row is done again in float64.
constexpr double kSmallestTotal = 1e-20;
// The rounding of float32 adds up along a row. Over 256 characters it stayed below 6e-6 for 400 random CRFs,
// over 510 it reached 1.1e-5 (benchmarks/decoder_precision.py); longer rows go through float64.
constexpr std::size_t kLongestInFloat = 256;

}  // namespace

// Decodes row after row of one batch, reusing its buffers.
class CrfDecoder::RowDecoder {
  public:
    RowDecoder(const CrfDecoder& decoder, const std::vector<Row>& rows)
        : decoder_(decoder),
          crf_(*decoder.planes_),
          planes_(crf_.planes),
          kernels_(crf_kernels()),
          scratch_(longest(rows), planes_) {}

    void best_labels(const Row& row, std::vector<std::int64_t>& labels) {
        kernels_.viterbi(crf_, row.emissions, row.length, scratch_);
        trace_back(row.length, labels);
    }

    // The spans of the best path, of which score_found is to be asked next.
    const std::vector<LabelledSpan>& find(const Row& row) {
        fast_ = fits_float(row);
        if (fast_) {
            fast_ = kernels_.viterbi_and_forward(crf_, row.emissions, row.length, scratch_);
        } else {
            kernels_.viterbi(crf_, row.emissions, row.length, scratch_);
        }
        trace_back(row.length, labels_);
        find_spans();
        return spans_;
    }

    // Appends the spans that were found with their posteriors.
    void score_found(const Row& row, std::int32_t index, std::vector<ScoredSpan>& out) {
        if (spans_.empty()) return;
        const auto first = static_cast<std::size_t>(spans_.front().end) - 1;
        bool fast = fast_ && kernels_.backward(crf_, row.length, first, scratch_);
        const double total = fast ? path_total(row.length) : 0.0;
        fast = fast && total >= kSmallestTotal;
        if (!fast) lattice().run(row.emissions, row.length);
        for (const LabelledSpan& span : spans_) {
            const double probability = fast ? span_product(span) / total : lattice_->span_probability(span);
            out.push_back({index, span.start, span.end, span.type,
                           static_cast<float>(std::clamp(probability, 0.0, 1.0))});
        }
    }

    const std::vector<LabelledSpan>& best_spans(const Row& row) {
        best_labels(row, labels_);
        find_spans();
        return spans_;
    }

    // Appends these spans with their posteriors, in float64.
    void score(const Row& row, std::int32_t index, const std::vector<LabelledSpan>& spans,
               std::vector<ScoredSpan>& out) {
        if (spans.empty()) return;
        lattice().run(row.emissions, row.length);
        for (const LabelledSpan& span : spans) {
            const double probability = std::clamp(lattice_->span_probability(span), 0.0, 1.0);
            out.push_back({index, span.start, span.end, span.type, static_cast<float>(probability)});
        }
    }

    // Writes [length, labels] posteriors.
    void marginals(const Row& row, float* out) {
        const std::size_t n = decoder_.label_count_;
        bool fast = fits_float(row) &&
                    kernels_.viterbi_and_forward(crf_, row.emissions, row.length, scratch_) &&
                    kernels_.backward(crf_, row.length, 0, scratch_);
        const double total = fast ? path_total(row.length) : 0.0;
        fast = fast && total >= kSmallestTotal;
        if (!fast) lattice().run(row.emissions, row.length);
        for (std::uint32_t label = 0; label < n; ++label) {
            const std::size_t index = planes_.index_of(label);
            for (std::size_t t = 0; t < row.length; ++t) {
                const std::size_t i = t * planes_.stride + index;
                const double value = fast ? static_cast<double>(scratch_.alpha[i]) * scratch_.beta[i] / total
                                          : lattice_->marginal(t, label);
                out[t * n + label] = static_cast<float>(value);
            }
        }
    }

  private:
    static std::size_t longest(const std::vector<Row>& rows) {
        std::size_t length = 0;
        for (const Row& row : rows) length = std::max(length, row.length);
        return length;
    }

    bool fits_float(const Row& row) const { return crf_.exponentials_fit && row.length <= kLongestInFloat; }

    CrfLattice& lattice() {
        if (!lattice_)
            lattice_.emplace(decoder_.scheme_, decoder_.transitions_, decoder_.start_, decoder_.end_);
        return *lattice_;
    }

    // The kernels keep scores, not pointers: of each position on the best path the predecessor is found
    // again, as the first in label order whose sum is the score that was kept.
    void trace_back(std::size_t length, std::vector<std::int64_t>& labels) const {
        labels.resize(length);
        const float* score = &scratch_.score[(length - 1) * planes_.stride];
        std::uint32_t label = best_last(score);
        for (std::size_t t = length - 1; t > 0; --t) {
            labels[t] = label;
            const float* before = score - planes_.stride;
            const float* emission = &scratch_.emissions[t * planes_.stride];
            label = LabelScheme::opens(label)
                        ? closing_before(before, emission, score, planes_.index_of(label))
                        : within_before(before, emission, label);
            score = before;
        }
        labels[0] = label;
    }

    std::uint32_t best_last(const float* score) const {
        std::uint32_t best = LabelScheme::kOutside;
        float highest = score[0] + crf_.end[0];
        for (std::uint32_t type = 0; type < planes_.types; ++type) {
            const float end = score[planes_.end + type] + crf_.end[1 + planes_.types + type];
            if (end > highest) highest = end, best = LabelScheme::label(type, LabelScheme::kEnd);
            const float single = score[1 + planes_.types + type] + crf_.end[1 + type];
            if (single > highest) highest = single, best = LabelScheme::label(type, LabelScheme::kSingle);
        }
        return best;
    }

    std::uint32_t closing_before(const float* before, const float* emission, const float* score,
                                 std::size_t column) const {
        const std::size_t types = planes_.types;
        const float* matrix = crf_.boundary.data() + column;
        const auto reaches = [&](std::size_t from, std::size_t line) {
            const float sum = before[from] + matrix[line * planes_.opening_width];
            return sum + emission[column] == score[column];
        };
        if (reaches(0, 0)) return LabelScheme::kOutside;
        for (std::uint32_t type = 0; type < types; ++type) {
            if (reaches(planes_.end + type, 1 + types + type))
                return LabelScheme::label(type, LabelScheme::kEnd);
            if (reaches(1 + types + type, 1 + type)) return LabelScheme::label(type, LabelScheme::kSingle);
        }
        throw std::logic_error("no label leads to a score of the best path");
    }

    std::uint32_t within_before(const float* before, const float* emission, std::uint32_t label) const {
        const std::uint32_t type = LabelScheme::type_of(label);
        const bool ends = LabelScheme::position_of(label) == LabelScheme::kEnd;
        const float added = emission[planes_.index_of(label)];
        const float begin = (ends ? crf_.begin_end : crf_.begin_inside)[type];
        const float inside = (ends ? crf_.inside_end : crf_.inside_inside)[type];
        const float from_begin = before[1 + type] + begin + added;
        const float from_inside = before[planes_.inside + type] + inside + added;
        return LabelScheme::label(type,
                                  from_inside > from_begin ? LabelScheme::kInside : LabelScheme::kBegin);
    }

    // LabelScheme::decode for a path that keeps the scheme, as the best one does.
    void find_spans() {
        spans_.clear();
        std::int32_t start = 0;
        for (std::size_t t = 0; t < labels_.size(); ++t) {
            const auto label = static_cast<std::uint32_t>(labels_[t]);
            const auto position = static_cast<std::int32_t>(t);
            if (LabelScheme::opens(label)) start = position;
            if (label == LabelScheme::kOutside || !LabelScheme::closes(label)) continue;
            spans_.push_back({start, position + 1, static_cast<std::int32_t>(LabelScheme::type_of(label))});
        }
    }

    // Scaled probability of all paths: alpha * beta summed over the labels of the last position.
    double path_total(std::size_t length) const {
        const std::size_t begin = (length - 1) * planes_.stride;
        double total = 0.0;
        for (std::size_t i = begin; i < begin + planes_.stride; ++i) {
            total += static_cast<double>(scratch_.alpha[i]) * scratch_.beta[i];
        }
        return total;
    }

    double span_product(const LabelledSpan& span) const {
        const auto start = static_cast<std::size_t>(span.start);
        const auto last = static_cast<std::size_t>(span.end) - 1;
        const auto type = static_cast<std::size_t>(span.type);
        const std::size_t stride = planes_.stride;
        if (start == last) {
            const std::size_t i = start * stride + 1 + planes_.types + type;
            return static_cast<double>(scratch_.alpha[i]) * scratch_.beta[i];
        }
        double value = scratch_.alpha[start * stride + 1 + type];
        for (std::size_t t = start + 1; t < last; ++t) {
            value *= (t == start + 1 ? crf_.begin_inside_exp : crf_.inside_inside_exp)[type];
            value *= scratch_.weight[t * stride + planes_.inside + type];
        }
        const std::size_t i = last * stride + planes_.end + type;
        value *= (last == start + 1 ? crf_.begin_end_exp : crf_.inside_end_exp)[type];
        return value * scratch_.weight[i] * scratch_.beta[i];
    }

    const CrfDecoder& decoder_;
    const PlaneScores& crf_;
    const LabelPlanes& planes_;
    const CrfKernels& kernels_;
    RowScratch scratch_;
    std::vector<std::int64_t> labels_;
    std::vector<LabelledSpan> spans_;
    bool fast_ = false;  // the forward pass of `find` is sound
    std::optional<CrfLattice> lattice_;
};

CrfDecoder::CrfDecoder(LabelScheme scheme, std::vector<float> transitions, std::vector<float> start,
                       std::vector<float> end, const TrustRules& rules)
    : scheme_(std::move(scheme)),
      label_count_(scheme_.label_count()),
      transitions_(std::move(transitions)),
      start_(std::move(start)),
      end_(std::move(end)),
      bonus_(scheme_, rules) {
    const std::size_t n = label_count_;
    if (transitions_.size() != n * n || start_.size() != n || end_.size() != n) {
        throw std::invalid_argument("a CRF over " + std::to_string(n) + " labels needs transitions [" +
                                    std::to_string(n) + ", " + std::to_string(n) + "], start [" +
                                    std::to_string(n) + "] and end [" + std::to_string(n) + "]");
    }
    for (const auto* scores : {&transitions_, &start_, &end_}) {
        if (!crf_kernels().all_within(scores->data(), scores->size(), kLargestScore)) {
            throw std::invalid_argument("a CRF score is not finite or beyond ±1e6");
        }
    }
    planes_ = std::make_shared<PlaneScores>(scheme_.type_count(), transitions_, start_, end_);
}

std::vector<CrfDecoder::Row> CrfDecoder::checked_rows(const EmissionBatch& batch) const {
    if (batch.labels != label_count_) {
        throw std::invalid_argument("emissions have " + std::to_string(batch.labels) +
                                    " labels; this decoder has " + std::to_string(label_count_));
    }
    std::vector<Row> rows;
    rows.reserve(batch.batch);
    for (std::size_t row = 0; row < batch.batch; ++row) {
        const std::int32_t length = batch.lengths[row];
        if (length < 0 || static_cast<std::size_t>(length) > batch.tokens) {
            throw std::invalid_argument("row " + std::to_string(row) + ": length " + std::to_string(length) +
                                        " is not in 0 .. " + std::to_string(batch.tokens));
        }
        if (length <= 2) {
            rows.push_back({nullptr, 0});
            continue;
        }
        const float* first = batch.emissions + (row * batch.tokens + 1) * label_count_;
        rows.push_back({first, static_cast<std::size_t>(length) - 2});
        if (!crf_kernels().all_within(first, rows.back().length * label_count_, kLargestScore)) {
            throw std::invalid_argument("row " + std::to_string(row) +
                                        ": an emission score is not finite or beyond ±1e6");
        }
    }
    return rows;
}

// Decodes rows with what is known of them beside their emissions: words that are trusted, and the text, at
// whose characters entities may not begin and end anywhere.
class CrfDecoder::ContextDecoder {
  public:
    ContextDecoder(const CrfDecoder& decoder, const std::vector<Row>& rows, const DecodingContext& context)
        : decoder_(decoder), rows_decoder_(decoder, rows), context_(context) {}

    void decode(const Row& row, std::int32_t index, std::vector<ScoredSpan>& out) {
        const auto at = static_cast<std::size_t>(index);
        const TrustedWords* const trusted = context_.trusted;
        const bool has_words = trusted != nullptr && trusted->begin(at) != trusted->end(at);
        text_.clear();
        Row read = row;
        if (has_words) {
            read_text(at, row);
            read = copy_of(row);
            decoder_.bonus_.add(trusted->begin(at), trusted->end(at), text_, row.length, copied_.data());
        }
        std::vector<LabelledSpan> spans = rows_decoder_.find(read);
        if (context_.texts != nullptr && !spans.empty() && !has_words) read_text(at, row);
        if (context_.texts == nullptr || all_sound(spans)) {
            rows_decoder_.score_found(read, index, out);
            return;
        }
        // A span that may not stand is forbidden to begin, or to end, where it does, and the row decoded
        // again.
        if (!has_words) read = copy_of(row);
        for (int attempt = 0; attempt < kAttempts && !all_sound(spans); ++attempt) {
            forbid_edges(spans);
            spans = rows_decoder_.best_spans(read);
        }
        // What still does not keep to its edges is cut down to what does.
        std::vector<LabelledSpan> sound;
        for (const LabelledSpan& span : spans) {
            const auto [start, end] = edges_.sound_part(points_of(span), span.start == 0);
            if (start == end) continue;
            sound.push_back({span.start + static_cast<std::int32_t>(start),
                             span.start + static_cast<std::int32_t>(end), span.type});
        }
        rows_decoder_.score(read, index, sound, out);
    }

  private:
    static constexpr int kAttempts = 4;
    // About as much as emissions differ by; what needs more is forbidden once more.
    static constexpr float kForbidden = -30.0F;

    void read_text(std::size_t index, const Row& row) {
        if (context_.texts == nullptr) return;
        const bool sound = append_points((*context_.texts)[index], text_) == std::string_view::npos;
        if (sound && text_.size() == row.length) return;
        throw std::invalid_argument("row " + std::to_string(index) + ": the text is not of " +
                                    std::to_string(row.length) + " code points of UTF-8");
    }

    Row copy_of(const Row& row) {
        copied_.assign(row.emissions, row.emissions + row.length * decoder_.label_count_);
        return {copied_.data(), row.length};
    }

    std::u32string_view points_of(const LabelledSpan& span) const {
        return std::u32string_view(text_).substr(static_cast<std::size_t>(span.start),
                                                 static_cast<std::size_t>(span.end - span.start));
    }

    bool all_sound(const std::vector<LabelledSpan>& spans) const {
        return std::all_of(spans.begin(), spans.end(), [this](const LabelledSpan& span) {
            return edges_.sound(points_of(span), span.start == 0);
        });
    }

    void forbid_edges(const std::vector<LabelledSpan>& spans) {
        for (const LabelledSpan& span : spans) {
            const auto [start, end] = edges_.sound_part(points_of(span), span.start == 0);
            const auto first = static_cast<std::size_t>(span.start);
            const std::size_t size = points_of(span).size();
            for (std::size_t k = 0; k < (start == end ? size : start); ++k) {
                forbid(first + k, LabelScheme::kBegin);
            }
            for (std::size_t k = start == end ? 0 : end; k < size; ++k) forbid(first + k, LabelScheme::kEnd);
        }
    }

    void forbid(std::size_t position, LabelScheme::Position edge) {
        float* const scores = &copied_[position * decoder_.label_count_];
        for (std::uint32_t type = 0; type < decoder_.scheme_.type_count(); ++type) {
            scores[LabelScheme::label(type, edge)] += kForbidden;
            scores[LabelScheme::label(type, LabelScheme::kSingle)] += kForbidden;
        }
    }

    const CrfDecoder& decoder_;
    RowDecoder rows_decoder_;
    const DecodingContext& context_;
    const SpanEdges edges_;
    std::u32string text_;
    std::vector<float> copied_;
};

void CrfDecoder::check_context(const std::vector<Row>& rows, const DecodingContext& context) const {
    const auto check_rows = [&rows](const char* what, std::size_t count) {
        if (count == rows.size()) return;
        throw std::invalid_argument(std::string(what) + " must hold one entry a row: " +
                                    std::to_string(count) + " for " + std::to_string(rows.size()) + " rows");
    };
    if (context.trusted != nullptr) {
        check_rows("trusted", context.trusted->rows());
        if (!context.trusted->empty() && !bonus_.knows_types()) {
            throw std::invalid_argument(
                "this decoder was made without lexicon types: it cannot take trusted words");
        }
    }
    if (context.texts != nullptr) check_rows("texts", context.texts->size());
}

std::vector<ScoredSpan> CrfDecoder::decode(const EmissionBatch& batch, const DecodingContext& context) const {
    const std::vector<Row> rows = checked_rows(batch);
    check_context(rows, context);
    ContextDecoder decoder(*this, rows, context);
    std::vector<ScoredSpan> spans;
    for (std::size_t row = 0; row < rows.size(); ++row) {
        if (rows[row].length > 0) decoder.decode(rows[row], static_cast<std::int32_t>(row), spans);
    }
    return spans;
}

std::vector<std::vector<std::int64_t>> CrfDecoder::viterbi(const EmissionBatch& batch) const {
    const std::vector<Row> rows = checked_rows(batch);
    RowDecoder decoder(*this, rows);
    std::vector<std::vector<std::int64_t>> paths(rows.size());
    for (std::size_t row = 0; row < rows.size(); ++row) {
        if (rows[row].length > 0) decoder.best_labels(rows[row], paths[row]);
    }
    return paths;
}

void CrfDecoder::marginals(const EmissionBatch& batch, float* out) const {
    const std::vector<Row> rows = checked_rows(batch);
    const std::size_t n = label_count_;
    std::fill(out, out + batch.batch * batch.tokens * n, 0.0F);
    RowDecoder decoder(*this, rows);
    for (std::size_t row = 0; row < rows.size(); ++row) {
        if (rows[row].length > 0) decoder.marginals(rows[row], out + (row * batch.tokens + 1) * n);
    }
}

std::vector<std::vector<ScoredPath>> CrfDecoder::best_paths(const EmissionBatch& batch, std::size_t k) const {
    if (k < 1 || k > kMostBestPaths) {
        throw std::invalid_argument("k is " + std::to_string(k) + "; 1 .. " + std::to_string(kMostBestPaths) +
                                    " is accepted");
    }
    const std::vector<Row> rows = checked_rows(batch);
    std::vector<std::vector<ScoredPath>> paths(rows.size());
    for (std::size_t row = 0; row < rows.size(); ++row) {
        if (rows[row].length > 0) paths[row] = best_paths(rows[row], k);
    }
    return paths;
}

std::vector<std::string> CrfDecoder::entities_json(const EmissionBatch& batch,
                                                   const std::vector<std::string_view>& texts,
                                                   const TrustedWords* trusted) const {
    if (texts.size() != batch.batch) {
        throw std::invalid_argument("texts must hold one text a row: " + std::to_string(texts.size()) +
                                    " for " + std::to_string(batch.batch) + " rows");
    }
    std::vector<TextView> views;
    views.reserve(texts.size());
    for (const std::string_view text : texts) views.push_back(TextView::of(text));
    return distillex::entities_json(scheme_, decode(batch, {&views, trusted}), texts);
}

}  // namespace distillex
