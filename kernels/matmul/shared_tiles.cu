// The matrix product in fp32 arithmetic, through shared memory: a block of 8 warps computes a square of
// 64 groups x 64 groups elements of y, a thread groups x groups squares of 4 x 4 in registers. Any layout,
// stride and alignment; sums go over K in ascending order. Bound by the FMA units.
//
// The life of a slice of K (16 / groups deep): a thread fetches its vector of 4 elements of either factor
// from global memory into registers while the slice before is multiplied; then it writes them, as fp32 and K
// by K, into the one of two buffers that nobody reads any more; after a barrier every thread multiplies, for
// each k, 4 groups elements of a by 4 groups elements of b: two or four 16-byte loads for 16 or 64
// multiplications.
//
// Shared memory without bank conflicts: a factor that is contiguous along K comes in vectors of four k, so a
// warp writes 4 or 2 such vectors of 8 or 16 neighbouring lines at once. That they fall into 32 banks, lines
// are exchanged by XOR with 8 or 16 times the vector's number. Reads take 16 aligned bytes, 4 or 8 of them
// side by side, which the XOR only exchanges as wholes.
#include <algorithm>

#include "kernels/base/registry.h"
#include "kernels/matmul/device.h"

namespace tenon {
namespace {

constexpr int threads = 256, width = 4;

template <int groups>
inline constexpr int side = 64 * groups;
template <int groups>
inline constexpr int depth = 16 / groups;

// One of the factors, as `extent` lines of K: rows of op(a), columns of op(b).
template <class T>
struct Factor {
  const T* data;
  int64_t stride;  // of what is not contiguous
  int64_t extent, k;
  bool along_k;  // K is contiguous
  bool vectors;  // a multiple of 4 elements starts at an aligned vector

  Factor(const TensorView& x, bool along_k, int64_t extent, int64_t k)
      : data(x.as<T>()), stride(x.stride[0]), extent(extent), k(k), along_k(along_k) {
    vectors = reinterpret_cast<uintptr_t>(data) % (width * sizeof(T)) == 0 && stride % width == 0;
  }
};

template <int groups>
using Slice = float[depth<groups>][side<groups>];

template <int groups>
struct Smem {
  union {
    struct {
      Slice<groups> a[2], b[2];
    } slices;
    Vector<float, width> sums[4 * groups][threads];
  };
};

// Where a line stands in row k of a slice.
template <int groups>
__device__ int exchanged(int k, int line) {
  return line ^ (8 * groups * (k / width));
}

// Where this thread's vector of a slice starts.
struct Place {
  int index, k;
};
template <int groups>
__device__ Place place(bool along_k) {
  constexpr int deep = depth<groups> / width, wide = side<groups> / width;
  static_assert(depth<groups> * side<groups> == threads * width);
  const int thread = thread_number();
  if (along_k) return {thread / deep, thread % deep * width};
  return {thread % wide * width, thread / wide};
}

// This thread's vector of the slice that starts at (first, k0); zeros beyond the matrix.
template <int groups, class T>
__device__ void fetch(const Factor<T>& factor, int64_t first, int64_t k0, float (&held)[width]) {
  const Place at = place<groups>(factor.along_k);
  const int64_t index = first + at.index, k = k0 + at.k;
  const int64_t line = factor.along_k ? index : k, element = factor.along_k ? k : index;
  const int64_t lines = factor.along_k ? factor.extent : factor.k;
  const int64_t elements = factor.along_k ? factor.k : factor.extent;
  const int64_t left = line < lines ? elements - element : 0;
  const int count = left >= width ? width : (left > 0 ? static_cast<int>(left) : 0);
  read_elements(factor.data + line * factor.stride + element, count, factor.vectors && count == width, held);
}

template <int groups>
__device__ void put(Slice<groups>& slice, bool along_k, const float (&held)[width]) {
  const Place at = place<groups>(along_k);
  const int line = exchanged<groups>(at.k, at.index);
  if (along_k) {
    for (int j = 0; j < width; ++j) slice[at.k + j][line] = held[j];
  } else {
    write_elements(&slice[at.k][line], width, true, held);
  }
}

// The thread's elements of y: 4 x 4 of them from (row + 16 i, column + 32 j) on, for i, j < groups.
template <int groups>
struct Sums {
  int row, column;  // in the block's square
  float values[groups][width][groups][width];

