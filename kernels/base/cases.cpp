#include "kernels/base/cases.h"

#include "kernels/base/philox.h"

namespace tenon::cases {

void affine(const TensorView& x, double factor, double offset) {
  dispatch<double, float, bf16, f16>(x.dtype, [&]<class T>() {
    T* values = x.as<T>();
    for (int64_t i = 0; i < x.size(); ++i)
      if constexpr (std::is_same_v<T, double>)
        values[i] = factor * values[i] + offset;
      else
        values[i] = T(static_cast<float>(factor * double{float(values[i])} + offset));
  });
}

void put(const TensorView& x, const std::vector<double>& values) {
  dispatch<double, float, bf16, f16>(x.dtype, [&]<class T>() {
    for (int64_t i = 0; i < x.size(); ++i) {
      const double value = values[static_cast<size_t>(i) % values.size()];
      if constexpr (std::is_same_v<T, double>)
        x.as<T>()[i] = value;
      else
        x.as<T>()[i] = T(static_cast<float>(value));
    }
  });
}

void put_indices(const TensorView& index, int64_t bound) {
  if (!index.defined()) return;
  const RandomKey key{.seed = 1};
  for (int64_t i = 0; i < index.size(); ++i)
    index.as<int32_t>()[i] =
        static_cast<int32_t>(key(static_cast<uint64_t>(i)) % static_cast<uint64_t>(bound));
  if (index.size() > 2) {
    index.as<int32_t>()[0] = static_cast<int32_t>(bound - 1);
    index.as<int32_t>()[1] = 0;
    index.as<int32_t>()[2] = static_cast<int32_t>(bound - 1);
  }
}

void put_row_keys(const TensorView& row_keys) {
  if (!row_keys.defined()) return;
  for (int64_t i = 0; i < row_keys.size(); ++i)
    row_keys.as<int64_t>()[i] =
        static_cast<int64_t>(row_key(static_cast<uint64_t>(i / 7), static_cast<uint64_t>(i % 7)));
}

void put_lengths(const TensorView& cu_seqlens, const std::vector<int>& lengths) {
  int32_t* offsets = cu_seqlens.as<int32_t>();
  offsets[0] = 0;
  for (size_t i = 0; i < lengths.size(); ++i) offsets[i + 1] = offsets[i] + lengths[i];
}

}  // namespace tenon::cases
