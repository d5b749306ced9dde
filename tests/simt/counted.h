// Kernels whose accesses are counted by hand in tests/simt_counts_test.cpp. Blocks have 64 threads, two
// warps, unless it says otherwise.
#pragma once
#include "kernels/base/stream.h"

namespace tenon::test {

// y[i] = x[stride * i + offset] for i < n, a thread an element.
void gather(const float* x, float* y, int n, int stride, int offset, Stream& stream);
void gather_halves(const uint16_t* x, uint16_t* y, int n, Stream& stream);  // the same, side by side
void gather_vectors(const float* x, float* y, int n, Stream& stream);       // 4 elements a thread
void gather_pairs(const float* x, float* y, int n, Stream& stream);         // 2 elements a thread
void gather_scalars(const float* x, float* y, int n, Stream& stream);       // 4 a thread, one by one
// One block of 32 x 8 threads; `padded` rows of the tile are 33 words apart, others 32.
void turn_tile(const float* x, float* y, bool padded, Stream& stream);
void odd_and_even(const float* x, const float* z, float* y, Stream& stream);  // each from its own, 32 threads
void triangle(const float* x, float* y, Stream& stream);     // lane i sums i + 1 values, 32 apart; 32 threads
void leave_early(const float* x, float* y, Stream& stream);  // lanes 16 on return before the others meet
void meet_often(const float* x, float* y, Stream& stream);  // 3 times: load, sync_warp, sync_threads, shuffle
void count_all(int* sums, float* sum, int* most,
               Stream& stream);  // atomics: one place, one a thread; the rest on one
void shared_words(int bytes, int stride,
                  Stream& stream);  // a lane reads that many bytes every `stride`; 32 threads
void load_4_matrices(int row_bytes, Stream& stream);  // whose rows lie that far apart; 32 threads
void copy_rows_async(const float* x, int valid,
                     Stream& stream);               // 16 bytes a thread, as many valid; 32 threads
void multiply_fragments(float* y, Stream& stream);  // 3 products of bf16, 2 of tf32; 32 threads
void reach_next_block(int* y, Stream& stream);      // 2 clusters of 2 blocks of 32, cooperative nothing
void meet_in_grid(int* y, Stream& stream);          // 4 blocks of 64, 3 times

}  // namespace tenon::test
