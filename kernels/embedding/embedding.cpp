// Cases, costs and the plain CPU variant of BERT's embeddings: in f64 the reference, in f32 the yardstick.
#include "kernels/embedding/embedding.h"

#include "kernels/base/cases.h"
#include "kernels/base/index_fault.h"
#include "kernels/base/own_shape.h"
#include "kernels/base/registry.h"
#include "kernels/layer_norm/rows.h"

namespace tenon {
namespace {

int64_t type_of(const TensorView& token_types, int64_t row) {
  return token_types.defined() ? token_types.as<int32_t>()[row] : 0;
}

template <class T>
void forward(const Embedding::Args& a) {
  using Sum = accumulator<T>;
  const int64_t columns = a.word.shape[1];
  std::vector<T> sum(columns);
  for (int64_t row = 0; row < a.ids.shape[0]; ++row) {
    const T* word = a.word.as<T>() + a.ids.as<int32_t>()[row] * columns;
    const T* position = a.position.as<T>() + a.positions.as<int32_t>()[row] * columns;
    const T* type = a.token_type.as<T>() + type_of(a.token_types, row) * columns;
    for (int64_t i = 0; i < columns; ++i) sum[i] = T(Sum(word[i]) + Sum(type[i]) + Sum(position[i]));
    if (a.sum.defined()) std::copy(sum.begin(), sum.end(), a.sum.as<T>() + row * columns);
    layer_norm::forward_row<T>(sum.data(), a.gamma.as<T>(), a.beta.as<T>(), columns, a.eps,
                               a.y.as<T>() + row * columns, a.mean.as<Sum>()[row], a.rstd.as<Sum>()[row]);
  }
}

// A table's gradient in the type of its sums.
template <class T>
class Table {
  using Sum = accumulator<T>;

 public:
  explicit Table(const TensorView& out) : out_(out), columns_(out.shape[1]), sums_(out.size()) {}
  ~Table() {
    for (int64_t i = 0; i < out_.size(); ++i) out_.as<T>()[i] = T(sums_[i]);
  }
  void add(int64_t row, const std::vector<Sum>& values) {
    for (int64_t i = 0; i < columns_; ++i) sums_[row * columns_ + i] += values[i];
  }

