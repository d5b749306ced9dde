// The two factors of a product on tensor cores, on their way from global memory to registers. A stage is a
// slice of K, 64 bytes of it, of `extent` rows of op(a) or columns of op(b). It lies in shared memory as
// lines of 16-byte chunks, in the direction in which the factor is contiguous:
//   along K:  a line is a row (column) of the factor, its 4 chunks follow K;
//   across:   a line is one k, its chunks follow the rows (columns).
//
// Why there are no bank conflicts: 8 chunks fill the 32 banks once, and both the copies (8 neighbouring
// lanes) and the loads of a fragment move 8 chunks at a time, which must lie in different places modulo 8.
// Chunk c of a line is exchanged by XOR with bits of the line's number:
//   along K:        line / 2 % 4. A load takes chunk c of 8 lines one below the other: they are 4 c's apart,
//                   two lines a row of the banks, and the XOR tells the four such rows apart.
//   across, 16 bit: line % 8. A load takes chunk c of 8 lines whose lengths are multiples of 8 chunks.
//   across, 32 bit: 2 (line % 4). ldmatrix cannot transpose 32-bit elements, so lanes read them one by one: 4
//                   k's of 8 neighbouring rows, which are 2 chunks in each of 4 lines.
// A copy writes neighbouring chunks of one line, or two whole lines along K: 8 places either way.
#pragma once
#include <bit>

#include "kernels/simt/simt.h"

