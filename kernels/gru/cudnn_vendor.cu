// The GRU by cuDNN, as a yardstick: never chosen by itself. Only the forward, and without gates: what cuDNN
// keeps for its backward stands in memory of its own form, and the contract's gates cannot be had from it. It
// wants lengths on the host, so a run waits for the device once, and padded sequences, which two kernels make
// and undo. Weights are copied into its own order. All of this is in its time. Bound by cuDNN's standard
// algorithm: products and kernels per step. Not yet run on a GPU.
#include <cudnn.h>

#include <algorithm>
#include <vector>

#include "kernels/base/cuda_error.h"
#include "kernels/base/memory.h"
#include "kernels/base/registry.h"
#include "kernels/base/vendor_library.h"
#include "kernels/gru/device_layer.h"
#include "kernels/gru/gru_sequence.h"

namespace tenon {
namespace {

constexpr int threads = 256;

struct Library : VendorLibrary {
  Library() : VendorLibrary("libcudnn.so." TENON_STRING(CUDNN_MAJOR)) {}

  TENON_VENDOR_FUNCTION(cudnnCreate);
  TENON_VENDOR_FUNCTION(cudnnCreateDropoutDescriptor);
  TENON_VENDOR_FUNCTION(cudnnCreateRNNDataDescriptor);
  TENON_VENDOR_FUNCTION(cudnnCreateRNNDescriptor);
  TENON_VENDOR_FUNCTION(cudnnCreateTensorDescriptor);
  TENON_VENDOR_FUNCTION(cudnnDestroy);
  TENON_VENDOR_FUNCTION(cudnnDestroyDropoutDescriptor);
  TENON_VENDOR_FUNCTION(cudnnDestroyRNNDataDescriptor);
  TENON_VENDOR_FUNCTION(cudnnDestroyRNNDescriptor);
  TENON_VENDOR_FUNCTION(cudnnDestroyTensorDescriptor);
  TENON_VENDOR_FUNCTION(cudnnGetErrorString);
  TENON_VENDOR_FUNCTION(cudnnGetRNNTempSpaceSizes);
  TENON_VENDOR_FUNCTION(cudnnGetRNNWeightParams);
  TENON_VENDOR_FUNCTION(cudnnGetRNNWeightSpaceSize);
  TENON_VENDOR_FUNCTION(cudnnRNNForward);
  TENON_VENDOR_FUNCTION(cudnnSetDropoutDescriptor);
  TENON_VENDOR_FUNCTION(cudnnSetRNNDataDescriptor);
  TENON_VENDOR_FUNCTION(cudnnSetRNNDescriptor_v8);
  TENON_VENDOR_FUNCTION(cudnnSetStream);
  TENON_VENDOR_FUNCTION(cudnnSetTensorNdDescriptor);
};

const Library& library() {
  static const Library opened;
  return opened;
}

void check_cudnn(cudnnStatus_t status, std::string_view call) {
  check(status == CUDNN_STATUS_SUCCESS, "cuDNN: ", call, ": ", library().cudnnGetErrorString(status));
}

#define TENON_CUDNN(function, ...) check_cudnn(library().function(__VA_ARGS__), #function)

template <class Handle, auto create, auto destroy>
class Owned {
 public:
  Owned() { check_cudnn((library().*create)(&handle_), "creating a descriptor"); }
  ~Owned() { (library().*destroy)(handle_); }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  operator Handle() const { return handle_; }

