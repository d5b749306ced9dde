// Casts between f32 and the 16-bit types on the CPU, in parallel. bf16 is integer arithmetic that the
// compiler vectorises; for f16 there are instructions. Bandwidth bound.
#include <immintrin.h>

#include "kernels/base/registry.h"
#include "kernels/cast/cast.h"
#include "kernels/cpu/parallel.h"

namespace tenon {
namespace {

constexpr int64_t piece = 16384;

void convert(const float* x, bf16* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = bf16(x[i]);
}

void convert(const bf16* x, float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = float(x[i]);
}

void convert(const float* x, f16* y, int64_t count) {
  int64_t i = 0;
  for (; i + 8 <= count; i += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(y + i),
                     _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
  for (; i < count; ++i) y[i] = f16(x[i]);
}

void convert(const f16* x, float* y, int64_t count) {
  int64_t i = 0;
  for (; i + 8 <= count; i += 8)
    _mm256_storeu_ps(y + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x + i))));
  for (; i < count; ++i) y[i] = float(x[i]);
}

template <class From, class To>
void convert_all(const Cast::Args& a) {
  parallel_for(a.x.size(), piece, [&](int64_t begin, int64_t end) {
    convert(a.x.as<From>() + begin, a.y.as<To>() + begin, end - begin);
  });
}

std::string supports(const Cast::Args& a) {
  const DType narrow = a.x.dtype == DType::f32 ? a.y.dtype : a.x.dtype;
  const bool one_is_f32 = a.x.dtype == DType::f32 || a.y.dtype == DType::f32;
  return one_is_f32 && (narrow == DType::bf16 || narrow == DType::f16)
             ? ""
             : "it converts between f32 and bf16 or f16 only";
}

void run(const Cast::Args& a, Stream&) {
  const bool narrows = a.x.dtype == DType::f32;
  dispatch<bf16, f16>(narrows ? a.y.dtype : a.x.dtype, [&]<class Narrow>() {
    if (narrows)
      convert_all<float, Narrow>(a);
    else
      convert_all<Narrow, float>(a);
  });
}

const Register<Cast> vectorised{{.name = "vectorised",
                                 .device = Device::cpu,
                                 .priority = 10,
                                 .dtypes = {DType::f32, DType::bf16, DType::f16},
                                 .supports = supports,
                                 .run = run}};

}  // namespace
}  // namespace tenon
