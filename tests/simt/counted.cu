// Kernels that do one thing each, which the test counts by hand.
#include "tests/simt/counted.h"

#include "kernels/simt/simt.h"

namespace tenon::test {
namespace {

__device__ int own() { return static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); }

__global__ void gather_kernel(const float* x, float* y, int n, int stride, int offset) {
  if (own() < n) y[own()] = x[stride * own() + offset];
}

__global__ void halves_kernel(const uint16_t* x, uint16_t* y, int n) {
  if (own() < n) y[own()] = x[own()];
}

template <int width>
__global__ void vectors_kernel(const float* x, float* y, int n) {
  const int i = width * own();
  if (i >= n) return;
  Vector<float, width> values = load_vector<width>(x + i);
  for (int k = 0; k < width; ++k) values[k] += 1;
  store_vector(y + i, values);
}

__global__ void scalars_kernel(const float* x, float* y, int n) {
  const int i = 4 * own();
  if (i >= n) return;
  float values[4];
  for (int k = 0; k < 4; ++k) values[k] = x[i + k];
  for (int k = 0; k < 4; ++k) y[i + k] = values[k] + 1;
}

template <int pitch>
struct Tile {
  float data[32][pitch];
};

template <int pitch>
__global__ void tile_kernel(const float* x, float* y) {
  auto& tile = shared<Tile<pitch>>();
  for (int i = 0; i < 32; i += 8)
    tile.data[threadIdx.y + i][threadIdx.x] = x[(threadIdx.y + i) * 32 + threadIdx.x];
  sync_threads();
  for (int i = 0; i < 32; i += 8)
    y[(threadIdx.y + i) * 32 + threadIdx.x] = tile.data[threadIdx.x][threadIdx.y + i];
}

__global__ void branch_kernel(const float* x, const float* z, float* y) {
  const int lane = lane_number();
  float value;
  if (lane % 2 == 0)
    value = 2 * x[lane];
  else
    value = z[lane + 1] - 1;
  y[lane] = value;
}

__global__ void triangle_kernel(const float* x, float* y) {
  float sum = 0;
  for (int i = 0; i <= lane_number(); ++i) sum += x[32 * i + lane_number()];
  y[lane_number()] = sum;
}

__global__ void early_kernel(const float* x, float* y) {
  const float value = x[lane_number()];
  if (lane_number() >= 16) return;
  y[lane_number()] = value + shuffle_xor(value, 1, 0xffffu);
}

__global__ void meet_kernel(const float* x, float* y) {
  float sum = 0;
  for (int i = 0; i < 3; ++i) {
    sum += x[own()];
    sync_warp();
    sync_threads();
    sum += shuffle(sum, 0);
  }
  y[own()] = sum;
}

__global__ void atomics_kernel(int* sums, float* sum, int* most) {
  atomic_add(sums, 1);
  atomic_add(sums + 1 + own(), 1);
  atomic_add(sum, 1.0f);
  atomic_max(most, own());
}

struct Bytes {
  alignas(16) char data[32 * 64];
};

template <int bytes>
__global__ void words_kernel(int stride) {
  auto& smem = shared<Bytes>();
  for (int i = 0; i < 64; ++i) smem.data[64 * lane_number() + i] = 0;
  sync_warp();
  using Element = std::conditional_t<bytes == 2, uint16_t, uint32_t>;
  constexpr int width = bytes / static_cast<int>(sizeof(Element));
  const auto* place = reinterpret_cast<const Element*>(smem.data + stride * lane_number());
  const auto values = load_vector<width>(place);
  if (values[0] != 0) smem.data[0] = 1;  // never
}

template <int row_bytes>
struct Rows {
  alignas(16) char data[32][row_bytes];
};

template <int row_bytes>
__global__ void matrices_kernel() {
  auto& smem = shared<Rows<row_bytes>>();
  store_vector(reinterpret_cast<uint32_t*>(smem.data[lane_number()]), Vector<uint32_t, 4>{});
  sync_warp();
  uint32_t words[4];
  load_matrices(words, smem.data[lane_number()]);
  load_matrices_transposed(words, smem.data[lane_number()]);
}

__global__ void copies_kernel(const float* x, int valid) {
  copy_async<16>(shared<Rows<16>>().data[lane_number()], x + 4 * lane_number(), valid);
  commit_copies();
  wait_copies<0>();
}

__global__ void products_kernel(float* y) {
  MmaC c = {};
  for (int i = 0; i < 3; ++i) mma<bf16>(c, MmaA<bf16>{}, MmaB<bf16>{});
  for (int i = 0; i < 2; ++i) mma<tf32>(c, MmaA<tf32>{}, MmaB<tf32>{});
  y[lane_number()] = c.values[0];
}

struct Ints {
  int data[32];
};

__global__ void cluster_kernel(int* y) {
  auto& smem = shared<Ints>();
  smem.data[lane_number()] = cluster_rank();
  sync_cluster();
  y[own()] = *in_block(&smem.data[lane_number()], 1 - cluster_rank());
  sync_cluster();
}

__global__ void grid_kernel(int* y) {
  for (int i = 0; i < 3; ++i) {
    y[own()] = i;
    sync_grid();
  }
}

}  // namespace

