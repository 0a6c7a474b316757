#include "distillex/crf.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <thread>

namespace distillex {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
constexpr double kMinusInfinityDouble = -std::numeric_limits<double>::infinity();
// Below this a product of scaled probabilities may lose digits: the row is done again in logs.
constexpr double kSmallestScaled = 1e-140;
constexpr float kLargestScore = 1e6F;

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && !defined(__SANITIZE_THREAD__) && \
    !defined(__SANITIZE_ADDRESS__)
#define DISTILLEX_VECTOR_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define DISTILLEX_VECTOR_CLONES
#endif

// out[j] = sum over i of weights[i] * matrix[i][j]
DISTILLEX_VECTOR_CLONES
void multiply(const double* weights, const double* matrix, std::size_t rows, std::size_t columns,
              double* out) {
    std::fill(out, out + columns, 0.0);
    for (std::size_t i = 0; i < rows; ++i) {
        const double weight = weights[i];
        const double* line = matrix + i * columns;
        for (std::size_t j = 0; j < columns; ++j) out[j] += weight * line[j];
    }
}

// best[j] = max over i of scores[i] + matrix[i][j] + added[j], argument[j] = the first i that reaches it.
// The addend takes part in the comparison, as in pytorch-crf: rounding may make two candidates equal.
DISTILLEX_VECTOR_CLONES
void max_plus(const float* scores, const float* matrix, const float* added, std::size_t rows,
              std::size_t columns, float* best, std::int32_t* argument) {
    for (std::size_t j = 0; j < columns; ++j) best[j] = scores[0] + matrix[j] + added[j], argument[j] = 0;
    for (std::size_t i = 1; i < rows; ++i) {
        const float score = scores[i];
        const float* line = matrix + i * columns;
        for (std::size_t j = 0; j < columns; ++j) {
            const float candidate = score + line[j] + added[j];
            const bool better = candidate > best[j];
            best[j] = better ? candidate : best[j];
            argument[j] = better ? static_cast<std::int32_t>(i) : argument[j];
        }
    }
}

double log_sum_exp(double a, double b) {
    if (a < b) std::swap(a, b);
    if (b == kMinusInfinityDouble) return a;
    return a + std::log1p(std::exp(b - a));
}

}  // namespace

// Forward and backward scores of one row, [length, labels]. Scaled: alpha sums to 1 at each position, and
// alpha * beta is the posterior; weight[t][j] = exp(emission - top[t]) / scale[t]. In logs: plain log scores.
struct CrfDecoder::Lattice {
    bool in_logs = false;
    std::vector<double> alpha;
    std::vector<double> beta;
    std::vector<double> weight;
    double log_partition = 0.0;
    std::vector<double> gathered;
    std::vector<double> product;
};

CrfDecoder::CrfDecoder(LabelScheme scheme, std::vector<float> transitions, std::vector<float> start,
                       std::vector<float> end)
    : scheme_(std::move(scheme)),
      label_count_(scheme_.label_count()),
      transitions_(std::move(transitions)),
      start_(std::move(start)),
      end_(std::move(end)) {
    const std::size_t n = label_count_;
    if (transitions_.size() != n * n || start_.size() != n || end_.size() != n) {
        throw std::invalid_argument("a CRF over " + std::to_string(n) + " labels needs transitions [" +
                                    std::to_string(n) + ", " + std::to_string(n) + "], start [" +
                                    std::to_string(n) + "] and end [" + std::to_string(n) + "]");
    }
    for (const auto* scores : {&transitions_, &start_, &end_}) {
        for (const float score : *scores) {
            if (!(std::fabs(score) <= kLargestScore)) {
                throw std::invalid_argument("a CRF score is not finite or beyond ±1e6");
            }
        }
    }
    for (std::uint32_t label = 0; label < n; ++label) {
        if (LabelScheme::opens(label)) opening_.push_back(label);
        if (LabelScheme::closes(label)) closing_.push_back(label);
    }
    transitions_exp_.resize(n * n);
    std::transform(transitions_.begin(), transitions_.end(), transitions_exp_.begin(),
                   [](float score) { return std::exp(static_cast<double>(score)); });
    for (const std::uint32_t from : closing_) {
        for (const std::uint32_t to : opening_) {
            boundary_.push_back(transitions_[from * n + to]);
            boundary_exp_.push_back(transitions_exp_[from * n + to]);
        }
    }
    for (const std::uint32_t to : opening_) {
        for (const std::uint32_t from : closing_)
            boundary_exp_transposed_.push_back(transitions_exp_[from * n + to]);
    }
}

