// The matrix product on tensor cores: bf16, or f32 whose factors are rounded to tf32; fp32 sums. A block
// computes a tile of y, each of its warps a part of that; the sum of an element goes over K in ascending
// order in steps of one mma, whatever the tile. Bound by the tensor cores; with the smallest tile by latency.
//
// The life of a slice of K (64 bytes of it, two steps of mma; mma_tiles.h):
//   1. cp.async brings it from global memory into one of `stages` buffers in shared memory, beside the
//      arithmetic and past the registers. Up to stages - 1 slices are on their way. Beyond the matrix it
//      brings zeros, so that tails need no code of their own.
//   2. Each thread waits for its own copies of it; a barrier then shows them to all. The same barrier says
//      that all have read the slice before, whose buffer the next copies fill.
//   3. ldmatrix spreads a step of it over the registers of a warp, one step ahead of the mma that uses it.
//   4. mma.sync multiplies the warp's rows by its columns.
// At the end the pipeline's memory is used once more: a warp puts its sums there and takes them back as whole
// vectors of a row, to which bias, activation and residual are applied and which are stored as 16 bytes.
//
// The three products of a training step (a b^T, a b, a^T b) differ in which factors are contiguous along K
// and which across it, and so in how they lie in shared memory and are loaded from there; rows must start at
// multiples of 16 bytes. The gradient of a weight sums over all tokens into few tiles: there K is split among
// blocks, by the sizes alone, and a second launch adds their sums in order.
#include <algorithm>

#include "kernels/base/memory.h"
#include "kernels/base/registry.h"
#include "kernels/matmul/device.h"
#include "kernels/matmul/mma_tiles.h"

namespace tenon {
namespace {

template <int block_rows, int block_columns, int of_warp_rows, int of_warp_columns, int pipeline_stages>
struct TileOf {
  static constexpr int rows = block_rows, columns = block_columns, stages = pipeline_stages;
  static constexpr int warp_rows = of_warp_rows, warp_columns = of_warp_columns;
  static constexpr int warps_across = columns / warp_columns;
  static constexpr int threads = rows / warp_rows * warps_across * warp_size;
};
struct Small {
  template <class T>
  using Tile = TileOf<64, 64, 32, 32, 4>;
};
struct Middle {  // 64 x 64 a warp, or 64 x 32 for f32, whose roundings to tf32 want registers, too
  template <class T>
  using Tile = TileOf<128, 128, 64, 128 / sizeof(T), 4>;
};
struct Large {  // bf16 only
  template <class T>
  using Tile = TileOf<128, 256, 64, 64, 5>;
};

template <class T, class Tile, bool a_along_k, bool b_along_k>
struct Smem {
  union {
    struct {
      MmaStage<T, Tile::rows, a_along_k> a[Tile::stages];
      MmaStage<T, Tile::columns, b_along_k> b[Tile::stages];
    } pipeline;
    float sums[Tile::rows / Tile::warp_rows * Tile::warps_across][Tile::warp_rows * Tile::warp_columns];
  };
};

// K in equal parts, multiples of a stage; one part is finished in place.
struct Split {
  int64_t parts, depth;
  int64_t columns;  // of a row of `partial`
  float* partial;   // (parts, M, columns) if parts > 1
};

// A warp's part of the tile.
template <class Tile>
class WarpSums {
  static constexpr int down = Tile::warp_rows / 16, across = Tile::warp_columns / 8;

 public:
  template <class T>
  struct Factors {
    MmaRows<T, down> a;
    MmaColumns<T, across> b;
  };

  __device__ WarpSums()
      : row_(warp_number() / Tile::warps_across * Tile::warp_rows),
        column_(warp_number() % Tile::warps_across * Tile::warp_columns) {
    for (auto& line : sums_)
      for (MmaC& sum : line) sum = {};
  }

  template <class T, class Smem>
  __device__ void load(Factors<T>& factors, const Smem& smem, int buffer, int step) const {
    factors.a.load(smem.pipeline.a[buffer], row_, step);
    factors.b.load(smem.pipeline.b[buffer], column_, step);
  }

  template <class T>
  __device__ void add(const Factors<T>& factors) {
#pragma unroll
    for (int i = 0; i < down; ++i)
#pragma unroll
      for (int j = 0; j < across; ++j) mma(sums_[i][j], factors.a.fragments[i], factors.b.fragments[j]);
  }

