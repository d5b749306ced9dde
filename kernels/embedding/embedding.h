// BERT's embeddings (HuggingFace's BertEmbeddings, less its dropout), forward and backward:
//   sum = word[id] + position[pos] + token_type[type],  y = layer_norm(sum)
// An index outside its table throws, naming the index, its row and the size of the table; found by a kernel
// of a GPU, when the host next waits for the device (kernels/base/index_fault.h).
#pragma once
#include "kernels/base/op.h"

namespace tenon {

struct Embedding {
  static constexpr std::string_view name = "embedding";
  static constexpr std::string_view backward = "embedding_backward";

  struct Args {
    TensorView ids, positions;  // (T) i32
    TensorView token_types;     // (T) i32; absent: all 0
    TensorView word;            // (V, H)
    TensorView position;        // (P, H)
    TensorView token_type;      // (types, H), 2 types in BERT
    TensorView gamma, beta;     // (H)
    TensorView y;               // (T, H)
    TensorView sum;             // (T, H), kept for the backward; may be absent
    TensorView mean, rstd;      // (T), f32 (f64 for f64), kept for the backward
    double eps = 1e-12;
  };

  static NamedViews inputs(Args& a) {
    return {{"ids", &a.ids},
            {"positions", &a.positions},
            {"token_types", &a.token_types},
            {"word", &a.word},
            {"position", &a.position},
            {"token_type", &a.token_type},
            {"gamma", &a.gamma},
            {"beta", &a.beta}};
  }
  static NamedViews outputs(Args& a) {
    return {{"y", &a.y}, {"sum", &a.sum}, {"mean", &a.mean}, {"rstd", &a.rstd}};
  }
  static std::vector<DType> dtypes() { return {DType::f32, DType::bf16}; }
  static DType dtype(const Args& a) { return a.word.dtype; }
  static std::vector<Case<Args>> cases(DType dtype);
  static Cost cost(const Args& a);
  static Tolerance tolerance(DType) { return {.factor = 3, .floor = 2e-7, .absolute = 5e-8}; }
};

// The gradients of the tables are written whole, zeros included; in which order each sums its rows is decided
// by the indices alone.
struct EmbeddingBackward {
  static constexpr std::string_view name = "embedding_backward";

  struct Args {
    TensorView dy;                             // (T, H)
    TensorView ids, positions;                 // (T) i32
    TensorView token_types;                    // (T) i32; absent: all 0
    TensorView sum;                            // (T, H)
    TensorView gamma;                          // (H)
    TensorView mean, rstd;                     // (T)
    TensorView dword, dposition, dtoken_type;  // (V, H), (P, H), (types, H)
    TensorView dgamma, dbeta;                  // (H)
  };

  static NamedViews inputs(Args& a) {
    return {
        {"dy", &a.dy},   {"ids", &a.ids},     {"positions", &a.positions}, {"token_types", &a.token_types},
        {"sum", &a.sum}, {"gamma", &a.gamma}, {"mean", &a.mean},           {"rstd", &a.rstd}};
  }
  static NamedViews outputs(Args& a) {
    return {{"dword", &a.dword},
            {"dposition", &a.dposition},
            {"dtoken_type", &a.dtoken_type},
            {"dgamma", &a.dgamma},
            {"dbeta", &a.dbeta}};
  }
  static std::vector<DType> dtypes() { return {DType::f32, DType::bf16}; }
  static DType dtype(const Args& a) { return a.dy.dtype; }
  static std::vector<Case<Args>> cases(DType dtype);
  static Cost cost(const Args& a);
  static Tolerance tolerance(DType) { return {.factor = 3, .floor = 5e-7, .absolute = 2e-7}; }
};

// "token id 30600 at row 3 is past the vocabulary of 30522; …" for the first index outside its table; the
// indices must be readable by the host.
void check_embedding_indices(const TensorView& ids, const TensorView& positions,
                             const TensorView& token_types, int64_t vocabulary, int64_t max_position,
                             int64_t types);

}  // namespace tenon