  __device__ Sums() {
    row = warp_number() / 2 * 16 * groups + lane_number() / 8 * width;
    column = warp_number() % 2 * 32 * groups + lane_number() % 8 * width;
    for (auto& rows : values)
      for (auto& each : rows)
        for (auto& columns : each)
          for (float& value : columns) value = 0;
  }

  __device__ void add(const Slice<groups>& a, const Slice<groups>& b) {
#pragma unroll
    for (int k = 0; k < depth<groups>; ++k) {
      Vector<float, width> x[groups], y[groups];
      for (int i = 0; i < groups; ++i) x[i] = load_vector<width>(&a[k][exchanged<groups>(k, row + 16 * i)]);
      for (int j = 0; j < groups; ++j)
        y[j] = load_vector<width>(&b[k][exchanged<groups>(k, column + 32 * j)]);
      for (int i = 0; i < groups; ++i)
        for (int r = 0; r < width; ++r)
          for (int j = 0; j < groups; ++j)
            for (int c = 0; c < width; ++c) values[i][r][j][c] += x[i][r] * y[j][c];
    }
  }
};

template <int groups, class T>
__global__ void __launch_bounds__(threads, 3 - groups)
    multiply(Factor<T> a, Factor<T> b, MatmulOutput<T> out) {
  auto& smem = shared<Smem<groups>>();
  const int64_t squares = ceil_div(out.columns, side<groups>);
  const int64_t first_row = blockIdx.x / squares * side<groups>;
  const int64_t first_column = blockIdx.x % squares * side<groups>;
  Sums<groups> sums;
  float held_a[width], held_b[width];
  const auto fetch_slice = [&](int64_t k) {
    fetch<groups>(a, first_row, k, held_a), fetch<groups>(b, first_column, k, held_b);
  };
  const auto put_slice = [&](int buffer) {
    put<groups>(smem.slices.a[buffer], a.along_k, held_a),
        put<groups>(smem.slices.b[buffer], b.along_k, held_b);
  };

  if (a.k > 0) fetch_slice(0), put_slice(0);
  sync_threads();
  int buffer = 0;
  for (int64_t k = 0; k < a.k; k += depth<groups>, buffer ^= 1) {
    const bool more = k + depth<groups> < a.k;
    if (more) fetch_slice(k + depth<groups>);
    sums.add(smem.slices.a[buffer], smem.slices.b[buffer]);
    if (more) put_slice(buffer ^ 1);  // last read before the barrier below, a round ago
    sync_threads();
  }

  // Through memory of the thread's own, so that one loop finishes all of them and not 64 copies of its body.
  const int thread = thread_number();
#pragma unroll
  for (int i = 0; i < groups; ++i) {
    for (int r = 0; r < width; ++r)
      for (int j = 0; j < groups; ++j)
        write_elements(smem.sums[r * groups + j][thread].data, width, true, sums.values[i][r][j]);
#pragma unroll 1
    for (int each = 0; each < width * groups; ++each) {
      float z[width];
      read_elements(smem.sums[each][thread].data, width, true, z);
      finish(out, first_row + sums.row + 16 * i + each / groups,
             first_column + sums.column + 32 * (each % groups), z);
    }
  }
}

int64_t blocks(const Matmul::Args& args, int64_t size) {
  return ceil_div(args.y.shape[0], size) * ceil_div(args.y.shape[1], size);
}

template <int groups>
void run(const Matmul::Args& args, Stream& stream) {
  const auto [m, n, k] = Matmul::sizes(args);
  dispatch<float, bf16>(args.y.dtype, [&, m = m, n = n, k = k]<class T>() {
    launch(stream,
           {.grid = blocks(args, side<groups>), .block = threads, .shared_bytes = sizeof(Smem<groups>)},
           multiply<groups, T>, Factor<T>(args.a, !args.transpose_a, m, k),
           Factor<T>(args.b, args.transpose_b, n, k), MatmulOutput<T>(args));
  });
}

// Large squares read less, small ones keep more processors busy: large ones where there is about one for
// each.
void run_best(const Matmul::Args& args, Stream& stream) {
  blocks(args, side<2>) >= 96 ? run<2>(args, stream) : run<1>(args, stream);
}

Variant<Matmul> variant(std::string_view name, int priority, void (*run)(const Matmul::Args&, Stream&)) {
  return {.name = name,
          .device = kernel_device,
          .priority = priority,
          .dtypes = {DType::f32, DType::bf16},
          .run = run};
}

const Register<Matmul> best(variant("shared_tiles", 10, run_best));
const Register<Matmul> large(variant("shared_tiles_128x128", 5, run<2>));

}  // namespace
}  // namespace tenon
