// Independent multiply-adds in registers; see vector_math.h for why this is in an anonymous namespace.
#pragma once

namespace tenon {
namespace {

// The number of multiply-adds done: Chains registers, `rounds` times each. The chains hide the latency of one
// another.
template <class V, int Chains>
double multiply_adds(long rounds) {
  typename V::Register sums[Chains];
#pragma GCC unroll 16
  for (int i = 0; i < Chains; ++i) sums[i] = V::broadcast(static_cast<float>(i));
  const auto factor = V::broadcast(0.999f), term = V::broadcast(1e-3f);
  for (long round = 0; round < rounds; ++round)
#pragma GCC unroll 16
    for (int i = 0; i < Chains; ++i) {
      sums[i] = V::fma(sums[i], factor, term);
      asm volatile("" : "+v"(sums[i]));  // else the compiler shortens the chain
    }
  return static_cast<double>(rounds) * Chains * V::width;
}

}  // namespace
}  // namespace tenon
