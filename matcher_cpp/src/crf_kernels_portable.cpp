// The decoder's kernels for any processor.
#include <cstdint>

#include "crf_kernels.hpp"

namespace distillex::portable {
#define DISTILLEX_KERNELS_NAME "portable"
#define DISTILLEX_KERNELS_LANES 4
#include "crf_kernels_body.inc"
}  // namespace distillex::portable