void CrfDecoder::check(const EmissionBatch& batch) const {
    if (batch.labels != label_count_) {
        throw std::invalid_argument("emissions have " + std::to_string(batch.labels) +
                                    " labels; this decoder has " + std::to_string(label_count_));
    }
    for (std::size_t row = 0; row < batch.batch; ++row) {
        const std::int32_t length = batch.lengths[row];
        if (length < 0 || static_cast<std::size_t>(length) > batch.tokens) {
            throw std::invalid_argument("row " + std::to_string(row) + ": length " + std::to_string(length) +
                                        " is not in 0 .. " + std::to_string(batch.tokens));
        }
        const Row characters = row_of(batch, row);
        // Written so that NaN fails too. Beyond the limit even float64 sums lose the digits that posteriors
        // need.
        for (std::size_t i = 0; i < characters.length * label_count_; ++i) {
            if (!(std::fabs(characters.emissions[i]) <= kLargestScore)) {
                throw std::invalid_argument("row " + std::to_string(row) +
                                            ": an emission score is not finite or beyond ±1e6");
            }
        }
    }
}

CrfDecoder::Row CrfDecoder::row_of(const EmissionBatch& batch, std::size_t row) const {
    const std::int32_t length = batch.lengths[row];
    const float* first = batch.emissions + (row * batch.tokens + (batch.tokens > 0 ? 1 : 0)) * label_count_;
    return {first, length > 2 ? static_cast<std::size_t>(length) - 2 : 0};
}

void CrfDecoder::best_labels(const Row& row, std::vector<std::uint32_t>& labels) const {
    const std::size_t n = label_count_;
    const std::size_t closing = closing_.size();
    const std::size_t opening = opening_.size();
    labels.assign(row.length, 0);
    if (row.length == 0) return;
    std::vector<float> score(n, kMinusInfinity);
    std::vector<float> next(n);
    std::vector<std::uint16_t> back(row.length * n, 0);
    std::vector<float> gathered(closing);
    std::vector<float> added(opening);
    std::vector<float> best(opening);
    std::vector<std::int32_t> argument(opening);
    for (const std::uint32_t label : opening_) score[label] = start_[label] + row.emissions[label];
    for (std::size_t t = 1; t < row.length; ++t) {
        const float* emission = row.emissions + t * n;
        std::uint16_t* pointer = &back[t * n];
        for (std::size_t i = 0; i < closing; ++i) gathered[i] = score[closing_[i]];
        for (std::size_t j = 0; j < opening; ++j) added[j] = emission[opening_[j]];
        max_plus(gathered.data(), boundary_.data(), added.data(), closing, opening, best.data(),
                 argument.data());
        for (std::size_t j = 0; j < opening; ++j) {
            const std::uint32_t label = opening_[j];
            next[label] = best[j];
            pointer[label] = static_cast<std::uint16_t>(closing_[static_cast<std::size_t>(argument[j])]);
        }
        for (std::uint32_t type = 0; type < scheme_.type_count(); ++type) {
            const std::uint32_t begin = LabelScheme::label(type, LabelScheme::kBegin);
            const std::uint32_t inside = begin + 1;
            for (const std::uint32_t label : {inside, begin + 2}) {
                const float from_begin = score[begin] + transitions_[begin * n + label] + emission[label];
                const float from_inside = score[inside] + transitions_[inside * n + label] + emission[label];
                const bool longer = from_inside > from_begin;
                next[label] = longer ? from_inside : from_begin;
                pointer[label] = static_cast<std::uint16_t>(longer ? inside : begin);
            }
        }
        score.swap(next);
    }
    std::uint32_t best_label = closing_[0];
    for (const std::uint32_t label : closing_) {
        if (score[label] + end_[label] > score[best_label] + end_[best_label]) best_label = label;
    }
    for (std::size_t t = row.length; t-- > 0;) {
        labels[t] = best_label;
        best_label = back[t * n + best_label];
    }
}

