// Peak of the multiply-adds with AVX2.
#include "kernels/cpu/peak.h"
#include "kernels/cpu/peak_body.h"
#include "kernels/cpu/vector_avx2.h"

namespace tenon::detail {

double multiply_adds_avx2(long rounds) { return multiply_adds<Avx2, 12>(rounds); }

}  // namespace tenon::detail
