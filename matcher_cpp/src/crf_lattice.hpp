// Forward-backward of one row in float64: scaled probabilities (Rabiner 1989, section V.A), and logarithms
// for a row whose scores are so far apart that a scaled probability would underflow. Exact and slow: the
// decoder takes it for the rows that the float32 kernels refuse.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "distillex/label_scheme.hpp"

namespace distillex {

class CrfLattice {
  public:
    CrfLattice(const LabelScheme& scheme, const std::vector<float>& transitions,
               const std::vector<float>& start, const std::vector<float>& end);

    // Runs over [length, labels] emissions, which must stay alive; length is at least 1.
    void run(const float* emissions, std::size_t length);

    // Of the last run.
    double marginal(std::size_t position, std::uint32_t label) const;
    double span_probability(const LabelledSpan& span) const;

  private:
    bool run_scaled(const float* emissions, std::size_t length);
    void run_in_logs(const float* emissions, std::size_t length);

    std::uint32_t types_;
    std::size_t label_count_;
    const std::vector<float>& transitions_;
    const std::vector<float>& start_;
    const std::vector<float>& end_;
    std::vector<std::uint32_t> opening_;
    std::vector<std::uint32_t> closing_;
    std::vector<std::vector<std::uint32_t>> before_;  // which labels may come before a label
    std::vector<std::vector<std::uint32_t>> after_;
    std::vector<double> boundary_exp_;             // [closing, opening]
    std::vector<double> boundary_exp_transposed_;  // [opening, closing]
    std::vector<double> transitions_exp_;
    bool modest_;  // no transition is so large that the matrices above are of no use for logs

    // [length, labels]. Scaled: alpha sums to 1 at each position, alpha * beta is the posterior, and
    // weight[t][j] = exp(emission - top[t]) / scale[t]. In logs: plain log scores.
    const float* emissions_ = nullptr;
    bool in_logs_ = false;
    std::vector<double> alpha_;
    std::vector<double> beta_;
    std::vector<double> weight_;
    double log_partition_ = 0.0;  // in logs alone
    std::vector<double> gathered_;
    std::vector<double> product_;
};

}  // namespace distillex