bool CrfDecoder::run_scaled(const Row& row, Lattice& lattice) const {
    const std::size_t n = label_count_;
    const std::size_t closing = closing_.size();
    const std::size_t opening = opening_.size();
    const std::uint32_t types = scheme_.type_count();
    lattice.in_logs = false;
    lattice.alpha.assign(row.length * n, 0.0);
    lattice.beta.assign(row.length * n, 0.0);
    lattice.weight.resize(row.length * n);
    lattice.gathered.resize(std::max(closing, opening));
    lattice.product.resize(std::max(closing, opening));
    double* gathered = lattice.gathered.data();
    double* product = lattice.product.data();
    double log_partition = 0.0;
    const double top_start = *std::max_element(start_.begin(), start_.end());
    const double top_end = *std::max_element(end_.begin(), end_.end());

    for (std::size_t t = 0; t < row.length; ++t) {
        const float* emission = row.emissions + t * n;
        double* weight = &lattice.weight[t * n];
        double* alpha = &lattice.alpha[t * n];
        const double top = *std::max_element(emission, emission + n);
        for (std::size_t j = 0; j < n; ++j) weight[j] = std::exp(static_cast<double>(emission[j]) - top);
        if (t == 0) {
            for (const std::uint32_t label : opening_) {
                alpha[label] = std::exp(static_cast<double>(start_[label]) - top_start) * weight[label];
            }
            log_partition += top_start;
        } else {
            const double* before = alpha - n;
            for (std::size_t i = 0; i < closing; ++i) gathered[i] = before[closing_[i]];
            multiply(gathered, boundary_exp_.data(), closing, opening, product);
            for (std::size_t j = 0; j < opening; ++j) alpha[opening_[j]] = product[j] * weight[opening_[j]];
            for (std::uint32_t type = 0; type < types; ++type) {
                const std::uint32_t begin = LabelScheme::label(type, LabelScheme::kBegin);
                const std::uint32_t inside = begin + 1;
                for (const std::uint32_t label : {inside, begin + 2}) {
                    alpha[label] = (before[begin] * transitions_exp_[begin * n + label] +
                                    before[inside] * transitions_exp_[inside * n + label]) *
                                   weight[label];
                }
            }
        }
        double scale = 0.0;
        for (std::size_t j = 0; j < n; ++j) scale += alpha[j];
        if (!(scale > kSmallestScaled) || !std::isfinite(scale)) return false;
        const double inverse = 1.0 / scale;
        for (std::size_t j = 0; j < n; ++j) {
            alpha[j] *= inverse;
            weight[j] *= inverse;
            // From the second position on, every label can be reached.
            if (alpha[j] < kSmallestScaled && (t > 0 || LabelScheme::opens(static_cast<std::uint32_t>(j)))) {
                return false;
            }
        }
        log_partition += top + std::log(scale);
    }

    double* beta = &lattice.beta[(row.length - 1) * n];
    const double* alpha = &lattice.alpha[(row.length - 1) * n];
    double total = 0.0;
    for (const std::uint32_t label : closing_) {
        beta[label] = std::exp(static_cast<double>(end_[label]) - top_end);
        total += alpha[label] * beta[label];
    }
    if (!(total > kSmallestScaled)) return false;
    for (const std::uint32_t label : closing_) beta[label] /= total;
    lattice.log_partition = log_partition + top_end + std::log(total);

    for (std::size_t t = row.length - 1; t-- > 0;) {
        const double* after = &lattice.beta[(t + 1) * n];
        const double* weight = &lattice.weight[(t + 1) * n];
        beta = &lattice.beta[t * n];
        for (std::size_t j = 0; j < opening; ++j) gathered[j] = weight[opening_[j]] * after[opening_[j]];
        multiply(gathered, boundary_exp_transposed_.data(), opening, closing, product);
        for (std::size_t i = 0; i < closing; ++i) beta[closing_[i]] = product[i];
        for (std::uint32_t type = 0; type < types; ++type) {
            const std::uint32_t begin = LabelScheme::label(type, LabelScheme::kBegin);
            const double inside = weight[begin + 1] * after[begin + 1];
            const double end = weight[begin + 2] * after[begin + 2];
            for (const std::uint32_t label : {begin, begin + 1}) {
                beta[label] = transitions_exp_[label * n + begin + 1] * inside +
                              transitions_exp_[label * n + begin + 2] * end;
            }
        }
        for (std::size_t j = 0; j < n; ++j) {
            if (!std::isfinite(beta[j])) return false;
            // Two positions before the end every label can still come to its end.
            if (t + 2 < row.length && beta[j] < kSmallestScaled) return false;
        }
    }
    return true;
}

