// Kernels that are each wrong in one way. Most give right results on a GPU most of the time.
#include <stdexcept>

#include "kernels/simt/simt.h"
#include "tests/simt/kernels.h"

namespace tenon::test {
namespace {

struct Floats {
  float data[64];
};
struct Ints {
  int data[64];
};

__global__ void barrier_missing_kernel(float* y) {
  auto& smem = shared<Floats>();
  const int own = thread_number();
  smem.data[own] = static_cast<float>(own);
  y[own] = smem.data[(own + 32) % 64];
}

// The second barrier of each round is missing: the next round's write may overtake a read.
__global__ void write_after_read_kernel(float* y) {
  auto& smem = shared<Floats>();
  const int own = thread_number();
  float sum = 0;
  for (int round = 0; round < 3; ++round) {
    smem.data[own] = static_cast<float>(own + round);
    sync_threads();
    sum += smem.data[63 - own];
  }
  y[own] = sum;
}

__global__ void sync_warp_missing_kernel(int* y) {
  auto& smem = shared<Ints>();
  smem.data[lane_number()] = lane_number();
  y[lane_number()] = smem.data[31 - lane_number()];
}

// Each lane's write comes before the shuffle, and its neighbour's read after it: yet a shuffle orders no
// memory.
__global__ void shuffle_orders_kernel(int* y) {
  auto& smem = shared<Ints>();
  smem.data[lane_number()] = lane_number();
  const int source = shuffle_xor(lane_number(), 1);
  y[lane_number()] = smem.data[source];
}

__global__ void blocks_race_kernel(float* y) { y[threadIdx.x] = static_cast<float>(blockIdx.x); }

__global__ void read_races_kernel(float* y) {
  const float neighbour = y[(blockIdx.x + 1) % gridDim.x];
  y[blockIdx.x] = neighbour + 1;
}

__global__ void plain_and_atomic_kernel(int* y) {
  if (thread_number() < 32) {
    atomic_add(y, 1);
  } else if (thread_number() == 32) {
    *y = 0;
  }
}

__global__ void exited_lane_kernel(float* y) {
  if (lane_number() == 0) return;
  y[lane_number()] = shuffle_xor(1.0f, 1);
}

__global__ void exits_while_others_kernel(float* y) {
  if (lane_number() == 31) return;
  y[lane_number()] = shuffle_xor(1.0f, 1);
}

__global__ void outside_members_kernel(float* y) {
  if (lane_number() < 16) y[lane_number()] = shuffle_xor(1.0f, 16, 0x0000ffffu);
}

__global__ void do_not_exist_kernel(float* y) { y[lane_number()] = warp_sum(1.0f); }

__global__ void different_shuffles_kernel(float* y) {
  float value = 1;
  if (lane_number() < 16) {
    value = shuffle_xor(value, 1);
  } else {
    value = shuffle_xor(value, 2);
  }
  y[lane_number()] = value;
}

__global__ void divergent_barrier_kernel(float* y) {
  if (thread_number() < 32) {
    y[thread_number()] = 1;
    sync_threads();
  } else {
    y[thread_number()] = 2;
    sync_threads();
  }
}

__global__ void deadlock_kernel(float* y) {
  if (lane_number() == 0) {
    sync_threads();
  } else {
    sync_warp();
  }
  y[lane_number()] = 1;
}

__global__ void past_the_end_kernel(float* y, int n) {
  const int i = thread_number();
  if (i <= n) y[i] = 1;
}

__global__ void before_the_start_kernel(const float* x, float* y) {
  const int i = thread_number();
  y[i] = x[i] - x[i - 1];
}

__global__ void shared_past_the_end_kernel(float* y) {
  auto& smem = shared<Floats>();
  float* data = smem.data;
  data[thread_number() + 1] = 1;
  y[thread_number()] = 1;
}

__global__ void shared_too_small_kernel(float* y) { y[0] = shared<Floats>().data[0]; }

__global__ void shared_unwritten_kernel(float* y) {
  auto& smem = shared<Floats>();
  if (thread_number() < 63) smem.data[thread_number()] = 1;
  sync_threads();
  y[thread_number()] = smem.data[thread_number()];
}

__global__ void misaligned_vector_kernel(const float* x, float* y) { store_vector(y, load_vector<4>(x + 1)); }

__global__ void misaligned_cast_kernel(const float* x, float* y) {
  y[0] = static_cast<float>(*reinterpret_cast<const double*>(x + 1));
}

int host_counter = 0;
__global__ void host_variable_kernel(float* y) {
  ++host_counter;
  y[0] = 1;
}

__global__ void throws_kernel(float* y) {
  y[0] = 1;
  throw std::runtime_error("thrown in a kernel");
}

const LaunchConfig one_warp{.block = 32, .shared_bytes = sizeof(Floats)};
const LaunchConfig two_warps{.block = 64, .shared_bytes = sizeof(Floats)};

}  // namespace

void barrier_missing(float* y, Stream& stream) { launch(stream, two_warps, barrier_missing_kernel, y); }
void write_after_read_race(float* y, Stream& stream) {
  launch(stream, two_warps, write_after_read_kernel, y);
}
void sync_warp_missing(int* y, Stream& stream) { launch(stream, one_warp, sync_warp_missing_kernel, y); }
void shuffle_orders_no_memory(int* y, Stream& stream) { launch(stream, one_warp, shuffle_orders_kernel, y); }
void blocks_race(float* y, Stream& stream) {
  launch(stream, {.grid = 2, .block = 64}, blocks_race_kernel, y);
}
void read_races_with_other_block(float* y, Stream& stream) {
  launch(stream, {.grid = 64}, read_races_kernel, y);
}
void plain_and_atomic_race(int* y, Stream& stream) { launch(stream, two_warps, plain_and_atomic_kernel, y); }
void shuffle_with_exited_lane(float* y, Stream& stream) { launch(stream, one_warp, exited_lane_kernel, y); }
void exits_while_others_shuffle(float* y, Stream& stream) {
  launch(stream, one_warp, exits_while_others_kernel, y);
}
void shuffle_from_outside_members(float* y, Stream& stream) {
  launch(stream, one_warp, outside_members_kernel, y);
}
void lanes_that_do_not_exist(float* y, Stream& stream) {
  launch(stream, {.block = 20}, do_not_exist_kernel, y);
}
void lanes_in_different_shuffles(float* y, Stream& stream) {
  launch(stream, one_warp, different_shuffles_kernel, y);
}
void divergent_barrier(float* y, Stream& stream) { launch(stream, two_warps, divergent_barrier_kernel, y); }
void deadlock(float* y, Stream& stream) { launch(stream, one_warp, deadlock_kernel, y); }
void write_past_the_end(float* y, int n, Stream& stream) {
  launch(stream, two_warps, past_the_end_kernel, y, n);
}
void read_before_the_start(const float* x, float* y, Stream& stream) {
  launch(stream, one_warp, before_the_start_kernel, x, y);
}
void shared_past_the_end(float* y, Stream& stream) {
  launch(stream, two_warps, shared_past_the_end_kernel, y);
}
void shared_too_small(float* y, Stream& stream) {
  launch(stream, {.shared_bytes = sizeof(Floats) - 4}, shared_too_small_kernel, y);
}
void shared_unwritten(float* y, Stream& stream) { launch(stream, two_warps, shared_unwritten_kernel, y); }
void misaligned_vector(const float* x, float* y, Stream& stream) {
  launch(stream, {}, misaligned_vector_kernel, x, y);
}
void misaligned_cast(const float* x, float* y, Stream& stream) {
  launch(stream, {}, misaligned_cast_kernel, x, y);
}
void host_variable(float* y, Stream& stream) { launch(stream, {}, host_variable_kernel, y); }
void throws(float* y, Stream& stream) { launch(stream, {}, throws_kernel, y); }
void block_too_large(float* y, Stream& stream) { launch(stream, {.block = 2048}, blocks_race_kernel, y); }

}  // namespace tenon::test
