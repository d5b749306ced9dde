// A Tensor is a handle to contiguous elements in a Storage; copies share them. It also carries its place in
// the graph of gradients (engine/autograd.h).
#pragma once
#include <memory>
#include <span>
#include <vector>

#include "engine/shape.h"
#include "engine/storage.h"

namespace tenon {

struct Node;

class Tensor {
 public:
  Tensor() = default;                                             // undefined: an absent optional tensor
  Tensor(Shape shape, DType dtype, Device device = Device::cpu);  // uninitialised
  // Elements that stand in memory owned elsewhere, without a copy.
  Tensor(const TensorView& view, std::shared_ptr<const void> owner, Storage::ReleasePages release = nullptr);

  static Tensor zeros(Shape shape, DType dtype, Device device = Device::cpu);
  static Tensor full(Shape shape, DType dtype, double value, Device device = Device::cpu);
  template <class T>
  static Tensor from(std::span<const T> values, Shape shape, Device device = Device::cpu) {
    check(static_cast<int64_t>(values.size()) == shape.size(), values.size(), " values do not fill ", shape);
    Tensor tensor(shape, dtype_of<T>, device);
    copy(tensor.data(), device, values.data(), Device::cpu, values.size_bytes());
    return tensor;
  }
  template <class T>
  static Tensor from(const std::vector<T>& values, Shape shape, Device device = Device::cpu) {
    return from(std::span<const T>(values), shape, device);
  }
  template <class T>
  static Tensor from(const std::vector<T>& values, Device device = Device::cpu) {
    return from(values, {static_cast<int64_t>(values.size())}, device);
  }

  bool defined() const { return impl_ != nullptr; }
  const Shape& shape() const;
  int64_t size(int dimension) const { return shape()[dimension]; }
  int64_t size() const { return shape().size(); }
  size_t bytes() const { return static_cast<size_t>(size()) * size_of(dtype()); }
  DType dtype() const;
  Device device() const;
  void* data() const;
  const std::shared_ptr<Storage>& storage() const;
  TensorView view() const;             // what a kernel sees; of an undefined tensor, a view of rank 0
  TensorView view(Shape shape) const;  // the same elements with other sizes

  // Without a gradient; these share the elements.
  Tensor reshaped(Shape shape) const;
  Tensor rows(int64_t begin, int64_t end) const;  // [begin, end) of the first dimension
  Tensor detach() const;

  // Itself if it is there already. A leaf becomes a leaf there; the gradient of any other finds its way back.
  Tensor to(Device device) const;
  Tensor clone() const;
  void copy_from(const Tensor& source);  // same shape and dtype, any device
  void zero();
  template <class T>
  std::vector<T> to_vector() const {
    check(dtype_of<T> == dtype(), "a tensor of ", dtype(), " was read as ", dtype_of<T>);
    std::vector<T> values(static_cast<size_t>(size()));
    copy(values.data(), Device::cpu, data(), device(), bytes());
    return values;
  }
  double item() const;  // the one element, of any floating type; waits for the device

  bool requires_grad() const;  // as a leaf, or because something it was made of does
  Tensor& set_requires_grad(bool on);
  Tensor grad() const;  // undefined before backward() has reached this leaf
  void set_grad(Tensor grad);
  // Gradients of this one-element tensor into the .grad() of all leaves. The graph is freed on the way.
  void backward() const;

  // For engine/autograd.cpp.
  struct Impl;
  explicit Tensor(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  const std::shared_ptr<Impl>& handle() const { return impl_; }

 private:
  Impl& impl() const;
  std::shared_ptr<Impl> impl_;
};

struct Tensor::Impl {
  std::shared_ptr<Storage> storage;
  void* data = nullptr;
  Shape shape;
  DType dtype = DType::f32;
  bool requires_grad = false;  // of a leaf
  Tensor grad;
  std::shared_ptr<Node> node;  // what made it, if a gradient is wanted
  size_t output = 0;           // which output of the node it is
};

inline const Shape& Tensor::shape() const { return impl().shape; }
inline DType Tensor::dtype() const { return impl().dtype; }
inline Device Tensor::device() const { return impl().storage->device(); }
inline void* Tensor::data() const { return impl().data; }
inline const std::shared_ptr<Storage>& Tensor::storage() const { return impl().storage; }

}  // namespace tenon