 private:
  Handle handle_ = nullptr;
};
using Handle = Owned<cudnnHandle_t, &Library::cudnnCreate, &Library::cudnnDestroy>;
using Rnn =
    Owned<cudnnRNNDescriptor_t, &Library::cudnnCreateRNNDescriptor, &Library::cudnnDestroyRNNDescriptor>;
using Rows = Owned<cudnnRNNDataDescriptor_t, &Library::cudnnCreateRNNDataDescriptor,
                   &Library::cudnnDestroyRNNDataDescriptor>;
using Dropout = Owned<cudnnDropoutDescriptor_t, &Library::cudnnCreateDropoutDescriptor,
                      &Library::cudnnDestroyDropoutDescriptor>;
using Tensor = Owned<cudnnTensorDescriptor_t, &Library::cudnnCreateTensorDescriptor,
                     &Library::cudnnDestroyTensorDescriptor>;

// Row `position` of sequence `b` between packed (T, columns) and padded (B, L, columns). A block is a place
// of the padded batch; padding becomes zero.
template <class T>
__global__ void __launch_bounds__(threads)
    move_rows(const int* cu_seqlens, T* packed, T* padded, int64_t longest, int64_t columns, bool pad) {
  const int64_t b = blockIdx.x / longest, position = blockIdx.x % longest;
  const int64_t row = cu_seqlens[b] + position;
  const bool is_row = row < cu_seqlens[b + 1];
  T* place = padded + int64_t{blockIdx.x} * columns;
  for (int64_t i = thread_number(); i < columns; i += threads)
    if (!pad && is_row)
      packed[row * columns + i] = place[i];
    else if (pad)
      place[i] = is_row ? packed[row * columns + i] : from_float<T>(0);
}

void move(const GruSequence::Args& a, const TensorView& packed, const Buffer& padded, bool pad,
          Stream& stream) {
  const int64_t columns = packed.shape[1], places = gru::sequence_count(a.cu_seqlens) * a.max_seqlen;
  dispatch<float, bf16>(packed.dtype, [&]<class T>() {
    launch(stream, {.grid = places, .block = threads}, move_rows<T>, a.cu_seqlens.as<const int>(),
           packed.as<T>(), padded.as<T>(), int64_t{a.max_seqlen}, columns, pad);
  });
}

cudnnDataType_t data_type(const GruSequence::Args& a) {
  return a.x.dtype == DType::bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
}

void describe(const GruSequence::Args& a, cudnnRNNDescriptor_t rnn, cudnnDropoutDescriptor_t none) {
  const cudnnMathType_t math = a.x.dtype == DType::bf16 ? CUDNN_TENSOR_OP_MATH
                               : a.tf32                 ? CUDNN_DEFAULT_MATH
                                                        : CUDNN_FMA_MATH;
  TENON_CUDNN(cudnnSetRNNDescriptor_v8, rnn, CUDNN_RNN_ALGO_STANDARD, CUDNN_GRU,
              a.bias_ih[0].defined() ? CUDNN_RNN_DOUBLE_BIAS : CUDNN_RNN_NO_BIAS,
              a.directions == 2 ? CUDNN_BIDIRECTIONAL : CUDNN_UNIDIRECTIONAL, CUDNN_LINEAR_INPUT,
              data_type(a), CUDNN_DATA_FLOAT, math, static_cast<int>(a.x.shape[1]), a.hidden_size,
              a.hidden_size, 1, none, CUDNN_RNN_PADDED_IO_ENABLED);
}

// Of row-major (B, L, columns). An empty sequence is given out as one row of padding.
void describe(const GruSequence::Args& a, const std::vector<int>& lengths, int64_t columns,
              cudnnRNNDataDescriptor_t rows) {
  float zero = 0;
  std::vector<int> rows_of(lengths);
  for (int& length : rows_of) length = std::max(length, 1);
  TENON_CUDNN(cudnnSetRNNDataDescriptor, rows, data_type(a), CUDNN_RNN_DATA_LAYOUT_BATCH_MAJOR_UNPACKED,
              a.max_seqlen, static_cast<int>(lengths.size()), static_cast<int>(columns), rows_of.data(),
              &zero);
}

std::vector<int> host_lengths(const GruSequence::Args& a, const Stream& stream) {
  std::vector<int> offsets(static_cast<size_t>(a.cu_seqlens.size()));
  stream.synchronize();
  copy(offsets.data(), Device::cpu, a.cu_seqlens.data, kernel_device, a.cu_seqlens.bytes());
  for (size_t i = 0; i + 1 < offsets.size(); ++i) offsets[i] = offsets[i + 1] - offsets[i];
  offsets.pop_back();
  return offsets;
}

// cuDNN's gates 0, 1, 2 are r, z, n of the input, 3, 4, 5 those of the state.
void copy_weights(const GruSequence::Args& a, cudnnHandle_t handle, cudnnRNNDescriptor_t rnn,
                  const Buffer& weights, size_t bytes, Stream& stream) {
  const Tensor matrix_shape, bias_shape;
  const auto copy_gate = [&](void* target, const TensorView& from, int gate) {
    const size_t size = from.bytes() / 3;
    check_cuda(cudaMemcpyAsync(target, from.as<char>() + static_cast<size_t>(gate) * size, size,
                               cudaMemcpyDeviceToDevice, static_cast<cudaStream_t>(stream.handle())),
               "cudaMemcpyAsync");
  };
  for (int d = 0; d < a.directions; ++d)
    for (int gate = 0; gate < 6; ++gate) {
      void *matrix = nullptr, *bias = nullptr;
      TENON_CUDNN(cudnnGetRNNWeightParams, handle, rnn, d, bytes, weights.data(), gate, matrix_shape, &matrix,
                  bias_shape, &bias);
      copy_gate(matrix, gate < 3 ? a.weight_ih[d] : a.weight_hh[d], gate % 3);
      if (a.bias_ih[d].defined()) copy_gate(bias, gate < 3 ? a.bias_ih[d] : a.bias_hh[d], gate % 3);
    }
}

// The last state of an empty sequence is zero; i counts sequences of all directions.
void clear_state(const GruSequence::Args& a, int i, Stream& stream) {
  const size_t bytes = static_cast<size_t>(a.hidden_size) * size_of(a.h_n.dtype);
  check_cuda(cudaMemsetAsync(a.h_n.as<char>() + static_cast<size_t>(i) * bytes, 0, bytes,
                             static_cast<cudaStream_t>(stream.handle())),
             "cudaMemsetAsync");
}

void run(const GruSequence::Args& a, Stream& stream) {
  static thread_local const Handle handle;
  TENON_CUDNN(cudnnSetStream, handle, static_cast<cudaStream_t>(stream.handle()));
  const std::vector<int> lengths = host_lengths(a, stream);
  const Dropout none;
  TENON_CUDNN(cudnnSetDropoutDescriptor, none, handle, 0, nullptr, 0, 0);
  const Rnn rnn;
  describe(a, rnn, none);
  const Rows x_rows, y_rows;
  describe(a, lengths, a.x.shape[1], x_rows);
  describe(a, lengths, a.y.shape[1], y_rows);
  const Tensor h_shape;
  const auto batch = static_cast<int>(lengths.size());
  const int extents[] = {a.directions, batch, a.hidden_size};
  const int strides[] = {batch * a.hidden_size, a.hidden_size, 1};
  TENON_CUDNN(cudnnSetTensorNdDescriptor, h_shape, data_type(a), 3, extents, strides);

  size_t weight_bytes = 0, work_bytes = 0, reserve_bytes = 0;
  TENON_CUDNN(cudnnGetRNNWeightSpaceSize, handle, rnn, &weight_bytes);
  TENON_CUDNN(cudnnGetRNNTempSpaceSizes, handle, rnn, CUDNN_FWD_MODE_INFERENCE, x_rows, &work_bytes,
              &reserve_bytes);
  const size_t places = lengths.size() * static_cast<size_t>(a.max_seqlen), width = size_of(a.x.dtype);
  const Buffer weights(kernel_device, weight_bytes), work(kernel_device, work_bytes);
  const Buffer x(kernel_device, places * static_cast<size_t>(a.x.shape[1]) * width);
  const Buffer y(kernel_device, places * static_cast<size_t>(a.y.shape[1]) * width);
  copy_weights(a, handle, rnn, weights, weight_bytes, stream);
  move(a, a.x, x, true, stream);
  TENON_CUDNN(cudnnRNNForward, handle, rnn, CUDNN_FWD_MODE_INFERENCE, nullptr, x_rows, x.data(), y_rows,
              y.data(), h_shape, nullptr, a.h_n.data, nullptr, nullptr, nullptr, weight_bytes, weights.data(),
              work_bytes, work.data(), 0, nullptr);
  move(a, a.y, y, false, stream);
  for (int i = 0; i < a.directions * batch; ++i)
    if (lengths[static_cast<size_t>(i % batch)] == 0) clear_state(a, i, stream);
}

std::string supports(const GruSequence::Args& a) {
  if (!library().missing().empty()) return library().missing();
  if (a.gates.defined()) return "cuDNN keeps no gates in the contract's form, so it serves inference only";
  return a.max_seqlen > 0 ? "" : "cuDNN takes no empty batch";
}

const Register<GruSequence> registered{{.name = "cudnn",
                                        .device = kernel_device,
                                        .priority = -1,
                                        .dtypes = {DType::f32, DType::bf16},
                                        .deterministic = false,
                                        .batch_invariant = false,
                                        .supports = supports,
                                        .run = run}};

}  // namespace
}  // namespace tenon
