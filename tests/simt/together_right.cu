// Blocks that run together and are right: grid and cluster barriers, shared memory of other blocks, and
// ClusterBarriers with and without asynchronous stores.
#include "kernels/simt/simt.h"
#include "tests/simt/together.h"

namespace tenon::test {
namespace {

__global__ void rotate_grid_kernel(int* y, int steps) {
  const int own = static_cast<int>(blockIdx.x), next = static_cast<int>((blockIdx.x + 1) % gridDim.x);
  if (thread_number() == 0) y[own] = own;
  for (int step = 0; step < steps; ++step) {
    sync_grid();
    const int value = y[next];
    sync_grid();
    if (thread_number() == 0) y[own] = value;
  }
}

struct Ints {
  int data[32];
};

__global__ void rotate_cluster_kernel(int* y, int delta) {
  auto& smem = shared<Ints>();
  const int thread = thread_number(), place = static_cast<int>(blockIdx.x) * 32 + thread;
  smem.data[thread] = place;
  sync_cluster();
  y[place] = in_block(smem.data, (cluster_rank() + delta) % cluster_blocks())[(thread + 1) % 32];
  sync_cluster();
}

__global__ void add_kernel(int* y) {
  auto& smem = shared<Ints>();
  const int thread = thread_number();
  smem.data[thread] = 0;
  sync_cluster();
  atomic_add(in_block(&smem.data[thread], 0), cluster_rank() + thread);
  sync_cluster();
  if (cluster_rank() == 0) y[thread] = smem.data[thread];
}

__global__ void ranks_kernel(int* y) {
  y[2 * blockIdx.x] = cluster_rank();
  y[2 * blockIdx.x + 1] = cluster_blocks();
}

struct HandOver {
  ClusterBarrier full, empty;
  int data[32];
};

// Warp 0 writes, warp 1 reads. Every writer arrives for itself, but one lane for all readers.
__global__ void hand_over_kernel(int* y, int rounds) {
  auto& smem = shared<HandOver>();
  const int lane = lane_number();
  if (thread_number() == 0) {
    smem.full.init(32);
    smem.empty.init(1);
  }
  sync_threads();
  for (int round = 0; round < rounds; ++round) {
    if (warp_number() == 0) {
      if (round > 0) smem.empty.wait((round - 1) % 2);
      smem.data[lane] = 32 * round + lane;
      smem.full.arrive();
    } else {
      smem.full.wait(round % 2);
      y[32 * round + lane] = smem.data[31 - lane];
      sync_warp();
      if (lane == 0) smem.empty.arrive();
    }
  }
}

struct Slots {
  ClusterBarrier full[2], empty[2];
  uint32_t data[2][8][32];  // of each block of the cluster
};

// In each step every block sends its values to all others and then adds up those of a neighbouring thread. A
// slot is sent to again when its block has said that it was read.
__global__ void exchange_kernel(uint32_t* y, int steps) {
  auto& smem = shared<Slots>();
  const int thread = thread_number(), rank = cluster_rank(), blocks = cluster_blocks();
  if (thread == 0) {
    for (int slot = 0; slot < 2; ++slot) {
      smem.full[slot].init(1);
      if (blocks > 1) smem.empty[slot].init(blocks - 1);
    }
    fence_barrier_init();
  }
  sync_cluster();
  auto value = static_cast<uint32_t>(32 * rank + thread);
  for (int step = 0; step < steps; ++step) {
    const int slot = step % 2, phase = step / 2;
    ClusterBarrier* const full = &smem.full[slot];
    uint32_t* const own = &smem.data[slot][rank][thread];
    if (thread == 0) full->arrive_expect((blocks - 1) * 32 * static_cast<int>(sizeof value));
    if (phase > 0 && blocks > 1) smem.empty[slot].wait((phase - 1) % 2);
    *own = value;
    for (int other = 0; other < blocks; ++other)
      if (other != rank) store_async(in_block(own, other), value, in_block(full, other));
    full->wait(phase % 2);
    sync_threads();  // for the block's own values
    value = 0;
    for (int other = 0; other < blocks; ++other)
      value += static_cast<uint32_t>(other + 1) * smem.data[slot][other][(thread + 1) % 32];
    sync_threads();
    if (thread < blocks && thread != rank) in_block(&smem.empty[slot], thread)->arrive();
  }
  y[32 * rank + thread] = value;
  sync_cluster();  // no block returns while others may still arrive at its barriers
}

struct Words {
  ClusterBarrier full;
  Vector<int, 4> four[32];
  Vector<int, 2> two[32];
  int one[32];
};

__global__ void vectors_kernel(int* y) {
  auto& smem = shared<Words>();
  const int lane = lane_number();
  if (cluster_rank() == 1 && lane == 0) {
    smem.full.init(1);
    smem.full.arrive_expect(32 * 28);
    fence_barrier_init();
  }
  sync_cluster();
  if (cluster_rank() == 0) {
    ClusterBarrier* const full = in_block(&smem.full, 1);
    store_async(in_block(&smem.four[lane], 1), {7 * lane, 7 * lane + 1, 7 * lane + 2, 7 * lane + 3}, full);
    store_async(in_block(&smem.two[lane], 1), {7 * lane + 4, 7 * lane + 5}, full);
    store_async(in_block(&smem.one[lane], 1), 7 * lane + 6, full);
  } else {
    smem.full.wait(0);
    for (int i = 0; i < 4; ++i) y[7 * lane + i] = smem.four[lane][i];
    for (int i = 0; i < 2; ++i) y[7 * lane + 4 + i] = smem.two[lane][i];
    y[7 * lane + 6] = smem.one[lane];
  }
}

}  // namespace

void rotate_in_grid(int* y, int blocks, int steps, Stream& stream) {
  launch(stream, {.grid = blocks, .block = 40, .cooperative = true}, rotate_grid_kernel, y, steps);
}
int64_t most_blocks() { return most_cooperative_blocks(rotate_grid_kernel, 40, 0); }
void rotate_in_cluster(int* y, int clusters, int cluster, int delta, Stream& stream) {
  launch(stream, {.grid = clusters * cluster, .block = 32, .shared_bytes = sizeof(Ints), .cluster = cluster},
         rotate_cluster_kernel, y, delta);
}
void add_into_first_block(int* y, int cluster, Stream& stream) {
  launch(stream, {.grid = cluster, .block = 32, .shared_bytes = sizeof(Ints), .cluster = cluster}, add_kernel,
         y);
}
void count_ranks(int* y, int clusters, int cluster, Stream& stream) {
  launch(stream, {.grid = clusters * cluster, .cluster = cluster}, ranks_kernel, y);
}
void hand_over_in_block(int* y, int rounds, Stream& stream) {
  launch(stream, {.block = 64, .shared_bytes = sizeof(HandOver)}, hand_over_kernel, y, rounds);
}
void exchange_all(uint32_t* y, int cluster, int steps, Stream& stream) {
  launch(stream, {.grid = cluster, .block = 32, .shared_bytes = sizeof(Slots), .cluster = cluster},
         exchange_kernel, y, steps);
}
void send_vectors(int* y, Stream& stream) {
  launch(stream, {.grid = 2, .block = 32, .shared_bytes = sizeof(Words), .cluster = 2}, vectors_kernel, y);
}
int64_t most_clusters_of_4() { return most_clusters(exchange_kernel, 4, 32, sizeof(Slots)); }

}  // namespace tenon::test
