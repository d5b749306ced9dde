// Peak of the multiply-adds with AVX-512.
#include "kernels/cpu/peak.h"
#include "kernels/cpu/peak_body.h"
#include "kernels/cpu/vector_avx512.h"

namespace tenon::detail {

double multiply_adds_avx512(long rounds) { return multiply_adds<Avx512, 16>(rounds); }

}  // namespace tenon::detail
