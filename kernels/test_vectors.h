// Between tensors and the plain vectors that references take, and what an operation says when it is called wrongly.
#pragma once

#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace mestre::kernels::testing {

/// Row-major.
template <class Real>
[[nodiscard]] std::vector<Real> values(const at::Tensor& tensor) {
  const at::Tensor dense = tensor.contiguous();
  const Real* data = dense.const_data_ptr<Real>();
  return {data, data + dense.numel()};
}

template <class Real>
[[nodiscard]] at::Tensor tensor(const std::vector<Real>& values, at::IntArrayRef shape) {
  return at::tensor(values, c10::CppTypeToScalarType<Real>::value).reshape(shape);
}

template <class Call>
void expect_error(const std::string& message, const Call& call) {
  try {
    call();
    ADD_FAILURE() << "accepted: " << message;
  } catch (const c10::Error& error) {
    EXPECT_EQ(std::string(error.what_without_backtrace()), message);
  }
}

}  // namespace mestre::kernels::testing
