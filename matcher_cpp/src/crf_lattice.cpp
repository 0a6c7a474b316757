// Forward-backward in float64, for rows that the float32 kernels refuse.
#include "crf_lattice.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace distillex {
namespace {

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();
// Below this a product of scaled probabilities may lose digits: the row is done again in logs.
constexpr double kSmallestScaled = 1e-140;
// Terms of a sum in logs that are so far below the largest change no digit of it.
constexpr double kNoDigit = -45.0;
// Of transitions that are no larger, products with scaled probabilities say the sum in logs: probabilities
// below e^-700 are left out, which is e^-100 of it at most.
constexpr float kModest = 300.0F;
constexpr double kNoDigitOfProduct = -700.0;

// out[j] = sum over i of weights[i] * matrix[i][j]
void multiply(const double* weights, const double* matrix, std::size_t rows, std::size_t columns,
              double* out) {
    std::fill(out, out + columns, 0.0);
    for (std::size_t i = 0; i < rows; ++i) {
        const double weight = weights[i];
        const double* line = matrix + i * columns;
        for (std::size_t j = 0; j < columns; ++j) out[j] += weight * line[j];
    }
}

// multiply of what `weights` are the logs of, and the log of that; `weights` is overwritten.
void multiply_in_logs(double* weights, const double* matrix, std::size_t rows, std::size_t columns,
                      double* out) {
    const double top = *std::max_element(weights, weights + rows);
    if (top == kMinusInfinity) {
        std::fill(out, out + columns, top);
        return;
    }
    for (std::size_t i = 0; i < rows; ++i) {
        const double below = weights[i] - top;
        weights[i] = below > kNoDigitOfProduct ? std::exp(below) : 0.0;
    }
    multiply(weights, matrix, rows, columns, out);
    for (std::size_t j = 0; j < columns; ++j) out[j] = top + std::log(out[j]);
}

// Log of the sum over `labels` of exp(term(label)); `terms` is room for them.
template <class Term>
double log_sum(const std::vector<std::uint32_t>& labels, const Term& term, double* terms) {
    double top = kMinusInfinity;
    for (std::size_t i = 0; i < labels.size(); ++i) {
        terms[i] = term(labels[i]);
        top = std::max(top, terms[i]);
    }
    if (top == kMinusInfinity) return top;
    double total = 0.0;
    for (std::size_t i = 0; i < labels.size(); ++i) {
        if (terms[i] - top > kNoDigit) total += std::exp(terms[i] - top);
    }
    return top + std::log(total);
}

}  // namespace

CrfLattice::CrfLattice(const LabelScheme& scheme, const std::vector<float>& transitions,
                       const std::vector<float>& start, const std::vector<float>& end)
    : types_(scheme.type_count()),
      label_count_(scheme.label_count()),
      transitions_(transitions),
      start_(start),
      end_(end) {
    const std::size_t n = label_count_;
    for (std::uint32_t label = 0; label < n; ++label) {
        if (LabelScheme::opens(label)) opening_.push_back(label);
        if (LabelScheme::closes(label)) closing_.push_back(label);
    }
    before_.resize(n);
    after_.resize(n);
    for (std::uint32_t from = 0; from < n; ++from) {
        for (std::uint32_t to = 0; to < n; ++to) {
            if (!LabelScheme::allowed(from, to)) continue;
            before_[to].push_back(from);
            after_[from].push_back(to);
        }
    }
    transitions_exp_.resize(n * n);
    std::transform(transitions_.begin(), transitions_.end(), transitions_exp_.begin(),
                   [](float score) { return std::exp(static_cast<double>(score)); });
    modest_ = std::all_of(transitions_.begin(), transitions_.end(),
                          [](float score) { return std::abs(score) <= kModest; });
    for (const std::uint32_t from : closing_) {
        for (const std::uint32_t to : opening_) boundary_exp_.push_back(transitions_exp_[from * n + to]);
    }
    for (const std::uint32_t to : opening_) {
        for (const std::uint32_t from : closing_)
            boundary_exp_transposed_.push_back(transitions_exp_[from * n + to]);
    }
}

