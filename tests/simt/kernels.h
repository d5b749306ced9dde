// Kernels for the test of the emulator: a few that are right, and many that are each wrong in one way.
#pragma once
#include "kernels/base/stream.h"

namespace tenon::test {

// Right.
void add(const float* a, const float* b, float* sum, int n, Stream& stream);
void sum_rows(const float* x, float* sums, int rows, int columns, Stream& stream);  // 256 threads a row
void transpose(const float* x, float* y, int n, Stream& stream);                    // n a multiple of 32
void rotate_in_warp(const int* x, int* y, int delta, Stream& stream);  // 64 values, shared, sync_warp
void half_warps(int* y, Stream& stream);                               // 32 values
void count_atomically(const int* x, int n, int* positive, Stream& stream);
void copy_vectors(const float* x, float* y, int n, Stream& stream);  // n a multiple of 4
void copy_scalars(const unsigned char* x, unsigned char* y, int n, Stream& stream);

// Tensor cores (tests/simt/tensor_cores.cu); words are those of 32 lanes, one lane after the other.
void mma_bf16(const uint32_t* a, const uint32_t* b, float* c, Stream& stream);  // 4, 2 and 4 words a lane
void mma_f16(const uint32_t* a, const uint32_t* b, float* c, Stream& stream);
void mma_tf32(const uint32_t* a, const uint32_t* b, float* c, Stream& stream);
void round_to_tf32(const float* x, uint32_t* y, Stream& stream);  // 32 values
// `count` matrices of 8 x 8, each of whose rows is 16 bytes of x; y takes `count` words a lane.
void load_8x8(const uint16_t* x, int count, bool transposed, uint32_t* y, Stream& stream);
// Asynchronous copies of one thread: x in groups of 4 floats, `valid` bytes of the last.
void copy_groups(const float* x, float* y, int valid, Stream& stream);

// Wrong, in the way that the name says.
void copy_not_waited_for(const float* x, float* y, Stream& stream);
void copy_without_barrier(const float* x, float* y, Stream& stream);
void copy_read_too_early(const float* x, float* y, Stream& stream);  // of y[0], which must be NaN: no error
void copy_to_misaligned(const float* x, float* y, Stream& stream);
void matrices_from_global(const uint16_t* x, uint32_t* y, Stream& stream);
void matrix_row_misaligned(uint32_t* y, Stream& stream);
void barrier_missing(float* y, Stream& stream);
void write_after_read_race(float* y, Stream& stream);
void sync_warp_missing(int* y, Stream& stream);
void shuffle_orders_no_memory(int* y, Stream& stream);
void blocks_race(float* y, Stream& stream);
void read_races_with_other_block(float* y, Stream& stream);
void plain_and_atomic_race(int* y, Stream& stream);
void shuffle_with_exited_lane(float* y, Stream& stream);
void exits_while_others_shuffle(float* y, Stream& stream);
void shuffle_from_outside_members(float* y, Stream& stream);
void lanes_that_do_not_exist(float* y, Stream& stream);
void lanes_in_different_shuffles(float* y, Stream& stream);
void divergent_barrier(float* y, Stream& stream);
void deadlock(float* y, Stream& stream);
void write_past_the_end(float* y, int n, Stream& stream);
void read_before_the_start(const float* x, float* y, Stream& stream);
void shared_past_the_end(float* y, Stream& stream);
void shared_too_small(float* y, Stream& stream);
void shared_unwritten(float* y, Stream& stream);
void misaligned_vector(const float* x, float* y, Stream& stream);
void misaligned_cast(const float* x, float* y, Stream& stream);
void host_variable(float* y, Stream& stream);
void throws(float* y, Stream& stream);
void block_too_large(float* y, Stream& stream);
void unhooked_write_after_read(float* y, Stream& stream);

}  // namespace tenon::test