  // Calls body(row, column, sums[width]) for every vector of the warp's part, through its own share of shared
  // memory. There chunks of 4 sums are exchanged by XOR with 2 (row % 4): so the 4 rows that half a warp
  // writes fall into different banks.
  template <int width, class Body>
  __device__ void for_each_vector(float* memory, const Body& body) const {
    static_assert(Tile::warp_columns % 32 == 0, "8 chunks a row, which the XOR does not leave");
    const auto at = [&](int row, int column) {
      return memory + row * Tile::warp_columns + ((column / 4 ^ 2 * (row % 4)) * 4 + column % 4);
    };
#pragma unroll
    for (int i = 0; i < down; ++i)
#pragma unroll
      for (int j = 0; j < across; ++j)
        for (int half = 0; half < 2; ++half) {
          const MmaPlace place = mma_c_place(lane_number(), 2 * half);
          const float* values = sums_[i][j].values + 2 * half;
          store_vector(at(16 * i + place.row, 8 * j + place.column), Vector<float, 2>{values[0], values[1]});
        }
    sync_warp();
    constexpr int vectors = Tile::warp_columns / width;
#pragma unroll 1
    for (int each = lane_number(); each < Tile::warp_rows * vectors; each += warp_size) {
      const int row = each / vectors, column = each % vectors * width;
      float z[width];
      for (int i = 0; i < width; i += 4) {
        const auto four = load_vector<4>(at(row, column + i));
        for (int j = 0; j < 4; ++j) z[i + j] = four[j];
      }
      body(row_ + row, column_ + column, z);
    }
  }