 private:
  TensorView out_;
  int64_t columns_;
  std::vector<Sum> sums_;
};

template <class T>
void backward(const EmbeddingBackward::Args& a) {
  using Sum = accumulator<T>;
  const int64_t columns = a.dy.shape[1];
  std::vector<Sum> dgamma(columns), dbeta(columns), dsum(columns);
  Table<T> word(a.dword), position(a.dposition), type(a.dtoken_type);
  for (int64_t row = 0; row < a.dy.shape[0]; ++row) {
    layer_norm::backward_row(a.dy.as<T>() + row * columns, a.sum.as<T>() + row * columns, a.gamma.as<T>(),
                             columns, a.mean.as<Sum>()[row], a.rstd.as<Sum>()[row], dsum.data(),
                             dgamma.data(), dbeta.data());
    word.add(a.ids.as<int32_t>()[row], dsum);
    position.add(a.positions.as<int32_t>()[row], dsum);
    type.add(type_of(a.token_types, row), dsum);
  }
  for (int64_t i = 0; i < columns; ++i) {
    a.dgamma.as<T>()[i] = T(dgamma[i]);
    a.dbeta.as<T>()[i] = T(dbeta[i]);
  }
}

void run(const Embedding::Args& a, Stream&) {
  check_embedding_indices(a.ids, a.positions, a.token_types, a.word.shape[0], a.position.shape[0],
                          a.token_type.shape[0]);
  dispatch<double, float, bf16>(a.word.dtype, [&]<class T>() { forward<T>(a); });
}

void run_backward(const EmbeddingBackward::Args& a, Stream&) {
  check_embedding_indices(a.ids, a.positions, a.token_types, a.dword.shape[0], a.dposition.shape[0],
                          a.dtoken_type.shape[0]);
  dispatch<double, float, bf16>(a.dy.dtype, [&]<class T>() { backward<T>(a); });
}

const std::vector<DType> plain_types{DType::f64, DType::f32, DType::bf16};
const Register<Embedding> plain{{.name = "plain", .device = Device::cpu, .dtypes = plain_types, .run = run}};
const Register<EmbeddingBackward> plain_backward{
    {.name = "plain", .device = Device::cpu, .dtypes = plain_types, .run = run_backward}};

struct Shape {
  int64_t rows, vocabulary, positions, columns;
  bool lean = false;  // without what may be absent
  bool large = false;
};
constexpr Shape shapes[] = {{1, 1, 1, 1},        {0, 5, 4, 8},
                            {5, 100, 7, 33},     {300, 7, 64, 48},
                            {64, 997, 512, 384}, {33, 64, 40, 1023, true},
                            {200, 50, 512, 768}, {4096, 30522, 512, 768, false, true}};

std::string title(const Shape& s) {
  return str(s.rows, " of ", s.vocabulary, "x", s.columns, s.lean ? " lean" : "");
}

template <class Args>
void fill_indices(Args& a, const Shape& s) {
  cases::put_indices(a.ids, s.vocabulary);
  cases::put_indices(a.positions, s.positions);
  cases::put_indices(a.token_types, 2);
}

void check_index(const TensorView& index, IndexKind kind, int64_t size) {
  if (!index.defined()) return;
  for (int64_t row = 0; row < index.size(); ++row) {
    const int32_t value = index.as<int32_t>()[row];
    if (value < 0 || value >= size) fail(describe({1, kind, value, row, size}));
  }
}

Case<Embedding::Args> make_case(DType dtype, const Shape& s) {
  Embedding::Args a;
  a.ids = a.positions = a.token_types = {nullptr, DType::i32, {s.rows}};
  a.word = {nullptr, dtype, {s.vocabulary, s.columns}};
  a.position = {nullptr, dtype, {s.positions, s.columns}};
  a.token_type = {nullptr, dtype, {2, s.columns}};
  a.gamma = a.beta = {nullptr, dtype, {s.columns}};
  a.y = a.sum = {nullptr, dtype, {s.rows, s.columns}};
  a.mean = a.rstd = {nullptr, dtype == DType::f64 ? DType::f64 : DType::f32, {s.rows}};
  if (s.lean) a.token_types = a.sum = {};
  return {title(s), a, s.large, [s](Embedding::Args& filled) { fill_indices(filled, s); }};
}

Case<EmbeddingBackward::Args> make_backward_case(DType dtype, const Shape& s) {
  EmbeddingBackward::Args a;
  a.ids = a.positions = a.token_types = {nullptr, DType::i32, {s.rows}};
  a.dword = {nullptr, dtype, {s.vocabulary, s.columns}};
  a.dposition = {nullptr, dtype, {s.positions, s.columns}};
  a.dtoken_type = {nullptr, dtype, {2, s.columns}};
  a.gamma = a.dgamma = a.dbeta = {nullptr, dtype, {s.columns}};
  a.dy = a.sum = {nullptr, dtype, {s.rows, s.columns}};
  a.mean = a.rstd = {nullptr, dtype == DType::f64 ? DType::f64 : DType::f32, {s.rows}};
  if (s.lean) a.token_types = {};
  return {title(s), a, s.large, [s](EmbeddingBackward::Args& filled) {
            fill_indices(filled, s);
            cases::affine(filled.rstd, 0.1, 1);
          }};
}

// Tokens and columns; the tables are as long as BERT's.
Shape of_bert(const Extents& e) { return {e[0], 30522, 512, e[1]}; }

}  // namespace

void check_embedding_indices(const TensorView& ids, const TensorView& positions,
                             const TensorView& token_types, int64_t vocabulary, int64_t max_position,
                             int64_t types) {
  check_index(ids, IndexKind::token_id, vocabulary);
  check_index(positions, IndexKind::position, max_position);
  check_index(token_types, IndexKind::token_type, types);
}

std::vector<Case<Embedding::Args>> Embedding::cases(DType dtype) {
  std::vector<Case<Args>> cases;
  for (const Shape& s : shapes) cases.push_back(make_case(dtype, s));
  return cases;
}

const RegisterShapes<Embedding> shapes_of_embedding{
    "TOKENSxHIDDEN",
    [](DType dtype, const Extents& e) -> Case<Embedding::Args> { return make_case(dtype, of_bert(e)); }};

std::vector<Case<EmbeddingBackward::Args>> EmbeddingBackward::cases(DType dtype) {
  std::vector<Case<Args>> cases;
  for (const Shape& s : shapes) cases.push_back(make_backward_case(dtype, s));
  return cases;
}

const RegisterShapes<EmbeddingBackward> shapes_of_embedding_backward{
    "TOKENSxHIDDEN", [](DType dtype, const Extents& e) -> Case<EmbeddingBackward::Args> {
      return make_backward_case(dtype, of_bert(e));
    }};

Cost Embedding::cost(const Args& a) {
  const auto elements = static_cast<double>(a.y.size());
  return {10 * elements, elements * static_cast<double>(size_of(a.y.dtype)) * (a.sum.defined() ? 4 : 3)};
}

Cost EmbeddingBackward::cost(const Args& a) {
  const auto elements = static_cast<double>(a.dy.size());
  return {17 * elements, static_cast<double>(2 * a.dy.bytes() + a.dword.bytes() + a.dposition.bytes())};
}

}  // namespace tenon
