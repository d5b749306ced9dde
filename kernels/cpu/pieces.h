// The elements of a whole list of tensors as one parallel loop: cut into pieces that depend on the sizes
// only.
#pragma once
#include <algorithm>
#include <vector>

#include "kernels/base/view.h"
#include "kernels/cpu/parallel.h"

namespace tenon::cpu {

struct Piece {
  size_t tensor;
  int64_t begin, end;
};

inline std::vector<Piece> pieces(const std::vector<TensorView>& tensors, int64_t grain = 16384) {
  std::vector<Piece> result;
  for (size_t k = 0; k < tensors.size(); ++k)
    for (int64_t begin = 0; begin < tensors[k].size(); begin += grain)
      result.push_back({k, begin, std::min(begin + grain, tensors[k].size())});
  return result;
}

// Calls body(tensor, begin, end) for each piece, in parallel.
template <class Body>
void for_each_piece(const std::vector<TensorView>& tensors, const Body& body) {
  const std::vector<Piece> all = pieces(tensors);
  parallel(static_cast<int64_t>(all.size()), [&](int64_t i) {
    const Piece& piece = all[static_cast<size_t>(i)];
    body(piece.tensor, piece.begin, piece.end);
  });
}

}  // namespace tenon::cpu
