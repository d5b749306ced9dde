// A bf16 variant from an fp32 kernel: what is bf16 in the arguments is cast to fp32 for the run, and back
// where it is an output. For what is bound by other things than the memory.
#pragma once
#include <vector>

#include "kernels/base/memory.h"
#include "kernels/base/op.h"
#include "kernels/cpu/parallel.h"

namespace tenon::cpu {

// Rows of a matrix may lie apart; other views are contiguous.
template <class Convert>
void for_each_part(const TensorView& x, const Convert& convert) {
  constexpr int64_t piece = 16384;
  if (x.rank == 2 && !x.contiguous())
    return parallel_for(x.shape[0], 16, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) convert(row * x.stride[0], row * x.shape[1], x.shape[1]);
    });
  parallel_for(x.size(), piece, [&](int64_t begin, int64_t end) { convert(begin, begin, end - begin); });
}

inline void widen(const TensorView& from, float* to) {
  for_each_part(from, [&](int64_t source, int64_t target, int64_t count) {
    const bf16* x = from.as<bf16>() + source;
    for (int64_t i = 0; i < count; ++i) to[target + i] = float(x[i]);
  });
}

inline void narrow(const float* from, const TensorView& to) {
  for_each_part(to, [&](int64_t target, int64_t source, int64_t count) {
    bf16* y = to.as<bf16>() + target;
    for (int64_t i = 0; i < count; ++i) y[i] = bf16(from[source + i]);
  });
}

inline size_t widened_bytes(const NamedViews& views) {
  size_t bytes = 0;
  for (const auto& [name, view] : views)
    if (view->dtype == DType::bf16) bytes += static_cast<size_t>(view->size()) * sizeof(float);
  return bytes;
}

template <class Op, void (*run)(const typename Op::Args&, Stream&)>
void run_widened(const typename Op::Args& a, Stream& stream) {
  typename Op::Args args = a;
  std::vector<Buffer> copies;
  std::vector<std::pair<float*, TensorView>> results;
  const auto replace = [&](TensorView& view, bool is_read, bool is_written) {
    if (view.dtype != DType::bf16 || !view.defined()) return;
    const TensorView narrow_view = view;
    copies.emplace_back(Device::cpu, static_cast<size_t>(view.size()) * sizeof(float));
    view.data = copies.back().template as<float>(), view.dtype = DType::f32;
    view.set_contiguous();
    if (is_read) widen(narrow_view, view.as<float>());
    if (is_written) results.emplace_back(view.as<float>(), narrow_view);
  };
  const NamedViews inputs = Op::inputs(args), outputs = Op::outputs(args);
  const auto in = [](const NamedViews& views, const TensorView* view) {
    for (const auto& each : views)
      if (each.view == view) return true;
    return false;
  };
  for (const auto& each : inputs) replace(*each.view, true, in(outputs, each.view));
  for (const auto& each : outputs) replace(*each.view, false, true);
  run(args, stream);
  for (const auto& [from, to] : results) narrow(from, to);
}

// What a variant that takes f32 and bf16 runs, and the scratch it takes; `run` and `workspace` are of f32.
template <class Op, void (*run)(const typename Op::Args&, Stream&)>
void run_either(const typename Op::Args& a, Stream& stream) {
  Op::dtype(a) == DType::bf16 ? run_widened<Op, run>(a, stream) : run(a, stream);
}

template <class Args>
size_t no_workspace(const Args&) {
  return 0;
}

template <class Op, size_t (*workspace)(const typename Op::Args&) = no_workspace<typename Op::Args>>
size_t workspace_of_either(const typename Op::Args& a) {
  typename Op::Args args = a;
  return workspace(a) + widened_bytes(Op::inputs(args)) + widened_bytes(Op::outputs(args));
}

}  // namespace tenon::cpu