void CrfDecoder::run_in_logs(const Row& row, Lattice& lattice) const {
    const std::size_t n = label_count_;
    lattice.in_logs = true;
    lattice.alpha.assign(row.length * n, kMinusInfinityDouble);
    lattice.beta.assign(row.length * n, kMinusInfinityDouble);
    for (const std::uint32_t label : opening_) {
        lattice.alpha[label] = static_cast<double>(start_[label]) + row.emissions[label];
    }
    for (std::size_t t = 1; t < row.length; ++t) {
        for (std::uint32_t to = 0; to < n; ++to) {
            double total = kMinusInfinityDouble;
            for (std::uint32_t from = 0; from < n; ++from) {
                if (!LabelScheme::allowed(from, to)) continue;
                total = log_sum_exp(total, lattice.alpha[(t - 1) * n + from] + transitions_[from * n + to]);
            }
            lattice.alpha[t * n + to] = total + row.emissions[t * n + to];
        }
    }
    const std::size_t last = row.length - 1;
    lattice.log_partition = kMinusInfinityDouble;
    for (const std::uint32_t label : closing_) {
        lattice.beta[last * n + label] = end_[label];
        lattice.log_partition =
            log_sum_exp(lattice.log_partition, lattice.alpha[last * n + label] + end_[label]);
    }
    for (std::size_t t = last; t-- > 0;) {
        for (std::uint32_t from = 0; from < n; ++from) {
            double total = kMinusInfinityDouble;
            for (std::uint32_t to = 0; to < n; ++to) {
                if (!LabelScheme::allowed(from, to)) continue;
                total =
                    log_sum_exp(total, static_cast<double>(transitions_[from * n + to]) +
                                           row.emissions[(t + 1) * n + to] + lattice.beta[(t + 1) * n + to]);
            }
            lattice.beta[t * n + from] = total;
        }
    }
}

void CrfDecoder::run_forward_backward(const Row& row, Lattice& lattice) const {
    if (!run_scaled(row, lattice)) run_in_logs(row, lattice);
}

double CrfDecoder::span_probability(const Row& row, const Lattice& lattice, const LabelledSpan& span) const {
    const std::size_t n = label_count_;
    const auto type = static_cast<std::uint32_t>(span.type);
    const auto start = static_cast<std::size_t>(span.start);
    const auto last = static_cast<std::size_t>(span.end) - 1;
    const bool single = start == last;
    std::uint32_t label = LabelScheme::label(type, single ? LabelScheme::kSingle : LabelScheme::kBegin);
    double value = lattice.alpha[start * n + label];
    for (std::size_t t = start + 1; t <= last; ++t) {
        const std::uint32_t next =
            LabelScheme::label(type, t == last ? LabelScheme::kEnd : LabelScheme::kInside);
        if (lattice.in_logs) {
            value += static_cast<double>(transitions_[label * n + next]) + row.emissions[t * n + next];
        } else {
            value *= transitions_exp_[label * n + next] * lattice.weight[t * n + next];
        }
        label = next;
    }
    if (lattice.in_logs) return std::exp(value + lattice.beta[last * n + label] - lattice.log_partition);
    return value * lattice.beta[last * n + label];
}

void CrfDecoder::decode_rows(const EmissionBatch& batch, std::size_t begin, std::size_t end,
                             std::vector<ScoredSpan>& out) const {
    std::vector<std::uint32_t> labels;
    Lattice lattice;
    for (std::size_t r = begin; r < end; ++r) {
        const Row row = row_of(batch, r);
        if (row.length == 0) continue;
        best_labels(row, labels);
        if (std::all_of(labels.begin(), labels.end(),
                        [](std::uint32_t label) { return label == LabelScheme::kOutside; })) {
            continue;
        }
        run_forward_backward(row, lattice);
        const std::vector<std::int64_t> path(labels.begin(), labels.end());
        for (const LabelledSpan& span : scheme_.decode(path)) {
            const double probability = span_probability(row, lattice, span);
            out.push_back({static_cast<std::int32_t>(r), span.start, span.end, span.type,
                           static_cast<float>(std::clamp(probability, 0.0, 1.0))});
        }
    }
}

