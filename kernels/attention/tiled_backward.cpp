// The gradient of attention on the CPU in tiles: a task is one head of one sequence. For 32 queries at a time
// it computes the probabilities again from the log-sum-exps, then the gradients of the scores, and adds what
// they give to the keys and values. Bound by the five products.
#include "kernels/attention/attention.h"
#include "kernels/attention/tiles.h"
#include "kernels/base/registry.h"
#include "kernels/cpu/math.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/processor.h"
#include "kernels/cpu/widened.h"

namespace tenon {
namespace {

using attention::block, attention::Scratch, attention::Task, attention::Tiles;

class Head {
 public:
  Head(const AttentionBackward::Args& args, const Tiles& tiles, const Task& task)
      : a_(args),
        tiles_(tiles),
        task_(task),
        length_(task.length),
        dim_(args.q.shape[1] / args.num_heads),
        scratch_(scratch_floats(length_, dim_)) {
    const int64_t head = length_ * dim_, panel = dim_ * block, panels = (dim_ + block - 1) / block;
    for (float** piece : {&keys_, &values_, &key_columns_, &dk_, &dv_}) *piece = scratch_.take(head);
    for (float** piece : {&p_, &ds_, &packed_}) *piece = scratch_.take(length_ * block);
    for (float** piece : {&q_transposed_, &dout_transposed_, &out_transposed_, &dq_})
      *piece = scratch_.take(panel);
    for (float** piece : {&q_, &dout_}) *piece = scratch_.take(panels * block * block);
  }

  static int64_t scratch_floats(int64_t length, int64_t dim) {
    return 5 * Scratch::padded(length * dim) + 3 * Scratch::padded(length * block) +
           4 * Scratch::padded(dim * block) + 2 * Scratch::padded((dim + block - 1) / block * block * block);
  }

  void run() {
    const float *k = rows(a_.k, 0), *v = rows(a_.v, 0);
    tiles_.pack_rows(k, a_.k.stride[0], length_, dim_, keys_);
    tiles_.pack_rows(v, a_.v.stride[0], length_, dim_, values_);
    tiles_.pack_columns(k, a_.k.stride[0], length_, dim_, key_columns_);
    for (int64_t first = 0; first < length_; first += block)
      run_block(first, std::min(block, length_ - first));
    for (int64_t row = 0; row < length_; ++row) {
      std::copy_n(dk_ + row * dim_, dim_, rows(a_.dk, row));
      std::copy_n(dv_ + row * dim_, dim_, rows(a_.dv, row));
    }
  }

 private:
  float* rows(const TensorView& x, int64_t position) const {
    return x.as<float>() + (task_.begin + position) * x.stride[0] + task_.head * dim_;
  }

  void run_block(int64_t first, int64_t count) {
    const float *q = rows(a_.q, first), *dout = rows(a_.dout, first);
    pack_b(q, a_.q.stride[0], true, dim_, count, q_transposed_, true);
    pack_b(dout, a_.dout.stride[0], true, dim_, count, dout_transposed_, true);
    pack_b(rows(a_.out, first), a_.out.stride[0], true, dim_, count, out_transposed_, true);
    pack_b(q, a_.q.stride[0], false, count, dim_, q_, true);
    pack_b(dout, a_.dout.stride[0], false, count, dim_, dout_, true);
    tiles_.multiply(keys_, q_transposed_, length_, dim_, p_, block, block, 0);
    tiles_.multiply(values_, dout_transposed_, length_, dim_, ds_, block, block, 0);
    differentiate(first, count);
    tiles_.multiply(key_columns_, ds_, dim_, length_, dq_, block, block, 0);
    tiles_.store_transposed(dq_, dim_, count, rows(a_.dq, first), a_.dq.stride[0]);
    add_product(ds_, q_, count, first > 0, dk_);
    add_product(p_, dout_, count, first > 0, dv_);
  }

