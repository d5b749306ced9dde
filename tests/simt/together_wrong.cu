// Blocks that run together and are each wrong in one way. Most give right results on a GPU most of the time.
#include "kernels/simt/simt.h"
#include "tests/simt/together.h"

namespace tenon::test {
namespace {

__global__ void grid_missing_kernel(int* y) {
  const int value = y[(blockIdx.x + 1) % gridDim.x];
  y[blockIdx.x] = value;
}

__global__ void one_sync_kernel(int* y) {
  y[blockIdx.x] = 1;
  sync_grid();
}

__global__ void one_returns_kernel(int* y) {
  if (blockIdx.x == 1) return;
  y[blockIdx.x] = 1;
  sync_grid();
}

__global__ void two_places_kernel(int* y) {
  if (blockIdx.x == 0) {
    y[0] = 1;
    sync_grid();
  } else {
    sync_grid();
  }
}

struct Ints {
  ClusterBarrier full;
  ClusterBarrier other;
  alignas(16) int data[32];
};

__global__ void before_read_kernel(int* y) {
  auto& smem = shared<Ints>();
  smem.data[thread_number()] = thread_number();
  y[32 * blockIdx.x + thread_number()] = in_block(smem.data, 1 - cluster_rank())[thread_number()];
  sync_cluster();
}

__global__ void before_write_kernel(int* y) {
  auto& smem = shared<Ints>();
  smem.data[thread_number()] = thread_number();
  sync_cluster();
  y[32 * blockIdx.x + thread_number()] = smem.data[thread_number()];
  in_block(smem.data, 1 - cluster_rank())[thread_number()] = 0;
  sync_cluster();
}

__global__ void before_return_kernel(int* y) {
  auto& smem = shared<Ints>();
  smem.data[thread_number()] = thread_number();
  sync_cluster();
  y[32 * blockIdx.x + thread_number()] = in_block(smem.data, 1 - cluster_rank())[thread_number()];
}

__global__ void one_block_kernel(int* y) {
  if (cluster_rank() == 0) {
    sync_cluster();
  } else {
    if (thread_number() == 0) sync_threads();
    sync_warp();
  }
  y[blockIdx.x] = 1;
}

__global__ void without_in_block_kernel(int** addresses, int* y) {
  auto& smem = shared<Ints>();
  smem.data[thread_number()] = 1;
  if (thread_number() == 0) addresses[blockIdx.x] = smem.data;
  sync_grid();
  y[32 * blockIdx.x + thread_number()] = addresses[1 - blockIdx.x][thread_number()];
  sync_grid();
}

__global__ void rank_outside_kernel(int* y) {
  auto& smem = shared<Ints>();
  *in_block(smem.data, 2) = 1;
  y[0] = 1;
}

__global__ void past_the_end_kernel(int* y) {
  auto& smem = shared<Ints>();
  int* const other = in_block(smem.data, 1 - cluster_rank());
  if (cluster_rank() == 0) other[thread_number() + 1] = 1;
  sync_cluster();
  y[32 * blockIdx.x + thread_number()] = 1;
}

// The barrier of block 1, ready to be used from block 0.
__device__ void prepare(Ints& smem, int arrivals) {
  smem.data[thread_number()] = -1;
  if (thread_number() == 0) {
    smem.full.init(arrivals);
    smem.other.init(1);
    fence_barrier_init();
  }
  sync_cluster();
}

__global__ void no_arrivals_kernel(int* y) {
  auto& smem = shared<Ints>();
  prepare(smem, 2);
  if (thread_number() == 0) smem.full.arrive();
  smem.full.wait(0);
  y[thread_number()] = 1;
}

__global__ void too_many_arrivals_kernel(int* y) {
  auto& smem = shared<Ints>();
  prepare(smem, 2);
  smem.full.arrive_expect(4);
  y[thread_number()] = 1;
}

__global__ void not_initialised_kernel(int* y) {
  auto& smem = shared<Ints>();
  if (thread_number() == 0) smem.full.arrive();
  y[thread_number()] = 1;
}

__global__ void twice_kernel(int* y) {
  auto& smem = shared<Ints>();
  if (thread_number() < 2) smem.full.init(1);
  y[thread_number()] = 1;
}

__global__ void used_before_sync_kernel(int* y) {
  auto& smem = shared<Ints>();
  if (thread_number() == 0) smem.full.init(1);
  if (thread_number() == 31) smem.full.arrive();
  y[thread_number()] = 1;
}

__global__ void not_fenced_kernel(int* y) {
  auto& smem = shared<Ints>();
  if (thread_number() == 0) smem.full.init(1);
  sync_cluster();
  if (thread_number() == 0) in_block(&smem.full, 1 - cluster_rank())->arrive();
  smem.full.wait(0);
  y[thread_number()] = 1;
  sync_cluster();
}

__global__ void overwritten_kernel(int* y) {
  auto& smem = shared<Ints>();
  prepare(smem, 1);
  if (thread_number() == 1) smem.full.arrive();
  if (thread_number() == 2) *reinterpret_cast<unsigned char*>(&smem.full) = 0;
  y[thread_number()] = 1;
}

__global__ void wait_elsewhere_kernel(int* y) {
  auto& smem = shared<Ints>();
  prepare(smem, 1);
  if (thread_number() == 0) smem.full.arrive();
  in_block(&smem.full, 1 - cluster_rank())->wait(0);
  y[thread_number()] = 1;
  sync_cluster();
}

// Block 0 sends a word for each thread of block 1, which the given code receives.
template <class Receive>
__device__ void send(Ints& smem, const Receive& receive) {
  prepare(smem, 1);
  if (cluster_rank() == 0) {
    const int thread = thread_number();
    store_async(in_block(&smem.data[thread], 1), thread, in_block(&smem.full, 1));
  } else {
    receive();
  }
  sync_cluster();
}

__global__ void wait_missing_kernel(int* y) {
  auto& smem = shared<Ints>();
  send(smem, [&] {
    if (thread_number() == 0) smem.full.arrive_expect(sizeof smem.data);
    y[thread_number()] = smem.data[thread_number()];
  });
}

__global__ void one_waits_kernel(int* y) {
  auto& smem = shared<Ints>();
  send(smem, [&] {
    if (thread_number() == 0) {
      smem.full.arrive_expect(sizeof smem.data);
      smem.full.wait(0);
    }
    y[thread_number()] = smem.data[thread_number()];
  });
}

__global__ void wrong_parity_kernel(int* y) {
  auto& smem = shared<Ints>();
  send(smem, [&] {
    smem.full.wait(1);  // of the phase before the first one
    y[thread_number()] = smem.data[thread_number()];
    sync_warp();
    if (thread_number() == 0) smem.full.arrive_expect(sizeof smem.data);
    smem.full.wait(0);
  });
}

// Block 0 sends 8 bytes to block 1, which expects another number.
__global__ void bytes_kernel(int* y, int expected) {
  auto& smem = shared<Ints>();
  prepare(smem, 1);
  if (cluster_rank() == 0) {
    if (thread_number() == 0)
      store_async(in_block(reinterpret_cast<Vector<int, 2>*>(smem.data), 1), {1, 2}, in_block(&smem.full, 1));
  } else {
    if (thread_number() == 0) smem.full.arrive_expect(expected);
    smem.full.wait(0);
    y[0] = smem.data[0];
  }
  sync_cluster();
}

__global__ void early_arrival_kernel(int* y) {
  auto& smem = shared<Ints>();
  prepare(smem, 1);
  if (cluster_rank() == 0) {
    if (thread_number() == 0) {
      in_block(&smem.full, 1)->arrive();
      *in_block(smem.data, 1) = 5;
    }
  } else {
    smem.full.wait(0);
    y[thread_number()] = smem.data[0];
  }
  sync_cluster();
}

// Two messages into the same place: nothing says that the first one was read.
__global__ void sent_while_read_kernel(int* y) {
  auto& smem = shared<Ints>();
  prepare(smem, 1);
  if (cluster_rank() == 0) {
    if (thread_number() == 0) {
      store_async(in_block(smem.data, 1), 1, in_block(&smem.full, 1));
      smem.full.wait(0);  // block 1 has it, but may not have read it yet
      store_async(in_block(smem.data, 1), 2, in_block(&smem.full, 1));
    }
  } else if (thread_number() == 0) {
    smem.full.arrive_expect(4);
    smem.full.wait(0);
    in_block(&smem.full, 0)->arrive();
    y[0] = smem.data[0];
    smem.full.arrive_expect(4);
    smem.full.wait(1);
    y[1] = smem.data[0];
  }
  sync_cluster();
}

__global__ void own_block_kernel(int* y) {
  auto& smem = shared<Ints>();
  prepare(smem, 1);
  const int rank = cluster_rank();
  store_async(in_block(&smem.data[thread_number()], rank), 1, in_block(&smem.full, rank));
  y[thread_number()] = 1;
}

__global__ void misaligned_kernel(int* y) {
  auto& smem = shared<Ints>();
  prepare(smem, 1);
  const int other = 1 - cluster_rank();
  store_async(in_block(reinterpret_cast<Vector<int, 2>*>(&smem.data[1]), other), {1, 2},
              in_block(&smem.full, other));
  y[thread_number()] = 1;
}

__global__ void counts_elsewhere_kernel(int* y) {
  auto& smem = shared<Ints>();
  prepare(smem, 1);
  if (cluster_rank() == 0) store_async(in_block(&smem.data[thread_number()], 1), 1, in_block(&smem.full, 2));
  sync_cluster();
  y[32 * blockIdx.x + thread_number()] = 1;
}

__global__ void not_waited_for_kernel(int* y) {
  auto& smem = shared<Ints>();
  send(smem, [&] {
    if (thread_number() == 0) smem.full.arrive_expect(sizeof smem.data);
    y[thread_number()] = 1;
  });
}

__global__ void after_return_kernel(int* y) {
  auto& smem = shared<Ints>();
  prepare(smem, 1);
  if (thread_number() == 0) in_block(&smem.full, 1 - cluster_rank())->arrive();
  y[32 * blockIdx.x + thread_number()] = 1;
}

const LaunchConfig together{.grid = 2, .block = 32, .shared_bytes = sizeof(Ints), .cooperative = true};
const LaunchConfig pair{.grid = 2, .block = 32, .shared_bytes = sizeof(Ints), .cluster = 2};
const LaunchConfig alone{.block = 32, .shared_bytes = sizeof(Ints)};

}  // namespace

void sync_grid_missing(int* y, Stream& stream) {
  launch(stream, {.grid = 2, .cooperative = true}, grid_missing_kernel, y);
}
void sync_grid_not_cooperative(int* y, Stream& stream) { launch(stream, pair, one_sync_kernel, y); }
void sync_grid_without_one(int* y, Stream& stream) {
  launch(stream, {.grid = 3, .cooperative = true}, one_returns_kernel, y);
}
void sync_grid_at_two_places(int* y, Stream& stream) {
  launch(stream, {.grid = 2, .cooperative = true}, two_places_kernel, y);
}
void grid_too_large(int* y, int blocks, Stream& stream) {
  launch(stream, {.grid = blocks, .cooperative = true}, one_sync_kernel, y);
}
void cluster_does_not_divide(int* y, Stream& stream) {
  launch(stream, {.grid = 6, .cluster = 4}, before_read_kernel, y);
}
void cluster_too_large(int* y, Stream& stream) {
  launch(stream, {.grid = 16, .cluster = 16}, before_read_kernel, y);
}
void sync_cluster_before_remote_read_missing(int* y, Stream& stream) {
  launch(stream, pair, before_read_kernel, y);
}
void sync_cluster_before_remote_write_missing(int* y, Stream& stream) {
  launch(stream, pair, before_write_kernel, y);
}
void sync_cluster_before_return_missing(int* y, Stream& stream) {
  launch(stream, pair, before_return_kernel, y);
}
void sync_cluster_in_one_block(int* y, Stream& stream) { launch(stream, pair, one_block_kernel, y); }
void remote_without_in_block(int** addresses, int* y, Stream& stream) {
  launch(stream, together, without_in_block_kernel, addresses, y);
}
void rank_outside_cluster(int* y, Stream& stream) { launch(stream, pair, rank_outside_kernel, y); }
void remote_past_the_end(int* y, Stream& stream) { launch(stream, pair, past_the_end_kernel, y); }

void wait_without_arrivals(int* y, Stream& stream) { launch(stream, alone, no_arrivals_kernel, y); }
void one_arrival_too_many(int* y, Stream& stream) { launch(stream, alone, too_many_arrivals_kernel, y); }
void barrier_not_initialised(int* y, Stream& stream) { launch(stream, alone, not_initialised_kernel, y); }
void barrier_initialised_twice(int* y, Stream& stream) { launch(stream, alone, twice_kernel, y); }
void barrier_used_before_sync(int* y, Stream& stream) { launch(stream, alone, used_before_sync_kernel, y); }
void barrier_not_fenced(int* y, Stream& stream) { launch(stream, pair, not_fenced_kernel, y); }
void barrier_overwritten(int* y, Stream& stream) { launch(stream, alone, overwritten_kernel, y); }
void wait_at_other_block(int* y, Stream& stream) { launch(stream, pair, wait_elsewhere_kernel, y); }
void wait_missing(int* y, Stream& stream) { launch(stream, pair, wait_missing_kernel, y); }
void wait_of_one_thread(int* y, Stream& stream) { launch(stream, pair, one_waits_kernel, y); }
void wait_for_wrong_parity(int* y, Stream& stream) { launch(stream, pair, wrong_parity_kernel, y); }
void too_few_bytes_expected(int* y, Stream& stream) { launch(stream, pair, bytes_kernel, y, 4); }
void too_many_bytes_expected(int* y, Stream& stream) { launch(stream, pair, bytes_kernel, y, 12); }
void arrival_before_the_write(int* y, Stream& stream) { launch(stream, pair, early_arrival_kernel, y); }
void slot_sent_to_while_read(int* y, Stream& stream) { launch(stream, pair, sent_while_read_kernel, y); }
void store_to_own_block(int* y, Stream& stream) { launch(stream, pair, own_block_kernel, y); }
void store_misaligned(int* y, Stream& stream) { launch(stream, pair, misaligned_kernel, y); }
void store_counts_elsewhere(int* y, Stream& stream) {
  launch(stream, {.grid = 3, .block = 32, .shared_bytes = sizeof(Ints), .cluster = 3},
         counts_elsewhere_kernel, y);
}
void store_not_waited_for(int* y, Stream& stream) { launch(stream, pair, not_waited_for_kernel, y); }
void arrival_after_return(int* y, Stream& stream) { launch(stream, pair, after_return_kernel, y); }

}  // namespace tenon::test
