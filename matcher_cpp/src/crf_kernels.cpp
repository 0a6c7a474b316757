// The decoder's fast path: tables computed once per CRF, and the choice of kernels for this processor.
#include "crf_kernels.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "distillex/label_scheme.hpp"

namespace distillex {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
// Beyond this a transition's exponential uses up too much of float32's range of about e^±87.
constexpr float kLargestExponent = 30.0F;

std::vector<float> exponentials(const std::vector<float>& scores, float shift) {
    std::vector<float> result(scores.size());
    std::transform(scores.begin(), scores.end(), result.begin(),
                   [shift](float score) { return std::exp(score - shift); });
    return result;
}

}  // namespace

LabelPlanes::LabelPlanes(std::size_t type_count)
    : types(type_count),
      opening(1 + 2 * type_count),
      opening_width(whole_vectors(opening)),
      type_width(whole_vectors(type_count)),
      inside(opening_width),
      end(opening_width + type_width),
      stride(opening_width + 2 * type_width) {}

std::size_t LabelPlanes::index_of(std::uint32_t label) const {
    if (label == LabelScheme::kOutside) return 0;
    const std::size_t type = LabelScheme::type_of(label);
    switch (LabelScheme::position_of(label)) {
        case LabelScheme::kBegin:
            return 1 + type;
        case LabelScheme::kSingle:
            return 1 + types + type;
        case LabelScheme::kInside:
            return inside + type;
        default:
            return end + type;
    }
}

PlaneScores::PlaneScores(std::size_t type_count, const std::vector<float>& transitions,
                         const std::vector<float>& start_scores, const std::vector<float>& end_scores)
    : planes(type_count) {
    using Position = LabelScheme::Position;
    const std::size_t labels = 1 + 4 * type_count;
    std::vector<std::uint32_t> opening{LabelScheme::kOutside};
    std::vector<std::uint32_t> closing{LabelScheme::kOutside};
    const auto append = [&](std::vector<std::uint32_t>& to, Position position) {
        for (std::uint32_t k = 0; k < type_count; ++k) to.push_back(LabelScheme::label(k, position));
    };
    append(opening, LabelScheme::kBegin);
    append(opening, LabelScheme::kSingle);
    append(closing, LabelScheme::kSingle);
    append(closing, LabelScheme::kEnd);

    const std::size_t width = planes.opening_width;
    boundary.assign(planes.opening * width, kMinusInfinity);
    boundary_exp_transposed.assign(planes.opening * width, 0.0F);
    start.assign(width, kMinusInfinity);
    end.assign(width, kMinusInfinity);
    for (std::size_t i = 0; i < planes.opening; ++i) {
        start[i] = start_scores[opening[i]];
        end[i] = end_scores[closing[i]];
        for (std::size_t j = 0; j < planes.opening; ++j) {
            const float score = transitions[closing[i] * labels + opening[j]];
            boundary[i * width + j] = score;
            boundary_exp_transposed[j * width + i] = std::exp(score);
        }
    }
    boundary_exp = exponentials(boundary, 0.0F);
    const auto of_types = [&](Position from, Position to) {
        std::vector<float> scores(planes.type_width, kMinusInfinity);
        for (std::uint32_t k = 0; k < type_count; ++k) {
            scores[k] = transitions[LabelScheme::label(k, from) * labels + LabelScheme::label(k, to)];
        }
        return scores;
    };
    begin_inside = of_types(LabelScheme::kBegin, LabelScheme::kInside);
    inside_inside = of_types(LabelScheme::kInside, LabelScheme::kInside);
    begin_end = of_types(LabelScheme::kBegin, LabelScheme::kEnd);
    inside_end = of_types(LabelScheme::kInside, LabelScheme::kEnd);
    begin_inside_exp = exponentials(begin_inside, 0.0F);
    inside_inside_exp = exponentials(inside_inside, 0.0F);
    begin_end_exp = exponentials(begin_end, 0.0F);
    inside_end_exp = exponentials(inside_end, 0.0F);
    start_exp = exponentials(start, *std::max_element(start.begin(), start.end()));
    end_exp = exponentials(end, *std::max_element(end.begin(), end.end()));
    floor.assign(planes.stride, 1.0F);
    std::fill_n(floor.begin(), planes.opening, 0.0F);
    std::fill_n(floor.begin() + static_cast<std::ptrdiff_t>(planes.inside), type_count, 0.0F);
    std::fill_n(floor.begin() + static_cast<std::ptrdiff_t>(planes.end), type_count, 0.0F);
    exponentials_fit = true;
    for (const auto* scores : {&boundary, &begin_inside, &inside_inside, &begin_end, &inside_end}) {
        for (const float score : *scores) {
            if (std::isfinite(score) && std::fabs(score) > kLargestExponent) exponentials_fit = false;
        }
    }
}

RowScratch::RowScratch(std::size_t length, const LabelPlanes& planes)
    : memory(new float[(5 * length + 2) * planes.stride]),
      emissions(memory.get()),
      score(emissions + length * planes.stride),
      weight(score + length * planes.stride),
      alpha(weight + length * planes.stride),
      beta(alpha + length * planes.stride) {
    std::fill(emissions, score, kMinusInfinity);
    std::fill(beta, beta + (length + 2) * planes.stride, 0.0F);
}

const std::vector<const CrfKernels*>& runnable_crf_kernels() {
    static const std::vector<const CrfKernels*> runnable = [] {
        std::vector<const CrfKernels*> kernels;
#if defined(DISTILLEX_AVX2_KERNELS)
        if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
            kernels.push_back(&avx2::kKernels);
        }
#endif
        kernels.push_back(&portable::kKernels);
        return kernels;
    }();
    return runnable;
}

const CrfKernels& crf_kernels() {
    static const CrfKernels& chosen = []() -> const CrfKernels& {
        const char* wanted = std::getenv("DISTILLEX_CRF_KERNELS");
        if (wanted != nullptr && std::strcmp(wanted, "portable") == 0) return portable::kKernels;
        return *runnable_crf_kernels().front();
    }();
    return chosen;
}

}  // namespace distillex
