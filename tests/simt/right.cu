// Kernels that are right: every schedule gives the same result and no hook objects.
#include "kernels/simt/simt.h"
#include "tests/simt/kernels.h"

namespace tenon::test {
namespace {

__global__ void add_kernel(const float* a, const float* b, float* sum, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) sum[i] = a[i] + b[i];
}

struct RowSmem {
  float partial[8];
};

__global__ void sum_rows_kernel(const float* x, float* sums, int columns) {
  auto& smem = shared<RowSmem>();
  const float* row = x + static_cast<int64_t>(blockIdx.x) * columns;
  float sum = 0;
  for (int i = thread_number(); i < columns; i += static_cast<int>(blockDim.x)) sum += row[i];
  sum = warp_sum(sum);
  if (lane_number() == 0) smem.partial[warp_number()] = sum;
  sync_threads();
  if (warp_number() > 0) return;
  sum = warp_sum(lane_number() < 8 ? smem.partial[lane_number()] : 0.0f);
  if (lane_number() == 0) sums[blockIdx.x] = sum;
}

struct Tile {
  float data[32][33];
};

__global__ void transpose_kernel(const float* x, float* y, int n) {
  auto& tile = shared<Tile>();
  const int row = static_cast<int>(blockIdx.y * 32 + threadIdx.y);
  const int column = static_cast<int>(blockIdx.x * 32 + threadIdx.x);
  for (int i = 0; i < 32; i += 8) tile.data[threadIdx.y + i][threadIdx.x] = x[(row + i) * n + column];
  sync_threads();
  const int out_row = static_cast<int>(blockIdx.x * 32 + threadIdx.y);
  const int out_column = static_cast<int>(blockIdx.y * 32 + threadIdx.x);
  for (int i = 0; i < 32; i += 8) y[(out_row + i) * n + out_column] = tile.data[threadIdx.x][threadIdx.y + i];
}

struct Ints {
  int data[64];
};

__global__ void rotate_kernel(const int* x, int* y, int delta) {
  auto& smem = shared<Ints>();
  const int own = thread_number();
  const int base = own - lane_number();
  smem.data[own] = x[own];
  sync_warp();
  const int value = smem.data[base + (lane_number() + delta) % warp_size];
  sync_warp();
  smem.data[own] = value;
  y[own] = smem.data[own];
}

// The lower and the upper half of a warp work on their own, at a different pace.
__global__ void half_warps_kernel(int* y) {
  auto& smem = shared<Ints>();
  const int lane = lane_number();
  const uint32_t members = lane < 16 ? 0x0000ffffu : 0xffff0000u;
  const int first = lane & 16;
  for (int round = 0; round < (lane < 16 ? 1 : 3); ++round) {
    smem.data[lane] = shuffle_xor(lane, 1, members) + round;
    sync_warp(members);
    if (lane == first) smem.data[32 + first] = smem.data[first + 15];
    sync_warp(members);
  }
  sync_warp();
  y[lane] = smem.data[32 + (first ^ 16)];
}

__global__ void count_kernel(const int* x, int n, int* positive) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n && x[i] > 0) atomic_add(positive, 1);
}

__global__ void copy_vectors_kernel(const float* x, float* y, int n) {
  const int i = 4 * static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) store_vector(y + i, load_vector<4>(x + i));
}

__global__ void copy_scalars_kernel(const unsigned char* x, unsigned char* y, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) y[i] = x[i];
}

}  // namespace

void add(const float* a, const float* b, float* sum, int n, Stream& stream) {
  launch(stream, {.grid = ceil_div(n, 128), .block = 128}, add_kernel, a, b, sum, n);
}
void sum_rows(const float* x, float* sums, int rows, int columns, Stream& stream) {
  launch(stream, {.grid = rows, .block = 256, .shared_bytes = sizeof(RowSmem)}, sum_rows_kernel, x, sums,
         columns);
}
void transpose(const float* x, float* y, int n, Stream& stream) {
  launch(stream, {.grid = {n / 32, n / 32}, .block = {32, 8}, .shared_bytes = sizeof(Tile)}, transpose_kernel,
         x, y, n);
}
void rotate_in_warp(const int* x, int* y, int delta, Stream& stream) {
  launch(stream, {.block = 64, .shared_bytes = sizeof(Ints)}, rotate_kernel, x, y, delta);
}
void half_warps(int* y, Stream& stream) {
  launch(stream, {.block = 32, .shared_bytes = sizeof(Ints)}, half_warps_kernel, y);
}
void count_atomically(const int* x, int n, int* positive, Stream& stream) {
  launch(stream, {.grid = ceil_div(n, 64), .block = 64}, count_kernel, x, n, positive);
}
void copy_vectors(const float* x, float* y, int n, Stream& stream) {
  launch(stream, {.grid = ceil_div(n, 256), .block = 64}, copy_vectors_kernel, x, y, n);
}
void copy_scalars(const unsigned char* x, unsigned char* y, int n, Stream& stream) {
  launch(stream, {.grid = ceil_div(n, 64), .block = 64}, copy_scalars_kernel, x, y, n);
}

}  // namespace tenon::test
