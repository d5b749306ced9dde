// Which instruction sets the processor has: files named *_avx512.cpp and *_avx2.cpp are entered only after
// asking.
#pragma once

namespace tenon {

inline bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}
// The dot products of bf16 pairs. An Intel Xeon was seen to issue one every other cycle, which makes them
// half as fast as multiply-adds in fp32; a Zen 5 twice as fast.
inline bool has_avx512_bf16() { return has_avx512() && __builtin_cpu_supports("avx512bf16"); }
inline bool has_fast_bf16_dots() { return has_avx512_bf16() && __builtin_cpu_is("amd"); }

inline bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

}  // namespace tenon
