// Compiled with -mavx2 -mfma (CMakeLists.txt); empty on other processors than x86-64.
#include <cstdint>

#include "crf_kernels.hpp"

#if defined(DISTILLEX_AVX2_KERNELS)
namespace distillex::avx2 {
#define DISTILLEX_KERNELS_NAME "avx2"
#define DISTILLEX_KERNELS_LANES 8
#include "crf_kernels_body.inc"
}  // namespace distillex::avx2
#endif