void gather(const float* x, float* y, int n, int stride, int offset, Stream& stream) {
  launch(stream, {.grid = ceil_div(n, 64), .block = 64}, gather_kernel, x, y, n, stride, offset);
}
void gather_halves(const uint16_t* x, uint16_t* y, int n, Stream& stream) {
  launch(stream, {.grid = ceil_div(n, 64), .block = 64}, halves_kernel, x, y, n);
}
void gather_vectors(const float* x, float* y, int n, Stream& stream) {
  launch(stream, {.grid = ceil_div(n, 256), .block = 64}, vectors_kernel<4>, x, y, n);
}
void gather_pairs(const float* x, float* y, int n, Stream& stream) {
  launch(stream, {.grid = ceil_div(n, 128), .block = 64}, vectors_kernel<2>, x, y, n);
}
void gather_scalars(const float* x, float* y, int n, Stream& stream) {
  launch(stream, {.grid = ceil_div(n, 256), .block = 64}, scalars_kernel, x, y, n);
}
void turn_tile(const float* x, float* y, bool padded, Stream& stream) {
  if (padded)
    launch(stream, {.block = {32, 8}, .shared_bytes = sizeof(Tile<33>)}, tile_kernel<33>, x, y);
  else
    launch(stream, {.block = {32, 8}, .shared_bytes = sizeof(Tile<32>)}, tile_kernel<32>, x, y);
}
void odd_and_even(const float* x, const float* z, float* y, Stream& stream) {
  launch(stream, {.block = 32}, branch_kernel, x, z, y);
}
void triangle(const float* x, float* y, Stream& stream) {
  launch(stream, {.block = 32}, triangle_kernel, x, y);
}
void leave_early(const float* x, float* y, Stream& stream) {
  launch(stream, {.block = 32}, early_kernel, x, y);
}
void meet_often(const float* x, float* y, Stream& stream) {
  launch(stream, {.grid = 2, .block = 64}, meet_kernel, x, y);
}
void count_all(int* sums, float* sum, int* most, Stream& stream) {
  launch(stream, {.block = 64}, atomics_kernel, sums, sum, most);
}
void shared_words(int bytes, int stride, Stream& stream) {
  const LaunchConfig config{.block = 32, .shared_bytes = sizeof(Bytes)};
  if (bytes == 2) launch(stream, config, words_kernel<2>, stride);
  if (bytes == 4) launch(stream, config, words_kernel<4>, stride);
  if (bytes == 8) launch(stream, config, words_kernel<8>, stride);
  if (bytes == 16) launch(stream, config, words_kernel<16>, stride);
}
void load_4_matrices(int row_bytes, Stream& stream) {
  if (row_bytes == 16) launch(stream, {.block = 32, .shared_bytes = sizeof(Rows<16>)}, matrices_kernel<16>);
  if (row_bytes == 32) launch(stream, {.block = 32, .shared_bytes = sizeof(Rows<32>)}, matrices_kernel<32>);
  if (row_bytes == 128)
    launch(stream, {.block = 32, .shared_bytes = sizeof(Rows<128>)}, matrices_kernel<128>);
  if (row_bytes == 144)
    launch(stream, {.block = 32, .shared_bytes = sizeof(Rows<144>)}, matrices_kernel<144>);
}
void copy_rows_async(const float* x, int valid, Stream& stream) {
  launch(stream, {.block = 32, .shared_bytes = sizeof(Rows<16>)}, copies_kernel, x, valid);
}
void multiply_fragments(float* y, Stream& stream) { launch(stream, {.block = 32}, products_kernel, y); }
void reach_next_block(int* y, Stream& stream) {
  launch(stream, {.grid = 4, .block = 32, .shared_bytes = sizeof(Ints), .cluster = 2}, cluster_kernel, y);
}
void meet_in_grid(int* y, Stream& stream) {
  launch(stream, {.grid = 4, .block = 64, .cooperative = true}, grid_kernel, y);
}

}  // namespace tenon::test
