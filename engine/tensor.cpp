#include "engine/tensor.h"

#include <algorithm>

#include "engine/autograd.h"

namespace tenon {

Tensor::Tensor(Shape shape, DType dtype, Device device) : impl_(std::make_shared<Impl>()) {
  for (int i = 0; i < shape.rank; ++i) check(shape[i] >= 0, "a tensor cannot have the shape ", shape);
  const size_t bytes = static_cast<size_t>(shape.size()) * size_of(dtype);
  impl_->storage = std::make_shared<Storage>(device, bytes);
  impl_->data = impl_->storage->data();
  impl_->shape = shape;
  impl_->dtype = dtype;
}

Tensor::Tensor(const TensorView& view, std::shared_ptr<const void> owner, Storage::ReleasePages release)
    : impl_(std::make_shared<Impl>()) {
  check(view.contiguous(), "only contiguous memory can be wrapped as a tensor");
  impl_->storage = std::make_shared<Storage>(view.data, std::move(owner), std::move(release));
  impl_->data = view.data;
  impl_->shape = Shape(view);
  impl_->dtype = view.dtype;
}

Tensor::Impl& Tensor::impl() const {
  check(defined(), "an undefined tensor was used");
  return *impl_;
}

Tensor Tensor::zeros(Shape shape, DType dtype, Device device) {
  Tensor tensor(shape, dtype, device);
  tensor.zero();
  return tensor;
}

Tensor Tensor::full(Shape shape, DType dtype, double value, Device device) {
  Tensor tensor(shape, dtype);
  dispatch<float, double, bf16, f16>(
      dtype, [&]<class T>() { std::fill_n(static_cast<T*>(tensor.data()), tensor.size(), T(value)); });
  return tensor.to(device);
}

TensorView Tensor::view(Shape shape) const {
  check(shape.size() == size(), "a tensor of shape ", this->shape(), " has no view of shape ", shape);
  TensorView view;
  view.data = data();
  view.dtype = dtype();
  view.rank = shape.rank;
  std::copy_n(shape.sizes, shape.rank, view.shape);
  view.set_contiguous();
  return view;
}

TensorView Tensor::view() const { return defined() ? view(shape()) : TensorView(); }

Tensor Tensor::reshaped(Shape shape) const {
  view(shape);  // checks the sizes
  auto made = std::make_shared<Impl>(Impl{impl().storage, data(), shape, dtype()});
  return Tensor(made);
}

Tensor Tensor::rows(int64_t begin, int64_t end) const {
  check(shape().rank > 0 && 0 <= begin && begin <= end && end <= size(0), "rows ", begin, " to ", end,
        " are not within ", shape());
  Shape part = shape();
  part.sizes[0] = end - begin;
  const int64_t row = size(0) ? size() / size(0) : 0;
  char* start = static_cast<char*>(data()) + static_cast<size_t>(begin * row) * size_of(dtype());
  return Tensor(std::make_shared<Impl>(Impl{impl().storage, start, part, dtype()}));
}

Tensor Tensor::detach() const { return reshaped(shape()); }

Tensor Tensor::to(Device target) const {
  if (target == device()) return *this;
  Tensor moved(shape(), dtype(), target);
  moved.copy_from(*this);
  if (impl().requires_grad) return moved.set_requires_grad(true);
  return record("to", moved, {*this},
                [from = device()](const Tensor& dy) -> std::vector<Tensor> { return {dy.to(from)}; });
}

Tensor Tensor::clone() const {
  Tensor copied(shape(), dtype(), device());
  copied.copy_from(*this);
  return copied;
}

void Tensor::copy_from(const Tensor& source) {
  check(source.shape() == shape() && source.dtype() == dtype(), "cannot copy ", source.shape(), " ",
        source.dtype(), " into ", shape(), " ", dtype());
  copy(data(), device(), source.data(), source.device(), bytes());
}

void Tensor::zero() {
  if (bytes() > 0) memory_backend(device()).fill_zero(data(), bytes());
}

double Tensor::item() const {
  check(size() == 1, "item() was asked of a tensor of shape ", shape());
  double value = 0;
  dispatch<float, double, bf16, f16>(dtype(), [&]<class T>() {
    T element;
    copy(&element, Device::cpu, data(), device(), sizeof element);
    if constexpr (std::is_same_v<T, double>)
      value = element;
    else
      value = double{static_cast<float>(element)};
  });
  return value;
}

bool Tensor::requires_grad() const { return defined() && (impl_->requires_grad || impl_->node); }

Tensor& Tensor::set_requires_grad(bool on) {
  impl().requires_grad = on;
  return *this;
}

Tensor Tensor::grad() const { return impl().grad; }
void Tensor::set_grad(Tensor grad) { impl().grad = std::move(grad); }
void Tensor::backward() const { tenon::backward(*this); }

}  // namespace tenon
