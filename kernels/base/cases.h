// What the cases of contracts put into their inputs instead of plain normal numbers. Memory is on the host;
// an absent view is left alone.
#pragma once
#include <vector>

#include "kernels/base/view.h"

namespace tenon::cases {

void affine(const TensorView& x, double factor, double offset);    // x = factor x + offset
void put(const TensorView& x, const std::vector<double>& values);  // repeated until x is full
void put_indices(const TensorView& index, int64_t bound);          // i32: unsorted, repeated, 0 and the last
void put_row_keys(const TensorView& row_keys);                     // sequences of 7 rows each
void put_lengths(const TensorView& cu_seqlens, const std::vector<int>& lengths);

}  // namespace tenon::cases
