// Tensor-core products, the loads for them, and asynchronous copies, each as bare as it can be; then wrong.
#include "kernels/simt/simt.h"
#include "tests/simt/kernels.h"

namespace tenon::test {
namespace {

constexpr LaunchConfig one_warp{.block = 32};

template <class T>
__global__ void mma_kernel(const uint32_t* a, const uint32_t* b, float* c) {
  const int lane = lane_number();
  MmaA<T> own_a;
  MmaB<T> own_b;
  MmaC own_c;
  for (int i = 0; i < 4; ++i) own_a.words[i] = a[4 * lane + i], own_c.values[i] = c[4 * lane + i];
  for (int i = 0; i < 2; ++i) own_b.words[i] = b[2 * lane + i];
  mma(own_c, own_a, own_b);
  for (int i = 0; i < 4; ++i) c[4 * lane + i] = own_c.values[i];
}

__global__ void round_kernel(const float* x, uint32_t* y) {
  y[thread_number()] = to_tf32(x[thread_number()]);
}

struct Matrices {
  alignas(16) uint16_t rows[32][8];
};

template <int count>
__global__ void load_kernel(const uint16_t* x, bool transposed, uint32_t* y) {
  auto& smem = shared<Matrices>();
  const int lane = lane_number();
  for (int i = 0; i < 8; ++i) smem.rows[lane][i] = x[8 * lane + i];
  sync_warp();
  uint32_t words[count];
  const void* row = lane < 8 * count ? smem.rows[lane] : nullptr;
  if (transposed)
    load_matrices_transposed(words, row);
  else
    load_matrices(words, row);
  for (int j = 0; j < count; ++j) y[count * lane + j] = words[j];
}

struct Floats {
  alignas(16) float data[3][4];
};

__global__ void copy_kernel(const float* x, float* y, int valid) {
  auto& smem = shared<Floats>();
  copy_async<16>(smem.data[0], x);
  commit_copies();
  copy_async<8>(smem.data[1], x + 4);
  copy_async<4>(smem.data[1] + 2, x + 6);
  copy_async<4>(smem.data[1] + 3, x + 7);
  commit_copies();
  copy_async<16>(smem.data[2], x + 8, valid);
  commit_copies();
  wait_copies<2>();
  for (int i = 0; i < 4; ++i) y[i] = smem.data[0][i];
  wait_copies<0>();
  for (int i = 0; i < 4; ++i) y[4 + i] = smem.data[1][i], y[8 + i] = smem.data[2][i];
}

__global__ void not_waited_for_kernel(const float* x, float* y) {
  auto& smem = shared<Floats>();
  copy_async<16>(smem.data[0], x);
  commit_copies();
  y[0] = 0;
}

__global__ void without_barrier_kernel(const float* x, float* y) {
  auto& smem = shared<Floats>();
  if (thread_number() == 0) {
    copy_async<16>(smem.data[0], x);
    commit_copies();
    wait_copies<0>();
  }
  shuffle(0, 0);  // carries a value and orders no memory
  if (thread_number() == 1) y[0] = smem.data[0][1];
}

__global__ void read_too_early_kernel(const float* x, float* y) {
  auto& smem = shared<Floats>();
  copy_async<16>(smem.data[0], x);
  commit_copies();
  wait_copies<1>();
  y[0] = smem.data[0][0];
  wait_copies<0>();
}

__global__ void misaligned_copy_kernel(const float* x, float*) {
  copy_async<16>(shared<Floats>().data[0] + 1, x);
  commit_copies();
  wait_copies<0>();
}

__global__ void from_global_kernel(const uint16_t* x, uint32_t* y) {
  uint32_t words[1];
  load_matrices(words, x + 8 * lane_number());
  y[lane_number()] = words[0];
}

__global__ void misaligned_row_kernel(uint32_t* y) {
  auto& smem = shared<Matrices>();
  for (int i = 0; i < 8; ++i) smem.rows[lane_number()][i] = 0;
  sync_warp();
  uint32_t words[2];
  load_matrices(words, smem.rows[lane_number()] + 2);
  y[lane_number()] = words[0] + words[1];
}

}  // namespace

void mma_bf16(const uint32_t* a, const uint32_t* b, float* c, Stream& stream) {
  launch(stream, one_warp, mma_kernel<bf16>, a, b, c);
}
void mma_f16(const uint32_t* a, const uint32_t* b, float* c, Stream& stream) {
  launch(stream, one_warp, mma_kernel<f16>, a, b, c);
}
void mma_tf32(const uint32_t* a, const uint32_t* b, float* c, Stream& stream) {
  launch(stream, one_warp, mma_kernel<tf32>, a, b, c);
}
void round_to_tf32(const float* x, uint32_t* y, Stream& stream) {
  launch(stream, one_warp, round_kernel, x, y);
}
void load_8x8(const uint16_t* x, int count, bool transposed, uint32_t* y, Stream& stream) {
  const LaunchConfig config{.block = 32, .shared_bytes = sizeof(Matrices)};
  if (count == 1)
    launch(stream, config, load_kernel<1>, x, transposed, y);
  else if (count == 2)
    launch(stream, config, load_kernel<2>, x, transposed, y);
  else
    launch(stream, config, load_kernel<4>, x, transposed, y);
}
void copy_groups(const float* x, float* y, int valid, Stream& stream) {
  launch(stream, {.shared_bytes = sizeof(Floats)}, copy_kernel, x, y, valid);
}
void copy_not_waited_for(const float* x, float* y, Stream& stream) {
  launch(stream, {.shared_bytes = sizeof(Floats)}, not_waited_for_kernel, x, y);
}
void copy_without_barrier(const float* x, float* y, Stream& stream) {
  launch(stream, {.block = 32, .shared_bytes = sizeof(Floats)}, without_barrier_kernel, x, y);
}
void copy_read_too_early(const float* x, float* y, Stream& stream) {
  launch(stream, {.shared_bytes = sizeof(Floats)}, read_too_early_kernel, x, y);
}
void copy_to_misaligned(const float* x, float* y, Stream& stream) {
  launch(stream, {.shared_bytes = sizeof(Floats)}, misaligned_copy_kernel, x, y);
}
void matrices_from_global(const uint16_t* x, uint32_t* y, Stream& stream) {
  launch(stream, one_warp, from_global_kernel, x, y);
}
void matrix_row_misaligned(uint32_t* y, Stream& stream) {
  launch(stream, {.block = 32, .shared_bytes = sizeof(Matrices)}, misaligned_row_kernel, y);
}

}  // namespace tenon::test