 private:
  int row_, column_;  // in the tile
  MmaC sums_[down][across];
};

template <class T, class Tile, bool a_along_k, bool b_along_k>
__global__ void __launch_bounds__(Tile::threads)
    multiply(MatmulFactors<T> factors, MatmulOutput<T> out, Split split) {
  constexpr int stages = Tile::stages;
  auto& smem = shared<Smem<T, Tile, a_along_k, b_along_k>>();
  const int64_t tiles_across = ceil_div(out.columns, Tile::columns);
  const int64_t first_row = blockIdx.x / tiles_across * Tile::rows;
  const int64_t first_column = blockIdx.x % tiles_across * Tile::columns;
  const int64_t k = blockIdx.y * split.depth;
  const int64_t k_end = factors.k < k + split.depth ? factors.k : k + split.depth;
  const int slices = static_cast<int>(ceil_div(k_end - k, stage_depth<T>));
  MmaLoader<T, Tile::rows, a_along_k, Tile::threads> a(factors.a, a_along_k ? factors.a_row : factors.a_k,
                                                       out.rows, first_row, k, k_end);
  MmaLoader<T, Tile::columns, b_along_k, Tile::threads> b(
      factors.b, b_along_k ? factors.b_column : factors.b_k, out.columns, first_column, k, k_end);
  const auto copy_slice = [&](int slice) {
    if (slice < slices) a.copy(smem.pipeline.a[slice % stages]), b.copy(smem.pipeline.b[slice % stages]);
    commit_copies();  // an empty group keeps the count of groups that of slices
  };

  WarpSums<Tile> sums;
  typename WarpSums<Tile>::template Factors<T> held[2];
#pragma unroll
  for (int slice = 0; slice < stages - 1; ++slice) copy_slice(slice);
  wait_copies<stages - 2>();
  sync_threads();
  if (slices > 0) sums.load(held[0], smem, 0, 0);
  for (int slice = 0; slice < slices; ++slice) {
    sums.load(held[1], smem, slice % stages, 1);
    copy_slice(slice + stages - 1);  // over the slice before this one
    sums.add(held[0]);
    wait_copies<stages - 2>();  // for the next slice
    sync_threads();
    if (slice + 1 < slices) sums.load(held[0], smem, (slice + 1) % stages, 0);
    sums.add(held[1]);
  }

  // After the loop's last barrier nobody reads the stages, and no copy is on its way to them.
  constexpr int width = 16 / sizeof(T);
  sums.template for_each_vector<width>(smem.sums[warp_number()], [&](int i, int j, float(&z)[width]) {
    const int64_t row = first_row + i, column = first_column + j;
    if (split.parts == 1) return finish(out, row, column, z);
    if (row >= out.rows || column >= split.columns) return;
    float* target = split.partial + (blockIdx.y * out.rows + row) * split.columns + column;
    for (int i4 = 0; i4 < width; i4 += 4)
      store_vector(target + i4, Vector<float, 4>{z[i4], z[i4 + 1], z[i4 + 2], z[i4 + 3]});
  });
}

constexpr int adding_threads = 256, adding_width = 4;

// Adds up the parts, in their order, and finishes.
template <class T>
__global__ void __launch_bounds__(adding_threads, 4) add_parts(MatmulOutput<T> out, Split split) {
  const int64_t vector = int64_t{blockIdx.x} * adding_threads + thread_number();
  const int64_t row = vector * adding_width / split.columns, column = vector * adding_width % split.columns;
  if (row >= out.rows) return;
  float z[adding_width] = {};
  for (int64_t part = 0; part < split.parts; ++part) {
    const auto more =
        load_vector<adding_width>(split.partial + (part * out.rows + row) * split.columns + column);
    for (int i = 0; i < adding_width; ++i) z[i] += more[i];
  }
  finish(out, row, column, z);
}

template <class Shape>
int64_t tiles(const Matmul::Args& args) {
  using Tile = typename Shape::template Tile<bf16>;  // of other types it has other warps, but the same size
  return ceil_div(args.y.shape[0], Tile::rows) * ceil_div(args.y.shape[1], Tile::columns);
}

// Only the gradient of a weight is split: there K is the batch, and no row of y belongs to a sequence. Else
// how a row is summed would depend on how many there are.
template <class Shape>
Split split_of(const Matmul::Args& args) {
  const int64_t k = Matmul::sizes(args).k, least = 256, wanted_blocks = 128;
  const int64_t columns = ceil_div(args.y.shape[1], 8) * 8;
  if (!args.transpose_a || args.y.size() == 0) return {1, k, columns, nullptr};
  const int64_t parts = std::max<int64_t>(1, std::min(k / least, wanted_blocks / tiles<Shape>(args)));
  if (parts == 1) return {1, k, columns, nullptr};
  const int64_t depth = ceil_div(ceil_div(k, parts), stage_depth<bf16>) * stage_depth<bf16>;
  return {ceil_div(k, depth), depth, columns, nullptr};
}

template <class Shape>
size_t workspace(const Matmul::Args& args) {
  const Split split = split_of<Shape>(args);
  if (split.parts == 1) return 0;
  return static_cast<size_t>(split.parts * args.y.shape[0] * split.columns) * sizeof(float);
}

template <class Shape, class T, bool a_along_k, bool b_along_k>
void multiply_as(const Matmul::Args& args, const Split& split, Stream& stream) {
  using Tile = typename Shape::template Tile<T>;
  launch(stream,
         {.grid = {tiles<Shape>(args), split.parts},
          .block = Tile::threads,
          .shared_bytes = sizeof(Smem<T, Tile, a_along_k, b_along_k>)},
         multiply<T, Tile, a_along_k, b_along_k>, MatmulFactors<T>(args), MatmulOutput<T>(args), split);
}

template <class Shape, class... Types>
void run(const Matmul::Args& args, Stream& stream) {
  Split split = split_of<Shape>(args);
  const Buffer partial(kernel_device, workspace<Shape>(args));
  split.partial = partial.as<float>();
  dispatch<Types...>(args.y.dtype, [&]<class T>() {
    if (args.transpose_a)
      multiply_as<Shape, T, false, false>(args, split, stream);
    else
      args.transpose_b ? multiply_as<Shape, T, true, true>(args, split, stream)
                       : multiply_as<Shape, T, true, false>(args, split, stream);
    if (split.parts > 1)
      launch(stream,
             {.grid = ceil_div(args.y.shape[0] * split.columns, adding_threads * adding_width),
              .block = adding_threads},
             add_parts<T>, MatmulOutput<T>(args), split);
  });
}

std::string supports(const Matmul::Args& args) {
  if (args.y.dtype == DType::f32 && !args.tf32)
    return "f32 factors may not be rounded to tf32 (--dtype tf32)";
  if (args.transpose_a && args.transpose_b) return "it has no kernel for two transposed factors";
  if (!has_aligned_rows({&args.a, &args.b})) return "rows of a and b must start at multiples of 16 bytes";
  const auto [m, n, k] = Matmul::sizes(args);
  return std::max({m, n, k}) > INT32_MAX - 1024 ? "M, N and K must fit 31 bits" : "";
}

template <class Shape, class... Types>
Variant<Matmul> variant(std::string_view name, int priority) {
  return {.name = name,
          .device = kernel_device,
          .priority = priority,
          .dtypes = {dtype_of<Types>...},
          .workspace = workspace<Shape>,
          .supports = supports,
          .run = run<Shape, Types...>};
}

// The larger the tile, the less is read for an element of y; but there should be one for most processors of a
// GPU. The bound is reasoned for 108 (A100) to 132 of them (H100), not measured.
template <class Body>
auto with_best_shape(const Matmul::Args& args, const Body& body) {
  const auto enough = [&]<class Shape>() { return tiles<Shape>(args) * split_of<Shape>(args).parts >= 96; };
  if (args.y.dtype == DType::bf16 && enough.template operator()<Large>())
    return body.template operator()<Large, bf16>();
  if (enough.template operator()<Middle>()) return body.template operator()<Middle, float, bf16>();
  return body.template operator()<Small, float, bf16>();
}

Variant<Matmul> best_variant() {
  auto best = variant<Small, float, bf16>("mma", 20);
  best.workspace = [](const Matmul::Args& args) {
    return with_best_shape(args, [&]<class Shape, class... Types>() { return workspace<Shape>(args); });
  };
  best.run = [](const Matmul::Args& args, Stream& stream) {
    with_best_shape(args, [&]<class Shape, class... Types>() { run<Shape, Types...>(args, stream); });
  };
  return best;
}

const Register<Matmul> best(best_variant());
const Register<Matmul> middle(variant<Middle, float, bf16>("mma_128x128", 16));
const Register<Matmul> large(variant<Large, bf16>("mma_128x256", 15));

}  // namespace
}  // namespace tenon