  // p = exp(scale s - lse) and ds = scale p (dp - delta), where p_ held s and ds_ held dp.
  void differentiate(int64_t first, int64_t count) {
    const auto scale = static_cast<float>(a_.scale);
    float lse[block], delta[block], factors[4][block];
    std::fill_n(&factors[0][0], 4 * block, 1.0f);
    std::fill_n(lse, block, INFINITY);  // queries past the last one: p is 0
    std::fill_n(delta, block, 0.0f);
    std::copy_n(a_.lse.as<float>() + task_.head * a_.q.shape[0] + task_.begin + first, count, lse);
    // Summed in the order of the product that dp comes from: where one key takes all, they cancel exactly.
    for (int64_t j = 0; j < dim_; ++j)
      for (int64_t i = 0; i < block; ++i)
        delta[i] += out_transposed_[j * block + i] * dout_transposed_[j * block + i];
    for (int64_t key = 0; key < length_; ++key) {
      if (a_.dropout.active() && key % 4 == 0)
        attention::factors_of_quad(
            a_.dropout,
            attention_key(static_cast<uint64_t>(a_.first_sequence + task_.sequence),
                          static_cast<uint64_t>(task_.head), static_cast<uint64_t>(first)),
            key / 4, factors);
      const float* factor = factors[key % 4];
      float *p = p_ + key * block, *ds = ds_ + key * block;
      for (int64_t i = 0; i < block; ++i) {
        const float probability = cpu::exp(scale * p[i] - lse[i]);
        ds[i] = scale * probability * (factor[i] * ds[i] - delta[i]);
        p[i] = factor[i] * probability;
      }
    }
  }

  // sum(length, dim) += x(length, count of 32) panels(count, dim); without what was in sum for the first
  // block.
  void add_product(const float* x, const float* panels, int64_t count, bool add, float* sum) {
    tiles_.pack_rows(x, block, length_, count, packed_);
    for (int64_t column = 0; column < dim_; column += block)
      tiles_.multiply(packed_, panels + column * count, length_, count, sum + column, dim_,
                      std::min(block, dim_ - column), add ? 1.0f : 0.0f);
  }

  const AttentionBackward::Args& a_;
  const Tiles& tiles_;
  const Task task_;
  const int64_t length_, dim_;
  Scratch scratch_;
  float *keys_, *values_, *key_columns_, *dk_, *dv_;                // (length, dim), the first three packed
  float *p_, *ds_, *packed_;                                        // (length, 32)
  float *q_transposed_, *dout_transposed_, *out_transposed_, *dq_;  // (dim, 32)
  float *q_, *dout_;                                                // panels of (32, 32)
};

size_t workspace(const AttentionBackward::Args& a) {
  return static_cast<size_t>(thread_count()) *
         Scratch::bytes(Head::scratch_floats(a.max_seqlen, a.q.shape[1] / a.num_heads));
}

template <const MicroKernels& kernels, const Bf16MicroKernels& widening>
void run(const AttentionBackward::Args& a, Stream&) {
  const Tiles tiles(kernels, widening);
  const std::vector<Task> tasks =
      attention::tasks(a.cu_seqlens, a.num_heads, std::max<int64_t>(a.q.shape[0], 1));
  parallel(static_cast<int64_t>(tasks.size()),
           [&](int64_t i) { Head(a, tiles, tasks[static_cast<size_t>(i)]).run(); });
}

Variant<AttentionBackward> variant(std::string_view name, int priority, bool (*available)(),
                                   void (*run)(const AttentionBackward::Args&, Stream&)) {
  return {.name = name,
          .device = Device::cpu,
          .priority = priority,
          .dtypes = {DType::f32, DType::bf16},
          .workspace = cpu::workspace_of_either<AttentionBackward, workspace>,
          .available = available,
          .run = run};
}

const Register<AttentionBackward> avx512(
    variant("tiled_avx512", 30, has_avx512,
            cpu::run_either<AttentionBackward, run<avx512_micro_kernels, avx512_bf16_micro_kernels>>));
const Register<AttentionBackward> avx2(
    variant("tiled_avx2", 20, has_avx2,
            cpu::run_either<AttentionBackward, run<avx2_micro_kernels, avx2_bf16_micro_kernels>>));
const Register<AttentionBackward> portable(
    variant("tiled_portable", 10, nullptr,
            cpu::run_either<AttentionBackward, run<portable_micro_kernels, portable_bf16_micro_kernels>>));

}  // namespace
}  // namespace tenon
