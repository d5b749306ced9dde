// Kernels whose blocks run together, for the test of the emulator: some right, most wrong in one way.
#pragma once
#include "kernels/base/stream.h"

namespace tenon::test {

// Right. Blocks of a cluster have 32 threads.
void rotate_in_grid(int* y, int blocks, int steps, Stream& stream);  // one value a block, sync_grid
int64_t most_blocks();
void rotate_in_cluster(int* y, int clusters, int cluster, int delta, Stream& stream);  // one value a thread
void add_into_first_block(int* y, int cluster, Stream& stream);  // atomics in another block's shared memory
void count_ranks(int* y, int clusters, int cluster, Stream& stream);  // 2 values a block: rank, blocks
void hand_over_in_block(int* y, int rounds, Stream& stream);          // a warp to a warp, 32 values a round
void exchange_all(uint32_t* y, int cluster, int steps, Stream& stream);  // one value a thread, store_async
void send_vectors(int* y, Stream& stream);                               // 7 words a lane, from 32 lanes
int64_t most_clusters_of_4();

// Wrong, in the way that the name says.
void sync_grid_missing(int* y, Stream& stream);
void sync_grid_not_cooperative(int* y, Stream& stream);
void sync_grid_without_one(int* y, Stream& stream);
void sync_grid_at_two_places(int* y, Stream& stream);
void grid_too_large(int* y, int blocks, Stream& stream);
void cluster_does_not_divide(int* y, Stream& stream);
void cluster_too_large(int* y, Stream& stream);
void sync_cluster_before_remote_read_missing(int* y, Stream& stream);
void sync_cluster_before_remote_write_missing(int* y, Stream& stream);
void sync_cluster_before_return_missing(int* y, Stream& stream);
void sync_cluster_in_one_block(int* y, Stream& stream);
void remote_without_in_block(int** addresses, int* y, Stream& stream);
void rank_outside_cluster(int* y, Stream& stream);
void remote_past_the_end(int* y, Stream& stream);

void wait_without_arrivals(int* y, Stream& stream);
void one_arrival_too_many(int* y, Stream& stream);
void barrier_not_initialised(int* y, Stream& stream);
void barrier_initialised_twice(int* y, Stream& stream);
void barrier_used_before_sync(int* y, Stream& stream);
void barrier_not_fenced(int* y, Stream& stream);
void barrier_overwritten(int* y, Stream& stream);
void wait_at_other_block(int* y, Stream& stream);
void wait_missing(int* y, Stream& stream);
void wait_of_one_thread(int* y, Stream& stream);
void wait_for_wrong_parity(int* y, Stream& stream);
void too_few_bytes_expected(int* y, Stream& stream);
void too_many_bytes_expected(int* y, Stream& stream);
void arrival_before_the_write(int* y, Stream& stream);
void slot_sent_to_while_read(int* y, Stream& stream);
void store_to_own_block(int* y, Stream& stream);
void store_misaligned(int* y, Stream& stream);
void store_counts_elsewhere(int* y, Stream& stream);
void store_not_waited_for(int* y, Stream& stream);
void arrival_after_return(int* y, Stream& stream);

}  // namespace tenon::test