namespace tenon {
inline namespace TENON_SIMT_BUILD {

template <class T>
using MmaType = std::conditional_t<std::is_same_v<T, float>, tf32, T>;

inline constexpr int chunk_bytes = 16, stage_depth_bytes = 64;
inline constexpr int stage_steps = 2;  // products of a stage, one after the other along K
template <class T>
inline constexpr int chunk_elements = chunk_bytes / sizeof(T);
template <class T>
inline constexpr int stage_depth = stage_depth_bytes / sizeof(T);
static_assert(stage_depth<bf16> == stage_steps * mma_depth<bf16> &&
              stage_depth<float> == stage_steps * mma_depth<tf32>);

template <class T, int extent, bool along_k>
struct MmaStage {
  static constexpr int lines = along_k ? extent : stage_depth<T>;
  static constexpr int line_chunks = extent * stage_depth_bytes / chunk_bytes / lines;
  alignas(128) unsigned char bytes[extent * stage_depth_bytes];

  __device__ static int offset(int line, int chunk) {
    int exchange = line / 2 % 4;
    if constexpr (!along_k) exchange = sizeof(T) == 2 ? line % 8 : 2 * (line % 4);
    return (line * line_chunks + (chunk ^ exchange)) * chunk_bytes;
  }
  __device__ const void* chunk(int line, int number) const { return bytes + offset(line, number); }
  // Element e of a line.
  __device__ uint32_t word(int line, int e) const {
    static_assert(sizeof(T) == 4);
    return *reinterpret_cast<const uint32_t*>(bytes + offset(line, e / 4) + e % 4 * 4);
  }
};

// Copies stage after stage. A thread has one chunk in each so-manieth line of every stage.
template <class T, int extent, bool along_k, int threads>
class MmaLoader {
  using Stage = MmaStage<T, extent, along_k>;
  static constexpr int line_step = threads / Stage::line_chunks;
  static constexpr int passes = Stage::lines / line_step;
  static_assert(threads % Stage::line_chunks == 0 && Stage::lines % line_step == 0);
  static_assert(line_step % (along_k || sizeof(T) == 2 ? 8 : 4) == 0, "its chunks are exchanged alike");

 public:
  // Lines of x start `stride` elements apart. The factor has `size` rows (columns), of which the block takes
  // those from `first` on, and K from k to k_end.
  __device__ MmaLoader(const T* x, int64_t stride, int64_t size, int64_t first, int64_t k, int64_t k_end) {
    const int chunk = thread_number() % Stage::line_chunks;
    line_ = thread_number() / Stage::line_chunks;
    target_ = Stage::offset(line_, chunk);
    const int64_t line = (along_k ? first : k) + line_;
    const int64_t element = (along_k ? k : first) + chunk * chunk_elements<T>;
    source_ = x + line * stride + element;
    pass_step_ = line_step * stride;
    stage_step_ = along_k ? int64_t{stage_depth<T>} : stage_depth<T> * stride;
    lines_left_ = static_cast<int>((along_k ? size : k_end) - line);
    elements_left_ = static_cast<int>((along_k ? k_end : size) - element);
  }

  // Starts the copies of the next stage; zeros stand for what lies beyond the matrix.
  __device__ void copy(Stage& stage) {
    const int elements = elements_left_ < 0 ? 0 : elements_left_;
    const int valid =
        (elements < chunk_elements<T> ? elements : chunk_elements<T>)*static_cast<int>(sizeof(T));
#pragma unroll
    for (int pass = 0; pass < passes; ++pass)
      copy_async<chunk_bytes>(stage.bytes + target_ + pass * line_step * Stage::line_chunks * chunk_bytes,
                              source_ + pass * pass_step_, pass * line_step < lines_left_ ? valid : 0);
    source_ += stage_step_;
    (along_k ? elements_left_ : lines_left_) -= stage_depth<T>;
  }

 private:
  const T* source_;  // of this thread's first chunk in the next stage
  int64_t pass_step_, stage_step_;
  int line_, target_;
  int lines_left_, elements_left_;  // from there to the end of the matrix
};

// A warp's rows of op(a) in one step: `count` fragments below each other.
template <class T, int count>
struct MmaRows {
  MmaA<MmaType<T>> fragments[count];

  template <int extent, bool along_k>
  __device__ void load(const MmaStage<T, extent, along_k>& stage, int first, int step) {
    const int lane = lane_number();
#pragma unroll
    for (int i = 0; i < count; ++i) {
      auto& words = fragments[i].words;
      const int row = first + 16 * i;
      if constexpr (along_k) {
        load_matrices(words, stage.chunk(row + lane % 16, 2 * step + lane / 16));
      } else if constexpr (sizeof(T) == 2) {
        load_matrices_transposed(words,
                                 stage.chunk(16 * step + lane / 16 * 8 + lane % 8, row / 8 + lane / 8 % 2));
      } else {
        for (int j = 0; j < 4; ++j) {
          const MmaPlace at = mma_a_place<tf32>(lane, j);
          words[j] = stage.word(8 * step + at.column, row + at.row);
        }
      }
      if constexpr (std::is_same_v<T, float>)
        for (uint32_t& word : words) word = to_tf32(std::bit_cast<float>(word));
    }
  }
};

// A warp's columns of op(b): `count` fragments beside each other, two with each load.
template <class T, int count>
struct MmaColumns {
  MmaB<MmaType<T>> fragments[count];

  template <int extent, bool along_k>
  __device__ void load(const MmaStage<T, extent, along_k>& stage, int first, int step) {
    const int lane = lane_number();
#pragma unroll
    for (int i = 0; i < count; i += 2) {
      uint32_t words[4];
      const int column = first + 8 * i;
      if constexpr (along_k) {
        load_matrices(words, stage.chunk(column + lane / 16 * 8 + lane % 8, 2 * step + lane / 8 % 2));
      } else if constexpr (sizeof(T) == 2) {
        load_matrices_transposed(words, stage.chunk(16 * step + lane % 16, column / 8 + lane / 16));
      } else {
        for (int j = 0; j < 4; ++j) {
          const MmaPlace at = mma_b_place<tf32>(lane, j % 2);
          words[j] = stage.word(8 * step + at.row, column + j / 2 * 8 + at.column);
        }
      }
      if constexpr (std::is_same_v<T, float>)
        for (uint32_t& word : words) word = to_tf32(std::bit_cast<float>(word));
      for (int j = 0; j < 4; ++j) fragments[i + j / 2].words[j % 2] = words[j];
    }
  }
};

}  // namespace TENON_SIMT_BUILD
}  // namespace tenon
