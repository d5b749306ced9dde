// Tensors of the engine in tests: made of goldens or of random numbers, and measured.
#pragma once
#include "engine/nn/packed_batch.h"
#include "engine/ops.h"
#include "engine/tensor.h"
#include "tests/golden.h"

namespace tenon::test {

inline Tensor golden_tensor(const TensorFile& file, const std::string& name, DType dtype) {
  return cast(Tensor(golden(file, name), file.memory()), dtype);
}

inline std::vector<int32_t> golden_ids(const TensorFile& file, const std::string& name) {
  return Tensor(golden(file, name), file.memory()).to_vector<int32_t>();
}

inline std::vector<int64_t> lengths_of(const std::vector<int32_t>& cu_seqlens) {
  std::vector<int64_t> lengths;
  for (size_t i = 0; i + 1 < cu_seqlens.size(); ++i) lengths.push_back(cu_seqlens[i + 1] - cu_seqlens[i]);
  return lengths;
}

// The batch of PREFIXinput_ids and PREFIXcu_seqlens.
inline PackedBatch golden_batch(const TensorFile& file, const std::string& prefix = "") {
  PackedBatch batch = PackedBatch::of_lengths(lengths_of(golden_ids(file, prefix + "cu_seqlens")));
  if (file.find(prefix + "input_ids")) batch.input_ids = Tensor::from(golden_ids(file, prefix + "input_ids"));
  return batch;
}

// Numbers in [-1, 1), exact in fp32; each stream has its own.
inline Tensor random_tensor(Shape shape, uint32_t stream, DType dtype = DType::f64) {
  Tensor tensor(shape, DType::f64);
  const RandomKey key{1, 0, stream};
  for (int64_t i = 0; i < tensor.size(); ++i)
    static_cast<double*>(tensor.data())[i] = (key(static_cast<uint64_t>(i)) >> 8) * 0x1p-23 - 1;
  return cast(tensor, dtype);
}

inline Tensor leaf(Tensor tensor) { return tensor.set_requires_grad(true); }

// Of each element a multiple of its own, added up: a loss that tells every element from the others.
inline Tensor weighted_sum(const Tensor& x) {
  return sum(multiply(x, random_tensor(x.shape(), 77, x.dtype())));
}

inline double error(const Tensor& tensor, const Tensor& reference) {
  return error(tensor.view(), reference.view());
}

inline bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() && std::memcmp(a.data(), b.data(), a.bytes()) == 0;
}

inline std::string message_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

}  // namespace tenon::test
