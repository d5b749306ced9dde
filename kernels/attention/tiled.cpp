// Attention on the CPU in tiles: a task is some rows of one head of one sequence. It packs the head's keys
// and values, which then stay in the L2 cache, and for 32 queries at a time computes all scores, their
// softmax and the output. Bound by the two products. Each row is computed alike whatever rows share its task.
#include <cmath>

#include "kernels/attention/attention.h"
#include "kernels/attention/tiles.h"
#include "kernels/base/registry.h"
#include "kernels/cpu/math.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/processor.h"

namespace tenon {
namespace {

using attention::block, attention::Scratch, attention::Task, attention::Tiles;

constexpr int64_t key_block = 128;  // scores of so many keys stay in the L1 cache for the second product

struct Pieces {
  float *keys, *values, *queries, *scores, *out;
};

int64_t scratch_floats(int64_t length, int64_t dim) {
  return 2 * Scratch::padded(length * dim) + 2 * Scratch::padded(dim * block) +
         Scratch::padded(length * block);
}

Pieces carve(Scratch& scratch, int64_t length, int64_t dim) {
  return {scratch.take(length * dim), scratch.take(length * dim), scratch.take(dim * block),
          scratch.take(length * block), scratch.take(dim * block)};
}

// scores(length, 32) becomes exp(scores - largest of its column); sums and log-sum-exps of the columns.
void exponentiate(float* scores, int64_t length, float* sums, float* lse) {
  float largest[block], total[block];
  std::fill_n(largest, block, -INFINITY);
  std::fill_n(total, block, 0.0f);
  for (int64_t key = 0; key < length; ++key)
    for (int64_t i = 0; i < block; ++i)
      largest[i] = scores[key * block + i] > largest[i] ? scores[key * block + i] : largest[i];
  for (int64_t key = 0; key < length; ++key)
    for (int64_t i = 0; i < block; ++i) {
      const float e = cpu::exp(scores[key * block + i] - largest[i]);
      scores[key * block + i] = e;
      total[i] += e;
    }
  for (int64_t i = 0; i < block; ++i) {
    sums[i] = total[i];
    lse[i] = largest[i] + std::log(total[i]);
  }
}

void drop(const Dropout& dropout, uint64_t first_row_key, float* scores, int64_t length) {
  float factors[4][block];
  for (int64_t key = 0; key < length; key += 4) {
    attention::factors_of_quad(dropout, first_row_key, key / 4, factors);
    for (int64_t w = 0; w < std::min<int64_t>(4, length - key); ++w)
      for (int64_t i = 0; i < block; ++i) scores[(key + w) * block + i] *= factors[w][i];
  }
}

// Rows [first, first + rows) of the task's sequence, at most 32.
template <class T>
void run_block(const Attention::Args& a, const Tiles& tiles, const Task& task, const Pieces& pieces,
               int64_t first, int64_t rows) {
  const int64_t length = task.length, dim = a.q.shape[1] / a.num_heads, row = task.begin + first;
  tiles.pack_panel(a.q.as<const T>() + row * a.q.stride[0] + task.head * dim, a.q.stride[0], rows, dim,
                   pieces.queries);
  const auto scale = static_cast<float>(a.scale);
  for (int64_t i = 0; i < dim * block; ++i) pieces.queries[i] *= scale;
  tiles.multiply(pieces.keys, pieces.queries, length, dim, pieces.scores, block, block, 0);

  float sums[block], lse[block];
  exponentiate(pieces.scores, length, sums, lse);
  std::copy_n(lse, rows, a.lse.as<float>() + task.head * a.q.shape[0] + row);
  if (a.dropout.active())
    drop(a.dropout,
         attention_key(static_cast<uint64_t>(a.first_sequence + task.sequence),
                       static_cast<uint64_t>(task.head), static_cast<uint64_t>(first)),
         pieces.scores, length);

  for (int64_t key = 0; key < length; key += key_block)
    tiles.multiply(pieces.values + key * dim, pieces.scores + key * block, dim,
                   std::min(key_block, length - key), pieces.out, block, block, key > 0 ? 1.0f : 0.0f);
  for (int64_t i = 0; i < dim; ++i)
    for (int64_t j = 0; j < block; ++j) pieces.out[i * block + j] /= sums[j];
  tiles.store_transposed(pieces.out, dim, rows, a.out.as<T>() + row * a.out.stride[0] + task.head * dim,
                         a.out.stride[0]);
}

template <class T>
void run_task(const Attention::Args& a, const Tiles& tiles, const Task& task) {
  const int64_t length = task.length, dim = a.q.shape[1] / a.num_heads;
  Scratch scratch(scratch_floats(length, dim));
  const Pieces pieces = carve(scratch, length, dim);
  const T* k = a.k.as<T>() + task.begin * a.k.stride[0] + task.head * dim;
  const T* v = a.v.as<T>() + task.begin * a.v.stride[0] + task.head * dim;
  tiles.pack_rows(k, a.k.stride[0], length, dim, pieces.keys);
  for (int64_t key = 0; key < length; key += key_block)
    tiles.pack_columns(v + key * a.v.stride[0], a.v.stride[0], std::min(key_block, length - key), dim,
                       pieces.values + key * dim);
  for (int64_t done = 0; done < task.rows; done += block)
    run_block<T>(a, tiles, task, pieces, task.first + done, std::min(block, task.rows - done));
}

size_t workspace(const Attention::Args& a) {
  return static_cast<size_t>(thread_count()) *
         Scratch::bytes(scratch_floats(a.max_seqlen, a.q.shape[1] / a.num_heads));
}

template <const MicroKernels& kernels, const Bf16MicroKernels& widening>
void run(const Attention::Args& a, Stream&) {
  const Tiles tiles(kernels, widening);
  // Whole heads where they keep all threads busy: packing is then done once.
  const int64_t heads = (a.cu_seqlens.shape[0] - 1) * a.num_heads;
  const int64_t rows = heads >= 4 * thread_count() ? std::max<int64_t>(a.q.shape[0], 1) : 4 * block;
  const std::vector<Task> tasks = attention::tasks(a.cu_seqlens, a.num_heads, rows);
  dispatch<float, bf16>(a.q.dtype, [&]<class T>() {
    parallel(static_cast<int64_t>(tasks.size()),
             [&](int64_t i) { run_task<T>(a, tiles, tasks[static_cast<size_t>(i)]); });
  });
}

Variant<Attention> variant(std::string_view name, int priority, bool (*available)(),
                           void (*run)(const Attention::Args&, Stream&)) {
  return {.name = name,
          .device = Device::cpu,
          .priority = priority,
          .dtypes = {DType::f32, DType::bf16},
          .workspace = workspace,
          .available = available,
          .run = run};
}

const Register<Attention> avx512(variant("tiled_avx512", 30, has_avx512,
                                         run<avx512_micro_kernels, avx512_bf16_micro_kernels>));
const Register<Attention> avx2(variant("tiled_avx2", 20, has_avx2,
                                       run<avx2_micro_kernels, avx2_bf16_micro_kernels>));
const Register<Attention> portable(variant("tiled_portable", 10, nullptr,
                                           run<portable_micro_kernels, portable_bf16_micro_kernels>));

}  // namespace
}  // namespace tenon