bool CrfLattice::run_scaled(const float* emissions, std::size_t length) {
    const std::size_t n = label_count_;
    const std::size_t closing = closing_.size();
    const std::size_t opening = opening_.size();
    const std::uint32_t types = types_;
    in_logs_ = false;
    alpha_.assign(length * n, 0.0);
    beta_.assign(length * n, 0.0);
    weight_.resize(length * n);
    gathered_.resize(std::max(closing, opening));
    product_.resize(std::max(closing, opening));
    double* gathered = gathered_.data();
    double* product = product_.data();
    const double top_start = *std::max_element(start_.begin(), start_.end());
    const double top_end = *std::max_element(end_.begin(), end_.end());

    for (std::size_t t = 0; t < length; ++t) {
        const float* emission = emissions + t * n;
        double* weight = &weight_[t * n];
        double* alpha = &alpha_[t * n];
        const double top = *std::max_element(emission, emission + n);
        for (std::size_t j = 0; j < n; ++j) weight[j] = std::exp(static_cast<double>(emission[j]) - top);
        if (t == 0) {
            for (const std::uint32_t label : opening_) {
                alpha[label] = std::exp(static_cast<double>(start_[label]) - top_start) * weight[label];
            }
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
    }

    double* beta = &beta_[(length - 1) * n];
    const double* alpha = &alpha_[(length - 1) * n];
    double total = 0.0;
    for (const std::uint32_t label : closing_) {
        beta[label] = std::exp(static_cast<double>(end_[label]) - top_end);
        total += alpha[label] * beta[label];
    }
    if (!(total > kSmallestScaled)) return false;
    for (const std::uint32_t label : closing_) beta[label] /= total;

    for (std::size_t t = length - 1; t-- > 0;) {
        const double* after = &beta_[(t + 1) * n];
        const double* weight = &weight_[(t + 1) * n];
        beta = &beta_[t * n];
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
            if (t + 2 < length && beta[j] < kSmallestScaled) return false;
        }
    }
    return true;
}

void CrfLattice::run_in_logs(const float* emissions, std::size_t length) {
    const std::size_t n = label_count_;
    in_logs_ = true;
    alpha_.assign(length * n, kMinusInfinity);
    beta_.assign(length * n, kMinusInfinity);
    for (const std::uint32_t label : opening_) {
        alpha_[label] = static_cast<double>(start_[label]) + emissions[label];
    }
    gathered_.resize(n);
    product_.resize(n);
    double* const terms = gathered_.data();
    for (std::size_t t = 1; t < length; ++t) {
        const double* const before = &alpha_[(t - 1) * n];
        double* const alpha = &alpha_[t * n];
        if (modest_) {
            for (std::size_t i = 0; i < closing_.size(); ++i) terms[i] = before[closing_[i]];
            multiply_in_logs(terms, boundary_exp_.data(), closing_.size(), opening_.size(), product_.data());
            for (std::size_t j = 0; j < opening_.size(); ++j) alpha[opening_[j]] = product_[j];
        }
        for (std::uint32_t to = 0; to < n; ++to) {
            if (!modest_ || !LabelScheme::opens(to)) {
                const auto through = [&](std::uint32_t from) {
                    return before[from] + transitions_[from * n + to];
                };
                alpha[to] = log_sum(before_[to], through, terms);
            }
            alpha[to] += emissions[t * n + to];
        }
    }
    const std::size_t last = length - 1;
    for (const std::uint32_t label : closing_) beta_[last * n + label] = end_[label];
    log_partition_ = log_sum(
        closing_, [&](std::uint32_t label) { return alpha_[last * n + label] + end_[label]; }, terms);
    for (std::size_t t = last; t-- > 0;) {
        const double* const after = &beta_[(t + 1) * n];
        const float* const emission = &emissions[(t + 1) * n];
        double* const beta = &beta_[t * n];
        if (modest_) {
            for (std::size_t j = 0; j < opening_.size(); ++j) {
                terms[j] = after[opening_[j]] + emission[opening_[j]];
            }
            multiply_in_logs(terms, boundary_exp_transposed_.data(), opening_.size(), closing_.size(),
                             product_.data());
            for (std::size_t i = 0; i < closing_.size(); ++i) beta[closing_[i]] = product_[i];
        }
        for (std::uint32_t from = 0; from < n; ++from) {
            if (modest_ && LabelScheme::closes(from)) continue;
            const auto through = [&](std::uint32_t to) {
                return static_cast<double>(transitions_[from * n + to]) + emission[to] + after[to];
            };
            beta[from] = log_sum(after_[from], through, terms);
        }
    }
}

void CrfLattice::run(const float* emissions, std::size_t length) {
    emissions_ = emissions;
    if (!run_scaled(emissions, length)) run_in_logs(emissions, length);
}

double CrfLattice::marginal(std::size_t position, std::uint32_t label) const {
    const std::size_t i = position * label_count_ + label;
    return in_logs_ ? std::exp(alpha_[i] + beta_[i] - log_partition_) : alpha_[i] * beta_[i];
}

double CrfLattice::span_probability(const LabelledSpan& span) const {
    const std::size_t n = label_count_;
    const auto start = static_cast<std::size_t>(span.start);
    const auto last = static_cast<std::size_t>(span.end) - 1;
    std::uint32_t label = LabelScheme::label_in_span(span, span.start);
    double value = alpha_[start * n + label];
    for (std::size_t t = start + 1; t <= last; ++t) {
        const std::uint32_t next = LabelScheme::label_in_span(span, static_cast<std::int32_t>(t));
        if (in_logs_) {
            value += static_cast<double>(transitions_[label * n + next]) + emissions_[t * n + next];
        } else {
            value *= transitions_exp_[label * n + next] * weight_[t * n + next];
        }
        label = next;
    }
    const double after = beta_[last * n + label];
    return in_logs_ ? std::exp(value + after - log_partition_) : value * after;
}

}  // namespace distillex
