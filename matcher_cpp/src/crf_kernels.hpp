// The fast path of the decoder: Viterbi and forward-backward over one row in float32, vectors over labels.
//
// Labels are kept in planes, so that what is computed alike lies side by side:
//
//   opening plane            inside plane   end plane
//   [O | B x K | S x K | 0]  [I x K | 0]    [E x K | 0]        K entity types; 0 = padding to whole vectors
//
// Only the block closing (O, S, E) -> opening (O, B, S) of the constrained transitions is dense: 441 of 1,681
// for ten types. B and I lead to I and E of their own type alone: four vectors of K numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace distillex {

// Sizes of the planes, in floats.
struct LabelPlanes {
    static constexpr std::size_t kVector = 8;

    explicit LabelPlanes(std::size_t type_count);
    static std::size_t whole_vectors(std::size_t count) { return (count + kVector - 1) / kVector * kVector; }

    // Where a label stands in a position.
    std::size_t index_of(std::uint32_t label) const;

    std::size_t types;
    std::size_t opening;        // 1 + 2 K: O, B.., S..; also the number of closing labels O, S.., E..
    std::size_t opening_width;  // with padding; also the width of a closing vector
    std::size_t type_width;     // K with padding
    std::size_t inside;         // offset of the inside plane
    std::size_t end;            // offset of the end plane
    std::size_t stride;         // of one position
};

// A CRF's scores in plane order. Padding is minus infinity in scores, 0 in their exponentials.
struct PlaneScores {
    PlaneScores(std::size_t type_count, const std::vector<float>& transitions,
                const std::vector<float>& start, const std::vector<float>& end);

    LabelPlanes planes;
    // False where exponentials of the transitions would leave float32's range: only Viterbi may be run.
    bool exponentials_fit;
    std::vector<float> boundary;      // [closing][opening_width], closing labels in the order O, S.., E..
    std::vector<float> boundary_exp;  // the same, exp
    std::vector<float> boundary_exp_transposed;  // [opening][opening_width], rows O, B.., S..
    // Of each type, [type_width]: B->I, I->I, B->E, I->E.
    std::vector<float> begin_inside, inside_inside, begin_end, inside_end;
    std::vector<float> begin_inside_exp, inside_inside_exp, begin_end_exp, inside_end_exp;
    std::vector<float> start;      // [opening_width]
    std::vector<float> start_exp;  // exp(start - its maximum)
    std::vector<float> end;        // closing vector [opening_width]: O, S.., E..
    std::vector<float> end_exp;    // exp(end - its maximum)
    std::vector<float> floor;      // [stride]: 0 on labels, 1 on padding; lifts padding out of a minimum
};

// What a row of at most `length` positions needs, reused from row to row; each [length, stride] in one piece
// of memory. Of it only the padding that no kernel writes is written at first.
struct RowScratch {
    RowScratch(std::size_t length, const LabelPlanes& planes);

    std::unique_ptr<float[]> memory;
    float* emissions;
    float* score;   // Viterbi
    float* weight;  // exp(emission - top) / scale
    float* alpha;   // scaled forward probabilities
    float* beta;    // scaled backward probabilities, and two positions more
};

// One implementation of the kernels.
struct CrfKernels {
    const char* name;
    // Whether the magnitude of all of them is at most `limit` (false for NaN).
    bool (*all_within)(const float* values, std::size_t count, float limit);
    // Fills emissions and score; `emissions` is [length, labels] in label order.
    void (*viterbi)(const PlaneScores& crf, const float* emissions, std::size_t length, RowScratch& scratch);
    // Fills emissions, score, weight and alpha. False where a probability came too close to float32's limits:
    // alpha is then unusable, score is not.
    bool (*viterbi_and_forward)(const PlaneScores& crf, const float* emissions, std::size_t length,
                                RowScratch& scratch);
    // Fills beta from position `first` on, after a forward pass that returned true; false as there.
    bool (*backward)(const PlaneScores& crf, std::size_t length, std::size_t first, RowScratch& scratch);
};

// All implementations that this processor runs, the fastest first.
const std::vector<const CrfKernels*>& runnable_crf_kernels();

// The fastest of them; the environment variable DISTILLEX_CRF_KERNELS=portable takes the one for every
// processor.
const CrfKernels& crf_kernels();

namespace portable {
extern const CrfKernels kKernels;
}
#if defined(DISTILLEX_AVX2_KERNELS)
namespace avx2 {
extern const CrfKernels kKernels;
}
#endif

}  // namespace distillex