std::vector<ScoredSpan> CrfDecoder::decode(const EmissionBatch& batch, unsigned threads) const {
    check(batch);
    const std::size_t workers = std::max<std::size_t>(1, std::min<std::size_t>(threads, batch.batch));
    std::vector<std::vector<ScoredSpan>> parts(workers);
    const auto work = [&](std::size_t w) {
        decode_rows(batch, batch.batch * w / workers, batch.batch * (w + 1) / workers, parts[w]);
    };
    std::vector<std::thread> others;
    for (std::size_t w = 1; w < workers; ++w) others.emplace_back(work, w);
    work(0);
    for (auto& thread : others) thread.join();
    for (std::size_t w = 1; w < workers; ++w)
        parts[0].insert(parts[0].end(), parts[w].begin(), parts[w].end());
    return std::move(parts[0]);
}

std::vector<std::int64_t> CrfDecoder::viterbi(const EmissionBatch& batch, std::size_t row) const {
    std::vector<std::uint32_t> labels;
    best_labels(row_of(batch, row), labels);
    return {labels.begin(), labels.end()};
}

void CrfDecoder::marginals(const EmissionBatch& batch, float* out) const {
    check(batch);
    const std::size_t n = label_count_;
    std::fill(out, out + batch.batch * batch.tokens * n, 0.0F);
    Lattice lattice;
    for (std::size_t r = 0; r < batch.batch; ++r) {
        const Row row = row_of(batch, r);
        if (row.length == 0) continue;
        run_forward_backward(row, lattice);
        float* target = out + (r * batch.tokens + 1) * n;
        for (std::size_t i = 0; i < row.length * n; ++i) {
            const double value = lattice.in_logs
                                     ? std::exp(lattice.alpha[i] + lattice.beta[i] - lattice.log_partition)
                                     : lattice.alpha[i] * lattice.beta[i];
            target[i] = static_cast<float>(value);
        }
    }
}

double CrfDecoder::log_partition(const EmissionBatch& batch, std::size_t row) const {
    Lattice lattice;
    const Row characters = row_of(batch, row);
    if (characters.length == 0) return 0.0;
    run_forward_backward(characters, lattice);
    return lattice.log_partition;
}

std::vector<ScoredPath> CrfDecoder::best_paths(const EmissionBatch& batch, std::size_t row_index,
                                               std::size_t k) const {
    struct Candidate {
        float score;
        std::uint16_t label;  // of the position before
        std::uint16_t rank;   // among that label's candidates
    };
    const std::size_t n = label_count_;
    const Row row = row_of(batch, row_index);
    if (row.length == 0 || k == 0) return {};
    std::vector<std::vector<Candidate>> lattice(row.length * n);
    const auto keep_best = [k](std::vector<Candidate>& candidates) {
        std::stable_sort(candidates.begin(), candidates.end(),
                         [](const Candidate& a, const Candidate& b) { return a.score > b.score; });
        if (candidates.size() > k) candidates.resize(k);
    };
    for (const std::uint32_t label : opening_)
        lattice[label].push_back({start_[label] + row.emissions[label], 0, 0});
    for (std::size_t t = 1; t < row.length; ++t) {
        for (std::uint32_t to = 0; to < n; ++to) {
            auto& candidates = lattice[t * n + to];
            for (std::uint32_t from = 0; from < n; ++from) {
                if (!LabelScheme::allowed(from, to)) continue;
                const auto& before = lattice[(t - 1) * n + from];
                for (std::size_t rank = 0; rank < before.size(); ++rank) {
                    candidates.push_back(
                        {before[rank].score + transitions_[from * n + to] + row.emissions[t * n + to],
                         static_cast<std::uint16_t>(from), static_cast<std::uint16_t>(rank)});
                }
            }
            keep_best(candidates);
        }
    }
    std::vector<Candidate> last;
    const std::size_t end = row.length - 1;
    for (const std::uint32_t label : closing_) {
        const auto& candidates = lattice[end * n + label];
        for (std::size_t rank = 0; rank < candidates.size(); ++rank) {
            last.push_back({candidates[rank].score + end_[label], static_cast<std::uint16_t>(label),
                            static_cast<std::uint16_t>(rank)});
        }
    }
    keep_best(last);
    std::vector<ScoredPath> paths;
    for (const Candidate& candidate : last) {
        ScoredPath path{std::vector<std::int64_t>(row.length), candidate.score};
        std::uint16_t label = candidate.label;
        std::uint16_t rank = candidate.rank;
        for (std::size_t t = row.length; t-- > 0;) {
            path.labels[t] = label;
            const Candidate& step = lattice[t * n + label][rank];
            label = step.label;
            rank = step.rank;
        }
        paths.push_back(std::move(path));
    }
    return paths;
}

}  // namespace distillex
